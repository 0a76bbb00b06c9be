//! The atom block of a mol block (V2000 or V3000): elements, and coordinates from their decimal text.
//!
//! Bonds and charges are the business of `graph`.

use std::borrow::Cow;

use super::{Coordinate, Position, RowFault};

/// The atoms of a mol block, in file order.
pub(super) struct AtomBlock<'a> {
    pub(super) elements: Vec<&'a str>,
    pub(super) positions: Vec<Position>,
}

impl<'a> AtomBlock<'a> {
    pub(super) fn read(block: &'a str) -> Result<Self, RowFault> {
        let mut lines = block.lines().skip(3);
        let counts = lines.next().ok_or_else(|| RowFault::Truncated("no counts line".to_owned()))?;
        let mut atoms = Self { elements: Vec::new(), positions: Vec::new() };
        if is_v3000(block) {
            atoms.read_v3000(lines)?;
        } else {
            atoms.read_v2000(counts, lines)?;
        }
        if atoms.elements.is_empty() {
            return Err(RowFault::BadCounts(counts.chars().take(80).collect()));
        }
        Ok(atoms)
    }

    fn read_v2000(&mut self, counts: &str, mut lines: impl Iterator<Item = &'a str>) -> Result<(), RowFault> {
        let count = |field: Option<&str>| field.and_then(|text| text.trim().parse::<usize>().ok());
        let (Some(atoms), Some(bonds)) = (count(counts.get(0..3)), count(counts.get(3..6))) else {
            return Err(RowFault::BadCounts(counts.chars().take(80).collect()));
        };
        let ends = |line: &&str| !line.starts_with("M  END") && !line.starts_with("$$$$");
        for atom in 1..=atoms {
            let line = lines
                .next()
                .filter(ends)
                .ok_or_else(|| RowFault::Truncated(format!("{} of {atoms} atom lines", atom - 1)))?;
            let (element, numbers) = v2000_atom(line)
                .ok_or_else(|| RowFault::BadAtomLine { atom, line: line.chars().take(80).collect() })?;
            self.push(element, numbers)?;
        }
        let found = lines.take_while(ends).take(bonds).count();
        if found < bonds {
            return Err(RowFault::Truncated(format!("{found} of {bonds} bond lines")));
        }
        Ok(())
    }

    fn read_v3000(&mut self, lines: impl Iterator<Item = &'a str>) -> Result<(), RowFault> {
        let mut inside = false;
        for line in lines {
            let Some(entry) = line.strip_prefix("M  V30 ") else { continue };
            match entry.trim() {
                "BEGIN ATOM" => inside = true,
                "END ATOM" => return Ok(()),
                // A `-` at the end continues the line; coordinates always come before any long attribute.
                _ if inside && entry.as_bytes().first().is_some_and(u8::is_ascii_digit) => {
                    let atom = self.elements.len() + 1;
                    let words: Vec<&str> = entry.split_whitespace().collect();
                    let &[_, element, x, y, z, ..] = words.as_slice() else {
                        return Err(RowFault::BadAtomLine { atom, line: line.chars().take(80).collect() });
                    };
                    self.push(element, [x, y, z])?;
                }
                _ => {}
            }
        }
        Err(RowFault::Truncated(if inside { "no END ATOM line" } else { "no BEGIN ATOM line" }.to_owned()))
    }

    fn push(&mut self, element: &'a str, numbers: [&str; 3]) -> Result<(), RowFault> {
        let atom = self.elements.len() + 1;
        let mut position = Position::default();
        for (axis, number) in position.iter_mut().zip(numbers) {
            *axis = Coordinate::parse(number).map_err(|source| RowFault::Coordinate {
                conformer: 1,
                atom,
                source,
            })?;
        }
        self.elements.push(element);
        self.positions.push(position);
        Ok(())
    }
}

/// Whether the counts line announces a V3000 block.
pub(super) fn is_v3000(block: &str) -> bool {
    block.lines().nth(3).is_some_and(|counts| counts.contains("V3000"))
}

/// Three numbers of ten columns each and the element: `xxxxx.xxxxyyyyy.yyyyzzzzz.zzzz aaa`. Where the columns are
/// off, the words of the line.
fn v2000_atom(line: &str) -> Option<(&str, [&str; 3])> {
    let field = |columns: std::ops::Range<usize>| line.get(columns).map(str::trim);
    let fixed = || {
        let numbers = [field(0..10)?, field(10..20)?, field(20..30)?];
        let element = field(31..34.min(line.len().max(31)))?;
        let whole = numbers.iter().all(|number| !number.is_empty() && !number.contains(char::is_whitespace));
        (whole && is_symbol(element)).then_some((element, numbers))
    };
    let words = || {
        let mut words = line.split_whitespace();
        let numbers = [words.next()?, words.next()?, words.next()?];
        let element = words.next()?;
        is_symbol(element).then_some((element, numbers))
    };
    fixed().or_else(words)
}

fn is_symbol(text: &str) -> bool {
    text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'*')
}

/// The block with line endings that every reader takes.
pub(super) fn unix_lines(block: &str) -> Cow<'_, str> {
    if block.contains('\r') { Cow::Owned(block.replace("\r\n", "\n")) } else { Cow::Borrowed(block) }
}
