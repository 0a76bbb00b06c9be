//! A model on the device that it is to run on.

use candle_core::Device;

use super::{DecodeError, Decoder, LanguageModel, ModelConfig, Weights};

/// A decoder with `slots` rows of up to `context` tokens: on a GPU one that stays there, else one of the processor. That it
/// cannot be had is told before `weights` reads gigabytes.
///
/// # Errors
/// [`DecodeError`] if the model has fewer positions or sizes that the device's kernels do not have, or of its weights.
pub fn load(
    config: &ModelConfig,
    device: &Device,
    slots: usize,
    context: usize,
    weights: impl FnOnce() -> Result<Weights, DecodeError>,
) -> Result<Box<dyn LanguageModel>, DecodeError> {
    if context > config.context {
        return Err(DecodeError::TooLong { tokens: context, context: config.context });
    }
    #[cfg(feature = "cuda")]
    if device.is_cuda() {
        super::CudaDecoder::check(config, slots, context)?;
        return Ok(Box::new(super::CudaDecoder::new(config, weights()?, slots, context)?));
    }
    let _ = device;
    Ok(Box::new(Decoder::new(config, weights()?, slots, context)?))
}
