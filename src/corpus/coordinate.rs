//! Coordinates as exact decimals.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// Decimal places a [`Coordinate`] keeps.
pub const MAX_DECIMALS: u32 = 9;

/// One coordinate in ångström, as an exact decimal: an integer count of 1e-9 Å.
///
/// Binary floating point cannot hold `1.1558`, so truncating an `f64` to four decimals would give `1.1557`.
/// A coordinate is read from the decimal text (or from the shortest decimal of a float) and cut toward zero at
/// nine decimals; cutting again at fewer is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinate(i64);

/// Why a text or float is no coordinate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CoordinateError {
    /// The text is not a decimal number.
    #[error("coordinate {0:?} is not a number")]
    NotANumber(String),
    /// The value is NaN or infinite.
    #[error("coordinate {0} is not finite")]
    NotFinite(String),
    /// The magnitude does not fit nine decimals in 64 bits.
    #[error("coordinate {0} is out of range (beyond 9.2e9)")]
    OutOfRange(String),
}

impl Coordinate {
    /// The coordinate that is `nanos` times 1e-9 Å.
    #[must_use]
    pub fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The value in units of 1e-9 Å.
    #[must_use]
    pub fn nanos(self) -> i64 {
        self.0
    }

    /// Reads decimal text: `-1.25`, `.5`, `1e-05`. Digits past the ninth decimal are cut off.
    ///
    /// # Errors
    /// [`CoordinateError`] if the text is no number, not finite, or out of range.
    pub fn parse(text: &str) -> Result<Self, CoordinateError> {
        match plain_nanos(text.as_bytes()) {
            Some(nanos) => Ok(Self(nanos)),
            None => Self::parse_any(text),
        }
    }

    /// Reads what [`plain_nanos`] leaves: exponents, very many digits, and everything that is an error.
    fn parse_any(text: &str) -> Result<Self, CoordinateError> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()),
            None => (unsigned, Some(0)),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = || whole.bytes().chain(fraction.bytes());
        let (Some(exponent), true, true) =
            (exponent, digits().all(|b| b.is_ascii_digit()), digits().count() > 0)
        else {
            let lower = unsigned.to_ascii_lowercase();
            return Err(match lower.as_str() {
                "nan" | "inf" | "infinity" => CoordinateError::NotFinite(text.to_owned()),
                _ => CoordinateError::NotANumber(text.to_owned()),
            });
        };
        // The digits read as one integer, with its point `scale` places from the ninth decimal.
        let scale = i64::from(exponent) + whole.len() as i64 + i64::from(MAX_DECIMALS);
        let kept = usize::try_from(scale.max(0)).unwrap_or(0);
        let mut nanos: i64 = 0;
        let out_of_range = || CoordinateError::OutOfRange(text.to_owned());
        for (place, digit) in digits().chain(std::iter::repeat(b'0')).take(kept).enumerate() {
            if nanos == 0 && place > digits().count() {
                break;
            }
            nanos = nanos
                .checked_mul(10)
                .and_then(|n| n.checked_add(i64::from(digit - b'0')))
                .ok_or_else(out_of_range)?;
        }
        Ok(Self(if text.starts_with('-') { -nanos } else { nanos }))
    }

    /// The coordinate whose decimal text is the shortest that reads back as `value`.
    ///
    /// # Errors
    /// [`CoordinateError`] if the value is not finite or out of range.
    pub fn from_f64(value: f64) -> Result<Self, CoordinateError> {
        Self::parse(&value.to_string())
    }

    /// As [`Coordinate::from_f64`], with the shortest decimal of single precision.
    ///
    /// # Errors
    /// [`CoordinateError`] if the value is not finite or out of range.
    pub fn from_f32(value: f32) -> Result<Self, CoordinateError> {
        Self::parse(&value.to_string())
    }
}

/// The value of plain text such as `-1.2345`, in 1e-9 Å: nearly every coordinate there is, read in one pass.
fn plain_nanos(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // Longer text may not fit 64 bits and is rare.
    if digits.is_empty() || digits == b"." || digits.len() > 19 {
        return None;
    }
    let mut value: i64 = 0;
    let mut point = None;
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?,
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let decimals = point.map_or(0, |at| digits.len() - at - 1);
    let nanos = match u32::try_from(decimals).ok()? {
        cut @ MAX_DECIMALS.. => value / 10_i64.pow(cut - MAX_DECIMALS),
        kept => value.checked_mul(10_i64.pow(MAX_DECIMALS - kept))?,
    };
    Some(if negative { -nanos } else { nanos })
}

/// As a number: exact up to 15 digits.
impl Serialize for Coordinate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.0 as f64 / 1e9).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Coordinate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_f64(f64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl fmt::Display for Coordinate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, fraction) =
            (self.0.unsigned_abs() / 1_000_000_000, self.0.unsigned_abs() % 1_000_000_000);
        let text = format!("{fraction:09}");
        match text.trim_end_matches('0') {
            "" => write!(f, "{sign}{whole}"),
            decimals => write!(f, "{sign}{whole}.{decimals}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_decimal_as_written() {
        for (text, nanos) in [
            ("1.1558", 1_155_800_000),
            ("-0.0001", -100_000),
            ("1e-05", 10_000),
            ("1.5E+2", 150_000_000_000),
            (".5", 500_000_000),
            ("2.", 2_000_000_000),
            ("-0.0", 0),
            ("0.1234567899", 123_456_789),
            ("1e-400", 0),
            ("0e400", 0),
            ("123456789012e-11", 1_234_567_890),
        ] {
            assert_eq!(Coordinate::parse(text), Ok(Coordinate(nanos)), "{text}");
        }
        assert_eq!(Coordinate::from_f64(1.1558), Ok(Coordinate(1_155_800_000)));
        assert_eq!(Coordinate::from_f32(-0.1), Ok(Coordinate(-100_000_000)));
    }

    proptest::proptest! {
        #[test]
        fn the_fast_way_and_the_whole_way_agree(text in "-?[0-9]{0,12}(\\.[0-9]{0,12})?|[-+.e0-9]{0,8}") {
            if let Some(nanos) = plain_nanos(text.as_bytes()) {
                proptest::prop_assert_eq!(Coordinate::parse_any(&text), Ok(Coordinate(nanos)), "{}", text);
            }
        }
    }

    #[test]
    fn refuses_what_is_no_coordinate() {
        for text in ["", "-", ".", "1.2.3", "1e", "0x1", "--1", "1,2", "1 "] {
            assert!(matches!(Coordinate::parse(text), Err(CoordinateError::NotANumber(_))), "{text}");
        }
        for text in ["NaN", "-inf", "Infinity"] {
            assert!(matches!(Coordinate::parse(text), Err(CoordinateError::NotFinite(_))), "{text}");
        }
        for text in ["1e10", "99999999999", "1e999999999"] {
            assert!(matches!(Coordinate::parse(text), Err(CoordinateError::OutOfRange(_))), "{text}");
        }
        assert!(Coordinate::from_f64(f64::NAN).is_err());
    }

    #[test]
    fn displays_the_shortest_decimal() {
        for text in ["0", "-0.0001", "12.5", "-3", "0.123456789"] {
            assert_eq!(Coordinate::parse(text).unwrap().to_string(), text);
        }
    }
}
