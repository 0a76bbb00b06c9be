//! Runs: the stretches of digits and of other characters that tokenizers keep apart in this text.
//!
//! Tokenizers keep a boundary between a digit and a non-digit in this text, so a text is cut there into *runs*, and
//! the tokens of a run do not depend on its neighbours. That is an observation, not a law: each run is encoded between
//! several neighbours, and only one that comes out the same and uncut each time is *clean*.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use rustc_hash::FxHashMap;

use super::{DigitHandling, Encoding, Tokenizer, TokenizerError};
use crate::primitives::{ByteSpan, TokenId};

/// Where a run stands in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// It begins the text, where some tokenizers treat it otherwise (a prepended space).
    First,
    /// Something stands on both sides.
    Inner,
    /// It ends the text.
    Last,
}

/// The tokens of one run, each with its end relative to the start of the run; `None` if the run is not clean.
pub(crate) type RunTokens = Option<Box<[(TokenId, u32)]>>;

/// The runs of one tokenizer, each learned at its first use; shared between threads.
pub(crate) struct Runs<'t> {
    tokenizer: &'t Tokenizer,
    digits_beside: Vec<String>,
    known: Mutex<FxHashMap<(Place, Box<str>), RunTokens>>,
    long_digits: OnceLock<Option<usize>>,
}

/// What stands before a run of digits and behind it in this text; edges of the text aside.
const AROUND_DIGITS: [(&str, &str); 6] =
    [("[C]<", "."), ("<0.", ","), ("<-0.", ">[C]"), ("[C]<1,-", ","), (">", "[C]"), ("[", "C]")];

/// Digits of a block that vary: its runs share all digits before these.
const BLOCK_DIGITS: usize = 2;

/// Longer runs of digits are too many to keep.
pub(crate) const LONGEST_IN_BLOCK: usize = 4;

/// The longest run of digits that is counted by its chunks: more than a double prints.
const LONGEST_IN_CHUNKS: usize = 24;

/// Runs of each length that show whether chunks are independent.
const RUNS_OF_EACH_LENGTH: u64 = 32;

impl<'t> Runs<'t> {
    pub(crate) fn new(tokenizer: &'t Tokenizer) -> Self {
        let (known, long_digits) = (Mutex::default(), OnceLock::new());
        Self { tokenizer, digits_beside: digits_beside(tokenizer), known, long_digits }
    }

    /// The tokens of a run. Learning one short run of digits learns its whole block: encoding a hundred runs in one
    /// text costs little more than encoding one.
    pub(crate) fn tokens(&self, run: &str, place: Place) -> Result<RunTokens, TokenizerError> {
        let key = (place, Box::from(run));
        if let Some(known) = lock(&self.known).get(&key) {
            return Ok(known.clone());
        }
        // Nobody waits while a thread learns; two threads may learn the same, and learn the same of it.
        let digits = run.bytes().all(|byte| byte.is_ascii_digit());
        if digits && place == Place::Inner && (BLOCK_DIGITS..=LONGEST_IN_BLOCK).contains(&run.len()) {
            let block = self.block(&run[..run.len() - BLOCK_DIGITS])?;
            lock(&self.known).extend(block.into_iter().map(|(run, tokens)| ((place, run), tokens)));
            return Ok(lock(&self.known).get(&key).cloned().flatten());
        }
        if digits && place == Place::Inner && run.len() > LONGEST_IN_BLOCK {
            return Ok(None);
        }
        let tokens = self.single(run, place, digits)?;
        lock(&self.known).insert(key, tokens.clone());
        Ok(tokens)
    }

    /// The digits of a chunk, if an inner run of five to [`LONGEST_IN_CHUNKS`] digits has the tokens of its chunks,
    /// cut from the left. Measured at the first call.
    pub(crate) fn chunk(&self, digits: usize) -> Option<usize> {
        let chunk = self.long_digits.get_or_init(|| self.measure_chunk().ok().flatten());
        chunk.filter(|_| (LONGEST_IN_BLOCK + 1..=LONGEST_IN_CHUNKS).contains(&digits))
    }

    /// The tokens of a run that begins a completion right behind `prompt`; `None` if they depend on the digits that follow,
    /// or if a token of it reaches into the prompt.
    pub(crate) fn behind(&self, prompt: &str, run: &str) -> Result<RunTokens, TokenizerError> {
        let encode = |digits: &String| {
            Ok(self.cut_out(std::iter::once((prompt, run, digits.as_str())))?.pop().flatten())
        };
        Ok(agreed(self.digits_beside.iter().map(encode).collect::<Result<Vec<_>, TokenizerError>>()?))
    }

