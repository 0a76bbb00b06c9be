//! SMILES: where its atoms are, and whether it is well formed.
//!
//! Grammar: OpenSMILES 1.0 (<http://opensmiles.org>), plus the dative and "any" bonds that RDKit writes. Valence and
//! aromaticity are chemistry and are not checked; the text is.

use thiserror::Error;

use crate::primitives::ByteSpan;

/// The atoms of a well-formed SMILES, in the order in which they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smiles {
    atoms: Vec<SmilesAtom>,
    bonds: Vec<SmilesBond>,
}

/// One atom of a SMILES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmilesAtom {
    /// The atom as written: `C`, `Cl` or a whole bracket atom `[C@@H]`.
    pub span: ByteSpan,
    /// Its element symbol as written: `c`, `Cl`, `*`.
    pub symbol: ByteSpan,
    /// Whether it is written in brackets.
    pub bracketed: bool,
}

/// One bond of a SMILES, between two of its atoms as indices into [`Smiles::atoms`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmilesBond {
    /// The atom written first, or the one that opens the ring bond.
    pub from: u32,
    /// The atom written later, or the one that closes the ring bond.
    pub to: u32,
    /// Its order, 1 to 4; `None` where the text leaves it open (aromatic, dative, any).
    pub order: Option<u8>,
}

/// Why a text is no SMILES, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("malformed SMILES {smiles:?} at byte {at}: {fault}")]
pub struct SmilesError {
    /// The whole text, cut for display if long.
    pub smiles: String,
    /// The byte where reading stopped.
    pub at: usize,
    /// What is wrong there.
    pub fault: SmilesFault,
}

/// What is wrong in a SMILES.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SmilesFault {
    /// There is no atom at all.
    #[error("there is no atom")]
    Empty,
    /// A character that begins nothing.
    #[error("unexpected {0:?}")]
    Unexpected(char),
    /// A bracket atom that does not follow the grammar.
    #[error("bad bracket atom")]
    BadBracketAtom,
    /// An unknown element symbol.
    #[error("unknown element in bracket atom")]
    UnknownElement,
    /// A `(` that is never closed.
    #[error("a branch is never closed")]
    OpenBranch,
    /// A bond with nothing behind it.
    #[error("a bond leads nowhere")]
    DanglingBond,
    /// A ring bond that is opened and never closed.
    #[error("ring bond {0} is never closed")]
    OpenRing(u16),
    /// A ring bond from an atom to itself.
    #[error("ring bond {0} closes on its own atom")]
    SelfRing(u16),
}

const ELEMENTS: &str = "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr \
    Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os \
    Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc \
    Lv Ts Og b c n o p s se as te si *";

/// `ELEMENTS` as a table over (first letter, second letter or 0), made at compile time.
static IS_ELEMENT: [[bool; 128]; 128] = {
    let names = ELEMENTS.as_bytes();
    let mut table = [[false; 128]; 128];
    let mut at = 0;
    while at < names.len() {
        let two = at + 1 < names.len() && names[at + 1] != b' ';
        table[names[at] as usize][if two { names[at + 1] as usize } else { 0 }] = true;
        at += if two { 3 } else { 2 };
    }
    table
};

fn is_element(symbol: &[u8]) -> bool {
    match *symbol {
        [first @ 1..128] => IS_ELEMENT[first as usize][0],
        [first @ 1..128, second @ 1..128] => IS_ELEMENT[first as usize][second as usize],
        _ => false,
    }
}

impl Smiles {
    /// Reads a SMILES.
    ///
    /// # Errors
    /// [`SmilesError`] with the byte and the fault if the text is not well formed.
    pub fn parse(text: &str) -> Result<Self, SmilesError> {
        let mut reader = Reader {
            text,
            at: 0,
            atoms: Vec::new(),
            bonds: Vec::new(),
            rings: Vec::new(),
            branches: Vec::new(),
        };
        match reader.read() {
            Ok(()) => Ok(Self { atoms: reader.atoms, bonds: reader.bonds }),
            Err(fault) => Err(SmilesError {
                smiles: text.chars().take(120).collect(),
                at: reader.at.min(text.len()),
                fault,
            }),
        }
    }

    /// The atoms, in written order.
    #[must_use]
    pub fn atoms(&self) -> &[SmilesAtom] {
        &self.atoms
    }

