//! What the counts say: distributions, shares, splits and costs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Cost, CostModel, HoleCount, Partial, PartialFile, PlaceholderFacts, adaptive::cheapest};
use crate::{corpus::InputCounts, text::DetectedFormat, tokenizer::ChangedNumber};

/// The report of an analysis. Its JSON form carries `"schema": "tplc.analyze/1"` and is described in `docs/analyze.md`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`Report::SCHEMA`].
    pub schema: &'static str,
    /// Rows of input.
    pub input: InputCounts,
    /// The constants behind the costs.
    pub cost_model: CostModel,
    /// One entry for each tokenizer and number format.
    pub tokenizers: Vec<TokenizerReport>,
}

/// One tokenizer and one number format.
#[derive(Clone, Debug, Serialize)]
pub struct TokenizerReport {
    /// The tokenizer's name.
    pub name: String,
    /// Its content fingerprint, 64 hexadecimal digits.
    pub fingerprint: String,
    /// Entries of the vocabulary.
    pub vocabulary: u64,
    /// Rows of the output layer, where known.
    pub logits_width: Option<u32>,
    /// Digit handling as measured.
    pub digits: String,
    /// Examples of plain coordinates that added tokens cut differently than the tokenizer would without them: a model
    /// trained before they were added has never seen these pieces.
    pub changed_numbers: Vec<ChangedNumber>,
    /// The number format asked for, or else the one detected; `mixed` if the text follows none.
    pub number_format: String,
    /// What a mixture of formats is made of.
    pub mixture: Option<MixtureReport>,
    /// Texts: one a conformer.
    pub conformers: u64,
    /// Atoms, which is holes.
    pub atoms: u64,
    /// Bytes of text.
    pub bytes: u64,
    /// All tokens: copy + free + border.
    pub tokens: u64,
    /// Tokens wholly in COPY text.
    pub copy_tokens: u64,
    /// Tokens wholly in holes.
    pub free_tokens: u64,
    /// Tokens that straddle COPY and FREE.
    pub border_tokens: u64,
    /// The four counts above, each per atom.
    pub per_atom: TokenRates,
    /// The four counts above, each per molecule (one conformer written).
    pub per_molecule: TokenRates,
    /// Holes by the number of tokens wholly inside.
    pub hole_tokens: BTreeMap<u32, u64>,
    /// The same as a distribution.
    pub hole_distribution: Distribution,
    /// Ids that the blocklist processor forbids at FREE positions.
    pub blocked_ids: u64,
    /// Ids that the allowlist processor allows there.
    pub allowed_ids: u64,
    /// Where COPY and FREE meet.
    pub borders: BorderReport,
    /// One entry for each placeholder.
    pub placeholders: Vec<PlaceholderReport>,
    /// The placeholder that the cost model would choose: of all lengths that the number format allows, the one of least
    /// `cost_per_hole`. `None` where the text follows no format of those in use and none was asked for.
    pub adaptive: Option<PlaceholderReport>,
    /// Texts that were encoded whole because tables could not vouch for them.
    pub encoded: u64,
    /// Texts whose table tokens were compared with real encoding, and agreed.
    pub verified: u64,
}

/// Numbers that follow no single format.
#[derive(Clone, Debug, Serialize)]
pub struct MixtureReport {
    /// The most decimals written.
    pub decimals: u8,
    /// Numbers with fewer decimals, none of them a zero at the end.
    pub trimmed: u64,
    /// Numbers whose decimals end in zeros.
    pub zero_ended: u64,
    /// Numbers written as minus zero, with a plus sign, or with odd leading zeros.
    pub odd: u64,
}

/// Tokens per unit.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TokenRates {
    /// All.
    pub tokens: f64,
    /// Wholly in COPY text.
    pub copy: f64,
    /// Wholly in holes.
    pub free: f64,
    /// In both.
    pub border: f64,
}

/// An exact distribution of integers, summed up. Quantiles are values that occur: the smallest with at least that share
/// at or below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Distribution {
    pub mean: f64,
    pub min: i64,
    pub p05: i64,
    pub p25: i64,
    pub p50: i64,
    pub p75: i64,
    pub p95: i64,
    pub max: i64,
}

