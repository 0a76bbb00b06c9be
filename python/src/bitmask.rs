//! Bitmasks that Python owns, as words to write to.

use numpy::{
    Element, PyArrayDyn, PyArrayMethods, PyReadwriteArrayDyn, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::PyMemoryView,
};

/// Calls `fill` with the words of a bitmask, all rows one behind the other, without the interpreter.
///
/// `shape` is that of the bitmask: `[words]`, or `[rows, words]` where there may be more rows than are filled. Each row must
/// have `least` words.
pub(crate) fn with_words<T: Send, const N: usize>(
    py: Python<'_>,
    bitmask: &Bound<'_, PyAny>,
    least: usize,
    fill: impl FnOnce(&mut [u32], [usize; N]) -> T + Send,
) -> PyResult<T> {
    let array = view(bitmask)?;
    let shape: [usize; N] = array.shape().try_into().map_err(|_| {
        PyValueError::new_err(format!("a bitmask has {N} dimensions here, and this one has {}", array.ndim()))
    })?;
    let words = shape.last().copied().unwrap_or(0);
    if words < least {
        return Err(PyValueError::new_err(format!(
            "the bitmask has {words} words a row, and the template's ids need {least}: make it as wide as the logits"
        )));
    }
    if !array.is_c_contiguous() {
        return Err(misplaced());
    }
    if let Ok(array) = array.cast::<PyArrayDyn<i32>>() {
        let mut array = writable(array)?;
        let words: &mut [u32] = bytemuck::cast_slice_mut(array.as_slice_mut().map_err(|_| misplaced())?);
        return Ok(py.detach(|| fill(words, shape)));
    }
    let array = array.cast::<PyArrayDyn<u32>>().map_err(|_| {
        let kind = array.dtype();
        PyTypeError::new_err(format!("a bitmask holds int32 words, and this one holds {kind}"))
    })?;
    let mut array = writable(array)?;
    let words = array.as_slice_mut().map_err(|_| misplaced())?;
    Ok(py.detach(|| fill(words, shape)))
}

/// The memory of an array, a tensor, or whatever else NumPy can look at without copying.
fn view<'py>(bitmask: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyUntypedArray>> {
    if let Ok(array) = bitmask.cast::<PyUntypedArray>() {
        return Ok(array.clone());
    }
    let py = bitmask.py();
    // A torch tensor; one on another device says so itself.
    let array = if bitmask.hasattr("data_ptr")? {
        bitmask.call_method0("numpy").map_err(|error| {
            PyTypeError::new_err(format!(
                "a bitmask holds int32 words on the CPU, and this tensor cannot: {error}"
            ))
        })?
    } else {
        let words = match bitmask.hasattr("__array_interface__")? {
            true => Ok(bitmask.clone()),
            false => py.get_type::<PyMemoryView>().call1((bitmask,)),
        };
        let words = words.map_err(|_| {
            PyTypeError::new_err(format!(
                "a bitmask is a NumPy array, a torch tensor on the CPU, or another writable buffer; this is {}",
                bitmask.get_type()
            ))
        })?;
        py.import("numpy")?.call_method1("asarray", (words,))?
    };
    Ok(array.cast_into::<PyUntypedArray>()?)
}

fn misplaced() -> PyErr {
    PyValueError::new_err(
        "the bitmask must be contiguous in memory, row by row, each word at an address that 4 divides",
    )
}

fn writable<'py, T: Element>(array: &Bound<'py, PyArrayDyn<T>>) -> PyResult<PyReadwriteArrayDyn<'py, T>> {
    array
        .try_readwrite()
        .map_err(|error| PyValueError::new_err(format!("the bitmask cannot be written: {error}")))
}