    /// A text in which a run does not have the tokens that it has elsewhere, and the first token there that touches it and
    /// reaches over its edge, or else all its tokens there.
    pub(crate) fn offender(&self, run: &str) -> Result<(String, String), TokenizerError> {
        let digits = run.bytes().all(|byte| byte.is_ascii_digit());
        let neighbours: Vec<(&str, &str)> = match digits {
            true => AROUND_DIGITS.to_vec(),
            false => self.digits_beside.iter().map(|digits| (digits.as_str(), digits.as_str())).collect(),
        };
        let mut last = (run.to_owned(), run.to_owned());
        for (before, after) in neighbours {
            let text = format!("{before}{run}{after}");
            let place = ByteSpan::new(before.len(), before.len() + run.len());
            let encoding = self.tokenizer.encode(&text)?;
            let touching =
                encoding.spans.iter().filter(|span| span.start < place.end && span.end > place.start);
            let pieces: Vec<&str> = touching.clone().map(|span| span.of(&text)).collect();
            if let Some(over) = touching.clone().find(|span| !place.contains(**span)) {
                return Ok((text.clone(), over.of(&text).to_owned()));
            }
            last = (text.clone(), pieces.join("·"));
        }
        Ok(last)
    }

    fn measure_chunk(&self) -> Result<Option<usize>, TokenizerError> {
        let widest = match self.tokenizer.digit_handling() {
            DigitHandling::One => 1,
            DigitHandling::UpTo(digits) => digits,
            DigitHandling::Free => return Ok(None),
        };
        // A sample of runs would miss the one long number that has a token of its own.
        let digits_alone = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_digit);
        let longer = |bytes: &[u8]| bytes.len() > widest && digits_alone(bytes);
        let chunk = LONGEST_IN_BLOCK / widest.max(1) * widest;
        if chunk == 0 || self.tokenizer.vocabulary().iter().any(|(_, bytes)| longer(bytes)) {
            return Ok(None);
        }
        for length in LONGEST_IN_BLOCK + 1..=LONGEST_IN_CHUNKS {
            let runs: Vec<String> = (0..RUNS_OF_EACH_LENGTH).map(|seed| digits_of(seed, length)).collect();
            let framed = runs.iter().enumerate().map(|(index, run)| {
                let (before, after) = AROUND_DIGITS[index % AROUND_DIGITS.len()];
                (before, run.as_str(), after)
            });
            for (run, whole) in runs.iter().zip(self.cut_out(framed)?) {
                if whole.is_none() || whole != self.joined(run, chunk)? {
                    return Ok(None);
                }
            }
        }
        Ok(Some(chunk))
    }

    /// The tokens of all chunks of a run.
    fn joined(&self, run: &str, chunk: usize) -> Result<RunTokens, TokenizerError> {
        let mut joined = Vec::new();
        for start in (0..run.len()).step_by(chunk) {
            let part = &run[start..run.len().min(start + chunk)];
            let Some(tokens) = self.tokens(part, Place::Inner)? else { return Ok(None) };
            joined.extend(tokens.iter().map(|&(id, end)| (id, start as u32 + end)));
        }
        Ok(Some(joined.into()))
    }

    /// A hundred runs of digits with one prefix, each between two of the six neighbours.
    fn block(&self, prefix: &str) -> Result<Vec<(Box<str>, RunTokens)>, TokenizerError> {
        let runs: Vec<Box<str>> = (0..100).map(|last| format!("{prefix}{last:02}").into()).collect();
        let half = AROUND_DIGITS.len() / 2;
        let [one, other] = [0, half].map(|shift| {
            let framed = runs.iter().enumerate().map(|(index, run)| {
                let (before, after) = AROUND_DIGITS[(index + shift) % AROUND_DIGITS.len()];
                (before, run.as_ref(), after)
            });
            self.cut_out(framed)
        });
        Ok(runs
            .into_iter()
            .zip(one?.into_iter().zip(other?))
            .map(|(run, (a, b))| (run, agreed([a, b])))
            .collect())
    }

    /// One run between all neighbours.
    fn single(&self, run: &str, place: Place, digits: bool) -> Result<RunTokens, TokenizerError> {
        let neighbours: Vec<(&str, &str)> = match digits {
            true => AROUND_DIGITS.to_vec(),
            false => self.digits_beside.iter().map(|digits| (digits.as_str(), digits.as_str())).collect(),
        };
        if place == Place::Inner {
            // A comma keeps the digits of two neighbours apart.
            let apart = if digits { "" } else { "," };
            let closed: Vec<(String, String)> = neighbours
                .iter()
                .map(|(before, after)| (format!("{apart}{before}"), (*after).to_owned()))
                .collect();
            let framed = closed.iter().map(|(before, after)| (before.as_str(), run, after.as_str()));
            return Ok(agreed(self.cut_out(framed)?));
        }
        let edge = |(before, after)| {
            let framed = if place == Place::First { ("", run, after) } else { (before, run, "") };
            Ok(self.cut_out(std::iter::once(framed))?.pop().flatten())
        };
        Ok(agreed(neighbours.into_iter().map(edge).collect::<Result<Vec<_>, TokenizerError>>()?))
    }

    /// Encodes one text made of `(before, run, after)` parts and cuts the tokens of the runs out of it.
    fn cut_out<'a>(
        &self,
        parts: impl Iterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> Result<Vec<RunTokens>, TokenizerError> {
        let mut text = String::new();
        let mut spans = Vec::new();
        for (before, run, after) in parts {
            text.push_str(before);
            spans.push(ByteSpan::new(text.len(), text.len() + run.len()));
            text.push_str(run);
            text.push_str(after);
        }
        let encoding = self.tokenizer.encode(&text)?;
        Ok(spans.into_iter().map(|span| cut_out(&encoding, span)).collect())
    }
}