/// A number of holes, and its share of all.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Share {
    /// Holes.
    pub holes: u64,
    /// Of all, 0 to 1.
    pub share: f64,
}

/// One placeholder against the real coordinates.
#[derive(Clone, Debug, Serialize)]
pub struct PlaceholderReport {
    /// The placeholder, measured in the example texts.
    #[serde(flatten)]
    pub facts: PlaceholderFacts,
    /// Holes by the placeholder's tokens behind the literal before them.
    pub tokens_in_context: BTreeMap<u32, u64>,
    /// Holes by drift: placeholder tokens minus actual tokens.
    pub drift: BTreeMap<i64, u64>,
    /// The same as a distribution.
    pub drift_distribution: Distribution,
    /// Holes whose coordinate is shorter than the placeholder: junk follows it.
    pub under: Share,
    /// Holes whose coordinate is longer: digits are cut.
    pub over: Share,
    /// Holes that fit.
    pub fit: Share,
    /// Positions left for junk, over all holes.
    pub junk_tokens: u64,
    /// Tokens that find no position, over all holes.
    pub lost_tokens: u64,
    /// Expected junk tokens per hole.
    pub junk_per_hole: f64,
    /// Expected lost tokens per hole.
    pub lost_per_hole: f64,
    /// Expected junk tokens per molecule.
    pub junk_per_molecule: f64,
    /// Expected lost tokens per molecule.
    pub lost_per_molecule: f64,
    /// Expected cost per hole in passes: `junk_per_hole + lost_passes · lost_per_hole`.
    pub cost_per_hole: f64,
    /// FREE positions of the position template, per molecule.
    pub free_positions_per_molecule: f64,
    /// Logits the blocklist processor overwrites, per molecule.
    pub blocklist_writes_per_molecule: f64,
    /// Logits the allowlist processor overwrites, per molecule.
    pub allowlist_writes_per_molecule: f64,
    /// What the junk costs.
    pub cost: Cost,
    /// Why: the holes apart by sign, integer digits and trailing zeros.
    pub splits: Vec<SplitReport>,
}

/// Holes apart by one trait.
#[derive(Clone, Debug, Serialize)]
pub struct SplitReport {
    /// The trait: `sign of x`, `integer digits`, `trailing zeros`, …
    pub by: &'static str,
    /// Its values in order.
    pub groups: Vec<SplitGroup>,
}

/// The holes that share one value of a trait.
#[derive(Clone, Debug, Serialize)]
pub struct SplitGroup {
    /// The value.
    pub value: String,
    /// Holes with it.
    pub holes: u64,
    /// Their mean tokens.
    pub mean_tokens: f64,
    /// They themselves by the number of tokens wholly inside.
    pub hole_tokens: BTreeMap<u32, u64>,
    /// Those shorter than the placeholder.
    pub under: Share,
    /// Those longer.
    pub over: Share,
}

/// Where COPY and FREE meet.
#[derive(Clone, Debug, Serialize)]
pub struct BorderReport {
    /// Ids that straddle COPY and FREE, most frequent first.
    pub straddling: Vec<Straddling>,
    /// Distinct literals before a hole.
    pub literals: u64,
    /// Of these, literals whose ids depend on the sign that follows.
    pub sign_dependent: u64,
    /// Occurrences of sign-dependent literals.
    pub sign_dependent_occurrences: u64,
    /// The most frequent of them.
    pub examples: Vec<LiteralExample>,
}

/// One id that straddles COPY and FREE.
#[derive(Clone, Debug, Serialize)]
pub struct Straddling {
    /// The id.
    pub id: u32,
    /// Its text.
    pub text: String,
    /// Occurrences.
    pub count: u64,
}

/// A literal whose ids depend on the sign that follows.
#[derive(Clone, Debug, Serialize)]
pub struct LiteralExample {
    /// The literal.
    pub literal: String,
    /// Occurrences.
    pub count: u64,
    /// Its pieces before a digit.
    pub before_digit: Vec<String>,
    /// Its pieces before a minus.
    pub before_minus: Vec<String>,
}

