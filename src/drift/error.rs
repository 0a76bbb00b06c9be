//! Why an analysis could not be made.

use thiserror::Error;

use crate::tokenizer::TokenizerError;

/// Why counts could not be made or merged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DriftError {
    /// The tokenizer refused a text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The tables and the tokenizer give different tokens: a defect of the tables.
    #[error(
        "the count tables of {tokenizer} disagree with the tokenizer at token {at} of {text:?}: {table} instead of {real}; \
         count with --exact and report the text"
    )]
    TablesDisagree {
        /// The tokenizer's name.
        tokenizer: String,
        /// The text.
        text: String,
        /// The first token that differs.
        at: usize,
        /// Id and span by the tables.
        table: String,
        /// Id and span by the tokenizer.
        real: String,
    },
    /// The tokens are right and the counts made of them are not: a defect of counting.
    #[error(
        "the counts that {tokenizer} gives by tables are not those of its tokens in {text:?}; count with --exact and report the text"
    )]
    CountsDisagree {
        /// The tokenizer's name.
        tokenizer: String,
        /// The text.
        text: String,
    },
    /// Two partial counts of the same name come from different tokenizers.
    #[error(
        "{name}: one part was counted with tokenizer {left}, the other with {right}; count both with the same tokenizer"
    )]
    OtherTokenizer {
        /// The name both carry.
        name: String,
        /// Fingerprint of one.
        left: String,
        /// Fingerprint of the other.
        right: String,
    },
    /// Files of partial counts that were made with other tokenizers, formats, placeholders or tags.
    #[error("the parts were made with different {0}; run `tplc analyze` with the same options on each")]
    OtherOptions(&'static str),
    /// A partial file that does not parse.
    #[error("not a partial file of this version (schema {expected:?}): {reason}")]
    Malformed {
        /// The schema that is read.
        expected: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Counts that contradict each other: no analysis has made them.
    #[error("the counts of {name} are none that an analysis makes: {reason}")]
    DoNotAddUp {
        /// The tokenizer's name.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The rows of two parts, added, are more than an integer holds.
    #[error(
        "the rows of the parts are more than can be counted: one of the files does not say what was read"
    )]
    TooManyRows,
    /// A rendered text does not read back: a defect of the renderer.
    #[error("a rendered text does not read back: {0}")]
    Text(#[from] crate::text::TextError),
    /// The thread pool could not be started.
    #[error("could not start the threads: {0}")]
    Threads(String),
    /// Text that cannot stand in a hole.
    #[error("a placeholder is some text without <, > and control characters")]
    Placeholder {
        /// The text.
        text: String,
    },
    /// Reading the corpus stopped.
    #[error(transparent)]
    Corpus(#[from] crate::corpus::CorpusError),
}