/// The maximal runs of digits and of non-digits, in order; those of digits that `chunk` gives a length for in chunks of
/// it.
pub(crate) fn runs(bytes: &[u8], chunk: impl Fn(usize) -> Option<usize>) -> impl Iterator<Item = ByteSpan> {
    let mut start = 0;
    // The end of the run that is being cut into chunks, and their length.
    let mut cutting = (0, 0);
    std::iter::from_fn(move || {
        let digit = bytes.get(start)?.is_ascii_digit();
        let length = if start < cutting.0 {
            cutting.1.min(cutting.0 - start)
        } else {
            let rest = &bytes[start..];
            let length = rest.iter().position(|b| b.is_ascii_digit() != digit).unwrap_or(rest.len());
            let chunk = if digit && length > LONGEST_IN_BLOCK { chunk(length) } else { None };
            cutting = (start + length, chunk.unwrap_or(length));
            cutting.1
        };
        let run = ByteSpan::new(start, start + length);
        start += length;
        Some(run)
    })
}

/// A poisoned lock guards tables that are whole: they only ever grow by whole entries.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `length` digits without a pattern, the same for the same seed (a step of the generator in Knuth, TAOCP 2, 3.3.4).
fn digits_of(seed: u64, length: usize) -> String {
    let mut state = seed << 8 | length as u64;
    let digit = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'0' + (state >> 33) as u8 % 10)
    };
    std::iter::repeat_with(digit).take(length).collect()
}

/// The tokens that all neighbours agree on.
fn agreed(tokens: impl IntoIterator<Item = RunTokens>) -> RunTokens {
    let mut tokens = tokens.into_iter();
    let first = tokens.next()??;
    tokens.all(|other| other.as_ref() == Some(&first)).then_some(first)
}

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

/// The tokens of `run` in the encoding of a text, if they tile it: no gap, nothing across its edges.
fn cut_out(encoding: &Encoding, run: ByteSpan) -> RunTokens {
    let mut tokens = Vec::new();
    let mut at = run.start;
    // Spans come in the order of their ends, so whatever ends before the run can be skipped.
    let from = encoding.spans.partition_point(|span| span.end < run.start);
    for (&id, &span) in encoding.ids.iter().zip(&encoding.spans).skip(from) {
        if span.start >= run.end {
            break;
        }
        let empty_within = span.is_empty() && run.contains(span);
        if span.end <= run.start && !empty_within {
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
        let cut: Vec<&str> = runs(text.as_bytes(), |_| None).map(|run| run.of(text)).collect();
        assert_eq!(cut, ["[", "13", "CH", "3", "]<-", "1", ".", "25", ",", "0", ",", "3", ">", "1", "[C]<"]);
        assert_eq!(runs(b"", |_| None).count(), 0);
        let text = "12345.678,1234567";
        let chunks =
            |chunk| runs(text.as_bytes(), move |_| chunk).map(|run| run.of(text)).collect::<Vec<_>>();
        assert_eq!(chunks(None), ["12345", ".", "678", ",", "1234567"]);
        assert_eq!(chunks(Some(3)), ["123", "45", ".", "678", ",", "123", "456", "7"]);
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

    #[test]
    fn neighbours_must_agree() {
        let tokens = |id| Some(Box::from([(TokenId(id), 1)]));
        assert_eq!(agreed([tokens(1), tokens(1)]), tokens(1));
        assert_eq!(agreed([tokens(1), tokens(2)]), None);
        assert_eq!(agreed([tokens(1), None]), None);
        assert_eq!(agreed([None, tokens(1)]), None);
    }
}
