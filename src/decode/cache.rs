//! The keys and values that later tokens look back at: cells made once, written in place.

use candle_core::{DType, Device, Tensor};

use super::{DecodeError, config::ModelConfig, packed::Run};

/// The cells of one layer.
pub(super) struct Cache {
    keys: Tensor,
    values: Tensor,
}

impl Cache {
    pub(super) fn new(
        config: &ModelConfig,
        slots: usize,
        context: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, DecodeError> {
        let cells = || Tensor::zeros((slots, config.kv_heads, context, config.head_dim), dtype, device);
        Ok(Self { keys: cells()?, values: cells()? })
    }

    /// Keys of all slots: `(slots, heads, context, width)`.
    pub(super) fn keys(&self) -> &Tensor {
        &self.keys
    }

    /// Values of all slots, of the same shape.
    pub(super) fn values(&self) -> &Tensor {
        &self.values
    }

    /// Writes the packed keys and values, each `(tokens, heads, width)`, to the cells of their runs.
    pub(super) fn append(&self, runs: &[Run], keys: &Tensor, values: &Tensor) -> Result<(), DecodeError> {
        for (cells, packed) in [(&self.keys, keys), (&self.values, values)] {
            let packed = packed.to_dtype(cells.dtype())?;
            for run in runs {
                let tokens = packed.narrow(0, run.tokens.start, run.tokens.len())?;
                let tokens = tokens.transpose(0, 1)?.contiguous()?.unsqueeze(0)?;
                // A view of one slot shares its cells, so that this writes into the cache and copies nothing else.
                cells.narrow(0, run.slot, 1)?.slice_set(&tokens, 2, run.position)?;
            }
        }
        Ok(())
    }
}
