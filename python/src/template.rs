//! The template of one molecule.

use std::sync::Arc;

use numpy::PyArray1;
use pyo3::{prelude::*, sync::PyOnceLock, types::PyTuple};
use tplc::{
    artifact::Template as Made,
    matcher::{Label, Matcher},
    template::{spell, trace},
};

use crate::{
    artifact::Artifact,
    error::{refused, token_id},
    tables::{Tables, ids, read_only},
    tokenizer::{given_ids, numbers},
};

/// The exact template of one molecule: accepts a sequence of ids if and only if it is what the tokenizer gives for the
/// molecule with some number of the format in every hole. Immutable, cheap, pickles with its artifact.
#[pyclass(module = "tplc", frozen)]
pub(crate) struct Template {
    made: Made,
    artifact: Py<Artifact>,
    smiles: String,
    /// What literals that the artifact lacks were compiled with.
    tokenizer: Option<Py<PyAny>>,
    tables: PyOnceLock<Py<Tables>>,
}

impl Template {
    pub(crate) fn new(
        made: Made,
        artifact: Py<Artifact>,
        smiles: String,
        tokenizer: Option<Py<PyAny>>,
    ) -> Self {
        Self { made, artifact, smiles, tokenizer, tables: PyOnceLock::new() }
    }

    /// The crate's own.
    pub(crate) fn made(&self) -> &Made {
        &self.made
    }

    /// Words of a mask that has a bit for every id of the template.
    pub(crate) fn least_mask_words(&self) -> usize {
        self.made.tables().tokens.ids().last().map_or(0, |id| id.0 as usize / 32 + 1)
    }
}

/// What an emitted token was, in Python's words.
pub(crate) fn label(label: Label) -> &'static str {
    match label {
        Label::Copy => "copy",
        Label::Forced => "forced",
        Label::Decided => "decided",
    }
}

#[pymethods]
impl Template {
    /// The SMILES it was made of, or what its literals spell.
    #[getter]
    fn smiles(&self) -> &str {
        &self.smiles
    }

    /// The COPY text: one literal before each hole and one behind the last.
    #[getter]
    fn literals(&self) -> Vec<String> {
        self.artifact.get().opened().literals_of(&self.smiles)
    }

    /// The number of atoms, which is that of holes.
    #[getter]
    fn atoms(&self) -> usize {
        self.made.atoms()
    }

    /// The fewest and the most tokens of a text, its end-of-sequence id included.
    #[getter]
    fn tokens(&self) -> (u32, u32) {
        let bounds = self.made.tokens_left(self.made.start(), 0);
        (bounds.min, bounds.max)
    }

    /// The fewest and the most of them that have an alternative: forward passes that must sample.
    #[getter]
    fn passes(&self) -> (u32, u32) {
        let bounds = self.made.decisions_left(self.made.start(), 0);
        (bounds.min, bounds.max)
    }

    /// The state where each literal begins: the first is where the text does.
    #[getter]
    fn roots<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i32>>> {
        let behind = (1..=self.made.atoms()).filter_map(|atom| self.made.behind(3 * atom - 1));
        let roots = std::iter::once(self.made.start()).chain(behind).map(|root| root.0);
        Ok(read_only(py, ids(roots))?.into_bound(py))
    }

    /// What it shares with other templates of its artifact.
    #[getter]
    fn tables(&self, py: Python<'_>) -> PyResult<Py<Tables>> {
        let artifact = self.artifact.get();
        if Arc::ptr_eq(artifact.opened().tables(), self.made.tables()) {
            return artifact.tables(py);
        }
        let own = self.tables.get_or_try_init(py, || Py::new(py, Tables::new(self.made.tables().clone())))?;
        Ok(own.clone_ref(py))
    }

    /// Where it comes from.
    #[getter]
    fn artifact(&self, py: Python<'_>) -> Py<Artifact> {
        self.artifact.clone_ref(py)
    }

    /// The ids of a completion, found along the automaton, without a tokenizer; `None` if the template does not accept it.
    fn encode(&self, text: &str) -> Option<Vec<u32>> {
        spell(&self.made, text).map(|ids| numbers(&ids))
    }

    /// What each token of an accepted sequence is: `copy`, `forced` or `decided`.
    fn labels(&self, py: Python<'_>, ids: &Bound<'_, PyAny>) -> PyResult<Vec<&'static str>> {
        let mut matcher = Matcher::new(self.made.clone());
        let advance =
            |id: i64| matcher.advance(token_id(id)).map(label).map_err(|error| refused(py, &error, None, id));
        given_ids(ids)?.into_iter().map(advance).collect()
    }

    /// The tokens of a completion for people.
    fn trace(&self, text: &str) -> Option<String> {
        trace(&self.made, text)
    }

    fn __repr__(&self) -> String {
        let (fewest, most) = self.tokens();
        format!("<tplc.Template {}, {} atoms, {fewest} to {most} tokens>", self.smiles, self.made.atoms())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (py, template) = (slf.py(), slf.get());
        let make = template.artifact.bind(py).getattr("template")?;
        Ok((make, (&template.smiles, template.tokenizer.as_ref()).into_pyobject(py)?))
    }
}
