//! The tokens of one forward pass: those of all rows in one flat list, not padded to the longest.

use std::ops::Range;

use super::DecodeError;
use crate::primitives::TokenId;

/// Runs of tokens, one a row, one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    tokens: Vec<TokenId>,
    runs: Vec<Run>,
    wanted: Vec<u32>,
}

/// The tokens that one row brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The row of the cache.
    pub slot: usize,
    /// The position of the first token in its sequence. A smaller one than last time takes tokens back, 0 begins anew.
    pub position: usize,
    /// Where the tokens lie in the packed list.
    pub tokens: Range<usize>,
}

/// The tokens of a run whose logits are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Those of the last so many.
    Last(usize),
    /// All of them.
    All,
}

impl Packed {
    /// Takes all runs out.
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.runs.clear();
        self.wanted.clear();
    }

    /// Adds the run of a row. A row brings at most one run to a pass.
    pub fn push(&mut self, slot: usize, position: usize, tokens: &[TokenId], wanted: Wanted) {
        let start = self.tokens.len();
        self.tokens.extend_from_slice(tokens);
        let end = self.tokens.len();
        let first = match wanted {
            Wanted::Last(count) => end.saturating_sub(count).max(start),
            Wanted::All => start,
        };
        self.wanted.extend((first..end).map(|index| index as u32));
        self.runs.push(Run { slot, position, tokens: start..end });
    }

    /// The tokens of all runs.
    #[must_use]
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// The runs, in the order of their tokens.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The tokens whose logits are wanted, as places in [`Packed::tokens`].
    #[must_use]
    pub fn wanted(&self) -> &[u32] {
        &self.wanted
    }

    /// Every run must lie in a slot, begin where the slot holds the tokens before it, and end in the context; every token
    /// must have a row in the embedding.
    pub(super) fn check(&self, held: &[usize], context: usize, rows: usize) -> Result<(), DecodeError> {
        for run in &self.runs {
            let (slot, position) = (run.slot, run.position);
            let in_slot = held.get(slot).copied().unwrap_or(0);
            if slot >= held.len() || position > in_slot {
                return Err(DecodeError::Gap { slot, held: in_slot, position });
            }
            if run.end() > context {
                return Err(DecodeError::TooLong { tokens: run.end(), context });
            }
        }
        check_tokens(&self.tokens, rows)
    }

    /// The position of each token in its sequence.
    pub fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        self.runs.iter().flat_map(|run| run.position..run.end())
    }
}

/// Every token must have a row in the embedding.
pub(super) fn check_tokens(tokens: &[TokenId], rows: usize) -> Result<(), DecodeError> {
    match tokens.iter().find(|token| token.0 as usize >= rows) {
        Some(&token) => Err(DecodeError::UnknownToken { token, rows }),
        None => Ok(()),
    }
}

impl Run {
    /// The position behind the last token.
    #[must_use]
    pub fn end(&self) -> usize {
        self.position + self.tokens.len()
    }
}
