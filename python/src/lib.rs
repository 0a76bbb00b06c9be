//! The Python package of tplc.

use pyo3::prelude::*;

/// The compiled part of tplc.
#[pymodule]
mod _tplc {}
