//! Files that are written whole or not at all.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;
use thiserror::Error;

/// Why a file cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The operating system refuses.
    #[error("cannot write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// It has no folder to go to.
    #[error("cannot write {}: there is no folder {}", path.display(), folder_of(path).display())]
    NoFolder {
        /// The file.
        path: PathBuf,
    },
    /// It would replace what is read, or written too.
    #[error("cannot write {}: it is an input or another output", path.display())]
    Taken {
        /// The file.
        path: PathBuf,
    },
}

/// A file that is written beside its place and put there when it is complete, so that nobody sees half of it.
#[derive(Debug)]
pub struct WholeFile {
    path: PathBuf,
    file: io::BufWriter<NamedTempFile>,
    /// The first failure to write.
    failed: Option<io::Error>,
}

impl WholeFile {
    /// Begins a file.
    ///
    /// # Errors
    /// [`WriteError`] if nothing can be written to its folder.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        let file = temporary().tempfile_in(folder_of(path));
        let file = file.map_err(|source| WriteError::Io { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file: io::BufWriter::new(file), failed: None })
    }

    /// Writes bytes; a failure is kept for [`WholeFile::finish`].
    pub fn write(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.failed = self.file.write_all(bytes).err();
        }
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`WriteError`] with the first failure.
    pub fn finish(self) -> Result<(), WriteError> {
        let Self { path, file, failed } = self;
        let finish = || -> io::Result<()> {
            failed.map_or(Ok(()), Err)?;
            file.into_inner().map_err(io::IntoInnerError::into_error)?.persist(&path)?;
            Ok(())
        };
        finish().map_err(|source| WriteError::Io { path: path.clone(), source })
    }
}

/// Writes a whole file.
///
/// # Errors
/// [`WriteError`] if it cannot be written.
pub fn write_whole(path: &Path, content: impl AsRef<[u8]>) -> Result<(), WriteError> {
    write_all_whole(&[(path, content.as_ref())])
}

/// Writes several whole files: none is put in its place before all are written, then each in turn. Who is killed between
/// two leaves the first one new and the second one as it was, each whole.
///
/// # Errors
/// [`WriteError`] with the first that cannot be written.
pub fn write_all_whole(files: &[(&Path, &[u8])]) -> Result<(), WriteError> {
    let write = |&(path, content): &(&Path, &[u8])| {
        let mut file = WholeFile::create(path)?;
        file.write(content);
        Ok(file)
    };
    let written: Vec<WholeFile> = files.iter().map(write).collect::<Result<_, WriteError>>()?;
    written.into_iter().try_for_each(WholeFile::finish)
}

/// Checks before long work that its result will have a folder to go to.
///
/// # Errors
/// [`WriteError::NoFolder`] if not.
pub fn check_folder(path: &Path) -> Result<(), WriteError> {
    match folder_of(path).is_dir() {
        true => Ok(()),
        false => Err(WriteError::NoFolder { path: path.to_owned() }),
    }
}

/// Checks that no output would replace an input or another output.
///
/// # Errors
/// [`WriteError::Taken`] if one would.
pub fn check_distinct<'a>(
    outputs: &[&Path],
    inputs: impl Iterator<Item = &'a Path>,
) -> Result<(), WriteError> {
    // A file that is not there yet is named by its folder, so that `a.json` and `./a.json` are the same.
    let place = |path: &Path| {
        let new = || Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?));
        path.canonicalize().ok().or_else(new).unwrap_or_else(|| path.to_owned())
    };
    let mut taken: Vec<PathBuf> = inputs.map(place).collect();
    for output in outputs {
        let place = place(output);
        if taken.contains(&place) {
            return Err(WriteError::Taken { path: (*output).to_owned() });
        }
        taken.push(place);
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Temporary files that everybody may read who may read others of ours: they stay, under another name.
fn temporary() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}