/// How many sign-dependent literals are shown.
const EXAMPLES: usize = 5;

impl Report {
    /// The schema of the JSON form.
    pub const SCHEMA: &str = "tplc.analyze/1";

    /// The report of these counts.
    #[must_use]
    pub fn new(counts: &PartialFile, cost_model: CostModel) -> Self {
        let tokenizers =
            counts.partials.iter().map(|partial| TokenizerReport::new(partial, &cost_model)).collect();
        Self { schema: Self::SCHEMA, input: counts.input.clone(), cost_model, tokenizers }
    }
}

impl TokenizerReport {
    fn new(counts: &Partial, cost_model: &CostModel) -> Self {
        let border_tokens = counts.borders.values().map(|border| border.count).sum();
        let rates = |units: u64| TokenRates {
            tokens: ratio(counts.tokens, units),
            copy: ratio(counts.copy_tokens, units),
            free: ratio(counts.free_tokens, units),
            border: ratio(border_tokens, units),
        };
        let hole_tokens = histogram(counts, |hole| hole.tokens);
        let detected = counts.survey.detect();
        let format = counts.number_format.map_or(detected, DetectedFormat::One);
        Self {
            name: counts.tokenizer.name.clone(),
            fingerprint: counts.tokenizer.fingerprint.clone(),
            vocabulary: counts.tokenizer.vocabulary,
            logits_width: counts.tokenizer.logits_width,
            digits: counts.tokenizer.digits.clone(),
            changed_numbers: counts.tokenizer.changed_numbers.clone(),
            number_format: format.to_string(),
            mixture: match format {
                DetectedFormat::Mixture { decimals, trimmed, zero_ended, odd } => {
                    Some(MixtureReport { decimals, trimmed, zero_ended, odd })
                }
                DetectedFormat::One(_) | DetectedFormat::Unknown => None,
            },
            conformers: counts.conformers,
            atoms: counts.atoms,
            bytes: counts.bytes,
            tokens: counts.tokens,
            copy_tokens: counts.copy_tokens,
            free_tokens: counts.free_tokens,
            border_tokens,
            per_atom: rates(counts.atoms),
            per_molecule: rates(counts.conformers),
            hole_distribution: Distribution::of(
                hole_tokens.iter().map(|(&tokens, &holes)| (i64::from(tokens), holes)),
            ),
            blocked_ids: counts.tokenizer.blocked,
            allowed_ids: counts.tokenizer.allowed,
            borders: BorderReport::new(counts),
            placeholders: counts
                .placeholders
                .iter()
                .enumerate()
                .map(|(index, facts)| {
                    let behind = |hole: &HoleCount| hole.placeholder_tokens.get(index).copied().unwrap_or(0);
                    PlaceholderReport::new(counts, facts, behind, &format, cost_model)
                })
                .collect(),
            adaptive: cheapest(&counts.candidates, &format, &hole_tokens, cost_model).map(|facts| {
                let tokens = u32::try_from(facts.hole_free()).unwrap_or(u32::MAX);
                PlaceholderReport::new(counts, facts, |_| tokens, &format, cost_model)
            }),
            hole_tokens,
            encoded: counts.encoded,
            verified: counts.verified,
        }
    }

    /// Rows of the output layer, or else entries of the vocabulary.
    #[must_use]
    pub fn width(&self) -> u64 {
        self.logits_width.map_or(self.vocabulary, u64::from)
    }
}

