//! Bytes of one source: counted as they leave the disk, decompressed, and peeked at to tell what they are.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

use super::format::{Compression, CorpusFormat};

/// Enough of a file to see its first record's marks.
const HEAD: usize = 8 * 1024;
const BUFFER: usize = 256 * 1024;
/// `zstd --long=31`, the widest window that the format has.
const WIDEST_WINDOW: u32 = 31;

/// A shared counter of the (compressed) bytes read so far, for a progress bar.
#[derive(Clone, Debug, Default)]
pub struct BytesRead(Arc<AtomicU64>);

impl BytesRead {
    /// The bytes read so far, over all sources.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Decompressed text; a concrete type, because it is asked for every line.
pub(super) type Text = BufReader<Peeked<Box<dyn Read + Send>>>;

/// The decompressed text of one source, and what it was found to be.
pub(super) struct Stream {
    pub(super) text: Text,
    pub(super) sniffed: CorpusFormat,
}

impl Stream {
    /// Wraps `raw`. What its name says about compression wins over its first bytes.
    ///
    /// A damaged or cut-off compressed stream is no error here: reading `text` up to that point gives it.
    pub(super) fn open(
        raw: Box<dyn Read + Send>,
        named: Option<Compression>,
        count: BytesRead,
    ) -> io::Result<Self> {
        let mut raw = Peeked::new(Counted { inner: raw, count }, 4);
        let compression = named.unwrap_or_else(|| Compression::sniff(&raw.head));
        if let Some(error) = raw.error.take() {
            return Err(error);
        }
        let decompressed: Box<dyn Read + Send> = match compression {
            Compression::Plain => Box::new(raw),
            Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, raw))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(raw)?;
                decoder.window_log_max(WIDEST_WINDOW)?;
                Box::new(decoder)
            }
        };
        let text = Peeked::new(decompressed, HEAD);
        let sniffed = CorpusFormat::sniff(&text.head);
        Ok(Self { text: BufReader::with_capacity(BUFFER, text), sniffed })
    }
}

struct Counted<R> {
    inner: R,
    count: BytesRead,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.add(read as u64);
        Ok(read)
    }
}

/// A reader whose first bytes are known; an error met while peeking is given when reading gets there.
pub(super) struct Peeked<R> {
    head: Vec<u8>,
    given: usize,
    error: Option<io::Error>,
    rest: R,
}

impl<R: Read> Peeked<R> {
    fn new(mut rest: R, length: usize) -> Self {
        let mut head = Vec::with_capacity(length);
        let error = rest.by_ref().take(length as u64).read_to_end(&mut head).err();
        Self { head, given: 0, error, rest }
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given < self.head.len() {
            let read = (&self.head[self.given..]).read(buffer)?;
            self.given += read;
            return Ok(read);
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => self.rest.read(buffer),
        }
    }
}
