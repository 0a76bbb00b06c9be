//! Threads of a call, and Ctrl-C while they work.

use std::{
    num::NonZero,
    panic::resume_unwind,
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread::{self, available_parallelism},
    time::Duration,
};

use pyo3::{
    Borrowed,
    exceptions::{PyOverflowError, PyRuntimeError, PyValueError},
    prelude::*,
};

use crate::error::OrRaise;

/// How long a signal may wait for somebody to listen.
const LISTEN_EVERY: Duration = Duration::from_millis(50);

/// How many threads a call may have; 0 takes one a core.
#[derive(Clone, Copy, Default)]
pub(crate) struct Threads(usize);

impl<'py> FromPyObject<'_, 'py> for Threads {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        value.extract().map(Self).map_err(|error| match error.is_instance_of::<PyOverflowError>(value.py()) {
            true => {
                PyValueError::new_err(format!("threads is {value:?}: give how many, or 0 for one a core"))
            }
            false => error,
        })
    }
}

impl Threads {
    /// Threads to start where so many are asked for: more than there are cores only stand in each other's way.
    pub(crate) fn at_most_cores(self) -> usize {
        self.0.min(available_parallelism().map_or(1, NonZero::get))
    }
}

/// Threads for one call.
///
/// Every call has its own: those that all calls would share are gone in a process that was forked, and it would wait for
/// them forever.
pub(crate) fn pool(threads: Threads) -> PyResult<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new().num_threads(threads.at_most_cores()).build().or_raise()
}

/// Does work that cannot be stopped on threads of its own, without the interpreter. A signal that raises meanwhile, as Ctrl-C
/// does, does so at once: what the work comes to is then nobody's, so it must not be left in a file.
pub(crate) fn heard<T: Send + 'static>(
    py: Python<'_>,
    threads: Threads,
    work: impl FnOnce() -> PyResult<T> + Send + 'static,
) -> PyResult<T> {
    let pool = pool(threads)?;
    py.detach(|| {
        let (sender, receiver) = sync_channel(1);
        let worker = thread::Builder::new().spawn(move || {
            // Nobody is there to take it behind a signal.
            let _ = sender.send(pool.install(work));
        })?;
        loop {
            match receiver.recv_timeout(LISTEN_EVERY) {
                Ok(done) => return done,
                Err(RecvTimeoutError::Timeout) => Python::attach(|py| py.check_signals())?,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // It ended without an answer, so it panicked.
        match worker.join() {
            Err(panic) => resume_unwind(panic),
            Ok(()) => Err(PyRuntimeError::new_err("the work ended without an answer")),
        }
    })
}
