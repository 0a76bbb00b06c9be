//! Chrome traces: read those of PyTorch's profiler and ours, sum them up, put two side by side; write ours.
//!
//! ```
//! use tplc::trace::{Comparison, Patterns, TraceSummary};
//!
//! let trace = br#"[
//!     {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 7, "tid": 7, "ts": 10, "dur": 5},
//!     {"ph": "X", "cat": "kernel", "name": "flash_fwd_kernel", "pid": 0, "tid": 7, "ts": 20, "dur": 30},
//!     {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 7, "tid": 7, "ts": 30, "dur": 3"#;
//! let patterns = Patterns::standard()?;
//! let summary = TraceSummary::read(trace.as_slice(), &patterns, Some(2))?;
//! let run = &summary.runs[0];
//! let of = |name| run.categories.iter().find(|category| category.category == name).map(|found| found.tally);
//! assert_eq!(of("kernel launches").map(|launches| (launches.count, launches.average_us)), Some((1, 5.0)));
//! assert_eq!(of("attention kernels").and_then(|kernels| kernels.us_per_token), Some(15.0));
//! assert_eq!((run.duration_us, run.device_busy_share), (40.0, Some(0.75)));
//! assert_eq!(summary.ending, tplc::trace::Ending::CutOff);
//! assert_eq!(Comparison::new(&[run, run]).rows[0].ratios, [Some(1.0), Some(1.0)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chrome;
mod compare;
mod coverage;
mod error;
mod event;
mod names;
mod patterns;
mod summary;
mod tracks;
mod write;

pub use chrome::{Ending, Footer, StrategyTotals, read};
pub use compare::{Comparison, Measure, Row};
pub use error::TraceError;
pub use event::Event;
pub use patterns::{CategoryId, Class, Patterns, Small};
pub use summary::{CategorySummary, Operation, Summary, Tally, TraceSummary};
pub use write::{Recorder, SpanArgs, SpanKind, SpanStart};
