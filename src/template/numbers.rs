//! All numbers that a format writes, factored so that they can be tried one part at a time.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::TemplateError;
use crate::text::{LeadingZeros, NumberFormat, Sign, TrailingZeros};

/// The most decimals and integer digits of which all can be tried.
const MOST_DECIMALS: u8 = 6;
const MOST_INTEGER_DIGITS: u8 = 4;

/// The most numbers that are tried one by one: seven digits in all with either sign, in some minutes.
const MOST_NUMBERS: u64 = 20_000_000;

/// The numbers of a format: an opening, an integer part, and one of few sets of decimals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberLanguage {
    /// By what a number begins with before its first digit.
    pub openings: Vec<Opening>,
    /// The sets of decimals.
    pub decimals: Vec<DecimalSet>,
}

/// The sets of decimals that are written already, by what they are written of: thousands of integer parts share few.
type Written = BTreeMap<(Part, u32, u32), usize>;

/// What of the decimals of a range stands in a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// All, and the end where there may be none.
    All,
    /// Those behind a point that opens the number.
    BehindPoint,
    /// None but the end.
    End,
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
    /// [`TemplateError::TooManyDigits`] and [`TemplateError::TooManyNumbers`] if there are too many to try them all,
    /// [`TemplateError::NoNumber`] if there is none.
    pub fn new(format: &NumberFormat) -> Result<Self, TemplateError> {
        for (digits, count, most) in [
            ("decimals", format.decimals, MOST_DECIMALS),
            ("integer digits", format.integer_digits, MOST_INTEGER_DIGITS),
        ] {
            if count > most {
                return Err(TemplateError::TooManyDigits { format: *format, digits, most });
            }
        }
        let wholes = 10u32.pow(u32::from(format.integer_digits));
        let signed = move || {
            let signs = [false, true].into_iter();
            signs.flat_map(move |negative| (0..wholes).map(move |whole| (negative, whole)))
        };
        let count = |(negative, whole)| {
            let fractions = fractions(format, negative, whole);
            fractions.map_or(0, |fractions| u64::from(fractions.end() - fractions.start()) + 1)
        };
        let numbers: u64 = signed().map(count).sum();
        if numbers > MOST_NUMBERS {
            return Err(TemplateError::TooManyNumbers { format: *format, numbers, most: MOST_NUMBERS });
        }
        let mut language = Self { openings: Vec::new(), decimals: Vec::new() };
        let mut written = Written::new();
        for (negative, whole) in signed() {
            let sign = match (negative, format.sign) {
                (true, _) => "-",
                (false, Sign::Always) => "+",
                (false, Sign::Minus) => "",
            };
            language.add(&mut written, format, sign, negative, whole);
        }
        if language.openings.is_empty() {
            return Err(TemplateError::NoNumber { format: *format });
        }
        language.openings.sort_by(|a, b| a.text.cmp(&b.text));
        Ok(language)
    }

    /// Adds the numbers with this sign and integer part.
    fn add(&mut self, written: &mut Written, format: &NumberFormat, sign: &str, negative: bool, whole: u32) {
        let Some(fractions) = fractions(format, negative, whole) else { return };
        let mut set = |part| self.set(written, format, part, fractions.clone());
        let pointed = whole == 0 && format.leading_zeros == LeadingZeros::None && format.decimals > 0;
        let behind_point = pointed.then(|| set(Part::BehindPoint)).flatten();
        let whole_part = set(if pointed { Part::End } else { Part::All });
        if let Some(decimals) = behind_point {
            self.start(format!("{sign}."), Start { integer: String::new(), decimals });
        }
        if let Some(decimals) = whole_part {
            let width = match format.leading_zeros {
                LeadingZeros::Pad => usize::from(format.integer_digits),
                LeadingZeros::One | LeadingZeros::None => 1,
            };
            self.start(sign.to_owned(), Start { integer: format!("{whole:0width$}"), decimals });
        }
    }

    /// The set with a part of the decimals of these fractions; none if it is empty.
    fn set(
        &mut self,
        written: &mut Written,
        format: &NumberFormat,
        part: Part,
        fractions: RangeInclusive<u32>,
    ) -> Option<usize> {
        let key = (part, *fractions.start(), *fractions.end());
        if let Some(&known) = written.get(&key) {
            return Some(known);
        }
        let mut set = decimals(format, fractions);
        match part {
            Part::All => {}
            Part::BehindPoint => set.may_end = false,
            Part::End => set.digits.clear(),
        }
        if set.count() == 0 {
            return None;
        }
        let index = self.decimals.iter().position(|known| *known == set).unwrap_or_else(|| {
            self.decimals.push(set);
            self.decimals.len() - 1
        });
        written.insert(key, index);
        Some(index)
    }

    fn start(&mut self, opening: String, start: Start) {
        match self.openings.iter_mut().find(|known| known.text == opening) {
            Some(known) => known.starts.push(start),
            None => self.openings.push(Opening { text: opening, starts: vec![start] }),
        }
    }

    /// Every number, written out.
    pub fn texts(&self) -> impl Iterator<Item = String> + '_ {
        let numbers = self.numbers();
        (0..numbers.count()).map(move |index| numbers.text(index))
    }

    /// Every number, to be written one by one.
    pub(super) fn numbers(&self) -> Numbers<'_> {
        let openings = self.openings.iter();
        let starts = openings.flat_map(|opening| opening.starts.iter().map(move |start| (opening, start)));
        let mut count = 0;
        let starts = starts.map(|(opening, start)| {
            let set = &self.decimals[start.decimals];
            let first = count;
            count += set.count();
            (first, opening.text.as_str(), start, set)
        });
        let starts = starts.collect();
        Numbers { starts, count }
    }
}

