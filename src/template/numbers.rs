//! All numbers that a format writes, factored so that they can be tried one part at a time.

use super::TemplateError;
use crate::text::{LeadingZeros, NumberFormat, Sign, TrailingZeros};

/// The most decimals and integer digits of which all can be tried.
const MOST_DECIMALS: u8 = 6;
const MOST_INTEGER_DIGITS: u8 = 4;

/// The numbers of a format: an opening, an integer part, and one of few sets of decimals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberLanguage {
    /// By what a number begins with before its first digit.
    pub openings: Vec<Opening>,
    /// The sets of decimals.
    pub decimals: Vec<DecimalSet>,
}

/// The numbers that begin with one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Everything before the first digit: nothing, a sign, the point of `.5`.
    pub text: String,
    /// What follows it.
    pub starts: Vec<Start>,
}

/// What follows an opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The integer part; empty where the opening ends in the point.
    pub integer: String,
    /// Which decimals may follow: an index into [`NumberLanguage::decimals`].
    pub decimals: usize,
}

/// Decimals that may stand behind an integer part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecimalSet {
    /// The digits behind the point.
    pub digits: Vec<String>,
    /// Whether the number may also end without a point.
    pub may_end: bool,
}

impl NumberLanguage {
    /// The numbers that `format` writes.
    ///
    /// # Errors
    /// [`TemplateError::TooManyDigits`] if there are too many to try them all, [`TemplateError::NoNumber`] if there is none.
    pub fn new(format: &NumberFormat) -> Result<Self, TemplateError> {
        for (digits, count, most) in [
            ("decimals", format.decimals, MOST_DECIMALS),
            ("integer digits", format.integer_digits, MOST_INTEGER_DIGITS),
        ] {
            if count > most {
                return Err(TemplateError::TooManyDigits { format: *format, digits, most });
            }
        }
        let mut language = Self { openings: Vec::new(), decimals: Vec::new() };
        for negative in [false, true] {
            let sign = match (negative, format.sign) {
                (true, _) => "-",
                (false, Sign::Always) => "+",
                (false, Sign::Minus) => "",
            };
            for whole in 0..10u32.pow(u32::from(format.integer_digits)) {
                language.add(format, sign, negative, whole);
            }
        }
        if language.openings.is_empty() {
            return Err(TemplateError::NoNumber { format: *format });
        }
        language.openings.sort_by(|a, b| a.text.cmp(&b.text));
        Ok(language)
    }

    /// Adds the numbers with this sign and integer part.
    fn add(&mut self, format: &NumberFormat, sign: &str, negative: bool, whole: u32) {
        let Some(fractions) = fractions(format, negative, whole) else { return };
        let mut all = decimals(format, fractions);
        if whole == 0 && format.leading_zeros == LeadingZeros::None && format.decimals > 0 {
            let digits = std::mem::take(&mut all.digits);
            if !digits.is_empty() {
                let behind_point = self.set(DecimalSet { digits, may_end: false });
                self.start(format!("{sign}."), Start { integer: String::new(), decimals: behind_point });
            }
        }
        if !all.digits.is_empty() || all.may_end {
            let width = match format.leading_zeros {
                LeadingZeros::Pad => usize::from(format.integer_digits),
                LeadingZeros::One | LeadingZeros::None => 1,
            };
            let decimals = self.set(all);
            self.start(sign.to_owned(), Start { integer: format!("{whole:0width$}"), decimals });
        }
    }

    fn set(&mut self, set: DecimalSet) -> usize {
        self.decimals.iter().position(|known| *known == set).unwrap_or_else(|| {
            self.decimals.push(set);
            self.decimals.len() - 1
        })
    }

    fn start(&mut self, opening: String, start: Start) {
        match self.openings.iter_mut().find(|known| known.text == opening) {
            Some(known) => known.starts.push(start),
            None => self.openings.push(Opening { text: opening, starts: vec![start] }),
        }
    }

