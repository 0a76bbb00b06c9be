//! Following one text token by token.

use numpy::{IntoPyArray, PyArray1};
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::PyDict,
};
use tplc::{matcher::Matcher as Follower, primitives::TokenId};

use crate::{
    bitmask::with_words,
    error::{refused, token_id},
    tables::ids,
    template::{Template, label},
    tokenizer::{Number, numbers, token_ids},
};

/// Follows one text token by token. `copy.copy` gives another one at the same place.
#[pyclass(module = "tplc")]
pub(crate) struct Matcher {
    follower: Follower,
    template: Py<Template>,
}

impl Matcher {
    pub(crate) fn of(follower: Follower, template: Py<Template>) -> Self {
        Self { follower, template }
    }
}

/// Takes the forced run of a matcher, and tells what it was.
pub(crate) fn take_forced_run(follower: &mut Follower) -> Vec<u32> {
    let run: Vec<TokenId> = follower.forced_run().collect();
    for &id in &run {
        // A forced token is the one that is allowed.
        let _ = follower.advance(id);
    }
    numbers(&run)
}

/// How many tokens are to be taken back.
pub(crate) fn tokens_back(count: i64) -> PyResult<usize> {
    usize::try_from(count)
        .map_err(|_| PyValueError::new_err(format!("{count} tokens cannot be taken back: give 0 or more")))
}

#[pymethods]
impl Matcher {
    #[new]
    #[pyo3(signature = (template, *, forcing=true))]
    fn new(template: Bound<'_, Template>, forcing: bool) -> Self {
        let follower = Follower::new(template.get().made().clone()).with_forcing(forcing);
        Self { follower, template: template.unbind() }
    }

    /// What is followed.
    #[getter]
    fn template(&self, py: Python<'_>) -> Py<Template> {
        self.template.clone_ref(py)
    }

    /// The state it is in.
    #[getter]
    fn state(&self) -> u32 {
        self.follower.place().0.0
    }

    /// How many numbers are complete.
    #[getter]
    fn number(&self) -> u32 {
        self.follower.place().1
    }

    /// Whether the text is complete, its end-of-sequence id included where there is one.
    #[getter]
    fn is_finished(&self) -> bool {
        self.follower.is_finished()
    }

    /// The fewest and the most tokens to the end.
    #[getter]
    fn tokens_left(&self) -> (u32, u32) {
        let bounds = self.follower.tokens_left();
        (bounds.min, bounds.max)
    }

    /// The fewest and the most passes to the end: with forcing, one for each decision.
    #[getter]
    fn passes_left(&self) -> (u32, u32) {
        let bounds = self.follower.passes_left();
        (bounds.min, bounds.max)
    }

    fn __len__(&self) -> usize {
        self.follower.len()
    }

    /// The ids that may come next, ascending.
    fn allowed<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i32>> {
        let mut allowed: Vec<u32> = self.follower.mask_row().iter().map(|id| id.0).collect();
        allowed.sort_unstable();
        ids(allowed.into_iter()).into_pyarray(py)
    }

    /// Whether this id may come next.
    fn allows(&self, id: Number) -> bool {
        self.follower.allows(token_id(id.0))
    }

    /// Writes the ids that may come next as bits into a writable int32 row. Returns `False`, and writes nothing, if the text is
    /// finished.
    fn fill_mask(&self, py: Python<'_>, bitmask: &Bound<'_, PyAny>) -> PyResult<bool> {
        let least = self.template.get().least_mask_words();
        let filled = with_words(py, bitmask, least, |words, [_]| self.follower.fill_mask(words))?;
        filled.map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// The ids from here on that have no alternative. They are not taken.
    fn forced_run(&self) -> Vec<u32> {
        self.follower.forced_run().map(|id| id.0).collect()
    }

    /// As `forced_run`, and takes them.
    fn take_forced_run(&mut self) -> Vec<u32> {
        take_forced_run(&mut self.follower)
    }

    /// How many of these ids may come next, one after the other.
    fn validate(&self, ids: &Bound<'_, PyAny>) -> PyResult<usize> {
        Ok(self.follower.validate(&token_ids(ids)?))
    }

    /// Takes as many of these ids as may come next, one after the other; tells how many.
    fn take(&mut self, ids: &Bound<'_, PyAny>) -> PyResult<usize> {
        let ids = token_ids(ids)?;
        Ok(ids.iter().take_while(|&&id| self.follower.advance(id).is_ok()).count())
    }

    /// Takes the next token; tells whether it was `copy`, `forced` or `decided`. Raises `MatcherError` if it may not come next.
    fn advance(&mut self, py: Python<'_>, id: Number) -> PyResult<&'static str> {
        let Number(id) = id;
        let taken = self.follower.advance(token_id(id));
        taken.map(label).map_err(|error| refused(py, &error, None, id))
    }

    /// Takes back the last `count` tokens, or all if there are fewer.
    fn rollback(&mut self, count: Number) -> PyResult<()> {
        self.follower.rollback(tokens_back(count.0)?);
        Ok(())
    }

    /// Goes back to the start.
    fn reset(&mut self) {
        self.follower.reset();
    }

    /// Another matcher at the same place.
    fn copy(&self, py: Python<'_>) -> Self {
        Self { follower: self.follower.clone(), template: self.template.clone_ref(py) }
    }

    fn __copy__(&self, py: Python<'_>) -> Self {
        self.copy(py)
    }

    fn __deepcopy__(&self, py: Python<'_>, _memo: &Bound<'_, PyDict>) -> Self {
        self.copy(py)
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(PyTypeError::new_err(
            "a Matcher does not pickle: send its template, which does, and the ids it has taken, for another one to take",
        ))
    }

    fn __repr__(&self) -> String {
        let at = if self.is_finished() { ", finished" } else { "" };
        format!("<tplc.Matcher behind {} tokens{at}>", self.follower.len())
    }
}
