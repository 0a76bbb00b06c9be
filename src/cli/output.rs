//! Where results go: standard output, or a file that is written whole or not at all.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tempfile::NamedTempFile;

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

/// A file that is written beside its place and put there when it is complete, so that nobody sees half of it.
pub(super) struct WholeFile {
    path: PathBuf,
    file: io::BufWriter<NamedTempFile>,
    /// The first failure to write.
    failed: Option<io::Error>,
}

impl WholeFile {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = temporary().tempfile_in(folder_of(path)).with_context(|| cannot_write(path))?;
        Ok(Self { path: path.to_owned(), file: io::BufWriter::new(file), failed: None })
    }

    /// Writes bytes; a failure is kept for [`WholeFile::finish`].
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.failed = self.file.write_all(bytes).err();
        }
    }

    /// Puts the file in its place.
    pub(super) fn finish(self) -> Result<()> {
        let Self { path, file, failed } = self;
        let finish = || -> io::Result<()> {
            failed.map_or(Ok(()), Err)?;
            file.into_inner().map_err(io::IntoInnerError::into_error)?.persist(&path)?;
            Ok(())
        };
        finish().with_context(|| cannot_write(&path))
    }
}

/// Writes a whole file.
pub(super) fn write_whole(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let mut file = WholeFile::create(path)?;
    file.write(content.as_ref());
    file.finish()
}

/// Temporary files that everybody may read who may read others of ours: they stay, under another name.
fn temporary() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

/// Writes several whole files: none is put in its place before all are written, then each in turn. Who is killed between
/// two leaves the first one new and the second one as it was, each whole.
pub(super) fn write_all_whole(files: &[(&Path, &[u8])]) -> Result<()> {
    let write = |&(path, content): &(&Path, &[u8])| {
        let mut file = WholeFile::create(path)?;
        file.write(content);
        Ok(file)
    };
    let written: Vec<WholeFile> = files.iter().map(write).collect::<Result<_>>()?;
    written.into_iter().try_for_each(WholeFile::finish)
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

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(super) fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// Whether an error is a reader that went away, such as `| head`.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