impl PlaceholderReport {
    /// `expected` are the placeholder's tokens in a hole of this kind.
    fn new(
        counts: &Partial,
        facts: &PlaceholderFacts,
        expected: impl Fn(&HoleCount) -> u32,
        format: &DetectedFormat,
        cost_model: &CostModel,
    ) -> Self {
        let drift_of = |hole: &HoleCount| i64::from(expected(hole)) - i64::from(hole.tokens);
        let tokens_in_context = histogram(counts, &expected);
        let drift = histogram(counts, drift_of);
        let holes_where = |wanted: fn(i64) -> bool| {
            let holes = drift.iter().filter(|(drift, _)| wanted(**drift)).map(|(_, holes)| holes).sum();
            Share::new(holes, counts.atoms)
        };
        let total = |sign: i64| -> u64 {
            drift.iter().map(|(&drift, &holes)| (drift * sign).max(0).unsigned_abs() * holes).sum()
        };
        let (junk_tokens, lost_tokens) = (total(1), total(-1));
        let positions: u64 =
            tokens_in_context.iter().map(|(&tokens, &holes)| u64::from(tokens) * holes).sum();
        let free_positions_per_molecule = ratio(positions, counts.conformers);
        let junk_per_molecule = ratio(junk_tokens, counts.conformers);
        let width = counts.tokenizer.logits_width.map_or(counts.tokenizer.vocabulary, u64::from);
        let template = ratio(positions + counts.tokens - counts.free_tokens, counts.conformers);
        Self {
            facts: facts.clone(),
            drift_distribution: Distribution::of(drift.iter().map(|(&drift, &holes)| (drift, holes))),
            under: holes_where(|drift| drift > 0),
            over: holes_where(|drift| drift < 0),
            fit: holes_where(|drift| drift == 0),
            junk_tokens,
            lost_tokens,
            junk_per_hole: ratio(junk_tokens, counts.atoms),
            lost_per_hole: ratio(lost_tokens, counts.atoms),
            junk_per_molecule,
            lost_per_molecule: ratio(lost_tokens, counts.conformers),
            cost_per_hole: cost_model
                .passes(ratio(junk_tokens, counts.atoms), ratio(lost_tokens, counts.atoms)),
            free_positions_per_molecule,
            blocklist_writes_per_molecule: free_positions_per_molecule * counts.tokenizer.blocked as f64,
            allowlist_writes_per_molecule: free_positions_per_molecule
                * width.saturating_sub(counts.tokenizer.allowed) as f64,
            cost: cost_model.cost(junk_per_molecule, template),
            splits: splits(counts, format, drift_of),
            tokens_in_context,
            drift,
        }
    }
}

