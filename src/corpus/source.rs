//! Inputs as given on a command line, resolved to a fixed list of sources.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::CorpusError;
use super::format::{Compression, CorpusFormat};
use super::reference;
use super::stream::{BytesRead, Stream};

/// One thing to read records from.
pub(super) struct Source {
    /// As shown to people.
    pub(super) name: Arc<str>,
    pub(super) origin: Origin,
    /// Size as stored, where it is known.
    pub(super) bytes: Option<u64>,
}

pub(super) enum Origin {
    File(PathBuf),
    Stdin,
    Embedded(&'static [u8]),
    Reader(Box<dyn Read + Send>),
}

impl Source {
    pub(super) fn reader(name: &str, reader: Box<dyn Read + Send>) -> Self {
        Self { name: name.into(), origin: Origin::Reader(reader), bytes: None }
    }

    /// What one command line word stands for, in a fixed order.
    pub(super) fn resolve(input: &str) -> Result<Vec<Self>, CorpusError> {
        if input == "-" {
            return Ok(vec![Self { name: "-".into(), origin: Origin::Stdin, bytes: None }]);
        }
        if let Some(name) = input.strip_prefix(reference::PREFIX) {
            let bytes = reference::find(name)?;
            let source =
                Self { name: input.into(), origin: Origin::Embedded(bytes), bytes: Some(bytes.len() as u64) };
            return Ok(vec![source]);
        }
        let path = Path::new(input);
        if path.is_dir() {
            let pattern = format!("{}/**/*", glob::Pattern::escape(input.trim_end_matches('/')));
            let known = |path: &Path| CorpusFormat::of_name(&path.to_string_lossy()).is_some();
            return Self::matches(input, &pattern, known);
        }
        // A file of that very name wins over the pattern that its name may look like.
        if !path.exists() && input.contains(['*', '?', '[']) {
            return Self::matches(input, input, |_| true);
        }
        Ok(vec![Self::file(path)?])
    }

    fn matches(input: &str, pattern: &str, wanted: impl Fn(&Path) -> bool) -> Result<Vec<Self>, CorpusError> {
        let paths = glob::glob(pattern).map_err(|error| CorpusError::BadPattern {
            input: input.to_owned(),
            reason: error.to_string(),
        })?;
        let mut files = Vec::new();
        for path in paths {
            let path = path.map_err(|error| CorpusError::Unreadable {
                path: error.path().to_owned(),
                source: error.into(),
            })?;
            if path.is_file() && wanted(&path) {
                files.push(path);
            }
        }
        files.sort();
        if files.is_empty() {
            return Err(CorpusError::NoMatch { input: input.to_owned() });
        }
        files.iter().map(|path| Self::file(path)).collect()
    }

    /// Opens the file once, so that what cannot be read is known before hours of work.
    fn file(path: &Path) -> Result<Self, CorpusError> {
        let metadata = File::open(path).and_then(|file| file.metadata());
        match metadata {
            Ok(metadata) => Ok(Self {
                name: path.to_string_lossy().into(),
                origin: Origin::File(path.to_owned()),
                bytes: metadata.is_file().then_some(metadata.len()),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {
                Err(CorpusError::NotFound { input: path.to_string_lossy().into_owned() })
            }
            Err(source) => Err(CorpusError::Unreadable { path: path.to_owned(), source }),
        }
    }

    /// The decompressed text of the source, and the format that its name or its content tells.
    pub(super) fn open(self, count: BytesRead) -> Result<(Stream, Option<CorpusFormat>), CorpusError> {
        let named = CorpusFormat::of_name(&self.name);
        let (_, compression) = Compression::split_name(&self.name);
        let unreadable = |source| CorpusError::Unreadable { path: PathBuf::from(&*self.name), source };
        let raw: Box<dyn Read + Send> = match self.origin {
            Origin::File(path) => Box::new(File::open(path).map_err(unreadable)?),
            Origin::Stdin => Box::new(io::stdin()),
            Origin::Embedded(bytes) => Box::new(bytes),
            Origin::Reader(reader) => reader,
        };
        // Embedded corpora carry no extension in their name.
        let stream = Stream::open(raw, compression, count).map_err(unreadable)?;
        Ok((stream, named))
    }
}
