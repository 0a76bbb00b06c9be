//! Why a trace could not be summed up.

use std::io;

use thiserror::Error;

/// Why a trace, or a table of patterns, is of no use. A file that was cut off is no error: see
/// [`Ending`](super::Ending).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The bytes cannot be had.
    #[error("reading stopped: {0}")]
    Unreadable(#[source] io::Error),
    /// The bytes are not a Chrome trace.
    #[error(
        "no Chrome trace ({reason}); give a JSON array of events or an object with \"traceEvents\", plain or gzip, such as \
         PyTorch's `export_chrome_trace` or `tplc validate --trace` writes"
    )]
    NotATrace {
        /// What stands there instead.
        reason: String,
    },
    /// A table of patterns that does not parse.
    #[error("no table of patterns (docs/trace.md shows one): {0}")]
    Patterns(#[from] Box<ron::error::SpannedError>),
    /// A pattern that can match nothing or cannot be searched for.
    #[error("category {category:?}: the pattern {pattern:?} {fault}")]
    Pattern {
        /// The category it stands under.
        category: String,
        /// The pattern.
        pattern: String,
        /// What is wrong.
        fault: String,
    },
}
