//! tplc

#[cfg(feature = "compile")]
pub mod corpus;
pub mod primitives;
#[cfg(feature = "compile")]
pub mod tokenizer;
