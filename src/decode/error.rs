//! What can go wrong between a checkpoint and its tokens.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::primitives::TokenId;

/// Why a model cannot be loaded or run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A file of the checkpoint cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `config.json` or the index of the weights is not what it should be.
    #[error("{} is no usable {what}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// Why it is not.
        reason: String,
    },
    /// `config.json` asks for something that the decoder does not have.
    #[error("{}: {field} is {found}, but only {supported} can be decoded", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// What it says.
        found: String,
        /// What it may say.
        supported: &'static str,
    },
    /// The folder holds no weights.
    #[error("{} has neither model.safetensors nor model.safetensors.index.json; convert other weights to safetensors", folder.display())]
    NoWeights {
        /// The folder.
        folder: PathBuf,
    },
    /// A file of weights is damaged.
    #[error("{} is no whole safetensors file: {reason}; it was probably cut off: fetch it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The checkpoint lacks a tensor.
    #[error("{origin} has no tensor {name}, which its config.json asks for")]
    MissingTensor {
        /// Where it was looked for.
        origin: String,
        /// The tensor.
        name: String,
    },
    /// A tensor has another shape than `config.json` says.
    #[error("{origin}: tensor {name} has shape {found:?}, but its config.json asks for {expected:?}")]
    WrongShape {
        /// Where it is.
        origin: String,
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that the configuration gives.
        expected: Vec<usize>,
    },
    /// A tensor holds no floating-point numbers.
    #[error(
        "{origin}: tensor {name} holds {found}; quantized checkpoints cannot be decoded, only f32, f16 and bf16"
    )]
    WrongType {
        /// Where it is.
        origin: String,
        /// The tensor.
        name: String,
        /// The type of its numbers.
        found: String,
    },
    /// A tensor does not get to the device.
    #[error(
        "cannot place tensor {name} ({mebibytes} MiB): {reason}; if memory is short, bf16 or f16 take half of it, and other \
         programs may hold some"
    )]
    NoRoom {
        /// The tensor.
        name: String,
        /// Its size there.
        mebibytes: usize,
        /// What the device said.
        reason: String,
    },
    /// The device is not there.
    #[error("cannot use device {device}: {reason}")]
    Device {
        /// The device.
        device: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A sequence grows beyond the cache.
    #[error("a sequence of {tokens} tokens does not fit into the {context} positions of the model")]
    TooLong {
        /// The tokens.
        tokens: usize,
        /// The positions there are.
        context: usize,
    },
    /// More rows side by side than the GPU's kernels plan for.
    #[cfg(feature = "cuda")]
    #[error("{rows} rows side by side are more than a GPU takes, {most}: give a smaller batch")]
    TooMany {
        /// The rows.
        rows: usize,
        /// The most.
        most: usize,
    },
    /// A model whose sizes the GPU's kernels do not have.
    #[cfg(feature = "cuda")]
    #[error("the kernels for a GPU do not have {what}: decode this model with --device cpu")]
    Sizes {
        /// What the model asks for.
        what: String,
    },
    /// A run of tokens does not follow what its slot holds.
    #[error("slot {slot} holds {held} tokens, so position {position} cannot come next")]
    Gap {
        /// The slot.
        slot: usize,
        /// The tokens it holds.
        held: usize,
        /// The first position of the run.
        position: usize,
    },
    /// An id that the model has no embedding for.
    #[error(
        "token {token} is beyond the {rows} rows of the model's embedding: the tokenizer belongs to another model"
    )]
    UnknownToken {
        /// The token.
        token: TokenId,
        /// The rows.
        rows: usize,
    },
    /// A strategy needs an end-of-sequence token, and there is none.
    #[error("the tokenizer tells no end-of-sequence token, without which no decoding ends: name one")]
    NoEnd,
    /// Sampling settings that choose nothing.
    #[error("{setting} is {value}, but must be {range}")]
    Sampling {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
    /// A row may say nothing.
    #[error(
        "row {row} has no token to say at place {place}: of those that are allowed, the model has no logit that is a finite \
         number; its numbers may have overflown, which bf16 and f32 prevent, or its tokenizer is another"
    )]
    NoCandidate {
        /// The row.
        row: u64,
        /// The place in its output.
        place: u64,
    },
    /// A row that came to no output.
    #[error("row {row} has no output")]
    Lost {
        /// The row.
        row: u64,
    },
    /// The tables do not tell how numbers are written.
    #[error("the artifact's number format {format:?} is none")]
    NumberFormat {
        /// What they say.
        format: String,
    },
    /// A row without a prompt, which leaves the model nothing to read.
    #[error("the prompt of {smiles} has no token")]
    EmptyPrompt {
        /// The molecule.
        smiles: String,
    },
    /// A molecule whose own coordinates cannot be written.
    #[error("the coordinates of {smiles} cannot be replayed: {reason}")]
    Replay {
        /// The molecule.
        smiles: String,
        /// Why.
        reason: String,
    },
    /// The artifact has no template for a molecule.
    #[error(transparent)]
    Template(#[from] crate::artifact::Error),
    /// A token that the matcher refuses, though its mask allowed it.
    #[error(transparent)]
    Refused(#[from] crate::matcher::Refused),
    /// The tokenizer refuses a text.
    #[error(transparent)]
    Tokenizer(#[from] crate::tokenizer::TokenizerError),
    /// The GPU refuses something.
    #[cfg(feature = "cuda")]
    #[error("the GPU failed while {doing}: {reason}")]
    Gpu {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        reason: String,
    },
    /// The tensor library refuses an operation.
    #[error("the model cannot be run: {0}")]
    Tensor(Box<candle_core::Error>),
}

impl From<candle_core::Error> for DecodeError {
    fn from(error: candle_core::Error) -> Self {
        Self::Tensor(Box::new(error))
    }
}

/// A word that names no device, strategy or type of number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("must be {known}")]
pub struct UnknownName {
    /// The word as given.
    pub given: String,
    /// The names there are.
    pub known: String,
}

impl UnknownName {
    pub(super) fn new(given: &str, known: impl Into<String>) -> Self {
        Self { given: given.to_owned(), known: known.into() }
    }
}
