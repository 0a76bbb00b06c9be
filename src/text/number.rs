//! Number formats: how a coordinate is written.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::corpus::{Coordinate, MAX_DECIMALS};

/// How a coordinate is written. Values are truncated toward zero, and `-0` is never written.
///
/// As text: `fixed4`, `trimmed4`, or RON with any of the fields:
/// `(sign: minus, integer_digits: 2, decimals: 4, trailing_zeros: keep, leading_zeros: one, range: (-15, 15))`.
///
/// ```
/// use tplc::{corpus::Coordinate, text::NumberFormat};
/// let x = Coordinate::parse("-1.23009")?;
/// assert_eq!("fixed4".parse::<NumberFormat>()?.render(x)?, "-1.2300");
/// assert_eq!("trimmed4".parse::<NumberFormat>()?.render(x)?, "-1.23");
/// assert_eq!("(integer_digits: 3, decimals: 1, leading_zeros: pad)".parse::<NumberFormat>()?.render(x)?, "-001.2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A format that cannot write, such as one of twelve decimals, is read neither from text nor from a file; so its fields
/// are read only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct NumberFormat {
    pub(crate) sign: Sign,
    pub(crate) integer_digits: u8,
    pub(crate) decimals: u8,
    pub(crate) trailing_zeros: TrailingZeros,
    pub(crate) leading_zeros: LeadingZeros,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) range: Option<(Coordinate, Coordinate)>,
}

/// A format as a file has it; the default where it says nothing.
#[derive(Deserialize)]
#[serde(rename = "NumberFormat", default, deny_unknown_fields)]
struct Fields {
    sign: Sign,
    integer_digits: u8,
    decimals: u8,
    trailing_zeros: TrailingZeros,
    leading_zeros: LeadingZeros,
    range: Option<(Coordinate, Coordinate)>,
}

/// How the sign of a number is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// `-` before negative numbers, nothing before others.
    #[default]
    Minus,
    /// `-` before negative numbers, `+` before others.
    Always,
}

/// What happens to zeros at the end of the decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrailingZeros {
    /// All decimals are written: `2.0000`.
    #[default]
    Keep,
    /// Zeros at the end are stripped, and a point with nothing behind it: `2`.
    Strip,
}

/// What stands before the point of a small number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeadingZeros {
    /// `0.5`
    #[default]
    One,
    /// `.5` (zero itself keeps a digit: `0` or `.0000`)
    None,
    /// As many zeros as fill `integer_digits`: `00.5`
    Pad,
}

/// Why a text is no number format, or a value cannot be written in one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NumberFormatError {
    /// The text names no format.
    #[error(
        "unknown number format {0:?}: use fixedN, trimmedN (N decimals, 0 to 9) or RON such as (decimals: 4, trailing_zeros: strip)"
    )]
    Unknown(String),
    /// The RON text does not parse.
    #[error("number format {text:?}: {reason}")]
    Ron {
        /// The format as given.
        text: String,
        /// The parser's words, with the position.
        reason: String,
    },
    /// A field is out of its range.
    #[error("number format {text:?}: integer_digits must be 1 to 9 and decimals 0 to 9")]
    Digits {
        /// The format as given.
        text: String,
    },
    /// The range is empty.
    #[error("number format {text:?}: its range holds no value")]
    EmptyRange {
        /// The format as given.
        text: String,
    },
    /// The value, as written, lies beyond the range of the format.
    #[error("coordinate {value} is beyond the range of the number format, {least} to {most}")]
    BeyondRange {
        /// The value.
        value: Coordinate,
        /// The least that is written.
        least: Coordinate,
        /// The greatest that is written.
        most: Coordinate,
    },
    /// The value has more integer digits than the format allows.
    #[error(
        "coordinate {value} needs more than the {digits} integer digits of the number format; allow more with --number-format '(integer_digits: N, …)'"
    )]
    OutOfRange {
        /// The value.
        value: Coordinate,
        /// The integer digits of the format.
        digits: u8,
    },
}

impl Default for NumberFormat {
    /// `fixed4`.
    fn default() -> Self {
        Self::fixed(4)
    }
}

