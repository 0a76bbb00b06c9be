//! Many matchers at once: one row a text.

use super::{BatchError, Matcher, fill_words};
use crate::primitives::TokenId;

/// The matchers of a batch; each call goes through its rows without allocating.
#[derive(Clone, Debug, Default)]
pub struct MatcherBatch {
    rows: Vec<Matcher>,
}

impl MatcherBatch {
    /// A batch of these rows.
    #[must_use]
    pub fn new(rows: Vec<Matcher>) -> Self {
        Self { rows }
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &[Matcher] {
        &self.rows
    }

    /// The rows, to change.
    pub fn rows_mut(&mut self) -> &mut Vec<Matcher> {
        &mut self.rows
    }

    /// Fills one mask a row: row `i` gets `words[i * stride..][..stride]`. A finished row's words are left as they are, and
    /// so are words beyond the last row's. Returns how many rows are unfinished.
    ///
    /// # Errors
    /// [`BatchError::Rows`] if there are words for fewer rows, [`BatchError::TooNarrow`] if `stride` is less than the ids of a
    /// row need; then nothing is written.
    pub fn fill_masks(&self, words: &mut [u32], stride: usize) -> Result<usize, BatchError> {
        for (row, matcher) in self.rows.iter().enumerate() {
            matcher.check_words(stride).map_err(|fault| BatchError::TooNarrow { row, fault })?;
        }
        // Without a stride there is no row either: each needs a word.
        let masks = words.len().checked_div(stride).unwrap_or(self.rows.len());
        self.check_rows("masks", masks.min(self.rows.len()))?;
        let mut unfinished = 0;
        for (row, mask) in self.rows.iter().zip(words.chunks_exact_mut(stride.max(1))) {
            if !row.is_finished() {
                fill_words(row.mask_row(), mask);
                unfinished += 1;
            }
        }
        Ok(unfinished)
    }

    /// Takes one token in each row: token `i` in row `i`. Finished rows take none; what is given for them is not looked
    /// at. All rows take theirs, or none does.
    ///
    /// # Errors
    /// [`BatchError::Rows`] if there is not one token for each row, [`BatchError::Refused`] with the first row that refuses
    /// its token, and why.
    pub fn advance(&mut self, tokens: &[TokenId]) -> Result<(), BatchError> {
        self.check_rows("tokens", tokens.len())?;
        for (row, (matcher, &token)) in self.rows.iter().zip(tokens).enumerate() {
            if !matcher.is_finished() && !matcher.allows(token) {
                return Err(BatchError::Refused { row, refused: matcher.refused(token) });
            }
        }
        for (matcher, &token) in self.rows.iter_mut().zip(tokens) {
            if !matcher.is_finished() {
                // All are allowed.
                let _ = matcher.advance(token);
            }
        }
        Ok(())
    }

    /// Takes back the last `counts[i]` tokens of row `i`.
    ///
    /// # Errors
    /// [`BatchError::Rows`] if there is not one count for each row; then none is taken back.
    pub fn rollback(&mut self, counts: &[usize]) -> Result<(), BatchError> {
        self.check_rows("counts", counts.len())?;
        self.rows.iter_mut().zip(counts).for_each(|(row, &count)| row.rollback(count));
        Ok(())
    }

    fn check_rows(&self, what: &'static str, given: usize) -> Result<(), BatchError> {
        let rows = self.rows.len();
        if given == rows { Ok(()) } else { Err(BatchError::Rows { what, given, rows }) }
    }

    /// Whether every row is finished.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.rows.iter().all(Matcher::is_finished)
    }

    /// Appends the forced run of each row to `tokens`, takes it, and writes to `ends` where each row's run ends in
    /// `tokens`. Both are cleared first; with enough capacity nothing is allocated.
    pub fn take_forced_runs(&mut self, tokens: &mut Vec<TokenId>, ends: &mut Vec<usize>) {
        tokens.clear();
        ends.clear();
        for row in &mut self.rows {
            let start = tokens.len();
            tokens.extend(row.forced_run());
            for &token in &tokens[start..] {
                // A forced token is the one that is allowed.
                let _ = row.advance(token);
            }
            ends.push(tokens.len());
        }
    }
}
