//! The adaptive placeholder: for those who stay with positions, a placeholder as long as the cost model wants it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CostModel, PlaceholderFacts};
use crate::{
    corpus::Coordinate,
    text::{DetectedFormat, NumberFormat},
    tokenizer::{Tokenizer, TokenizerError},
};

/// Placeholders of one number format to choose from: one for each number of tokens that can be had, ascending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidates {
    /// The format that their numbers are written in.
    pub number_format: NumberFormat,
    /// The placeholders. None of them re-tokenizes the literal before its hole, as a minus does with some tokenizers.
    pub placeholders: Vec<PlaceholderFacts>,
}

/// The formats in use; candidates for text whose format is known only when it is counted.
const IN_USE: [fn(u8) -> NumberFormat; 2] = [NumberFormat::fixed, NumberFormat::trimmed];
const DECIMALS_IN_USE: [u8; 2] = [4, 3];

impl Candidates {
    /// The candidates of a number format, or of those in use.
    pub(super) fn all(
        tokenizer: &Tokenizer,
        format: Option<NumberFormat>,
    ) -> Result<Vec<Self>, TokenizerError> {
        let in_use = || IN_USE.iter().flat_map(|make| DECIMALS_IN_USE.map(make)).collect();
        let formats: Vec<NumberFormat> = format.map_or_else(in_use, |format| vec![format]);
        formats.into_iter().map(|format| Self::of(tokenizer, format)).collect()
    }

    fn of(tokenizer: &Tokenizer, number_format: NumberFormat) -> Result<Self, TokenizerError> {
        // One number for each number of tokens that a number can have, the simplest first.
        let representatives = |sign: &str| -> Result<Vec<String>, TokenizerError> {
            let mut numbers: BTreeMap<u64, String> = BTreeMap::new();
            for number in numbers_of(&number_format, sign) {
                let tokens = PlaceholderFacts::measure(tokenizer, &number)?.block_free;
                numbers.entry(tokens).or_insert(number);
            }
            Ok(numbers.into_values().collect())
        };
        let (positive, negative) = (representatives("")?, representatives("-")?);
        // A minus of x may be one more token, which some tokenizers can have in no other way.
        let texts = triples(&positive, &positive).chain(triples(&negative, &positive));
        let mut copy = None;
        let mut placeholders: BTreeMap<u64, PlaceholderFacts> = BTreeMap::new();
        for text in texts {
            let facts = PlaceholderFacts::measure(tokenizer, &text)?;
            if facts.pair_copy == *copy.get_or_insert(facts.pair_copy) {
                placeholders.entry(facts.hole_free()).or_insert(facts);
            }
        }
        Ok(Self { number_format, placeholders: placeholders.into_values().collect() })
    }
}

/// The candidate of least expected cost against holes of these token counts; of equal ones the shortest.
pub(super) fn cheapest<'c>(
    candidates: &'c [Candidates],
    format: &DetectedFormat,
    hole_tokens: &BTreeMap<u32, u64>,
    model: &CostModel,
) -> Option<&'c PlaceholderFacts> {
    let DetectedFormat::One(format) = format else { return None };
    let candidates = &candidates.iter().find(|candidates| candidates.number_format == *format)?.placeholders;
    let cost = |facts: &PlaceholderFacts| -> f64 {
        let of = |(&tokens, &holes): (&u32, &u64)| {
            let drift = facts.hole_free() as f64 - f64::from(tokens);
            model.passes(drift.max(0.0), (-drift).max(0.0)) * holes as f64
        };
        hole_tokens.iter().map(of).sum()
    };
    candidates.iter().min_by(|a, b| cost(a).total_cmp(&cost(b)))
}

/// Numbers of a format that differ in length: integer parts of every width, decimals of every width, and digits that
/// merge and such that do not, where a tokenizer merges some. The shortest come first.
fn numbers_of(format: &NumberFormat, sign: &str) -> Vec<String> {
    let digits = 0..format.integer_digits.min(4);
    let wholes = digits.map(|digits| if digits == 0 { 0 } else { 10i64.pow(digits.into()) });
    let fractions = ["0", "1", "12", "123", "1234", "12345", "123456", "5283", "4561", "9071"];
    let value = |whole: i64, fraction: &str| Coordinate::parse(&format!("{sign}{whole}.{fraction}")).ok();
    let values = wholes.flat_map(|whole| fractions.iter().filter_map(move |fraction| value(whole, fraction)));
    let mut numbers: Vec<String> = values.filter_map(|value| format.render(value).ok()).collect();
    numbers.retain(|number| number.starts_with('-') != sign.is_empty());
    numbers.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    numbers
}

/// Placeholders of an x and of two others; of two with the same tokens, the more even one comes first.
fn triples<'n>(x: &'n [String], others: &'n [String]) -> impl Iterator<Item = String> + 'n {
    let pairs = |x: usize| (0..others.len()).flat_map(move |y| (y..others.len()).map(move |z| [x, y, z]));
    let mut all: Vec<[usize; 3]> = (0..x.len()).flat_map(pairs).collect();
    all.sort_by_key(|&[x, y, z]| (x.max(z) - x.min(y), x, y, z));
    all.into_iter().map(|[a, b, c]| format!("{},{},{}", x[a], others[b], others[c]))
}
