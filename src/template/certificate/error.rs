//! Why a certificate cannot be had.

use thiserror::Error;

use crate::{template::TemplateError, tokenizer::TokenizerError};

/// What does not hold.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The tables were built for another tokenizer.
    #[error(
        "the artifact was built for tokenizer {built_name} ({built}), and {given_name} is {given}: use that tokenizer, or build again\n  {difference}"
    )]
    OtherTokenizer {
        /// The name in the artifact.
        built_name: String,
        /// The fingerprint in the artifact.
        built: String,
        /// The name of the given one.
        given_name: String,
        /// The fingerprint of the given one.
        given: String,
        /// What differs among the tokens that the artifact uses.
        difference: String,
    },
    /// A text whose tokens are not accepted.
    #[error(
        "{text:?} is not accepted: token {position} of the tokenizer is {real}, and the automaton allows {allowed}"
    )]
    Refused {
        /// The text.
        text: String,
        /// The first token that is not allowed.
        position: usize,
        /// The token.
        real: String,
        /// Some of those that are.
        allowed: String,
    },
    /// Another number of paths than there are texts, or spellings of texts where every one is accepted.
    #[error("the automaton has {paths} paths through {what}, and there should be {texts}")]
    Paths {
        /// Numbers or literals.
        what: String,
        /// Paths.
        paths: u64,
        /// Texts, or their spellings.
        texts: u64,
    },
    /// More spellings than can be counted, where every one is accepted.
    #[error(
        "{what} has more spellings in tokens than can be counted: build canonical templates, which have one"
    )]
    Uncounted {
        /// Numbers or literals.
        what: String,
    },
    /// A literal leads to other numbers than the separator does, behind which all are tried.
    #[error("the literal {literal:?} leads to other numbers than those behind a separator")]
    OtherNumbers {
        /// The literal.
        literal: String,
    },
    /// The tokenizer is not known to keep numbers apart from what stands beside them, so trying shows nothing.
    #[error(
        "{tokenizer} is not known to tokenize numbers alike in all company, and not every text can be tried: {reason}"
    )]
    NotApart {
        /// The tokenizer's name.
        tokenizer: String,
        /// What of it is in the way.
        reason: String,
    },
    /// A literal behind which a number does not begin where it begins behind others.
    #[error(
        "behind {literal:?} the opening {opening:?} of a number does not lead where it leads behind a separator"
    )]
    OtherEntry {
        /// The literal.
        literal: String,
        /// What stands between it and the first digit.
        opening: String,
    },
    /// Ids that do not stand for the text they were given for.
    #[error(
        "the tokens of {text:?} spell {spelled:?}: {tokenizer} changes the text, and no template can be proven"
    )]
    NotSpelled {
        /// The text.
        text: String,
        /// What its tokens spell.
        spelled: String,
        /// The tokenizer's name.
        tokenizer: String,
    },
    /// The tables cannot be tried: their number format is unknown here, or too wide.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The number format of the artifact cannot be read.
    #[error(transparent)]
    Format(#[from] crate::text::NumberFormatError),
    /// The tokenizer refused a text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A template could not be made of literals in the table.
    #[error(transparent)]
    Artifact(#[from] crate::artifact::Error),
}
