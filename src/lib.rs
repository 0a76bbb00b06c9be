//! tplc

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "compile")]
pub mod corpus;
#[cfg(feature = "compile")]
pub mod drift;
pub mod primitives;
#[cfg(feature = "compile")]
pub mod text;
#[cfg(feature = "compile")]
pub mod tokenizer;
