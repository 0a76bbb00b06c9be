//! The artifact: exact templates of many molecules for one tokenizer and number format, as one file.
//!
//! Reading needs neither a tokenizer nor any other part of this crate but [`primitives`](crate::primitives):
//! `--no-default-features` builds just this and the [`matcher`](crate::matcher).
//!
#![doc = include_str!("FORMAT.md")]

mod automaton;
mod distance;
mod error;
mod programs;
mod read;
mod tables;
mod template;
mod validate;
mod wire;
#[cfg(feature = "compile")]
mod write;

pub use automaton::{Automaton, Edges, Target};
pub use distance::{Bounds, Distance};
pub use error::Error;
use error::fault;
pub use read::{Artifact, SharedBytes};
pub use tables::{Header, LiteralPlace, Literals, Tables, Tokenization, Tokens};
pub use template::Template;
#[cfg(feature = "compile")]
pub use write::write;