impl Default for Fields {
    fn default() -> Self {
        let NumberFormat { sign, integer_digits, decimals, trailing_zeros, leading_zeros, range } =
            NumberFormat::default();
        Self { sign, integer_digits, decimals, trailing_zeros, leading_zeros, range }
    }
}

impl Fields {
    /// The format, if it can write. `text` is how it was given.
    fn check(self, text: Option<&str>) -> Result<NumberFormat, NumberFormatError> {
        let Self { sign, integer_digits, decimals, trailing_zeros, leading_zeros, range } = self;
        let format = NumberFormat { sign, integer_digits, decimals, trailing_zeros, leading_zeros, range };
        let text = || text.map_or_else(|| format.to_string(), str::to_owned);
        if !(1..=9).contains(&integer_digits) || u32::from(decimals) > MAX_DECIMALS {
            return Err(NumberFormatError::Digits { text: text() });
        }
        if range.is_some_and(|(least, most)| least > most) {
            return Err(NumberFormatError::EmptyRange { text: text() });
        }
        Ok(format)
    }
}

impl TryFrom<Fields> for NumberFormat {
    type Error = NumberFormatError;

    fn try_from(fields: Fields) -> Result<Self, NumberFormatError> {
        fields.check(None)
    }
}

impl NumberFormat {
    /// `fixedN`: always `decimals` decimals (at most nine).
    #[must_use]
    pub fn fixed(decimals: u8) -> Self {
        Self {
            sign: Sign::Minus,
            integer_digits: 2,
            decimals: decimals.min(MAX_DECIMALS as u8),
            trailing_zeros: TrailingZeros::Keep,
            leading_zeros: LeadingZeros::One,
            range: None,
        }
    }

    /// `trimmedN`: up to `decimals` decimals (at most nine), zeros at the end stripped.
    #[must_use]
    pub fn trimmed(decimals: u8) -> Self {
        Self { trailing_zeros: TrailingZeros::Strip, ..Self::fixed(decimals) }
    }

    /// How the sign is written.
    #[must_use]
    pub fn sign(&self) -> Sign {
        self.sign
    }

    /// The most digits before the point, 1 to 9: with 2, values from -99.9… to 99.9… can be written.
    #[must_use]
    pub fn integer_digits(&self) -> u8 {
        self.integer_digits
    }

    /// The most digits behind the point, 0 to 9.
    #[must_use]
    pub fn decimals(&self) -> u8 {
        self.decimals
    }

    /// What happens to zeros at the end of the decimals.
    #[must_use]
    pub fn trailing_zeros(&self) -> TrailingZeros {
        self.trailing_zeros
    }

    /// What stands before the point of a small number.
    #[must_use]
    pub fn leading_zeros(&self) -> LeadingZeros {
        self.leading_zeros
    }

    /// The least and the greatest value that is written, both included; without it, all that the digits can write.
    #[must_use]
    pub fn range(&self) -> Option<(Coordinate, Coordinate)> {
        self.range
    }

    /// The last place that is written, in 1e-9 Å.
    #[must_use]
    pub(crate) fn step(&self) -> i64 {
        10i64.pow(MAX_DECIMALS.saturating_sub(u32::from(self.decimals)))
    }

    /// The value as text.
    ///
    /// # Errors
    /// [`NumberFormatError::OutOfRange`] if the value has more integer digits than the format,
    /// [`NumberFormatError::BeyondRange`] if what would be written lies beyond its range.
    pub fn render(&self, value: Coordinate) -> Result<String, NumberFormatError> {
        let mut text = String::new();
        self.write(value, &mut text)?;
        Ok(text)
    }

