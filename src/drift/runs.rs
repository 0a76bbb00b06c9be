//! The tables behind fast counting: the tokens of each run of digits or of other characters.
//!
//! Tokenizers keep a boundary between a digit and a non-digit in this text, so a text is cut there into *runs*, and
//! the tokens of a run do not depend on its neighbours. That is an observation, not a law: each run is encoded between
//! several neighbours, and only one that comes out the same and uncut each time is *clean*.

use std::collections::{BTreeMap, hash_map::Entry};

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
    digits_beside: Vec<String>,
    /// Inner runs of up to eight bytes, packed.
    short: FxHashMap<u64, RunTokens>,
    /// All others.
    long: FxHashMap<(Place, Box<str>), RunTokens>,
}

impl<'t> RunTable<'t> {
    pub(super) fn new(tokenizer: &'t Tokenizer) -> Self {
        Self {
            tokenizer,
            digits_beside: digits_beside(tokenizer),
            short: FxHashMap::default(),
            long: FxHashMap::default(),
        }
    }

    /// The tokens of a run, learned from the tokenizer at the first meeting.
    pub(super) fn tokens(&mut self, run: &str, place: Place) -> Result<&RunTokens, TokenizerError> {
        let learn = || learn(self.tokenizer, &self.digits_beside, run, place);
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
    pub(super) fn falsify(&mut self, run: &str, tokens: &[(TokenId, u32)]) {
        self.short.insert(pack(run).unwrap(), Some(tokens.into()));
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

/// What stands before a run of digits and behind it in this text; edges of the text aside.
const AROUND_DIGITS: [(&str, &str); 6] =
    [("[C]<", "."), ("<0.", ","), ("<-0.", ">[C]"), ("[C]<1,-", ","), (">", "[C]"), ("[", "C]")];

/// Digits to stand beside a run of other characters: of several lengths, and every length of added tokens that are
/// digits, since an added token changes how its surroundings are normalized.
fn digits_beside(tokenizer: &Tokenizer) -> Vec<String> {
    let vocabulary = tokenizer.vocabulary();
    let added = vocabulary.iter().filter(|&(id, bytes)| {
        vocabulary.is_added(id) && !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit)
    });
    let by_length: BTreeMap<usize, String> =
        added.map(|(_, bytes)| (bytes.len(), String::from_utf8_lossy(bytes).into_owned())).collect();
    ["0", "12", "123", "1234"].into_iter().map(str::to_owned).chain(by_length.into_values()).collect()
}

/// Encodes a run between several neighbours; `None` if they make a difference or a token crosses its edges.
fn learn(
    tokenizer: &Tokenizer,
    digits_beside: &[String],
    run: &str,
    place: Place,
) -> Result<RunTokens, TokenizerError> {
    let neighbours: Vec<(&str, &str)> = match run.bytes().all(|byte| byte.is_ascii_digit()) {
        true => AROUND_DIGITS.to_vec(),
        false => digits_beside.iter().map(|digits| (digits.as_str(), digits.as_str())).collect(),
    };
    let mut learned: RunTokens = None;
    for (before, after) in neighbours {
        let before = if place == Place::First { "" } else { before };
        let after = if place == Place::Last { "" } else { after };
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