impl Start {
    /// The number `index` of those that go on from here with a set of decimals, without its opening.
    pub(super) fn push(&self, text: &mut String, set: &DecimalSet, index: usize) {
        text.push_str(&self.integer);
        if let Some(digits) = index.checked_sub(usize::from(set.may_end)) {
            text.push_str(if self.integer.is_empty() { "" } else { "." });
            text.push_str(&set.digits[digits]);
        }
    }
}

impl DecimalSet {
    /// How many numbers an integer part makes with these decimals.
    pub(super) fn count(&self) -> usize {
        self.digits.len() + usize::from(self.may_end)
    }
}

/// Every number by its place in the order of openings, integer parts and decimals. None is kept: there are millions.
pub(super) struct Numbers<'l> {
    /// The first number of each integer part.
    starts: Vec<(usize, &'l str, &'l Start, &'l DecimalSet)>,
    count: usize,
}

impl Numbers<'_> {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Writes number `index` behind a text.
    pub(super) fn push(&self, text: &mut String, index: usize) {
        let behind = self.starts.partition_point(|&(first, ..)| first <= index);
        if let Some((first, opening, start, set)) = behind.checked_sub(1).map(|at| self.starts[at]) {
            text.push_str(opening);
            start.push(text, set, index - first);
        }
    }

    /// Number `index`.
    pub(super) fn text(&self, index: usize) -> String {
        let mut text = String::new();
        self.push(&mut text, index);
        text
    }
}

/// The fractions, in units of the last decimal, that may stand behind an integer part: those that keep the number in
/// range, zero left out where the number would be minus zero, which is never written.
fn fractions(format: &NumberFormat, negative: bool, whole: u32) -> Option<RangeInclusive<u32>> {
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
fn decimals(format: &NumberFormat, fractions: RangeInclusive<u32>) -> DecimalSet {
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
            "(decimals: 6, range: (-0.0001, 0.0002))",
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

    /// Twenty million numbers can be tried: seven digits, or more within a range.
    #[test]
    fn formats_with_too_many_numbers_are_refused() {
        let language = |format: &str| NumberLanguage::new(&format.parse().unwrap());
        for (format, count) in [
            ("fixed5", 19_999_999),
            ("(integer_digits: 3, decimals: 4)", 19_999_999),
            ("(integer_digits: 4, decimals: 6, range: (-1, 1))", 2_000_001),
        ] {
            assert_eq!(language(format).unwrap().numbers().count(), count, "{format}");
        }
        for format in ["fixed6", "(integer_digits: 4, decimals: 4)", "(integer_digits: 4, decimals: 6)"] {
            let refused = language(format).unwrap_err();
            assert!(matches!(refused, TemplateError::TooManyNumbers { .. }), "{refused}");
        }
        let refused = language("trimmed6").unwrap_err().to_string();
        assert!(refused.contains("writes 199999999 numbers"), "{refused}");
    }

    /// Thousands of integer parts share the few sets of decimals there are.
    #[test]
    fn sets_of_decimals_are_few() {
        for (format, sets) in [
            ("fixed4", 2),
            ("trimmed4", 2),
            ("(leading_zeros: none, decimals: 2)", 2),
            ("(decimals: 2, range: (-12.345, 3))", 4),
        ] {
            let language = NumberLanguage::new(&format.parse().unwrap()).unwrap();
            assert_eq!(language.decimals.len(), sets, "{format}");
        }
    }
}