    /// Appends the value to `out`.
    ///
    /// # Errors
    /// As [`NumberFormat::render`]; `out` is then unchanged.
    pub fn write(&self, value: Coordinate, out: &mut String) -> Result<(), NumberFormatError> {
        let unit = 10u64.pow(MAX_DECIMALS);
        let magnitude = value.nanos().unsigned_abs();
        let whole = magnitude / unit;
        let mut decimals = usize::from(self.decimals);
        let mut fraction = magnitude % unit / self.step().unsigned_abs();
        if whole >= 10u64.pow(u32::from(self.integer_digits)) {
            return Err(NumberFormatError::OutOfRange { value, digits: self.integer_digits });
        }
        let written = value.nanos() / self.step() * self.step();
        if let Some((least, most)) = self.range
            && !(least.nanos()..=most.nanos()).contains(&written)
        {
            return Err(NumberFormatError::BeyondRange { value, least, most });
        }
        if written < 0 {
            out.push('-');
        } else if self.sign == Sign::Always {
            out.push('+');
        }
        if self.trailing_zeros == TrailingZeros::Strip {
            while decimals > 0 && fraction.is_multiple_of(10) {
                fraction /= 10;
                decimals -= 1;
            }
        }
        match self.leading_zeros {
            LeadingZeros::None if whole == 0 && decimals > 0 => {}
            LeadingZeros::One | LeadingZeros::None => push_digits(whole, 1, out),
            LeadingZeros::Pad => push_digits(whole, usize::from(self.integer_digits), out),
        }
        if decimals > 0 {
            out.push('.');
            push_digits(fraction, decimals, out);
        }
        Ok(())
    }

    /// Reads a number written in this format: the inverse of [`NumberFormat::render`], and nothing else.
    ///
    /// Returns `None` for any text that `render` would not write: other decimals, `-0`, a stray zero.
    #[must_use]
    pub fn parse(&self, text: &str) -> Option<Coordinate> {
        let value = Coordinate::parse(text).ok()?;
        (self.render(value).ok()? == text).then_some(value)
    }
}

/// What a decimal number looks like as written, whatever its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberShape {
    /// It starts with `-`.
    pub negative: bool,
    /// It starts with `+`.
    pub plus: bool,
    /// Digits before the point.
    pub integer_digits: usize,
    /// Digits behind the point.
    pub decimals: usize,
    /// Zeros at the end of the digits behind the point.
    pub trailing_zeros: usize,
    /// Its first digit is 0.
    pub leading_zero: bool,
    /// All its digits are 0.
    pub zero: bool,
}

impl NumberShape {
    /// The shape of a decimal number such as a hole of [`EnrichedText`](super::EnrichedText) holds.
    #[must_use]
    pub fn of(number: &str) -> Self {
        let bytes = number.as_bytes();
        let (negative, plus) = (bytes.first() == Some(&b'-'), bytes.first() == Some(&b'+'));
        let digits = &bytes[usize::from(negative || plus)..];
        let integer_digits = digits.iter().position(|&byte| byte == b'.').unwrap_or(digits.len());
        let decimals = digits.len().saturating_sub(integer_digits + 1);
        let zeros = digits.iter().rev().take_while(|&&byte| byte == b'0').count();
        let zero = zeros >= decimals && digits[..integer_digits].iter().all(|&byte| byte == b'0');
        let leading_zero = digits.first() == Some(&b'0');
        Self {
            negative,
            plus,
            integer_digits,
            decimals,
            trailing_zeros: zeros.min(decimals),
            leading_zero,
            zero,
        }
    }
}

/// Appends `value` with at least `width` digits.
fn push_digits(mut value: u64, width: usize, out: &mut String) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while value > 0 || digits.len() - at < width {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend(digits[at..].iter().map(|&digit| char::from(digit)));
}

