//! What all templates of an artifact share, as flat arrays.

use std::{collections::BTreeMap, sync::Arc};

use numpy::{
    Element, IntoPyArray, PyArray, PyArray1, PyArray2,
    ndarray::{Array, Array2, Dimension},
};
use pyo3::{prelude::*, sync::PyOnceLock};
use tplc::{
    artifact::{Automaton, Edges, Tables as Shared},
    matcher::mask_words,
    primitives::{StateId, TokenId},
};

use crate::error::token_id;

/// What all templates of an artifact share, as flat arrays to decode with on a device. All arrays are read-only.
#[pyclass(module = "tplc", frozen)]
pub(crate) struct Tables {
    shared: Arc<Shared>,
    tokens: PyOnceLock<Py<PyArray1<i32>>>,
    alphabet: PyOnceLock<Py<PyArray1<i32>>>,
    first_edge: PyOnceLock<Py<PyArray1<i32>>>,
    edge_tokens: PyOnceLock<Py<PyArray1<i32>>>,
    edge_targets: PyOnceLock<Py<PyArray1<i32>>>,
    edge_free: PyOnceLock<Py<PyArray1<bool>>>,
    ends_number: PyOnceLock<Py<PyArray1<bool>>>,
    masks: PyOnceLock<Masks>,
}

/// An array that nobody can write to: it is shared.
pub(crate) fn read_only<T: Element, D: Dimension>(
    py: Python<'_>,
    values: Array<T, D>,
) -> PyResult<Py<PyArray<T, D>>> {
    let array = values.into_pyarray(py);
    array.call_method1("setflags", (false,))?;
    Ok(array.unbind())
}

/// Ids and states as Python's arrays have them; all are below 2^31, as a file holds no more of them.
pub(crate) fn ids(ids: impl Iterator<Item = u32>) -> Array<i32, numpy::Ix1> {
    ids.map(|id| id as i32).collect()
}

/// Bitmasks of states, each once.
struct Masks {
    row_of_state: Py<PyArray1<i32>>,
    rows: Py<PyArray2<i32>>,
}

type Cached<T> = PyOnceLock<Py<PyArray1<T>>>;

impl Tables {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            tokens: PyOnceLock::new(),
            alphabet: PyOnceLock::new(),
            first_edge: PyOnceLock::new(),
            edge_tokens: PyOnceLock::new(),
            edge_targets: PyOnceLock::new(),
            edge_free: PyOnceLock::new(),
            ends_number: PyOnceLock::new(),
            masks: PyOnceLock::new(),
        }
    }

    fn automaton(&self) -> &Automaton {
        &self.shared.automaton
    }

    /// The edges of each state, in order.
    fn edges(&self) -> impl Iterator<Item = Edges<'_>> {
        (0..self.automaton().len()).map(|state| self.automaton().edges(StateId(state as u32)))
    }

    fn cached<'py, T: Element>(
        py: Python<'py>,
        cache: &Cached<T>,
        values: impl FnOnce() -> Array<T, numpy::Ix1>,
    ) -> PyResult<Bound<'py, PyArray1<T>>> {
        Ok(cache.get_or_try_init(py, || read_only(py, values()))?.bind(py).clone())
    }

    /// The row of each state, and the rows: states with the same tokens share one.
    fn masks(&self) -> (Array<i32, numpy::Ix1>, Array2<i32>) {
        let mut known: BTreeMap<&[TokenId], i32> = BTreeMap::new();
        let mut distinct: Vec<&[TokenId]> = Vec::new();
        let row_of_state = self.edges().map(|edges| {
            *known.entry(edges.tokens()).or_insert_with(|| {
                distinct.push(edges.tokens());
                distinct.len() as i32 - 1
            })
        });
        let row_of_state = row_of_state.collect();
        let words = mask_words(self.shared.header.logits_width);
        let mut rows = vec![0_i32; distinct.len() * words];
        for (row, tokens) in rows.chunks_exact_mut(words.max(1)).zip(&distinct) {
            set_bits(tokens, bytemuck::cast_slice_mut(row));
        }
        let shape = (distinct.len(), words);
        // The length is that of the shape.
        (row_of_state, Array2::from_shape_vec(shape, rows).unwrap_or_default())
    }

    fn mask_arrays(&self, py: Python<'_>) -> PyResult<&Masks> {
        self.masks.get_or_try_init(py, || {
            let (row_of_state, rows) = py.detach(|| self.masks());
            Ok(Masks { row_of_state: read_only(py, row_of_state)?, rows: read_only(py, rows)? })
        })
    }
}

