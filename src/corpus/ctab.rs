//! The atoms of a mol block (V2000 or V3000): elements, coordinates from their decimal text, and which are bonded.
//!
//! Bond orders and charges are the business of `graph`.

use std::borrow::Cow;

use super::pairing::{Neighbours, is_hydrogen};
use super::{Position, RowFault, SmilesBond, position};

/// The atoms of a mol block, in file order.
pub(super) struct AtomBlock<'a> {
    pub(super) elements: Vec<&'a str>,
    pub(super) positions: Vec<Position>,
    /// Pairs of atom indices, from 0, and the bond type: 1 to 3, 4 aromatic, or what else the format has.
    bonds: Vec<([usize; 2], usize)>,
    /// The bonds of each atom, in file order: the other atom and the bond type.
    bonds_of: Vec<Vec<(usize, usize)>>,
    /// Whether there is a hydrogen among the atoms.
    hydrogens_written: bool,
}

impl<'a> AtomBlock<'a> {
    pub(super) fn read(block: &'a str) -> Result<Self, RowFault> {
        let mut lines = block.lines().skip(3);
        let counts = lines.next().ok_or_else(|| RowFault::Truncated("no counts line".to_owned()))?;
        let mut atoms = Self {
            elements: Vec::new(),
            positions: Vec::new(),
            bonds: Vec::new(),
            bonds_of: Vec::new(),
            hydrogens_written: false,
        };
        if is_v3000(block) {
            atoms.read_v3000(lines)?;
        } else {
            atoms.read_v2000(counts, lines)?;
        }
        if atoms.elements.is_empty() {
            return Err(RowFault::counts(counts));
        }
        atoms.index();
        Ok(atoms)
    }

    /// Sorts bonds by atom, so that asking for those of one goes through no others.
    fn index(&mut self) {
        self.hydrogens_written = self.elements.iter().any(|element| is_hydrogen(element));
        self.bonds_of = vec![Vec::new(); self.elements.len()];
        for &([from, to], order) in &self.bonds {
            let ends = [(from, to), (to, from)];
            // A bond from an atom to itself is one of its bonds, not two.
            for (atom, other) in ends.into_iter().take(if from == to { 1 } else { 2 }) {
                if let Some(bonds) = self.bonds_of.get_mut(atom) {
                    bonds.push((other, order));
                }
            }
        }
    }

    fn read_v2000(&mut self, counts: &str, mut lines: impl Iterator<Item = &'a str>) -> Result<(), RowFault> {
        let count = |field: Option<&str>| field.and_then(|text| text.trim().parse::<usize>().ok());
        let (Some(atoms), Some(bonds)) = (count(counts.get(0..3)), count(counts.get(3..6))) else {
            return Err(RowFault::counts(counts));
        };
        let ends = |line: &&str| !line.starts_with("M  END") && !line.starts_with("$$$$");
        for atom in 1..=atoms {
            let line = lines
                .next()
                .filter(ends)
                .ok_or_else(|| RowFault::Truncated(format!("{} of {atoms} atom lines", atom - 1)))?;
            let (element, numbers) = v2000_atom(line).ok_or_else(|| RowFault::atom_line(atom, line))?;
            self.push(element, numbers)?;
        }
        for bond in 1..=bonds {
            let line = lines
                .next()
                .filter(ends)
                .ok_or_else(|| RowFault::Truncated(format!("{} of {bonds} bond lines", bond - 1)))?;
            self.bond([line.get(0..3), line.get(3..6), line.get(6..9.min(line.len().max(6)))]);
        }
        Ok(())
    }

    fn read_v3000(&mut self, lines: impl Iterator<Item = &'a str>) -> Result<(), RowFault> {
        let mut section = "";
        for line in lines {
            let Some(entry) = line.strip_prefix("M  V30 ") else { continue };
            let words: Vec<&str> = entry.split_whitespace().collect();
            let numbered = words.first().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
            match words.as_slice() {
                &["BEGIN", begun, ..] => section = begun,
                ["END", "CTAB", ..] => return Ok(()),
                // A `-` at the end continues the line; what is wanted always comes before that.
                &[_, element, x, y, z, ..] if section == "ATOM" && numbered => {
                    self.push(element, [x, y, z])?
                }
                &[_, order, from, to, ..] if section == "BOND" && numbered => {
                    self.bond([from, to, order].map(Some));
                }
                _ if section == "ATOM" && numbered => {
                    return Err(RowFault::atom_line(self.elements.len() + 1, line));
                }
                _ => {}
            }
        }
        Err(RowFault::Truncated("no END CTAB line".to_owned()))
    }

