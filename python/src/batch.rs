//! Many matchers at once.

use numpy::{IntoPyArray, PyArray1};
use pyo3::{
    exceptions::{PyIndexError, PyTypeError, PyValueError},
    prelude::*,
    types::PyDict,
};
use tplc::{
    matcher::{BatchError, Matcher as Follower, MatcherBatch as Followers},
    primitives::TokenId,
};

use crate::{
    bitmask::with_words,
    error::{refused, token_id},
    matcher::{Matcher, take_forced_run, tokens_back},
    tables::ids,
    template::Template,
    tokenizer::{Number, given_ids},
};

/// Many matchers at once, one row a text; one call goes through all rows, without the interpreter's lock.
#[pyclass(module = "tplc")]
pub(crate) struct MatcherBatch {
    followers: Followers,
    templates: Vec<Py<Template>>,
    forcing: bool,
}

impl MatcherBatch {
    fn follower(&self, template: &Template) -> Follower {
        Follower::new(template.made().clone()).with_forcing(self.forcing)
    }

    fn check_row(&self, row: i64) -> PyResult<usize> {
        let rows = self.templates.len();
        let known = usize::try_from(row).ok().filter(|&row| row < rows);
        known.ok_or_else(|| PyIndexError::new_err(format!("there is no row {row}: the batch has {rows}")))
    }

    fn numbers<'py>(
        &self,
        py: Python<'py>,
        number: impl FnMut(&Follower) -> u32,
    ) -> Bound<'py, PyArray1<i32>> {
        ids(self.followers.rows().iter().map(number)).into_pyarray(py)
    }
}

#[pymethods]
impl MatcherBatch {
    #[new]
    #[pyo3(signature = (templates, *, forcing=true))]
    fn new(templates: &Bound<'_, PyAny>, forcing: bool) -> PyResult<Self> {
        let mut batch = Self { followers: Followers::default(), templates: Vec::new(), forcing };
        for template in templates.try_iter()? {
            batch.append(template?.cast_into::<Template>()?);
        }
        Ok(batch)
    }

    fn __len__(&self) -> usize {
        self.templates.len()
    }

    fn __getitem__(&self, py: Python<'_>, row: i64) -> PyResult<Matcher> {
        let rows = self.templates.len();
        let from_end = usize::try_from(row.unsigned_abs()).unwrap_or(usize::MAX);
        let place = match row < 0 && from_end <= rows {
            true => rows - from_end,
            false => self.check_row(row)?,
        };
        Ok(Matcher::of(self.followers.rows()[place].clone(), self.templates[place].clone_ref(py)))
    }

    /// The state of each row.
    #[getter]
    fn states<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i32>> {
        self.numbers(py, |row| row.place().0.0)
    }

    /// How many numbers of each row are complete.
    #[getter(numbers)]
    fn complete_numbers<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i32>> {
        self.numbers(py, |row| row.place().1)
    }

    /// How many tokens each row has taken.
    #[getter]
    fn lengths<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i32>> {
        self.numbers(py, |row| row.len() as u32)
    }

    /// Whether each row is finished.
    #[getter]
    fn finished<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<bool>> {
        self.followers.rows().iter().map(Follower::is_finished).collect::<Vec<_>>().into_pyarray(py)
    }

    /// Whether every row is.
    #[getter]
    fn is_finished(&self) -> bool {
        self.followers.is_finished()
    }

    /// Fills one mask a row in place; the words of finished rows are left as they are. Returns how many rows are unfinished.
    fn fill_masks(&self, py: Python<'_>, bitmask: &Bound<'_, PyAny>) -> PyResult<usize> {
        let least =
            self.templates.iter().map(|template| template.get().least_mask_words()).max().unwrap_or(0);
        let followers = &self.followers;
        let filled = with_words(py, bitmask, least, |words, [rows, stride]| {
            (rows >= followers.len()).then(|| followers.fill_masks(words, stride)).ok_or(rows)
        })?;
        let filled = filled.map_err(|rows| {
            PyValueError::new_err(format!(
                "the bitmask has {rows} rows, and the batch has {}",
                self.templates.len()
            ))
        })?;
        filled.map_err(misused)
    }