/// The holes apart by each trait that can change their length.
fn splits(counts: &Partial, format: &DetectedFormat, drift: impl Fn(&HoleCount) -> i64) -> Vec<SplitReport> {
    let sign = |axis: u8| move |hole: &HoleCount| i64::from(hole.negative >> axis & 1);
    let decimals = match format {
        DetectedFormat::One(format) => format.decimals,
        DetectedFormat::Mixture { decimals, .. } => *decimals,
        DetectedFormat::Unknown => 0,
    };
    let zeros = move |hole: &HoleCount| 3 * i64::from(decimals) - i64::from(hole.significant_decimals);
    type Trait = Box<dyn Fn(&HoleCount) -> i64>;
    let traits: [(&'static str, Trait); 5] = [
        ("sign of x", Box::new(sign(0))),
        ("sign of y", Box::new(sign(1))),
        ("sign of z", Box::new(sign(2))),
        ("integer digits", Box::new(|hole| i64::from(hole.integer_digits))),
        ("trailing zeros", Box::new(zeros)),
    ];
    traits
        .into_iter()
        .map(|(by, value_of)| {
            // By value, then by drift and tokens.
            let mut groups: BTreeMap<i64, BTreeMap<(i64, u32), u64>> = BTreeMap::new();
            for (hole, &holes) in &counts.holes {
                let group = groups.entry(value_of(hole)).or_default();
                *group.entry((drift(hole), hole.tokens)).or_default() += holes;
            }
            let group = |(value, kinds): (i64, BTreeMap<(i64, u32), u64>)| {
                let holes_where = |wanted: fn(i64) -> bool| -> u64 {
                    kinds.iter().filter(|((drift, _), _)| wanted(*drift)).map(|(_, holes)| holes).sum()
                };
                let holes = holes_where(|_| true);
                let mut hole_tokens = BTreeMap::new();
                for (&(_, tokens), &holes) in &kinds {
                    *hole_tokens.entry(tokens).or_default() += holes;
                }
                SplitGroup {
                    value: match (by.starts_with("sign"), value) {
                        (true, 0) => "+".to_owned(),
                        (true, _) => "-".to_owned(),
                        (false, value) => value.to_string(),
                    },
                    holes,
                    mean_tokens: ratio(
                        hole_tokens.iter().map(|(&tokens, holes)| u64::from(tokens) * holes).sum(),
                        holes,
                    ),
                    under: Share::new(holes_where(|drift| drift > 0), holes),
                    over: Share::new(holes_where(|drift| drift < 0), holes),
                    hole_tokens,
                }
            };
            SplitReport { by, groups: groups.into_iter().map(group).collect() }
        })
        .collect()
}

impl BorderReport {
    fn new(counts: &Partial) -> Self {
        let mut straddling: Vec<Straddling> = counts
            .borders
            .iter()
            .map(|(&id, border)| Straddling { id, text: border.text.clone(), count: border.count })
            .collect();
        straddling.sort_by_key(|token| (std::cmp::Reverse(token.count), token.id));
        let before_hole = || counts.literals.iter().filter(|(_, literal)| !literal.before_minus.is_empty());
        let mut dependent: Vec<LiteralExample> = before_hole()
            .filter(|(_, literal)| !literal.before_minus.starts_with(&literal.before_digit))
            .map(|(text, literal)| LiteralExample {
                literal: text.clone(),
                count: literal.openings.values().sum(),
                before_digit: literal.before_digit.clone(),
                before_minus: literal.before_minus.clone(),
            })
            .collect();
        dependent.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.literal.cmp(&b.literal)));
        let (sign_dependent, occurrences) =
            (dependent.len() as u64, dependent.iter().map(|literal| literal.count).sum());
        dependent.truncate(EXAMPLES);
        Self {
            straddling,
            literals: before_hole().count() as u64,
            sign_dependent,
            sign_dependent_occurrences: occurrences,
            examples: dependent,
        }
    }
}

impl Share {
    fn new(holes: u64, of: u64) -> Self {
        Self { holes, share: ratio(holes, of) }
    }
}

impl Distribution {
    /// The distribution of `(value, count)` pairs in ascending order of value.
    fn of(values: impl Iterator<Item = (i64, u64)>) -> Self {
        let values: Vec<(i64, u64)> = values.collect();
        let total: u64 = values.iter().map(|(_, count)| count).sum();
        let sum: i128 = values.iter().map(|&(value, count)| i128::from(value) * i128::from(count)).sum();
        let quantile = |percent: u128| {
            let mut below = 0;
            let found = values.iter().find(|(_, count)| {
                below += u128::from(*count);
                below * 100 >= percent * u128::from(total)
            });
            found.map_or(0, |&(value, _)| value)
        };
        Self {
            mean: if total == 0 { 0.0 } else { sum as f64 / total as f64 },
            min: values.first().map_or(0, |&(value, _)| value),
            p05: quantile(5),
            p25: quantile(25),
            p50: quantile(50),
            p75: quantile(75),
            p95: quantile(95),
            max: values.last().map_or(0, |&(value, _)| value),
        }
    }
}

/// Holes by a value of theirs.
fn histogram<T: Ord>(counts: &Partial, value: impl Fn(&HoleCount) -> T) -> BTreeMap<T, u64> {
    let mut histogram = BTreeMap::new();
    for (hole, &holes) in &counts.holes {
        *histogram.entry(value(hole)).or_default() += holes;
    }
    histogram
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occur() {
        let distribution = Distribution::of([(-2, 1), (0, 18), (3, 1)].into_iter());
        assert_eq!(
            distribution,
            Distribution { mean: 0.05, min: -2, p05: -2, p25: 0, p50: 0, p75: 0, p95: 0, max: 3 }
        );
        assert_eq!(Distribution::of(std::iter::empty()), Distribution::default());
    }
}
