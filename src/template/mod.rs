//! Exact templates: compiling what a tokenizer makes of a number format and of literals into one small automaton.
//!
//! ```
//! use tplc::{
//!     artifact::Artifact,
//!     matcher::Matcher,
//!     template::{Collector, Compiler, TemplateOptions},
//!     text::Skeleton,
//!     tokenizer::TokenizerSource,
//! };
//!
//! let qwen = "qwen".parse::<TokenizerSource>()?.load(&[])?;
//! let compiler = Compiler::new(&qwen, &TemplateOptions::default())?;
//! let mut molecules = Collector::default();
//! molecules.add(&Skeleton::new("CC=O", None)?);
//! let artifact = Artifact::from_bytes(molecules.build(&compiler)?)?;
//!
//! let mut matcher = Matcher::new(artifact.template("CC=O")?);
//! for &token in &qwen.encode("[C]<-1.2345,0.0432,0.1000>[C]<0.2014,-0.4410,0.0000>=[O]<1.1032,0.3321,-0.0500>")?.ids {
//!     matcher.advance(token)?;
//! }
//! assert!(matcher.is_finished());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod automaton;
mod beside;
mod certificate;
mod collector;
mod compiler;
mod corpus;
mod error;
mod manifest;
mod merge;
mod numbers;
mod oracle;
mod position;
mod proven;
mod spelling;
mod trace;

pub use beside::SaveError;
pub use certificate::{Certificate, CertificateError, certify, same_tokenizer};
pub use collector::Collector;
pub use compiler::{Compiler, TemplateOptions, eos_token};
pub use error::TemplateError;
pub use manifest::{
    DriftSummary, HoleTokens, Manifest, MoleculeCounts, PlaceholderDrift, SectionSize, Source,
};
pub use merge::merge;
pub use numbers::{DecimalSet, NumberLanguage, Opening, Start};
pub use oracle::Oracle;
pub use position::PositionTemplate;
pub use proven::Tried;
pub use trace::{automaton_text, dot, example_numbers, snapshot, spell, trace};
