//! Why a token is not taken, or a mask not written.

use thiserror::Error;

use crate::primitives::TokenId;

/// A token that the template does not allow where it came.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("token {token} ({text:?}) is not allowed as token {position} of the text")]
pub struct Refused {
    /// The token.
    pub token: TokenId,
    /// Its text, where the artifact knows it.
    pub text: String,
    /// Its place among the tokens of the text, from 0.
    pub position: usize,
}

/// Words that are too few for the ids of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a mask of {words} words is too narrow for the template's ids, which need {needed}: make it as wide as the logits"
)]
pub struct TooNarrow {
    /// The words there are.
    pub words: usize,
    /// The words that the largest id needs.
    pub needed: usize,
}

/// Why a batch has done nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BatchError {
    /// Not one for each row.
    #[error("{given} {what} were given, and the batch has {rows} rows: give one for each")]
    Rows {
        /// What is given by row: `tokens`, `counts` or `masks`.
        what: &'static str,
        /// How many were given.
        given: usize,
        /// How many rows there are.
        rows: usize,
    },
    /// A row that does not allow its token.
    #[error("row {row}: {refused}")]
    Refused {
        /// The row, from 0: the first of those.
        row: usize,
        /// The token, and where it came.
        #[source]
        refused: Refused,
    },
    /// A row whose mask is too narrow.
    #[error("row {row}: {fault}")]
    TooNarrow {
        /// The row, from 0: the first of those.
        row: usize,
        /// How narrow it is.
        #[source]
        fault: TooNarrow,
    },
}
