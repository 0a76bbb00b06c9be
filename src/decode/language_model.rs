//! What the engine asks of a model.

use super::{DecodeError, Packed};
use crate::primitives::TokenId;

/// A model that reads packed runs and tells the logits behind them.
pub trait LanguageModel {
    /// The width of the whole output layer.
    fn vocabulary(&self) -> usize;

    /// The number of sequences it can hold.
    fn slots(&self) -> usize;

    /// The most tokens of a sequence.
    fn context(&self) -> usize;

    /// From now on computes the logits of these ids only, in their order; `None`: of all.
    ///
    /// # Errors
    /// [`DecodeError`] if the model has no such id.
    fn restrict(&mut self, ids: Option<&[TokenId]>) -> Result<(), DecodeError>;

    /// Reads the runs, each behind what its slot holds up to the run's position, and tells the wanted logits.
    ///
    /// # Errors
    /// [`DecodeError`] if a run does not fit its slot or the computation fails.
    fn forward(&mut self, packed: &Packed) -> Result<Logits, DecodeError>;

    /// The model as one that decodes whole rows where it is, if it can.
    #[cfg(feature = "cuda")]
    fn resident(&mut self) -> Option<&mut super::CudaDecoder> {
        None
    }
}

/// Logits, one row for each token that they were wanted of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logits {
    values: Vec<f32>,
    width: usize,
}

impl Logits {
    /// Rows of `width` values, one behind the other.
    #[must_use]
    pub fn new(values: Vec<f32>, width: usize) -> Self {
        Self { values, width }
    }

    /// One row; nothing of a row that there is not.
    #[must_use]
    pub fn row(&self, index: usize) -> &[f32] {
        self.rows().nth(index).unwrap_or_default()
    }

    /// The rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }
}
