//! Decoding with real models, held by templates or not.
//!
//! The only part of this crate that knows candle. A [`Decoder`] reads runs of tokens of many rows, packed, and tells the
//! logits behind them; it is a [`LanguageModel`], and so is anything else that does.

mod attention;
mod cache;
mod config;
mod device;
mod error;
mod language_model;
mod model;
mod packed;
mod random;
mod rotary;
mod weights;

pub use config::{Family, ModelConfig, Rope, RopeScaling};
pub use device::{DeviceName, NumberType};
pub use error::DecodeError;
pub use language_model::{LanguageModel, Logits};
pub use model::Decoder;
pub use packed::{Packed, Run, Wanted};
pub use weights::Weights;