    /// Keeps a bond that can be read; what else is wrong with it shows where bonds are needed.
    fn bond(&mut self, fields: [Option<&str>; 3]) {
        let [from, to, order] = fields.map(|field| field?.trim().parse::<usize>().ok());
        if let (Some(from @ 1..), Some(to @ 1..), Some(order)) = (from, to, order) {
            self.bonds.push(([from - 1, to - 1], order));
        }
    }

    fn push(&mut self, element: &'a str, numbers: [&str; 3]) -> Result<(), RowFault> {
        let position = position(self.elements.len() + 1, numbers)?;
        self.elements.push(element);
        self.positions.push(position);
        Ok(())
    }
}

impl Neighbours for AtomBlock<'_> {
    fn bonded(&self, bond: SmilesBond, from: usize, to: usize) -> bool {
        let bonds = |atom: usize| self.bonds_of.get(atom).map_or(&[][..], Vec::as_slice);
        // Of an atom with very many bonds, its neighbour has few.
        let (few, other) = if bonds(from).len() <= bonds(to).len() { (from, to) } else { (to, from) };
        let between = bonds(few).iter().find(|(neighbour, _)| *neighbour == other);
        between.is_some_and(|&(_, order)| {
            bond.order.is_none_or(|written| order > 3 || order == usize::from(written))
        })
    }

    fn hydrogens(&self, atom: usize) -> Option<usize> {
        let on_atom = |(other, _): &&(usize, usize)| {
            self.elements.get(*other).is_some_and(|element| is_hydrogen(element))
        };
        let bonds = self.bonds_of.get(atom).map_or(&[][..], Vec::as_slice);
        self.hydrogens_written.then(|| bonds.iter().filter(on_atom).count())
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As [`Neighbours`] says it, bond by bond in the order of the file.
    struct BondByBond<'a>(&'a AtomBlock<'a>);

    impl Neighbours for BondByBond<'_> {
        fn bonded(&self, bond: SmilesBond, from: usize, to: usize) -> bool {
            let between = self.0.bonds.iter().find(|(atoms, _)| *atoms == [from, to] || *atoms == [to, from]);
            between.is_some_and(|&(_, order)| {
                bond.order.is_none_or(|written| order > 3 || order == usize::from(written))
            })
        }

        fn hydrogens(&self, atom: usize) -> Option<usize> {
            let hydrogen =
                |atom: usize| self.0.elements.get(atom).is_some_and(|element| is_hydrogen(element));
            let on_atom = |&&([from, to], _): &&([usize; 2], usize)| {
                (from == atom && hydrogen(to)) || (to == atom && hydrogen(from))
            };
            let written = self.0.elements.iter().any(|element| is_hydrogen(element));
            written.then(|| self.0.bonds.iter().filter(on_atom).count())
        }
    }

    proptest! {
        /// Bonds that stand twice, lead nowhere or back to their atom are found by atom as they are one by one.
        #[test]
        fn bonds_by_atom_are_those_of_the_list(
            elements in proptest::collection::vec(prop_oneof![Just("C"), Just("H"), Just("D")], 1..8),
            bonds in proptest::collection::vec(([0usize..10, 0usize..10], 1usize..6), 0..16),
        ) {
            let mut atoms = AtomBlock {
                positions: Vec::new(), bonds, bonds_of: Vec::new(), hydrogens_written: false, elements,
            };
            atoms.index();
            let slow = BondByBond(&atoms);
            for from in 0..atoms.elements.len() {
                prop_assert_eq!(atoms.hydrogens(from), slow.hydrogens(from));
                for to in 0..atoms.elements.len() {
                    for order in [None, Some(1), Some(2), Some(3)] {
                        let bond = SmilesBond { from: 0, to: 0, order };
                        prop_assert_eq!(atoms.bonded(bond, from, to), slow.bonded(bond, from, to));
                    }
                }
            }
        }
    }
}
