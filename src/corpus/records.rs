//! A corpus: its sources in order, and the raw records in them.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use super::frame::Framer;
use super::parquet::ParquetRows;
use super::record::Context;
use super::source::{Origin, Source};
use super::stream::Text;
use super::{BytesRead, CorpusError, CorpusFormat, CorpusOptions, Record};

/// A list of inputs, resolved: everything that [`Corpus::records`] will read, in order.
///
/// ```
/// use tplc::corpus::{Corpus, CorpusOptions, Row};
///
/// let corpus = Corpus::open(&["reference:g2".into()], &CorpusOptions::default())?;
/// let mut molecules = 0;
/// for record in corpus.records() {
///     let Row::Molecule(molecule) = record?.parse()? else { continue };
///     assert!(!molecule.conformers.is_empty());
///     molecules += 1;
/// }
/// assert_eq!(molecules, 97);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Corpus {
    sources: Vec<Source>,
    options: Arc<CorpusOptions>,
    bytes_read: BytesRead,
}

impl Corpus {
    /// Resolves inputs: each a file, a folder (searched through, known extensions only), a pattern, `-` (standard
    /// input) or an embedded corpus such as `reference:drugs`. Files of a folder or pattern come in sorted order.
    ///
    /// # Errors
    /// [`CorpusError`] if an input does not exist, cannot be opened, or matches no file.
    pub fn open(inputs: &[String], options: &CorpusOptions) -> Result<Self, CorpusError> {
        let mut sources = Vec::new();
        for input in inputs {
            sources.append(&mut Source::resolve(input)?);
        }
        if sources.is_empty() {
            return Err(CorpusError::NoInput);
        }
        Ok(Self { sources, options: Arc::new(options.clone()), bytes_read: BytesRead::default() })
    }

    /// A corpus of one stream. Its `name` tells format and compression as a file name does; else its content does.
    #[must_use]
    pub fn from_reader(name: &str, reader: Box<dyn Read + Send>, options: &CorpusOptions) -> Self {
        Self {
            sources: vec![Source::reader(name, reader)],
            options: Arc::new(options.clone()),
            bytes_read: BytesRead::default(),
        }
    }

    /// The sources as shown to people, in the order in which they are read.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.sources.iter().map(|source| &source.name)
    }

    /// Bytes as stored (compressed) of all sources, or `None` if one of them is a stream.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        self.sources.iter().map(|source| source.bytes).sum()
    }

    /// The counter that goes up to [`Corpus::total_bytes`] while records are read.
    #[must_use]
    pub fn bytes_read(&self) -> BytesRead {
        self.bytes_read.clone()
    }

    /// The raw records of all sources: serial, in constant memory, one record at a time.
    ///
    /// An `Err` is a source that cannot be read; reading on goes to the next source.
    #[must_use]
    pub fn records(self) -> Records {
        Records {
            sources: self.sources.into_iter(),
            options: self.options,
            bytes_read: self.bytes_read,
            open: None,
        }
    }
}

/// The iterator of [`Corpus::records`].
pub struct Records {
    sources: std::vec::IntoIter<Source>,
    options: Arc<CorpusOptions>,
    bytes_read: BytesRead,
    open: Option<(Arc<Context>, Cutter)>,
}

enum Cutter {
    Text(Framer<Text>),
    Parquet(ParquetRows),
}

impl Records {
    fn start(&mut self, source: Source) -> Result<(Arc<Context>, Cutter), CorpusError> {
        let file = Arc::clone(&source.name);
        let context = |format| {
            Arc::new(Context { file: Arc::clone(&file), format, options: Arc::clone(&self.options) })
        };
        let forced = self.options.format;
        if forced.or(CorpusFormat::of_name(&file)) == Some(CorpusFormat::Parquet) {
            let Origin::File(path) = source.origin else {
                let reason = "it must be a file, since its index is at the end".to_owned();
                return Err(CorpusError::Parquet { file, reason });
            };
            let rows = ParquetRows::open(&path, &file, &self.options, self.bytes_read.clone())?;
            return Ok((context(CorpusFormat::Parquet), Cutter::Parquet(rows)));
        }
        let (stream, named) = source.open(self.bytes_read.clone())?;
        let format = forced.or(named).unwrap_or(stream.sniffed);
        if format == CorpusFormat::Parquet {
            let reason = "name it .parquet".to_owned();
            return Err(CorpusError::Parquet { file, reason });
        }
        let framer = Framer::new(stream.text, format, self.options.max_record_bytes);
        Ok((context(format), Cutter::Text(framer)))
    }
}

impl Iterator for Records {
    type Item = Result<Record, CorpusError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (context, cutter) = match &mut self.open {
                Some(open) => (&open.0, &mut open.1),
                None => {
                    let source = self.sources.next()?;
                    match self.start(source) {
                        Ok(open) => self.open = Some(open),
                        Err(error) => return Some(Err(error)),
                    }
                    continue;
                }
            };
            let cut = match cutter {
                Cutter::Text(framer) => framer.next().map_err(|source| CorpusError::Unreadable {
                    path: PathBuf::from(&*context.file),
                    source,
                }),
                Cutter::Parquet(rows) => rows.next(),
            };
            match cut {
                Ok(Some(cut)) => {
                    let context = Arc::clone(context);
                    return Some(Ok(Record { context, line: cut.line, bytes: cut.bytes, fault: cut.fault }));
                }
                Ok(None) => self.open = None,
                Err(error) => {
                    self.open = None;
                    return Some(Err(error));
                }
            }
        }
    }
}
