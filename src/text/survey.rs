//! Finding out in which number format a text is written.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{NumberFormat, NumberShape};

/// Counts of how the numbers of a text are written; adding two surveys gives the survey of both texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberSurvey {
    /// Numbers by decimals written (the last entry: 16 or more), those that end in a digit other than 0.
    pub plain: [u64; 17],
    /// Numbers by decimals written, those whose decimals end in 0.
    pub zero_ended: [u64; 17],
    /// Numbers written as minus zero.
    pub negative_zeros: u64,
    /// Numbers with a plus sign.
    pub plus_signs: u64,
    /// Numbers with no digit before the point, or with more leading zeros than one.
    pub odd_leading_zeros: u64,
}

/// What a [`NumberSurvey`] says about the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetectedFormat {
    /// There is no number to tell it from.
    Unknown,
    /// All numbers are written in one format (its integer digits are not judged).
    One(NumberFormat),
    /// The numbers follow no single format.
    Mixture {
        /// The most decimals written.
        decimals: u8,
        /// Numbers with fewer decimals than that, none of them a zero at the end.
        trimmed: u64,
        /// Numbers whose decimals end in zeros.
        zero_ended: u64,
        /// Numbers written as minus zero, with a plus sign, or with odd leading zeros.
        odd: u64,
    },
}

impl NumberSurvey {
    /// Counts one number.
    pub fn add(&mut self, shape: &NumberShape) {
        let ends = if shape.trailing_zeros > 0 { &mut self.zero_ended } else { &mut self.plain };
        ends[shape.decimals.min(16)] += 1;
        self.plus_signs += u64::from(shape.plus);
        self.negative_zeros += u64::from(shape.negative && shape.zero);
        let odd = shape.integer_digits == 0 || (shape.integer_digits > 1 && shape.leading_zero);
        self.odd_leading_zeros += u64::from(odd);
    }

    /// Adds the counts of another survey.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [(&mut self.plain, &other.plain), (&mut self.zero_ended, &other.zero_ended)] {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
        self.negative_zeros += other.negative_zeros;
        self.plus_signs += other.plus_signs;
        self.odd_leading_zeros += other.odd_leading_zeros;
    }

    /// Whether this can be the survey of so many numbers at most.
    pub(crate) fn is_within(&self, numbers: u128) -> bool {
        let shown: u128 = self.plain.iter().chain(&self.zero_ended).copied().map(u128::from).sum();
        let odd = [self.negative_zeros, self.plus_signs, self.odd_leading_zeros];
        shown <= numbers && odd.into_iter().all(|odd| u128::from(odd) <= shown)
    }

    /// The one format that writes all of these numbers, or what the mixture is made of.
    ///
    /// All numbers with the same decimals are taken for `fixedN`, also where none happens to end in 0.
    #[must_use]
    pub fn detect(&self) -> DetectedFormat {
        let written = |decimals: usize| self.plain[decimals] + self.zero_ended[decimals];
        let Some(most) = (0..=16).rev().find(|&decimals| written(decimals) > 0) else {
            return DetectedFormat::Unknown;
        };
        let decimals = most as u8;
        let zero_ended: u64 = self.zero_ended.iter().sum();
        let odd = self.negative_zeros + self.plus_signs + self.odd_leading_zeros;
        let fits = decimals <= 9 && odd == 0;
        if fits && (0..most).all(|fewer| written(fewer) == 0) {
            return DetectedFormat::One(NumberFormat::fixed(decimals));
        }
        if fits && zero_ended == 0 {
            return DetectedFormat::One(NumberFormat::trimmed(decimals));
        }
        let trimmed = self.plain[..most].iter().sum();
        DetectedFormat::Mixture { decimals, trimmed, zero_ended, odd }
    }
}

impl fmt::Display for DetectedFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::One(format) => format.fmt(f),
            Self::Mixture { .. } => f.write_str("mixed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(numbers: &[&str]) -> DetectedFormat {
        let mut survey = NumberSurvey::default();
        numbers.iter().for_each(|number| survey.add(&NumberShape::of(number)));
        survey.detect()
    }

    #[test]
    fn tells_fixed_from_trimmed_from_mixed() {
        assert_eq!(detect(&[]), DetectedFormat::Unknown);
        assert_eq!(detect(&["1.2300", "-0.1234"]), DetectedFormat::One(NumberFormat::fixed(4)));
        assert_eq!(
            detect(&["1.23", "-0.1234", "2", "10", "0"]),
            DetectedFormat::One(NumberFormat::trimmed(4))
        );
        assert_eq!(
            detect(&["1.2300", "2", "0.1234", "0.5"]),
            DetectedFormat::Mixture { decimals: 4, trimmed: 2, zero_ended: 1, odd: 0 }
        );
        assert_eq!(
            detect(&["-0.0000", "1.0000"]),
            DetectedFormat::Mixture { decimals: 4, trimmed: 0, zero_ended: 2, odd: 1 }
        );
    }
}
