//! Why no exact template can be compiled.

use thiserror::Error;

use crate::{corpus::CorpusError, primitives::TokenId, text::NumberFormat, tokenizer::TokenizerError};

/// Why no exact template can be compiled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// Reading the corpus stopped.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The number format of an artifact cannot be read.
    #[error(transparent)]
    Format(#[from] crate::text::NumberFormatError),
    /// A template cannot be made of its literals.
    #[error(transparent)]
    Artifact(#[from] crate::artifact::Error),
    /// Two artifacts that cannot be one.
    #[error("the artifacts were built with different {0}: build all with the same tokenizer and options")]
    OtherOptions(&'static str),
    /// No artifact at all.
    #[error("there is no artifact to merge: give one or more")]
    NothingToMerge,
    /// Artifacts whose manifests tell of different drift.
    #[error(
        "the manifests of the artifacts tell of different drift: build all shards with the same --drift FILE, or all without"
    )]
    OtherDrift,
    /// Manifests whose rows, added, are more than an integer holds.
    #[error("the rows of the manifests are more than can be counted: one of them does not say what was read")]
    TooManyRows,
    /// The tokenizer refused a text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A text whose tokens depend on its neighbours, so that they cannot be put together from tables.
    #[error(
        "{tokenizer} does not keep {text:?} apart from its neighbours: it makes the token {merge:?} of {example:?}; no \
         exact template can be built for it"
    )]
    NotCut {
        /// The tokenizer's name.
        tokenizer: String,
        /// The text.
        text: String,
        /// A token that reaches over its edge, or that is another in other company.
        merge: String,
        /// A text in which it does.
        example: String,
    },
    /// A token that reaches over the edge of a number, where every spelling is accepted.
    #[error(
        "{tokenizer} has the token {token:?}, which reaches over the edge of a number: templates that accept every \
         spelling cannot be built for it; build canonical ones"
    )]
    Straddles {
        /// The tokenizer's name.
        tokenizer: String,
        /// The token.
        token: String,
    },
    /// Text that no tokens spell.
    #[error("the vocabulary of {tokenizer} cannot spell {text:?}: build canonical templates")]
    NotSpelled {
        /// The tokenizer's name.
        tokenizer: String,
        /// The text.
        text: String,
    },
    /// The format writes no number.
    #[error("number format {format} writes no number: its range lies between those that it can write")]
    NoNumber {
        /// The format.
        format: NumberFormat,
    },
    /// The format has too many digits to try all numbers.
    #[error(
        "number format {format} has more than {most} {digits}: exact templates are built for at most {most}"
    )]
    TooManyDigits {
        /// The format.
        format: NumberFormat,
        /// `"decimals"` or `"integer digits"`.
        digits: &'static str,
        /// The most there can be.
        most: u8,
    },
    /// The format writes too many numbers to try them all.
    #[error(
        "number format {format} writes {numbers} numbers, and templates are proven for {most} at most: take fewer digits, \
         or a range"
    )]
    TooManyNumbers {
        /// The format.
        format: NumberFormat,
        /// How many it writes.
        numbers: u64,
        /// The most there can be.
        most: u64,
    },
    /// One token leads to two states: the text can be read in two ways.
    #[error("token {token} can be read in two ways in this number format: no exact template can be built")]
    Ambiguous {
        /// The token.
        token: TokenId,
    },
    /// More distinct tokens than an artifact can number.
    #[error("the templates use {tokens} different tokens, and an artifact holds 65,536: split the corpus")]
    TooManyTokens {
        /// How many there are.
        tokens: usize,
    },
    /// The end-of-sequence token does not exist.
    #[error("{tokenizer} has no added token {text:?} to end a sequence with")]
    NoEos {
        /// The tokenizer's name.
        tokenizer: String,
        /// The text given.
        text: String,
    },
    /// The end-of-sequence token is an id that the logits do not have.
    #[error("{tokenizer} has no id {eos} to end a sequence with: its logits end before {width}")]
    EosBeyond {
        /// The tokenizer's name.
        tokenizer: String,
        /// The id given.
        eos: TokenId,
        /// The width of its logits.
        width: u32,
    },
}
