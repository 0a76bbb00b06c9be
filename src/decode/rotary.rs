//! Rotary positions: tables in f32, whatever type the model has.

use candle_core::{DType, Device, Tensor};

use super::{
    DecodeError,
    config::{ModelConfig, RopeScaling},
};

/// The cosine and sine of each position and frequency.
pub(super) struct Rotary {
    cos: Tensor,
    sin: Tensor,
}

/// Those of the tokens of one pass.
pub(super) struct Turns {
    cos: Tensor,
    sin: Tensor,
}

impl Rotary {
    pub(super) fn new(config: &ModelConfig, context: usize, device: &Device) -> Result<Self, DecodeError> {
        let frequencies = frequencies(config);
        let angle = |position: usize| frequencies.iter().map(move |frequency| position as f64 * frequency);
        let angles: Vec<f64> = (0..context).flat_map(angle).collect();
        let table = |of: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|&angle| of(angle) as f32).collect();
            Tensor::from_vec(values, (context, frequencies.len()), device)
        };
        Ok(Self { cos: table(f64::cos)?, sin: table(f64::sin)? })
    }

    /// Cosines and sines, each `(context, width / 2)`.
    #[cfg(feature = "cuda")]
    pub(super) fn tables(&self) -> (&Tensor, &Tensor) {
        (&self.cos, &self.sin)
    }

    /// The turns of tokens at these positions.
    pub(super) fn at(&self, positions: &Tensor) -> Result<Turns, DecodeError> {
        Ok(Turns { cos: self.cos.index_select(positions, 0)?, sin: self.sin.index_select(positions, 0)? })
    }
}

impl Turns {
    /// Turns the heads of each token: `(tokens, heads, width)`.
    pub(super) fn apply(&self, heads: &Tensor) -> Result<Tensor, DecodeError> {
        let turned = heads.to_dtype(DType::F32)?.contiguous()?.unsqueeze(0)?;
        let turned = candle_nn::rotary_emb::rope_thd(&turned, &self.cos, &self.sin)?;
        Ok(turned.squeeze(0)?.to_dtype(heads.dtype())?)
    }
}

/// Radians a position, for each pair of dimensions of a head.
fn frequencies(config: &ModelConfig) -> Vec<f64> {
    let width = config.head_dim;
    let plain = (0..width).step_by(2).map(|dim| config.rope.theta.powf(-(dim as f64) / width as f64));
    let scaled = |frequency: f64| match config.rope.scaling {
        RopeScaling::None => frequency,
        RopeScaling::Linear { factor } => frequency / factor,
        RopeScaling::Llama3 { factor, low_freq_factor: low, high_freq_factor: high, original_context } => {
            let turns = original_context * frequency / std::f64::consts::TAU;
            // 0 where a frequency is so low that all of it is stretched, 1 where none is.
            let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            kept * frequency + (1.0 - kept) * frequency / factor
        }
    };
    plain.map(scaled).collect()
}
