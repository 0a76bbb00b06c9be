//! Where results go: standard output, or a file that is written whole or not at all.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;

use crate::files::WriteError;
pub(super) use crate::files::{WholeFile, check_distinct, check_writable, write_whole};

/// Prints to standard output.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Prints one JSON object, indented, with a newline at its end.
pub(super) fn print_json(value: &impl Serialize) -> Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// Whether an error is a reader of standard output that went away, such as `| head`; an output that was named is another
/// matter.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    !error.chain().any(|cause| cause.is::<WriteError>())
        && error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
