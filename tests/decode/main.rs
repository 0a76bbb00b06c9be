//! Decoding: a test binary of its own, so that the daily tests need not build candle.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bench;
mod checkpoint;
mod cli;
#[cfg(feature = "cuda")]
mod cuda;
mod models;
mod strategies;
mod torch;
#[cfg(feature = "twin")]
mod twin;
