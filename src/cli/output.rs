//! Where results go: standard output, or a file that is written whole or not at all.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::files::folder_of;
pub(super) use crate::files::{WholeFile, write_whole};

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

/// Checks before long work that its result will have a folder to go to.
pub(super) fn check_folder(path: &Path) -> Result<()> {
    ensure!(
        folder_of(path).is_dir(),
        "{}: there is no folder {}",
        cannot_write(path),
        folder_of(path).display()
    );
    Ok(())
}

/// Checks that no output would replace an input or another output.
pub(super) fn check_distinct<'a>(outputs: &[&Path], inputs: impl Iterator<Item = &'a Path>) -> Result<()> {
    // A file that is not there yet is named by its folder, so that `a.json` and `./a.json` are the same.
    let place = |path: &Path| {
        let new = || Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?));
        path.canonicalize().ok().or_else(new).unwrap_or_else(|| path.to_owned())
    };
    let mut taken: Vec<PathBuf> = inputs.map(place).collect();
    for output in outputs {
        let place = place(output);
        ensure!(!taken.contains(&place), "{}: it is an input or another output", cannot_write(output));
        taken.push(place);
    }
    Ok(())
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// Whether an error is a reader that went away, such as `| head`.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