    /// Every number, written out.
    pub fn texts(&self) -> impl Iterator<Item = String> + '_ {
        self.openings.iter().flat_map(move |opening| {
            self.texts_behind(opening).map(move |rest| format!("{}{rest}", opening.text))
        })
    }

    /// Every number with this opening, written out without it.
    pub fn texts_behind(&self, opening: &Opening) -> impl Iterator<Item = String> {
        opening.starts.iter().flat_map(move |start| {
            let set = &self.decimals[start.decimals];
            let point = if start.integer.is_empty() { "" } else { "." };
            let ended = set.may_end.then(|| start.integer.clone());
            let longer = set.digits.iter().map(move |digits| format!("{}{point}{digits}", start.integer));
            ended.into_iter().chain(longer)
        })
    }
}

/// The fractions, in units of the last decimal, that may stand behind an integer part: those that keep the number in
/// range, zero left out where the number would be minus zero, which is never written.
fn fractions(format: &NumberFormat, negative: bool, whole: u32) -> Option<std::ops::RangeInclusive<u32>> {
    let units = 10i64.pow(u32::from(format.decimals));
    let from = i64::from(whole) * units;
    let (mut first, mut last) = (from + i64::from(negative && whole == 0), from + units - 1);
    if let Some((least, most)) = format.range {
        let (least, most) = (least.nanos(), most.nanos());
        let (low, high) =
            if negative { (most.saturating_neg(), least.saturating_neg()) } else { (least, most) };
        let below = high.div_euclid(format.step());
        let above = -(low.saturating_neg().div_euclid(format.step()));
        (first, last) = (first.max(above), last.min(below));
    }
    let fraction = |value: i64| u32::try_from(value - from).ok();
    (first <= last).then_some(fraction(first)?..=fraction(last)?)
}

/// How these fractions are written.
fn decimals(format: &NumberFormat, fractions: std::ops::RangeInclusive<u32>) -> DecimalSet {
    let width = usize::from(format.decimals);
    let strip = format.trailing_zeros == TrailingZeros::Strip;
    let may_end = fractions.contains(&0) && (strip || width == 0);
    let fractions = fractions.filter(|_| width > 0);
    let mut digits: Vec<String> = fractions.map(|value| format!("{value:0width$}")).collect();
    if strip {
        digits.iter_mut().for_each(|digits| digits.truncate(digits.trim_end_matches('0').len()));
        digits.retain(|digits| !digits.is_empty());
    }
    DecimalSet { digits, may_end }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::corpus::Coordinate;

    /// The slow, obvious way: write every value there is.
    #[test]
    fn every_number_and_no_other() {
        for format in [
            "fixed2",
            "trimmed2",
            "fixed0",
            "trimmed3",
            "(integer_digits: 1, decimals: 2)",
            "(sign: always, decimals: 1)",
            "(leading_zeros: none, decimals: 2)",
            "(leading_zeros: none, decimals: 2, trailing_zeros: strip)",
            "(leading_zeros: pad, decimals: 1, trailing_zeros: strip)",
            "(decimals: 2, range: (-12.345, 3))",
            "(decimals: 1, trailing_zeros: strip, range: (0, 0))",
            "(decimals: 2, trailing_zeros: strip, leading_zeros: none, range: (-0.07, 99.5))",
            "(decimals: 0, range: (-3, -1))",
        ] {
            let format: NumberFormat = format.parse().unwrap();
            let step = 10i64.pow(9 - u32::from(format.decimals));
            let most = 10i64.pow(u32::from(format.integer_digits + format.decimals)) - 1;
            let written: BTreeSet<String> = (-most..=most)
                .filter_map(|value| format.render(Coordinate::from_nanos(value * step)).ok())
                .collect();
            assert!(format.range.is_some() || written.len() as i64 == 2 * most + 1);
            let language = NumberLanguage::new(&format).unwrap();
            let texts: Vec<String> = language.texts().collect();
            assert_eq!(texts.len(), written.len(), "{format}");
            assert_eq!(texts.into_iter().collect::<BTreeSet<_>>(), written, "{format}");
        }
    }
}
