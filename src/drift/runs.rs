//! One thread's table of runs: the tokens of each stretch of digits or of other characters.

use std::{collections::hash_map::Entry, sync::Arc};

use rustc_hash::FxHashMap;

use super::learner::Learner;
use crate::{
    primitives::ByteSpan,
    tokenizer::{Encoding, LONGEST_IN_BLOCK, Place, RunTokens, TokenizerError, runs},
};

/// Runs of one ASCII character, of two, of three digits, of four.
const COMMON_RUNS: usize = 128 + 128 * 128 + 1000 + 10_000;

/// In `RunTable::counts`: not met yet, and not clean.
const UNKNOWN: u8 = 0;
const UNCLEAN: u8 = u8::MAX;

/// The runs that this thread has met.
pub(super) struct RunTable<'t> {
    learner: Arc<Learner<'t>>,
    /// Token counts of the commonest inner runs, by [`common`]: small enough to stay in cache.
    counts: Box<[u8; COMMON_RUNS]>,
    /// Inner runs of up to eight bytes, packed.
    short: FxHashMap<u64, RunTokens>,
    /// All others.
    long: FxHashMap<(Place, Box<str>), RunTokens>,
}

impl<'t> RunTable<'t> {
    pub(super) fn new(learner: Arc<Learner<'t>>) -> Self {
        let counts = Box::new([UNKNOWN; COMMON_RUNS]);
        Self { learner, counts, short: FxHashMap::default(), long: FxHashMap::default() }
    }

    /// The tokens of a run, learned at the first meeting.
    pub(super) fn tokens(&mut self, run: &str, place: Place) -> Result<&RunTokens, TokenizerError> {
        // Long digits that no chunks vouch for are not learned, and there is no end of them to keep.
        if run.len() > LONGEST_IN_BLOCK && place == Place::Inner && run.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(&None);
        }
        let learn = || self.learner.runs.tokens(run, place);
        Ok(match (place, pack(run)) {
            (Place::Inner, Some(packed)) => match self.short.entry(packed) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(learn()?),
            },
            _ => match self.long.entry((place, run.into())) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(learn()?),
            },
        })
    }

    /// Puts false tokens in the place of those of an inner run.
    #[cfg(test)]
    pub(super) fn falsify(&mut self, run: &str, tokens: &[(crate::primitives::TokenId, u32)]) {
        self.short.insert(pack(run).unwrap(), Some(tokens.into()));
        self.counts.fill(UNKNOWN);
    }

    /// Puts a false count in the place of that of a common run.
    #[cfg(test)]
    pub(super) fn falsify_count(&mut self, run: &str, count: u8) {
        self.counts[common(run.as_bytes()).unwrap()] = count;
    }

    /// The number of tokens of inner text; `None` if a run of it is not clean.
    pub(super) fn count(&mut self, text: &[u8]) -> Result<Option<u32>, TokenizerError> {
        let learner = Arc::clone(&self.learner);
        let mut tokens = 0;
        for run in runs(text, |digits| learner.runs.chunk(digits)) {
            let Some(count) = self.count_run(&text[run.start as usize..run.end as usize])? else {
                return Ok(None);
            };
            tokens += count;
        }
        Ok(Some(tokens))
    }

    /// The number of tokens of one run; `None` if it is not clean.
    fn count_run(&mut self, run: &[u8]) -> Result<Option<u32>, TokenizerError> {
        let place = common(run);
        if let Some(&count) = place.and_then(|place| self.counts.get(place))
            && count != UNKNOWN
        {
            return Ok((count != UNCLEAN).then_some(u32::from(count)));
        }
        // The numbers of a hole are ASCII.
        let Ok(text) = std::str::from_utf8(run) else { return Ok(None) };
        let count = self.tokens(text, Place::Inner)?.as_ref().map(|tokens| tokens.len() as u32);
        if let Some(slot) = place.and_then(|place| self.counts.get_mut(place)) {
            *slot = count.map_or(UNCLEAN, |count| count as u8);
        }
        Ok(count)
    }

    /// The tokens of a part of a text, as the tables have them; `None` if a run of it is not clean.
    ///
    /// `first` and `last` tell whether the part begins and ends its text.
    pub(super) fn encode(
        &mut self,
        part: &str,
        first: bool,
        last: bool,
    ) -> Result<Option<Encoding>, TokenizerError> {
        let mut encoding = Encoding { ids: Vec::new(), spans: Vec::new() };
        let learner = Arc::clone(&self.learner);
        let mut runs = runs(part.as_bytes(), |digits| learner.runs.chunk(digits)).peekable();
        while let Some(run) = runs.next() {
            let place = match run.start {
                0 if first => Place::First,
                _ if last && runs.peek().is_none() => Place::Last,
                _ => Place::Inner,
            };
            let Some(tokens) = self.tokens(run.of(part), place)?.as_deref() else { return Ok(None) };
            let mut start = run.start;
            for &(id, end) in tokens {
                encoding.ids.push(id);
                encoding.spans.push(ByteSpan { start, end: run.start + end });
                start = run.start + end;
            }
        }
        Ok(Some(encoding))
    }
}

/// The place of a common run in `RunTable::counts`.
fn common(run: &[u8]) -> Option<usize> {
    let ascii = |byte: u8| byte.is_ascii().then_some(usize::from(byte));
    let digit = |byte: u8| byte.is_ascii_digit().then(|| usize::from(byte - b'0'));
    Some(match *run {
        [a] => ascii(a)?,
        [a, b] => 128 + ascii(a)? * 128 + ascii(b)?,
        [a, b, c] => 128 + 128 * 128 + digit(a)? * 100 + digit(b)? * 10 + digit(c)?,
        [a, b, c, d] => {
            128 + 128 * 128 + 1000 + digit(a)? * 1000 + digit(b)? * 100 + digit(c)? * 10 + digit(d)?
        }
        _ => return None,
    })
}

/// A run of up to eight bytes as one word; no two runs share one, since no byte of a text is 0.
fn pack(run: &str) -> Option<u64> {
    (run.len() <= 8).then(|| run.bytes().fold(0, |word, byte| word << 8 | u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_runs_have_places_of_their_own() {
        let ascii = || 0..128u8;
        let mut places: Vec<usize> = ascii().map(|a| common(&[a]).unwrap()).collect();
        places.extend(ascii().flat_map(|a| ascii().map(move |b| common(&[a, b]).unwrap())));
        places.extend((0..1000).map(|value| common(format!("{value:03}").as_bytes()).unwrap()));
        places.extend((0..10_000).map(|value| common(format!("{value:04}").as_bytes()).unwrap()));
        assert_eq!(places, (0..COMMON_RUNS).collect::<Vec<_>>());
        for other in ["", "12345", "a12", "12.", "é"] {
            assert_eq!(common(other.as_bytes()), None);
        }
    }

    #[test]
    fn packed_runs_are_distinct() {
        assert_ne!(pack("0"), pack("00"));
        assert_eq!(pack("123456789"), None);
    }
}
