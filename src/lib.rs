//! tplc

#[cfg(feature = "compile")]
pub mod corpus;
pub mod primitives;
