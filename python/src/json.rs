//! What the program prints as JSON, as dicts and lists.

use pyo3::prelude::*;
use serde::Serialize;

use crate::error::OrRaise;

/// The value, by way of its JSON.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    let text = serde_json::to_string(value).or_raise()?;
    py.import("json")?.call_method1("loads", (text,))
}
