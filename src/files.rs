//! Files that are written whole or not at all.

use std::{
    fs::File,
    io::{self, Seek, Write},
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
    /// It is a folder.
    #[error("cannot write {}: it is a folder", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// `-`, which stands for a standard stream elsewhere.
    #[error("cannot write -: name a file, which ./- is too; standard output is for the result")]
    Dash,
    /// It would replace what is read, or written too.
    #[error("cannot write {}: it is an input or another output", path.display())]
    Taken {
        /// The file.
        path: PathBuf,
    },
}

/// Where the bytes of an output go.
#[derive(Debug)]
enum Place {
    /// To a new file, which takes this place when it is complete.
    File(PathBuf),
    /// Into what is there and is no file, such as a pipe or a device.
    Stream,
}

impl Place {
    fn of(path: &Path) -> Result<Self, WriteError> {
        if path == Path::new("-") {
            return Err(WriteError::Dash);
        }
        let place = || Self::File(followed(path));
        match path.metadata() {
            Ok(there) if there.is_dir() => Err(WriteError::Folder { path: path.to_owned() }),
            Ok(there) if there.is_file() => Ok(place()),
            Ok(_) => Ok(Self::Stream),
            Err(_) if !folder_of(path).is_dir() => Err(WriteError::NoFolder { path: path.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(place()),
            // Such as a link that leads round.
            Err(error) => Err(refused(path, error)),
        }
    }
}

/// A file that is put in its place when it is complete, so that nobody sees half of it. Until then it has no name, so that
/// who is killed leaves nothing behind. What is there and is no file is written straight into.
#[derive(Debug)]
pub struct WholeFile {
    path: PathBuf,
    place: Place,
    file: io::BufWriter<File>,
    /// The first failure to write.
    failed: Option<io::Error>,
}

impl WholeFile {
    /// Begins a file.
    ///
    /// # Errors
    /// [`WriteError`] if nothing can be written there.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        let place = Place::of(path)?;
        let file = match &place {
            Place::File(place) => tempfile::tempfile_in(folder_of(place)),
            Place::Stream => open_stream(path),
        };
        let file = io::BufWriter::new(file.map_err(|error| refused(path, error))?);
        Ok(Self { path: path.to_owned(), place, file, failed: None })
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
        let Self { path, place, file, failed } = self;
        let finish = || -> io::Result<()> {
            failed.map_or(Ok(()), Err)?;
            let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            let Place::File(place) = place else { return Ok(()) };
            file.rewind()?;
            let named = beside(&place, |named| io::copy(&mut file, named).map(drop))?;
            named.persist(place)?;
            Ok(())
        };
        finish().map_err(|error| refused(&path, error))
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
    let written = |&(path, content): &(&Path, &[u8])| match Place::of(path)? {
        Place::File(place) => {
            let named = beside(&place, |named| named.write_all(content));
            Ok(Some((named.map_err(|error| refused(path, error))?, place)))
        }
        Place::Stream => Ok(None),
    };
    let written: Vec<_> = files.iter().map(written).collect::<Result<_, WriteError>>()?;
    for (written, &(path, content)) in written.into_iter().zip(files) {
        let placed = match written {
            Some((named, place)) => named.persist(place).map(drop).map_err(io::Error::from),
            None => open_stream(path).and_then(|mut stream| stream.write_all(content)),
        };
        placed.map_err(|error| refused(path, error))?;
    }
    Ok(())
}

/// Checks before long work that its result can be written. A pipe is not tried: whoever reads it would see its end.
///
/// # Errors
/// [`WriteError`] if not.
pub fn check_writable(path: &Path) -> Result<(), WriteError> {
    match Place::of(path)? {
        Place::File(place) => {
            tempfile::tempfile_in(folder_of(&place)).map(drop).map_err(|error| refused(path, error))
        }
        Place::Stream => Ok(()),
    }
}

/// Checks that no output would replace an input, another output, or the file that standard output goes to.
///
/// # Errors
/// [`WriteError::Taken`] if one would.
pub fn check_distinct<'a>(
    outputs: &[&Path],
    inputs: impl Iterator<Item = &'a Path>,
) -> Result<(), WriteError> {
    let mut taken: Vec<PathBuf> = inputs.map(followed).collect();
    taken.extend(Path::new("/dev/stdout").canonicalize().ok().filter(|place| place.is_file()));
    for output in outputs {
        if let Place::File(place) = Place::of(output)? {
            if taken.contains(&place) {
                return Err(WriteError::Taken { path: (*output).to_owned() });
            }
            taken.push(place);
        }
    }
    Ok(())
}

/// The file that a path leads to, whether it is there yet or not: `a.json`, `./a.json` and a link to it are the same.
fn followed(path: &Path) -> PathBuf {
    let mut place = path.to_owned();
    // A link may lead to a file that is not there yet. Systems follow forty.
    for _ in 0..40 {
        match (place.canonicalize(), place.read_link()) {
            (Ok(there), _) => return there,
            (Err(_), Ok(next)) => place = folder_of(&place).join(next),
            (Err(_), Err(_)) => break,
        }
    }
    let folder = folder_of(&place).canonicalize().ok();
    let new = folder.zip(place.file_name()).map(|(folder, name)| folder.join(name));
    new.unwrap_or(place)
}

/// A file with a name of its own in the folder of `place`.
fn beside(place: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<NamedTempFile> {
    let mut named = temporary().tempfile_in(folder_of(place))?;
    write(named.as_file_mut())?;
    Ok(named)
}

fn open_stream(path: &Path) -> io::Result<File> {
    File::options().write(true).open(path)
}

/// Why `path` cannot be written, without the name of a temporary file.
fn refused(path: &Path, error: io::Error) -> WriteError {
    let source = if error.get_ref().is_some() { error.kind().into() } else { error };
    WriteError::Io { path: path.to_owned(), source }
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
