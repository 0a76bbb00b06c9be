//! Decoding with real models, held by templates or not.
//!
//! The only part of this crate that knows candle. A [`Decoder`] reads runs of tokens of many rows, packed, and tells the
//! logits behind them; it is a [`LanguageModel`], and so is anything else that does. A [`Runner`] decodes molecules under
//! a [`Strategy`].

mod adversary;
mod attention;
mod cache;
mod config;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod engine;
mod error;
mod guide;
mod language_model;
mod load;
mod model;
mod packed;
mod positions;
mod proof;
mod random;
mod report;
mod rotary;
mod runner;
mod sampler;
mod strategy;
mod tensors;
mod watch;
mod weights;

pub use adversary::{Adversary, Wish};
pub use config::{Family, ModelConfig, Rope, RopeScaling};
#[cfg(feature = "cuda")]
pub use cuda::CudaDecoder;
pub use device::{DeviceName, NumberType};
pub use engine::{GpuWork, Output};
pub use error::{DecodeError, UnknownName};
pub use language_model::{LanguageModel, Logits};
pub use load::load;
pub use model::Decoder;
pub use packed::{Packed, Run as PackedRun, Wanted};
pub use proof::{Finding, Labels};
pub use report::{Range, StrategyReport, Times};
pub use runner::{Prompt, Run, Runner, Subject};
pub use sampler::{Candidate, Draw, Sampler, Sampling};
pub use strategy::Strategy;
pub use watch::{Stages, Watch};
pub use weights::Weights;
