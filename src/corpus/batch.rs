//! Going through records: read serially, worked on by all threads, taken in order.

use rayon::prelude::*;

use super::{CorpusError, Record, RowError};

/// A row that was skipped.
#[derive(Debug)]
pub struct Rejected<'a> {
    /// Where and why.
    pub error: RowError,
    /// The record as it was read.
    pub record: &'a Record,
}

/// What a caller hears of while a corpus is read; one who does not listen gives `&mut ()`.
pub trait Progress {
    /// A row was skipped. Rows come in the order of the input.
    fn rejected(&mut self, _rejected: Rejected<'_>) {}
    /// A batch is done; `rows` rows have been read so far.
    fn advanced(&mut self, _rows: u64) {}
}

impl Progress for () {}

/// Rows of input.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputCounts {
    /// Rows read, skipped ones too.
    pub rows: u64,
    /// Rows skipped, each with a reason that was reported.
    pub skipped: u64,
}

impl InputCounts {
    /// The rows of both; `None` if they are more than a number holds.
    #[must_use]
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        let (rows, skipped) = (self.rows.checked_add(other.rows)?, self.skipped.checked_add(other.skipped)?);
        Some(Self { rows, skipped })
    }
}

/// Records that are worked on together; bounds both memory and the time between two progress reports.
const BATCH_RECORDS: usize = 2048;
const BATCH_BYTES: usize = 4 << 20;

/// Does `work` on every record, on all threads of `pool`, and gives what becomes of it to `take`, in the order of the
/// input. While a batch is worked on, the next is read. A row with a fault is skipped and told to `progress`.
///
/// # Errors
/// The first error of `work` in the order of the input, or [`CorpusError`] if the input cannot be read on.
pub fn for_each_row<T: Send, E: From<CorpusError> + Send>(
    mut records: impl Iterator<Item = Result<Record, CorpusError>> + Send,
    pool: &rayon::ThreadPool,
    progress: &mut impl Progress,
    work: impl Fn(&Record) -> Result<Result<T, RowError>, E> + Sync,
    mut take: impl FnMut(T),
) -> Result<InputCounts, E> {
    let mut counts = InputCounts::default();
    // All rows of a batch are worked on before one is judged, so that of several errors the first is told.
    let all = |batch: &[Record]| -> Vec<Result<Result<T, RowError>, E>> {
        batch.par_iter().with_min_len(8).map(&work).collect()
    };
    let mut batch = read_batch(&mut records)?;
    while !batch.is_empty() {
        let (outcomes, next) = pool.install(|| rayon::join(|| all(&batch), || read_batch(&mut records)));
        for (record, outcome) in batch.iter().zip(outcomes) {
            counts.rows += 1;
            match outcome? {
                Ok(result) => take(result),
                Err(error) => {
                    counts.skipped += 1;
                    progress.rejected(Rejected { error, record });
                }
            }
        }
        progress.advanced(counts.rows);
        batch = next?;
    }
    Ok(counts)
}

fn read_batch(
    records: &mut impl Iterator<Item = Result<Record, CorpusError>>,
) -> Result<Vec<Record>, CorpusError> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while batch.len() < BATCH_RECORDS && bytes < BATCH_BYTES {
        let Some(record) = records.next() else { break };
        let record = record?;
        bytes += record.bytes().len();
        batch.push(record);
    }
    Ok(batch)
}
