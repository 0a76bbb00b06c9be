//! Reading a corpus: skipped rows are told, and Ctrl-C is heard.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use pyo3::prelude::*;
use tplc::corpus::{CorpusError, Progress, Record, Rejected};

/// Listens while records are read without the interpreter.
pub(crate) struct Listener {
    /// Called with each skipped row.
    skipped: Option<Py<PyAny>>,
    /// Why the first row was skipped, if any was.
    pub(crate) first: Option<String>,
    stopped: Arc<AtomicBool>,
    error: Option<PyErr>,
}

impl Listener {
    pub(crate) fn new(skipped: Option<Py<PyAny>>) -> Self {
        Self { skipped, first: None, stopped: Arc::default(), error: None }
    }

    /// These records, up to the moment when the listener wants no more.
    pub(crate) fn until_stopped<I>(&self, records: I) -> impl Iterator<Item = I::Item> + Send + use<I>
    where
        I: Iterator<Item = Result<Record, CorpusError>> + Send,
    {
        let stopped = Arc::clone(&self.stopped);
        records.take_while(move |_| !stopped.load(Ordering::Relaxed))
    }

    /// What was raised meanwhile, if anything was.
    pub(crate) fn finish(self) -> PyResult<()> {
        self.error.map_or(Ok(()), Err)
    }

    fn hear(&mut self, call: impl FnOnce(Python<'_>) -> PyResult<()>) {
        if self.error.is_none()
            && let Err(error) = Python::attach(call)
        {
            self.error = Some(error);
            self.stopped.store(true, Ordering::Relaxed);
        }
    }
}

impl Progress for Listener {
    fn rejected(&mut self, rejected: Rejected<'_>) {
        self.first.get_or_insert_with(|| rejected.error.to_string());
        if let Some(skipped) = self.skipped.take() {
            self.hear(|py| skipped.call1(py, (rejected.error.to_string(),)).map(drop));
            self.skipped = Some(skipped);
        }
    }

    fn advanced(&mut self, _rows: u64) {
        self.hear(|py| py.check_signals());
    }
}
