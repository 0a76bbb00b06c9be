//! The molecules of an artifact: each a row of literal numbers, ascending, no two the same.

use std::ops::Range;

use super::{Error, fault};

/// Molecules between two entries of the index.
pub(super) const BLOCK: usize = 64;

/// Checking less than this is done before a thread has started.
const BYTES_A_THREAD: usize = 1 << 20;

/// How literal numbers are cut up by place: first literals come first, then inner ones, then last ones. So a row needs
/// no length: its last number says that it is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbering {
    /// First literals are below this.
    pub(super) inner: u32,
    /// Inner literals are below this.
    pub(super) last: u32,
    /// Last literals are below this.
    pub(super) end: u32,
}

impl Numbering {
    pub(super) fn of(counts: [usize; 3]) -> Self {
        let [first, inner, last] = counts.map(|count| count as u32);
        Self { inner: first, last: first + inner, end: first + inner + last }
    }

    /// Bytes of one literal number.
    pub(super) fn width(self) -> usize {
        if self.end <= 1 << 16 { 2 } else { 4 }
    }
}

/// Rows in place: nothing is copied out of the file.
#[derive(Clone, Copy)]
pub(super) struct Programs<'b> {
    pub(super) index: &'b [u8],
    pub(super) rows: &'b [u8],
    pub(super) numbering: Numbering,
    pub(super) len: usize,
}

impl<'b> Programs<'b> {
    /// Literal number `at`, counted over all rows.
    fn number(&self, at: usize) -> Option<u32> {
        match self.numbering.width() {
            2 => {
                let bytes = self.rows.get(at * 2..at * 2 + 2)?;
                Some(u32::from(u16::from_le_bytes(bytes.try_into().ok()?)))
            }
            _ => Some(u32::from_le_bytes(self.rows.get(at * 4..at * 4 + 4)?.try_into().ok()?)),
        }
    }

