//! The Python package of tplc: what `tplc._tplc` is made of, one word of the crate a file.
//!
//! Nothing is decided here. Arguments are read, the interpreter is let go, the crate does the work, and answers become
//! Python's own: the JSON of the program as dicts, tables as NumPy arrays, errors as exceptions.

mod analyze;
mod arguments;
mod artifact;
mod audit;
mod batch;
mod bitmask;
mod build;
mod error;
mod json;
mod matcher;
mod reading;
mod tables;
mod template;
mod text;
mod threads;
mod tokenizer;

use pyo3::prelude::*;

/// The compiled part of tplc: import from `tplc`.
#[pymodule]
mod _tplc {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::{
        analyze::analyze,
        artifact::Artifact,
        audit::audit,
        batch::MatcherBatch,
        build::{build, compile, merge},
        matcher::Matcher,
        tables::Tables,
        template::Template,
        text::{parse, render_smiles},
        tokenizer::{Tokenizer, tokenizers},
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        super::error::add_to(module)
    }
}
