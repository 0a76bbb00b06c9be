//! Many matchers at once: one row a text.

use super::{Matcher, Refused};
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

    /// Fills one mask a row: row `i` gets `words[i * stride..][..stride]`. A finished row's words are left as they are.
    /// Rows beyond the words are not filled. Returns how many rows are unfinished.
    pub fn fill_masks(&self, words: &mut [u32], stride: usize) -> usize {
        let mut unfinished = 0;
        for (row, mask) in self.rows.iter().zip(words.chunks_exact_mut(stride.max(1))) {
            unfinished += usize::from(row.fill_mask(mask));
        }
        unfinished
    }

    /// Takes one token in each row: token `i` in row `i`. Finished rows take none; what is given for them is not looked
    /// at.
    ///
    /// # Errors
    /// The first row that refuses its token, and why. Rows before it have taken theirs.
    pub fn advance(&mut self, tokens: &[TokenId]) -> Result<(), (usize, Refused)> {
        for (index, (row, &token)) in self.rows.iter_mut().zip(tokens).enumerate() {
            if !row.is_finished() {
                row.advance(token).map_err(|refused| (index, refused))?;
            }
        }
        Ok(())
    }

    /// Takes back the last `counts[i]` tokens of row `i`.
    pub fn rollback(&mut self, counts: &[usize]) {
        self.rows.iter_mut().zip(counts).for_each(|(row, &count)| row.rollback(count));
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