    /// The numbers of the row that starts at `at`, its last one included.
    fn row_at(self, at: usize) -> impl Iterator<Item = u32> + 'b {
        let mut ended = false;
        (at..).map_while(move |at| {
            let number = if ended { None } else { self.number(at) };
            ended = number.is_none_or(|number| number >= self.numbering.last);
            number
        })
    }

    /// Where block `block` starts.
    fn block(&self, block: usize) -> Option<usize> {
        let bytes = self.index.get(block * 8..block * 8 + 8)?;
        usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
    }

    /// All rows in order, each behind the one before it.
    pub(super) fn all(self) -> impl Iterator<Item = impl Iterator<Item = u32> + 'b> {
        let mut at = 0;
        (0..self.len).map(move |_| {
            let row = self.row_at(at);
            at += self.row_at(at).count();
            row
        })
    }

    /// Row `row`.
    pub(super) fn row(self, row: usize) -> Option<impl Iterator<Item = u32> + 'b> {
        if row >= self.len {
            return None;
        }
        let mut at = self.block(row / BLOCK)?;
        for _ in 0..row % BLOCK {
            at += self.row_at(at).count();
        }
        Some(self.row_at(at))
    }

    /// The row of these numbers: a search over blocks, then along one.
    pub(super) fn find(self, wanted: &[u32]) -> Option<usize> {
        let blocks = self.len.div_ceil(BLOCK);
        let after =
            |block: usize| self.block(block).is_some_and(|at| self.row_at(at).le(wanted.iter().copied()));
        let (mut low, mut high) = (0, blocks);
        while low < high {
            let middle = low + (high - low) / 2;
            if after(middle) { low = middle + 1 } else { high = middle }
        }
        let block = low.checked_sub(1)?;
        let mut at = self.block(block)?;
        for row in block * BLOCK..self.len.min((block + 1) * BLOCK) {
            if self.row_at(at).eq(wanted.iter().copied()) {
                return Some(row);
            }
            at += self.row_at(at).count();
        }
        None
    }

    /// Checks that rows are whole, ascend, and start where the index says: in parts, on several threads where there is
    /// much.
    pub(super) fn validate(&self) -> Result<(), Error> {
        if self.index.len() != self.len.div_ceil(BLOCK) * 8
            || !self.rows.len().is_multiple_of(self.numbering.width())
        {
            return Err(fault("program index", "another length than announced"));
        }
        match self.numbering.width() {
            2 => self.validate_parts(self.rows.as_chunks().0, |&number| u16::from_le_bytes(number).into()),
            _ => self.validate_parts(self.rows.as_chunks().0, |&number| u32::from_le_bytes(number)),
        }
    }

    fn validate_parts<const W: usize>(
        &self,
        numbers: &[[u8; W]],
        read: impl Fn(&[u8; W]) -> u32 + Copy + Sync,
    ) -> Result<(), Error> {
        let blocks = self.len.div_ceil(BLOCK);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let parts = threads.min(self.rows.len() / BYTES_A_THREAD).max(1);
        // Where each part starts: its first block and the first number of that.
        let bounds: Vec<(usize, usize)> = (0..=parts)
            .map(|part| {
                let block = blocks * part / parts;
                (block, if part == 0 { Some(0) } else { self.block(block) }.unwrap_or(numbers.len()))
            })
            .collect();
        if !bounds.is_sorted_by_key(|bound| bound.1) || bounds.iter().any(|bound| bound.1 > numbers.len()) {
            return Err(fault("program index", "does not point at a molecule"));
        }
        let validate = |part: &[(usize, usize)]| {
            let rows = part[0].0 * BLOCK..self.len.min(part[1].0 * BLOCK);
            self.validate_rows(numbers, part[0].1..part[1].1, rows, read)
        };
        let last_rows: Vec<Result<Range<usize>, Error>> = std::thread::scope(|scope| {
            let others: Vec<_> =
                bounds.windows(2).skip(1).map(|part| scope.spawn(move || validate(part))).collect();
            let own = bounds.windows(2).take(1).map(validate);
            let joined = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or(Err(fault("programs", "could not be checked")))
            };
            own.chain(others.into_iter().map(joined)).collect()
        });
        for (last, bound) in last_rows.into_iter().zip(&bounds[1..]) {
            let last = last?;
            let next = &numbers[bound.1..];
            let end = next.iter().position(|number| read(number) >= self.numbering.last);
            let next = &next[..end.map_or(next.len(), |end| end + 1)];
            if !next.is_empty() && !numbers[last].iter().map(read).lt(next.iter().map(read)) {
                return Err(fault("programs", "molecules do not ascend"));
            }
        }
        Ok(())
    }

    /// Checks the rows `rows`, which are `range` of the numbers. Returns where the last of them lies.
    fn validate_rows<const W: usize>(
        &self,
        numbers: &[[u8; W]],
        range: Range<usize>,
        rows: Range<usize>,
        read: impl Fn(&[u8; W]) -> u32 + Copy,
    ) -> Result<Range<usize>, Error> {
        let Numbering { inner, last, end } = self.numbering;
        let (mut at, mut before, mut number) = (range.start, range.start..range.start, rows.start);
        while at < range.end {
            let rest = &numbers[at..range.end];
            let Some(until) = rest.iter().position(|number| read(number) >= last) else {
                return Err(fault("programs", "cut off"));
            };
            let row = &rest[..=until];
            let lowest = row[1..].iter().map(read).min().unwrap_or(0);
            if read(&row[0]) >= inner || lowest < inner || read(&row[until]) >= end {
                return Err(fault("programs", "a literal is not where its kind may stand"));
            }
            if number % BLOCK == 0 && self.block(number / BLOCK) != Some(at) {
                return Err(fault("program index", "does not point at a molecule"));
            }
            // Neither can be the beginning of the other: each ends in its first last literal.
            match row.iter().zip(&numbers[before.clone()]).find(|(number, before)| number != before) {
                Some((number, before)) if read(number) < read(before) => {
                    return Err(fault("programs", "molecules do not ascend"));
                }
                None if !before.is_empty() => return Err(fault("programs", "a molecule stands twice")),
                _ => {}
            }
            before = at..at + row.len();
            at = before.end;
            number += 1;
        }
        match number == rows.end {
            true => Ok(before),
            false => Err(fault("programs", "another number of molecules than announced")),
        }
    }
}
