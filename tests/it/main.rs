//! The integration tests: one binary, so one link.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod golden;
mod smiles;
mod tokenizer_embedded;
#[cfg(feature = "hub")]
mod tokenizer_hub;
mod tokenizer_sources;
mod tokenizer_support;
