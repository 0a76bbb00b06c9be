//! The text of one hole: three numbers, and everything that belongs to none.

use std::ops::Range;

use crate::text::NumberFormat;

/// Finds the numbers of a format in what stands in a hole.
#[derive(Clone, Debug)]
pub(super) struct HoleReader {
    format: NumberFormat,
    /// The bytes of the longest number there can be: a sign, digits, a point, decimals. What is longer is none.
    longest: usize,
    /// What can follow the beginning of a number to make it whole.
    endings: Vec<String>,
}

/// What is wrong with a hole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HoleFaults {
    /// The bytes that belong to no number, ascending.
    pub(super) junk: Vec<Range<usize>>,
    /// Whether a number is cut off or missing.
    pub(super) truncated: bool,
}

/// Numbers in a hole.
const AXES: usize = 3;

impl HoleReader {
    pub(super) fn new(format: NumberFormat) -> Self {
        let filled =
            |digit: char, most: u8| (0..=usize::from(most)).map(move |count| digit.to_string().repeat(count));
        let mut endings = Vec::new();
        for digit in ['1', '0'] {
            for whole in filled(digit, format.integer_digits) {
                for decimals in filled(digit, format.decimals) {
                    endings.extend([format!("{whole}{decimals}"), format!("{whole}.{decimals}")]);
                }
            }
        }
        endings.sort_unstable();
        endings.dedup();
        endings.retain(|ending| !ending.is_empty());
        let longest = 2 + usize::from(format.integer_digits) + usize::from(format.decimals);
        Self { format, longest, endings }
    }

    /// Reads a hole field by field, cut at commas. In a field, the longest beginning that is a number is the number; without
    /// one, the longest that a number could go on from is a number cut off. All the rest is junk, as are fields past the
    /// third, each with its comma.
    pub(super) fn read(&self, hole: &[u8]) -> HoleFaults {
        let mut faults = HoleFaults::default();
        let mut start = 0;
        let mut fields = 0;
        for field in hole.split(|&byte| byte == b',') {
            let end = start + field.len();
            if fields < AXES {
                let (kept, whole) = self.number(field);
                faults.truncated |= !whole;
                faults.junk.extend((kept < field.len()).then(|| start + kept..end));
            } else {
                faults.junk.push(start - 1..end);
            }
            fields += 1;
            start = end + 1;
        }
        faults.truncated |= fields < AXES;
        faults
    }

    /// How many bytes of a field belong to its number, and whether that is whole.
    fn number(&self, field: &[u8]) -> (usize, bool) {
        let numeric = |byte: &&u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.');
        let length = field.iter().take(self.longest).take_while(numeric).count();
        let text = String::from_utf8_lossy(&field[..length]);
        if let Some(number) = (1..=length).rev().find(|&end| self.is_number(&text[..end])) {
            // A point with nothing behind it is a number cut off, not a number and junk.
            let cut = &field[number..] == b".";
            return if cut { (field.len(), false) } else { (number, true) };
        }
        let begun = (0..=length).rev().find(|&end| self.begins_number(&text[..end]));
        (begun.unwrap_or(0), false)
    }

    fn is_number(&self, text: &str) -> bool {
        self.format.parse(text).is_some()
    }