impl fmt::Display for NumberFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::fixed(self.decimals) {
            return write!(f, "fixed{}", self.decimals);
        }
        if *self == Self::trimmed(self.decimals) {
            return write!(f, "trimmed{}", self.decimals);
        }
        f.write_str(&ron::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for NumberFormat {
    type Err = NumberFormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let short = [("fixed", Self::fixed as fn(u8) -> Self), ("trimmed", Self::trimmed)];
        for (word, make) in short {
            if let Some(&[digit @ b'0'..=b'9']) = text.strip_prefix(word).map(str::as_bytes) {
                return Ok(make(digit - b'0'));
            }
        }
        if !text.trim_start().starts_with('(') {
            return Err(NumberFormatError::Unknown(text.to_owned()));
        }
        let fields: Fields = ron::Options::default()
            .with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME)
            .from_str(text)
            .map_err(|error| NumberFormatError::Ron { text: text.to_owned(), reason: error.to_string() })?;
        fields.check(Some(text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn render(format: &str, value: &str) -> String {
        format.parse::<NumberFormat>().unwrap().render(Coordinate::parse(value).unwrap()).unwrap()
    }

    #[test]
    fn truncates_toward_zero_and_never_writes_minus_zero() {
        for (format, value, text) in [
            ("fixed4", "1.1558", "1.1558"),
            ("fixed4", "-1.23456", "-1.2345"),
            ("fixed4", "-0.00009", "0.0000"),
            ("trimmed4", "-0.00009", "0"),
            ("trimmed4", "-1.23", "-1.23"),
            ("trimmed4", "2.00001", "2"),
            ("fixed0", "-0.9", "0"),
            ("fixed3", "12.9999", "12.999"),
            ("(leading_zeros: none)", "0.5", ".5000"),
            ("(leading_zeros: none, trailing_zeros: strip)", "0", "0"),
            ("(leading_zeros: none, trailing_zeros: strip)", "-0.25", "-.25"),
            ("(sign: always, decimals: 2)", "0", "+0.00"),
            ("(sign: always, decimals: 2)", "-0.001", "+0.00"),
            ("(leading_zeros: pad, integer_digits: 3, decimals: 1)", "-7.25", "-007.2"),
        ] {
            assert_eq!(render(format, value), text, "{value} in {format}");
        }
    }

    #[test]
    fn refuses_values_beyond_the_integer_digits() {
        let value = Coordinate::parse("-100").unwrap();
        assert!(NumberFormat::fixed(4).render(value).is_err());
        assert!(NumberFormat { integer_digits: 3, ..NumberFormat::fixed(4) }.render(value).is_ok());
    }

    #[test]
    fn a_range_holds_what_is_written() {
        let format: NumberFormat = "(decimals: 1, range: (-0.5, 15))".parse().unwrap();
        let render = |value| format.render(Coordinate::parse(value).unwrap());
        assert_eq!(render("-0.59"), Ok("-0.5".to_owned()));
        assert_eq!(render("15.09"), Ok("15.0".to_owned()));
        assert!(render("-0.6").is_err() && render("15.1").is_err());
        assert_eq!(format.to_string().parse(), Ok(format));
        assert_eq!(format.parse("15.1"), None);
        assert!("(range: (1, 0.5))".parse::<NumberFormat>().is_err());
    }

    #[test]
    fn shapes_are_read_off_the_text() {
        let shape = NumberShape::of("-01.0500");
        assert_eq!((shape.negative, shape.plus, shape.zero), (true, false, false));
        assert_eq!((shape.integer_digits, shape.decimals, shape.trailing_zeros), (2, 4, 2));
        for (text, decimals, zeros, zero) in [
            ("0", 0, 0, true),
            ("100", 0, 0, false),
            ("+0.00", 2, 2, true),
            (".5", 1, 0, false),
            ("-0.0", 1, 1, true),
        ] {
            let shape = NumberShape::of(text);
            assert_eq!((shape.decimals, shape.trailing_zeros, shape.zero), (decimals, zeros, zero), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parse_undoes_render_and_the_name_reads_back(
            nanos in -99_999_999_999i64..=99_999_999_999,
            decimals in 0u8..=9, strip: bool, always: bool, leading in 0usize..3,
        ) {
            let format = NumberFormat {
                sign: if always { Sign::Always } else { Sign::Minus },
                decimals,
                trailing_zeros: if strip { TrailingZeros::Strip } else { TrailingZeros::Keep },
                leading_zeros: [LeadingZeros::One, LeadingZeros::None, LeadingZeros::Pad][leading],
                ..NumberFormat::fixed(decimals)
            };
            prop_assert_eq!(format.to_string().parse::<NumberFormat>(), Ok(format));
            let step = 10i64.pow(9 - u32::from(decimals));
            let truncated = Coordinate::from_nanos(nanos / step * step);
            let text = format.render(Coordinate::from_nanos(nanos)).unwrap();
            prop_assert_eq!(format.parse(&text), Some(truncated));
            prop_assert!(!text.starts_with("-0") || truncated != Coordinate::default());
        }
    }
}
