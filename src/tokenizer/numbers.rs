//! How a tokenizer cuts numbers, measured by encoding some.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Encoding, Tokenizer};

/// How many digits a token takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigitHandling {
    /// Every digit is a token.
    One,
    /// Runs of digits are cut by their length alone, into tokens of up to this many digits.
    UpTo(usize),
    /// Where digits are cut depends on which digits they are.
    Free,
}

impl fmt::Display for DigitHandling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One => f.write_str("one"),
            Self::UpTo(digits) => write!(f, "up to {digits}"),
            Self::Free => f.write_str("free"),
        }
    }
}

/// A number that added tokens cut differently.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangedNumber {
    /// The number.
    pub text: String,
    /// Its pieces without added tokens.
    pub before: Vec<String>,
    /// Its pieces as they are.
    pub after: Vec<String>,
}

/// Coordinates as models write them: fixed and trimmed, short and long, with digits that merges and added tokens
/// like (zeros, low numbers, years) and others.
const COORDINATES: &[&str] = &[
    "0",
    "2",
    "-1",
    "1.5",
    "-1.23",
    "0.0000",
    "-0.0001",
    "1.0000",
    "-1.2345",
    "0.1000",
    "0.2014",
    "-0.4410",
    "2.1234",
    "-0.0500",
    "1.0055",
    "5.7990",
    "-0.9587",
    "3.1999",
    "-2.0100",
    "0.2024",
    "0.2499",
    "-0.0250",
    "12.3456",
    "-10.0000",
    "11.1230",
    "-20.0625",
    "100.0000",
    "-123.4567",
];

/// The plain coordinates above whose pieces are others because of added tokens. What cannot be encoded is left out.
pub(super) fn changed_numbers(tokenizer: &Tokenizer) -> Vec<ChangedNumber> {
    let pieces = |encoding: Encoding| -> Option<Vec<String>> {
        encoding.ids.into_iter().map(|id| tokenizer.token(id)).collect()
    };
    let changed = COORDINATES.iter().filter_map(|text| {
        let before = pieces(tokenizer.inner.encode_without_added(text).ok()?)?;
        let after = pieces(tokenizer.encode(text).ok()?)?;
        (before != after).then(|| ChangedNumber { text: (*text).to_owned(), before, after })
    });
    changed.collect()
}

/// Measures how `tokenizer` cuts runs of two to nine digits. What cannot be encoded counts as free.
pub(super) fn digit_handling(tokenizer: &Tokenizer) -> DigitHandling {
    let mut longest = 0;
    for len in 2..=9 {
        let mut cuts = runs(len).map(|run| cut(tokenizer, &run));
        let Some(first) = cuts.next().flatten() else { return DigitHandling::Free };
        if cuts.any(|cut| cut.as_ref() != Some(&first)) {
            return DigitHandling::Free;
        }
        longest = first.into_iter().max().unwrap_or(0).max(longest);
    }
    if longest == 1 { DigitHandling::One } else { DigitHandling::UpTo(longest) }
}

/// Runs of `len` digits: all of up to three digits, and 200 spread over the longer ones.
fn runs(len: u32) -> impl Iterator<Item = String> {
    let (all, width) = (10_u64.pow(len), len as usize);
    let step = if len <= 3 { 1 } else { all / 200 + 7 };
    (0..all).step_by(step as usize).map(move |number| format!("{number:0width$}"))
}

/// The lengths of the tokens in a run of digits that follows a dot, as decimals do.
fn cut(tokenizer: &Tokenizer, digits: &str) -> Option<Vec<usize>> {
    let text = format!(".{digits}");
    let spans = tokenizer.encode(&text).ok()?.spans;
    let inside =
        spans.iter().map(|span| span.end as usize - (span.start as usize).clamp(1, span.end.max(1) as usize));
    Some(inside.filter(|len| *len > 0).collect())
}