    fn begins_number(&self, text: &str) -> bool {
        self.endings.iter().any(|ending| self.is_number(&format!("{text}{ending}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `·` before and behind junk, `…` where a number is cut off or missing.
    fn shown(format: &str, hole: &str) -> String {
        let faults = HoleReader::new(format.parse().unwrap()).read(hole.as_bytes());
        let mut text = hole.to_owned();
        for junk in faults.junk.iter().rev() {
            text.insert(junk.end, '·');
            text.insert(junk.start, '·');
        }
        text + if faults.truncated { "…" } else { "" }
    }

    #[test]
    fn junk_is_what_belongs_to_no_number() {
        for (format, hole, expected) in [
            ("fixed4", "0.0000,-1.2345,12.0000", "0.0000,-1.2345,12.0000"),
            ("trimmed4", "0,-1.5,12", "0,-1.5,12"),
            ("trimmed4", "5.799,-0.2748,-0.9587abra", "5.799,-0.2748,-0.9587·abra·"),
            ("fixed4", "1.23456,0.0000,0.0000", "1.2345·6·,0.0000,0.0000"),
            ("trimmed4", "1.50,0,0", "1.5·0·,0,0"),
            ("trimmed4", "1,2,3,", "1,2,3·,·"),
            ("trimmed4", "1,2,3,4", "1,2,3·,4·"),
            ("trimmed4", "1,2", "1,2…"),
            ("trimmed4", "1.5-0.2,3", "1.5·-0.2·,3…"),
            ("trimmed4", "1,2,", "1,2,…"),
            ("trimmed4", "1,2,-", "1,2,-…"),
            ("trimmed4", "1,2,3.", "1,2,3.…"),
            ("trimmed4", "1,2,3.C", "1,2,3·.C·"),
            ("fixed4", "1.23,0.0000,0.0000", "1.23,0.0000,0.0000…"),
            ("fixed4", "1.23C,0.0000,0.0000", "1.23·C·,0.0000,0.0000…"),
            ("fixed4", "-0.0000,0.0000,0.0000", "-0.000·0·,0.0000,0.0000…"),
            ("fixed4", "123.0000,0.0000,0.0000", "12·3.0000·,0.0000,0.0000…"),
            ("fixed4", "abc", "·abc·…"),
            ("fixed4", "", "…"),
            ("trimmed4", "1,2,3é", "1,2,3·é·"),
            ("(leading_zeros: none, decimals: 2)", ".50,-.25,1.00", ".50,-.25,1.00"),
            ("(sign: always, decimals: 1)", "+1.0,-2.5,3.0", "+1.0,-2.5,·3.0·…"),
        ] {
            assert_eq!(shown(format, hole), expected, "{format}");
        }
    }

    /// A number may be anything that stands at the beginning of a field: no length is too much to look at.
    fn number_of_any_length(reader: &HoleReader, field: &str) -> (usize, bool) {
        let ends = || (0..=field.len()).rev();
        match ends().find(|&end| reader.is_number(&field[..end])) {
            Some(end) if &field[end..] == "." => (field.len(), false),
            Some(end) => (end, true),
            None => (ends().find(|&end| reader.begins_number(&field[..end])).unwrap_or(0), false),
        }
    }

    #[test]
    fn a_field_of_any_length_is_read() {
        let reader = HoleReader::new(NumberFormat::fixed(4));
        for (field, expected) in
            [(".", (0, false)), ("0", (2, false)), ("1.5", (3, false)), ("1.5000", (6, true))]
        {
            let long = field.to_owned() + &".".repeat(64_000);
            assert_eq!(reader.number(long.as_bytes()), expected, "{field}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_longer_than_any_number_is_none(field in "[-+]?[0-9]{0,6}[.]?[0-9]{0,12}|[-+.0-9]{0,12}", which in 0usize..6) {
            let format = [
                "fixed0", "fixed4", "trimmed4", "(sign: always, decimals: 9, integer_digits: 3)",
                "(leading_zeros: pad, decimals: 2)", "(leading_zeros: none, trailing_zeros: strip)",
            ][which];
            let reader = HoleReader::new(format.parse().unwrap());
            proptest::prop_assert_eq!(reader.number(field.as_bytes()), number_of_any_length(&reader, &field));
        }

        #[test]
        fn numbers_of_the_format_are_never_junk(nanos: [i64; 3], trimmed: bool, bytes: Vec<u8>) {
            let format = if trimmed { NumberFormat::trimmed(4) } else { NumberFormat::fixed(4) };
            let number = |nanos: i64| format.render(crate::corpus::Coordinate::from_nanos(nanos % 99_999_999_999)).unwrap();
            let hole = nanos.map(number).join(",");
            let reader = HoleReader::new(format);
            proptest::prop_assert_eq!(reader.read(hole.as_bytes()), HoleFaults::default());
            let faults = reader.read(&bytes);
            proptest::prop_assert!(faults.junk.iter().all(|junk| junk.start < junk.end && junk.end <= bytes.len()));
        }
    }
}
