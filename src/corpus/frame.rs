//! Framing: cutting a stream of bytes into raw records, without reading them.
//!
//! This is the serial part of reading a corpus, so it does no more than find where records end. Memory is bounded by
//! one record, and a record by a limit.

use std::io::{self, BufRead};

use super::{CorpusFormat, RowFault};

/// Bytes kept of a record that is over the limit: enough to recognise it among the rejects.
const KEPT_OF_TOO_LONG: usize = 4096;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One raw record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The line where it starts, from 1.
    pub(super) line: u64,
    /// Its bytes as read, without the last line ending.
    pub(super) bytes: Vec<u8>,
    /// Why it is no whole record, if framing already knows.
    pub(super) fault: Option<RowFault>,
}

/// Cuts `input` into the records of one text format.
pub(super) struct Framer<R> {
    input: R,
    format: CorpusFormat,
    limit: usize,
    /// Lines consumed so far.
    line: u64,
    /// The line being looked at, with its ending.
    current: Vec<u8>,
    /// Whether `current` is the next line to be read again.
    held: bool,
    /// Whether something did not fit the limit and was dropped.
    overflowed: bool,
    ended: bool,
}

impl<R: BufRead> Framer<R> {
    pub(super) fn new(input: R, format: CorpusFormat, limit: usize) -> Self {
        Self {
            input,
            format,
            limit,
            line: 0,
            current: Vec::new(),
            held: false,
            overflowed: false,
            ended: false,
        }
    }

    /// The next record, or `None` at the end.
    ///
    /// # Errors
    /// What the operating system says. Damaged compression is a record with a fault instead, and the last one.
    pub(super) fn next(&mut self) -> io::Result<Option<Cut>> {
        if self.ended {
            return Ok(None);
        }
        let mut record = Vec::new();
        self.overflowed = false;
        let mut line = 0;
        let outcome = match self.format {
            CorpusFormat::Sdf => self.until_delimiter(&mut record, &mut line),
            CorpusFormat::Xyz => self.xyz_frame(&mut record, &mut line),
            _ => self.text_line(&mut record, &mut line),
        };
        let mut fault = match outcome {
            Ok(true) => None,
            Ok(false) => {
                self.ended = true;
                return Ok(None);
            }
            Err(error) => {
                self.ended = true;
                if error.raw_os_error().is_some() {
                    return Err(error);
                }
                self.append_current(&mut record);
                Some(RowFault::Compression(error.to_string()))
            }
        };
        if self.overflowed && fault.is_none() {
            record.truncate(KEPT_OF_TOO_LONG);
            record.shrink_to_fit();
            fault = Some(RowFault::TooLong { limit: self.limit });
        }
        trim_line_ending(&mut record);
        Ok(Some(Cut { line, bytes: record, fault }))
    }

    /// One line that is not blank.
    fn text_line(&mut self, record: &mut Vec<u8>, line: &mut u64) -> io::Result<bool> {
        loop {
            record.clear();
            *line = self.line + 1;
            if !self.read_line(record)? {
                return Ok(false);
            }
            if !record.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    /// Lines up to and with `$$$$`, or to the end of the file.
    fn until_delimiter(&mut self, record: &mut Vec<u8>, line: &mut u64) -> io::Result<bool> {
        *line = self.line + 1;
        while self.next_line()? {
            self.append_current(record);
            if self.current.starts_with(b"$$$$") {
                return Ok(true);
            }
        }
        Ok(!record.trim_ascii().is_empty())
    }

    /// A count, a comment and that many atom lines. A bad count line takes with it what follows up to the next
    /// count; a count among the atom lines starts the next frame, so that one bad frame costs no good one.
    fn xyz_frame(&mut self, record: &mut Vec<u8>, line: &mut u64) -> io::Result<bool> {
        loop {
            *line = self.line + 1;
            if !self.next_line()? {
                return Ok(false);
            }
            if !self.current.trim_ascii().is_empty() {
                break;
            }
        }
        *line = self.line;
        let count = atom_count(&self.current);
        self.append_current(record);
        let lines = match count {
            Some(atoms) => atoms.saturating_add(1),
            None => u64::MAX,
        };
        for index in 0..lines {
            if !self.next_line()? {
                break;
            }
            let may_start_next = index > 0 || count.is_none();
            if may_start_next && atom_count(&self.current).is_some() {
                self.held = true;
                break;
            }
            self.append_current(record);
        }
        Ok(true)
    }

    /// Moves to the next line, and says whether there is one.
    fn next_line(&mut self) -> io::Result<bool> {
        if self.held {
            self.held = false;
            return Ok(true);
        }
        let mut current = std::mem::take(&mut self.current);
        current.clear();
        let found = self.read_line(&mut current);
        self.current = current;
        found
    }

    fn append_current(&mut self, record: &mut Vec<u8>) {
        if record.len() + self.current.len() > self.limit {
            self.overflowed = true;
        } else {
            record.extend_from_slice(&self.current);
        }
    }

    /// Appends one line with its ending, as far as the limit allows.
    fn read_line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        let mut any = false;
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let newline = memchr::memchr(b'\n', available);
            let length = newline.map_or(available.len(), |at| at + 1);
            any |= length > 0;
            if line.len() + length > self.limit {
                self.overflowed = true;
                let room = self.limit - line.len().min(self.limit);
                line.extend_from_slice(&available[..room]);
            } else {
                line.extend_from_slice(&available[..length]);
            }
            self.input.consume(length);
            if newline.is_some() || length == 0 {
                break;
            }
        }
        if self.line == 0 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        self.line += u64::from(any);
        Ok(any)
    }
}

fn trim_line_ending(record: &mut Vec<u8>) {
    if record.last() == Some(&b'\n') {
        record.pop();
        if record.last() == Some(&b'\r') {
            record.pop();
        }
    }
}

/// The number on a line that holds nothing else.
fn atom_count(line: &[u8]) -> Option<u64> {
    let text = line.trim_ascii();
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}