    /// Takes one token in each row; finished rows take none. Raises `MatcherError` with the first row that refuses its token; then
    /// no row has taken any.
    fn advance(&mut self, py: Python<'_>, ids: &Bound<'_, PyAny>) -> PyResult<()> {
        let given = given_ids(ids)?;
        if given.len() != self.templates.len() {
            let (ids, rows) = (given.len(), self.templates.len());
            return Err(PyValueError::new_err(format!(
                "{ids} ids were given, and the batch has {rows} rows"
            )));
        }
        let tokens: Vec<TokenId> = given.iter().copied().map(token_id).collect();
        let taken = py.detach(|| self.followers.advance(&tokens));
        taken.map_err(|error| match error {
            BatchError::Refused { row, refused } => self::refused(py, &refused, Some(row), given[row]),
            error => misused(error),
        })
    }

    /// The forced run of each row. They are not taken.
    fn forced_runs(&self) -> Vec<Vec<u32>> {
        self.followers.rows().iter().map(|row| row.forced_run().map(|id| id.0).collect()).collect()
    }

    /// As `forced_runs`, and takes them.
    fn take_forced_runs(&mut self) -> Vec<Vec<u32>> {
        self.followers.rows_mut().iter_mut().map(take_forced_run).collect()
    }

    /// Takes back the last tokens: as many in each row, or as many as each row is given.
    fn rollback(&mut self, count: &Bound<'_, PyAny>) -> PyResult<()> {
        let rows = self.templates.len();
        let counts = match count.len() {
            Ok(_) => given_ids(count)?,
            Err(_) => vec![count.extract::<Number>()?.0; rows],
        };
        let counts: Vec<usize> = counts.into_iter().map(tokens_back).collect::<PyResult<_>>()?;
        if counts.len() != rows {
            let given = counts.len();
            return Err(PyValueError::new_err(format!(
                "{given} counts were given, and the batch has {rows} rows"
            )));
        }
        self.followers.rollback(&counts).map_err(misused)
    }

    /// Takes these rows, or all, back to their start.
    #[pyo3(signature = (rows=None))]
    fn reset(&mut self, rows: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let rows: Vec<usize> = match rows {
            None => (0..self.templates.len()).collect(),
            Some(rows) => self.rows(rows)?,
        };
        for row in rows {
            self.followers.rows_mut()[row].reset();
        }
        Ok(())
    }

    /// Makes a row one at the start of another text.
    fn replace(&mut self, row: i64, template: Bound<'_, Template>) -> PyResult<()> {
        let row = self.check_row(row)?;
        self.followers.rows_mut()[row] = self.follower(template.get());
        self.templates[row] = template.unbind();
        Ok(())
    }

    /// Adds a row at the start of a text.
    fn append(&mut self, template: Bound<'_, Template>) {
        let follower = self.follower(template.get());
        self.followers.rows_mut().push(follower);
        self.templates.push(template.unbind());
    }

    /// Makes row i what row `rows[i]` was: reorders, repeats and drops rows, as beam search does.
    fn select(&mut self, py: Python<'_>, rows: &Bound<'_, PyAny>) -> PyResult<()> {
        let rows = self.rows(rows)?;
        let followers = rows.iter().map(|&row| self.followers.rows()[row].clone()).collect();
        self.templates = rows.iter().map(|&row| self.templates[row].clone_ref(py)).collect();
        self.followers = Followers::new(followers);
        Ok(())
    }

    /// Another batch at the same places.
    fn copy(&self, py: Python<'_>) -> Self {
        let templates = self.templates.iter().map(|template| template.clone_ref(py)).collect();
        Self { followers: self.followers.clone(), templates, forcing: self.forcing }
    }

    fn __copy__(&self, py: Python<'_>) -> Self {
        self.copy(py)
    }

    fn __deepcopy__(&self, py: Python<'_>, _memo: &Bound<'_, PyDict>) -> Self {
        self.copy(py)
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        Err(PyTypeError::new_err(
            "a MatcherBatch does not pickle: send its templates, which do, and the ids its rows have taken, for another one to take",
        ))
    }

    fn __repr__(&self) -> String {
        format!("<tplc.MatcherBatch of {} rows>", self.templates.len())
    }
}

impl MatcherBatch {
    /// Row numbers that Python gives, each of a row that is there.
    fn rows(&self, rows: &Bound<'_, PyAny>) -> PyResult<Vec<usize>> {
        given_ids(rows)?.into_iter().map(|row| self.check_row(row)).collect()
    }
}

/// The exception of a batch that was given something for other rows than it has, or masks that are too narrow.
fn misused(error: BatchError) -> PyErr {
    PyValueError::new_err(error.to_string())
}
