//! Threads of a call.

use pyo3::prelude::*;

use crate::error::OrRaise;

/// Threads for one call; 0 takes one a core.
///
/// Every call has its own: those that all calls would share are gone in a process that was forked, and it would wait for
/// them forever.
pub(crate) fn pool(threads: usize) -> PyResult<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().or_raise()
}
