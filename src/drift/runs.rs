//! The tables behind fast counting: the tokens of each run of digits or of other characters.
//!
//! Tokenizers keep a boundary between a digit and a non-digit in this text, so a text is cut there into *runs*, and
//! the tokens of a run do not depend on its neighbours. That is an observation, not a law: each run is encoded between
//! several neighbours, and only one that comes out the same and uncut each time is *clean*.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use crate::{
    primitives::{ByteSpan, TokenId},
    tokenizer::{Encoding, Tokenizer, TokenizerError},
};

/// Where a run stands in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// It begins the text, where some tokenizers treat it otherwise (a prepended space).
    First,
    /// Something stands on both sides.
    Inner,
    /// It ends the text.
    Last,
}

/// The tokens of one run, each with its end relative to the start of the run; `None` if the run is not clean.
pub(super) type RunTokens = Option<Box<[(TokenId, u32)]>>;

/// The runs met so far.
pub(super) struct RunTable<'t> {
    tokenizer: &'t Tokenizer,
    /// Inner runs of up to eight bytes, packed.
    short: FxHashMap<u64, RunTokens>,
    /// All others.
    long: FxHashMap<(Place, Box<str>), RunTokens>,
}

impl<'t> RunTable<'t> {
    pub(super) fn new(tokenizer: &'t Tokenizer) -> Self {
        Self { tokenizer, short: FxHashMap::default(), long: FxHashMap::default() }
    }

    /// The tokens of a run, learned from the tokenizer at the first meeting.
    pub(super) fn tokens(&mut self, run: &str, place: Place) -> Result<&RunTokens, TokenizerError> {
        let learn = || learn(self.tokenizer, run, place);
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

    /// The number of tokens of an inner run; `None` if it is not clean.
    pub(super) fn count(&mut self, run: &str) -> Result<Option<u32>, TokenizerError> {
        Ok(self.tokens(run, Place::Inner)?.as_ref().map(|tokens| tokens.len() as u32))
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
        let mut runs = runs(part).peekable();
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

/// The maximal runs of digits and of non-digits, in order.
pub(super) fn runs(text: &str) -> impl Iterator<Item = ByteSpan> {
    let bytes = text.as_bytes();
    let mut start = 0;
    std::iter::from_fn(move || {
        let digit = bytes.get(start)?.is_ascii_digit();
        let length =
            bytes[start..].iter().position(|b| b.is_ascii_digit() != digit).unwrap_or(bytes.len() - start);
        let run = ByteSpan::new(start, start + length);
        start += length;
        Some(run)
    })
}

/// A run of up to eight bytes as one word; no two runs share one, since no byte of a text is 0.
fn pack(run: &str) -> Option<u64> {
    (run.len() <= 8).then(|| run.bytes().fold(0, |word, byte| word << 8 | u64::from(byte)))
}

/// What may stand on the two sides of a run; `""` is the edge of the text.
fn frames(run: &str, place: Place) -> &'static [(&'static str, &'static str)] {
    let digits = run.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    match (place, digits) {
        (Place::First, true) => &[("", "."), ("", "[C]<")],
        (Place::First, false) => &[("", "0"), ("", "1234")],
        (Place::Inner, true) => {
            &[("[C]<", "."), ("<0.", ","), ("<-0.", ">[C]"), ("[C]<1,-", ","), (">", "[C]"), ("[", "C]")]
        }
        (Place::Inner, false) => &[("0", "0"), ("12", "1"), ("1234", "56")],
        (Place::Last, true) => &[(">", ""), (">%", "")],
        (Place::Last, false) => &[("0", ""), ("1234", "")],
    }
}

fn learn(tokenizer: &Tokenizer, run: &str, place: Place) -> Result<RunTokens, TokenizerError> {
    let mut learned: RunTokens = None;
    for (before, after) in frames(run, place) {
        let encoding = tokenizer.encode(&format!("{before}{run}{after}"))?;
        let framed = ByteSpan::new(before.len(), before.len() + run.len());
        let Some(tokens) = cut_out(&encoding, framed) else { return Ok(None) };
        match &learned {
            Some(other) if **other != *tokens => return Ok(None),
            _ => learned = Some(tokens),
        }
    }
    Ok(learned)
}

/// The tokens of `run` in the encoding of a text, if they tile it: no gap, nothing across its edges.
fn cut_out(encoding: &Encoding, run: ByteSpan) -> RunTokens {
    let mut tokens = Vec::new();
    let mut at = run.start;
    for (&id, &span) in encoding.ids.iter().zip(&encoding.spans) {
        if span.end <= run.start && !(span.is_empty() && run.contains(span)) || span.start >= run.end {
            continue;
        }
        if span.start != at || span.end > run.end {
            return None;
        }
        at = span.end;
        tokens.push((id, at - run.start));
    }
    (at == run.end).then(|| tokens.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_digits_and_all_else() {
        let text = "[13CH3]<-1.25,0,3>1[C]<";
        let cut: Vec<&str> = runs(text).map(|run| run.of(text)).collect();
        assert_eq!(cut, ["[", "13", "CH", "3", "]<-", "1", ".", "25", ",", "0", ",", "3", ">", "1", "[C]<"]);
        assert_eq!(runs("").count(), 0);
    }

    #[test]
    fn packed_runs_are_distinct() {
        assert_ne!(pack("0"), pack("00"));
        assert_eq!(pack("123456789"), None);
    }

    #[test]
    fn only_whole_tokens_are_cut_out() {
        let span = |start, end| ByteSpan { start, end };
        let encoding = Encoding {
            ids: [1, 2, 3].map(TokenId).to_vec(),
            spans: vec![span(0, 2), span(2, 3), span(3, 5)],
        };
        assert_eq!(cut_out(&encoding, span(2, 3)), Some([(TokenId(2), 1)].into()));
        assert_eq!(cut_out(&encoding, span(2, 5)), Some([(TokenId(2), 1), (TokenId(3), 3)].into()));
        assert_eq!(cut_out(&encoding, span(1, 3)), None);
        assert_eq!(cut_out(&encoding, span(2, 4)), None);
    }
}