#[pymethods]
impl Tables {
    /// The width of the logits.
    #[getter]
    fn logits_width(&self) -> u32 {
        self.shared.header.logits_width
    }

    /// The number of states.
    #[getter]
    fn states(&self) -> usize {
        self.automaton().len()
    }

    /// The root of the separator between two numbers of a hole.
    #[getter]
    fn separator(&self) -> u32 {
        self.shared.separator.0
    }

    /// The id that ends a sequence.
    #[getter]
    fn eos(&self) -> Option<u32> {
        self.shared.header.eos.map(|id| id.0)
    }

    /// All ids that any edge has, ascending.
    #[getter]
    fn tokens<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i32>>> {
        Self::cached(py, &self.tokens, || ids(self.shared.tokens.ids().iter().map(|id| id.0)))
    }

    /// The token alphabet: every id that is one of several somewhere, ascending.
    #[getter]
    fn alphabet<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i32>>> {
        Self::cached(py, &self.alphabet, || ids(self.shared.alphabet().into_iter().map(|id| id.0)))
    }

    /// The first edge of each state; one entry more than there are states.
    #[getter]
    fn first_edge<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i32>>> {
        Self::cached(py, &self.first_edge, || {
            let ends = self.edges().scan(0, |end, edges| {
                *end += edges.len() as u32;
                Some(*end)
            });
            ids(std::iter::once(0).chain(ends))
        })
    }

    /// The token of each edge, ascending within a state.
    #[getter]
    fn edge_tokens<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i32>>> {
        Self::cached(py, &self.edge_tokens, || {
            ids(self.edges().flat_map(Edges::iter).map(|(token, _)| token.0))
        })
    }

    /// The state behind each edge: always smaller than the state before it.
    #[getter]
    fn edge_targets<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i32>>> {
        Self::cached(py, &self.edge_targets, || {
            ids(self.edges().flat_map(Edges::iter).map(|(_, target)| target.state.0))
        })
    }

    /// Whether the token of each edge lies wholly in a hole.
    #[getter]
    fn edge_free<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<bool>>> {
        Self::cached(py, &self.edge_free, || {
            self.edges().flat_map(Edges::iter).map(|(_, target)| target.free).collect()
        })
    }

    /// Whether a number may end in each state.
    #[getter]
    fn ends_number<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<bool>>> {
        Self::cached(py, &self.ends_number, || {
            (0..self.automaton().len())
                .map(|state| self.automaton().ends_number(StateId(state as u32)))
                .collect()
        })
    }

    /// For each state the row of `mask_rows` that has its own edges.
    #[getter]
    fn mask_row<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i32>>> {
        Ok(self.mask_arrays(py)?.row_of_state.bind(py).clone())
    }

    /// Bitmasks `(rows, ceil(logits_width / 32))`, least significant bit first.
    #[getter]
    fn mask_rows<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<i32>>> {
        Ok(self.mask_arrays(py)?.rows.bind(py).clone())
    }

    /// The text of a token for people.
    fn token_text(&self, id: i64) -> String {
        self.shared.token_text(token_id(id))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| Arc::ptr_eq(&self.shared, &other.get().shared))
    }

    fn __hash__(&self) -> usize {
        Arc::as_ptr(&self.shared) as usize
    }

    fn __repr__(&self) -> String {
        let header = &self.shared.header;
        let (states, edges) = (self.automaton().len(), self.automaton().edge_count());
        format!("<tplc.Tables {} {}, {states} states, {edges} edges>", header.tokenizer, header.number_format)
    }
}

/// Sets the bits of these ids.
fn set_bits(tokens: &[TokenId], words: &mut [u32]) {
    for id in tokens {
        if let Some(word) = words.get_mut(id.0 as usize / 32) {
            *word |= 1 << (id.0 % 32);
        }
    }
}
