//! Threads of a call.

use std::{num::NonZero, thread::available_parallelism};

use pyo3::prelude::*;

use crate::error::OrRaise;

/// Threads to start where so many are asked for: more than there are cores only stand in each other's way.
pub(crate) fn at_most_cores(threads: usize) -> usize {
    threads.min(available_parallelism().map_or(1, NonZero::get))
}

/// Threads for one call; 0 takes one a core.
///
/// Every call has its own: those that all calls would share are gone in a process that was forked, and it would wait for
/// them forever.
pub(crate) fn pool(threads: usize) -> PyResult<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new().num_threads(at_most_cores(threads)).build().or_raise()
}