    /// The bonds, in the order in which they are completed.
    #[must_use]
    pub fn bonds(&self) -> &[SmilesBond] {
        &self.bonds
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    atoms: Vec<SmilesAtom>,
    bonds: Vec<SmilesBond>,
    /// Open ring bonds: number, the atom that opened it, and the bond symbol there.
    rings: Vec<(u16, usize, Option<u8>)>,
    /// Open branches: the atom each hangs on.
    branches: Vec<usize>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), SmilesFault> {
        // The atom that the next bond starts from; none at the start and after a dot.
        let mut from: Option<usize> = None;
        // The symbol of that bond, once read.
        let mut bond: Option<u8> = None;
        while let Some(byte) = self.peek() {
            match byte {
                b'[' | b'*' | b'A'..=b'Z' | b'a'..=b'z' => {
                    self.atom()?;
                    let atom = self.atoms.len() - 1;
                    if let Some(from) = from {
                        self.bond(from, atom, bond.take());
                    }
                    from = Some(atom);
                    continue;
                }
                b'(' if from.is_some() && bond.is_none() => {
                    self.branches.extend(from);
                    // An empty branch, or one that starts with a branch, is no SMILES.
                    if matches!(self.text.as_bytes().get(self.at + 1), Some(b'(' | b')')) {
                        self.at += 1;
                        return Err(self.unexpected());
                    }
                }
                b')' if bond.is_none() && from.is_some() => match self.branches.pop() {
                    Some(atom) => from = Some(atom),
                    None => return Err(self.unexpected()),
                },
                b'.' if from.is_some() && bond.is_none() => from = None,
                b'-' | b'=' | b'#' | b'$' | b':' | b'/' | b'\\' | b'~'
                    if from.is_some() && bond.is_none() =>
                {
                    let dative = byte == b'-' && self.text.as_bytes().get(self.at + 1) == Some(&b'>');
                    bond = Some(if dative { b'~' } else { byte });
                    self.at += usize::from(dative);
                }
                b'<' if from.is_some() && bond.is_none() && self.text[self.at..].starts_with("<-") => {
                    bond = Some(b'~');
                    self.at += 1;
                }
                b'0'..=b'9' | b'%' => {
                    let Some(atom) = from else { return Err(self.unexpected()) };
                    self.ring_bond(atom, bond.take())?;
                    continue;
                }
                _ => return Err(self.unexpected()),
            }
            self.at += 1;
        }
        if bond.is_some() {
            return Err(SmilesFault::DanglingBond);
        }
        if !self.branches.is_empty() {
            return Err(SmilesFault::OpenBranch);
        }
        if let Some(&(number, ..)) = self.rings.first() {
            return Err(SmilesFault::OpenRing(number));
        }
        match from {
            Some(_) => Ok(()),
            None => Err(SmilesFault::Empty),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn unexpected(&self) -> SmilesFault {
        self.text
            .get(self.at..)
            .and_then(|rest| rest.chars().next())
            .map_or(SmilesFault::Empty, SmilesFault::Unexpected)
    }

    fn atom(&mut self) -> Result<(), SmilesFault> {
        let start = self.at;
        let rest = &self.text[start..];
        if rest.starts_with('[') {
            return self.bracket_atom();
        }
        let length = match rest.as_bytes() {
            [b'C', b'l', ..] | [b'B', b'r', ..] => 2,
            [b'B' | b'C' | b'N' | b'O' | b'P' | b'S' | b'F' | b'I' | b'*', ..] => 1,
            [b'b' | b'c' | b'n' | b'o' | b'p' | b's', ..] => 1,
            _ => return Err(self.unexpected()),
        };
        self.at += length;
        let span = ByteSpan::new(start, self.at);
        self.atoms.push(SmilesAtom { span, symbol: span, bracketed: false });
        Ok(())
    }

    /// `[` isotope? symbol chirality? hydrogens? charge? class? `]`
    fn bracket_atom(&mut self) -> Result<(), SmilesFault> {
        let start = self.at;
        self.at += 1;
        self.digits();
        let symbol = self.symbol()?;
        if self.eat(b'@') && !self.eat(b'@') {
            // @TH1, @AL2, @SP3, @TB12, @OH30
            let class = self.text.get(self.at..self.at + 2).unwrap_or("");
            if matches!(class, "TH" | "AL" | "SP" | "TB" | "OH") {
                self.at += 2;
                if self.digits() == 0 {
                    return Err(SmilesFault::BadBracketAtom);
                }
            }
        }
        if self.eat(b'H') {
            self.digits();
        }
        for sign in [b'+', b'-'] {
            if self.eat(sign) && self.digits() == 0 {
                while self.eat(sign) {}
            }
        }
        if self.eat(b':') && self.digits() == 0 {
            return Err(SmilesFault::BadBracketAtom);
        }
        if !self.eat(b']') {
            return Err(SmilesFault::BadBracketAtom);
        }
        self.atoms.push(SmilesAtom { span: ByteSpan::new(start, self.at), symbol, bracketed: true });
        Ok(())
    }

    /// The longest element symbol here.
    fn symbol(&mut self) -> Result<ByteSpan, SmilesFault> {
        for length in [2, 1] {
            let Some(candidate) = self.text.get(self.at..self.at + length) else { continue };
            let known = is_element(candidate.as_bytes());
            if known {
                self.at += length;
                return Ok(ByteSpan::new(self.at - length, self.at));
            }
        }
        Err(if self.peek().is_some() { SmilesFault::UnknownElement } else { SmilesFault::BadBracketAtom })
    }

    fn ring_bond(&mut self, atom: usize, symbol: Option<u8>) -> Result<(), SmilesFault> {
        let start = self.at;
        let number = match &self.text.as_bytes()[start..] {
            [b'%', b'(', ..] => {
                self.at += 2;
                let digits = self.digits();
                if digits == 0 || digits > 5 || !self.eat(b')') {
                    return Err(self.unexpected());
                }
                self.text[start + 2..self.at - 1].parse().ok()
            }
            [b'%', tens @ b'0'..=b'9', ones @ b'0'..=b'9', ..] => {
                self.at += 3;
                Some(u16::from(tens - b'0') * 10 + u16::from(ones - b'0'))
            }
            [digit @ b'0'..=b'9', ..] => {
                self.at += 1;
                Some(u16::from(digit - b'0'))
            }
            _ => None,
        };
        let Some(number) = number else { return Err(self.unexpected()) };
        match self.rings.iter().position(|&(open, ..)| open == number) {
            Some(open) if self.rings[open].1 == atom => Err(SmilesFault::SelfRing(number)),
            Some(open) => {
                let (_, opener, opening_symbol) = self.rings.remove(open);
                self.bond(opener, atom, symbol.or(opening_symbol));
                Ok(())
            }
            None => {
                self.rings.push((number, atom, symbol));
                Ok(())
            }
        }
    }

    fn bond(&mut self, from: usize, to: usize, symbol: Option<u8>) {
        let aromatic =
            |atom: usize| self.atoms[atom].symbol.of(self.text).starts_with(|c: char| c.is_ascii_lowercase());
        let order = match symbol {
            Some(b'-' | b'/' | b'\\') => Some(1),
            Some(b'=') => Some(2),
            Some(b'#') => Some(3),
            Some(b'$') => Some(4),
            Some(_) => None,
            None => (!aromatic(from) || !aromatic(to)).then_some(1),
        };
        self.bonds.push(SmilesBond { from: from as u32, to: to as u32, order });
    }

    fn eat(&mut self, byte: u8) -> bool {
        let hit = self.peek() == Some(byte);
        self.at += usize::from(hit);
        hit
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atoms(text: &str) -> Vec<&str> {
        Smiles::parse(text).unwrap().atoms().iter().map(|atom| atom.span.of(text)).collect()
    }

    #[test]
    fn finds_the_atoms_in_written_order() {
        assert_eq!(atoms("CC=O"), ["C", "C", "O"]);
        assert_eq!(
            atoms("ClC(Br)[C@@H](N)c1cc[nH]c1"),
            ["Cl", "C", "Br", "[C@@H]", "N", "c", "c", "c", "[nH]", "c"]
        );
        assert_eq!(atoms("[13CH3][N+](C)(C)C.[Cl-]"), ["[13CH3]", "[N+]", "C", "C", "C", "[Cl-]"]);
        assert_eq!(atoms("C%10CC%10[H]").len(), 4);
    }

    #[test]
    fn finds_the_bonds_along_chains_branches_and_rings() {
        let bonds = |text: &str| {
            let smiles = Smiles::parse(text).unwrap();
            let show = |bond: &SmilesBond| format!("{}-{}:{}", bond.from, bond.to, bond.order.unwrap_or(0));
            smiles.bonds().iter().map(show).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(bonds("CC(=O)N"), "0-1:1 1-2:2 1-3:1");
        assert_eq!(bonds("C=1CC1.O"), "0-1:1 1-2:1 0-2:2");
        assert_eq!(bonds("C%10CC#%10"), "0-1:1 1-2:1 0-2:3");
        assert_eq!(bonds("c1c-c1C~O->[Fe]"), "0-1:0 1-2:1 0-2:0 2-3:1 3-4:0 4-5:0");
    }

    #[test]
    fn accepts_the_whole_grammar() {
        for text in [
            "*",
            "[*:1]C",
            "F/C=C\\F",
            "C1CC1",
            "C%12CC%12",
            "C%(123)CC%(123)",
            "[Fe+2]",
            "[O--]",
            "[Co@OH12](C)C",
            "C(C)(C)C",
            "[2H]O[2H]",
            "[NH3]->[Cu]",
            "C~C",
            "C=1CC=1",
            "[se]1cccc1",
            "[Si](C)C",
            "[Sc]",
            "C$C",
            "C0CC0",
        ] {
            assert!(Smiles::parse(text).is_ok(), "{text}: {:?}", Smiles::parse(text));
        }
    }
}
