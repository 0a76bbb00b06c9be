//! Enriched SMILES, both ways.

use numpy::{
    IntoPyArray, PyArray2, PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods,
    ndarray::{Array2, ArrayViewD, Axis},
};
use pyo3::{exceptions::PyValueError, prelude::*};
use tplc::{
    corpus::{Coordinate, CoordinateError, MAX_DECIMALS, Position},
    text::{EnrichedReader, Skeleton},
};

use crate::{
    arguments::{number_format, tags},
    error::OrRaise,
};

/// The enriched SMILES of a SMILES with these coordinates, truncated toward zero.
#[pyfunction]
#[pyo3(
    signature = (smiles, coordinates, number_format="fixed4", tags="none"),
    text_signature = "(smiles, coordinates, number_format='fixed4', tags='none')"
)]
pub(crate) fn render_smiles(
    smiles: &str,
    coordinates: &Bound<'_, PyAny>,
    number_format: &str,
    tags: &str,
) -> PyResult<String> {
    let (format, tags) = (self::number_format(number_format)?, self::tags(tags)?);
    let skeleton = Skeleton::new(smiles, tags.completion.as_ref()).or_raise()?;
    skeleton.render(&positions(coordinates)?, &format).or_raise()
}

/// Reads enriched SMILES: the SMILES that it copies, every atom in brackets, and its positions `(atoms, 3)`.
#[pyfunction]
#[pyo3(signature = (text, tags="conformer"), text_signature = "(text, tags='conformer')")]
pub(crate) fn parse<'py>(
    py: Python<'py>,
    text: &str,
    tags: &str,
) -> PyResult<(String, Bound<'py, PyArray2<f64>>)> {
    let reader = EnrichedReader::new(&self::tags(tags)?);
    let enriched = reader.read(text).or_raise()?;
    let positions = enriched.conformer().or_raise()?;
    // The nearest float of each decimal: both numbers of the quotient are exact.
    let unit = 10_f64.powi(MAX_DECIMALS as i32);
    let mut coordinates = Array2::zeros((positions.len(), 3));
    for (mut row, position) in coordinates.rows_mut().into_iter().zip(&positions) {
        row.iter_mut().zip(position).for_each(|(cell, value)| *cell = value.nanos() as f64 / unit);
    }
    Ok((enriched.smiles(), coordinates.into_pyarray(py)))
}

/// Coordinates as decimals: the shortest that read back as these floats, of single precision if they are.
fn positions(coordinates: &Bound<'_, PyAny>) -> PyResult<Vec<Position>> {
    let numpy = coordinates.py().import("numpy")?;
    let array = numpy.call_method1("asarray", (coordinates,))?.cast_into::<PyUntypedArray>()?;
    if array.ndim() != 2 || array.shape()[1] != 3 {
        let shape = array.shape();
        return Err(PyValueError::new_err(format!(
            "coordinates have the shape (atoms, 3), and these {shape:?}"
        )));
    }
    if let Ok(array) = array.cast::<PyArrayDyn<f32>>() {
        return rows(array.readonly().as_array(), Coordinate::from_f32);
    }
    let array = numpy.call_method1("asarray", (array, "float64"))?;
    rows(array.cast::<PyArrayDyn<f64>>()?.readonly().as_array(), Coordinate::from_f64)
}

fn rows<T: Copy>(
    array: ArrayViewD<'_, T>,
    read: fn(T) -> Result<Coordinate, CoordinateError>,
) -> PyResult<Vec<Position>> {
    let row = |row: ArrayViewD<'_, T>| {
        let mut position = Position::default();
        for (axis, &value) in position.iter_mut().zip(&row) {
            *axis = read(value).or_raise()?;
        }
        Ok(position)
    };
    array.axis_iter(Axis(0)).map(row).collect()
}
