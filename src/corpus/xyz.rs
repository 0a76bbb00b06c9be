//! Extended XYZ: an atom count, a comment that holds the SMILES, and one line for each atom.

use super::pairing::{self, Neighbours};
use super::{Molecule, Position, RowFault, Smiles, SmilesBond, graph, position};

/// The molecule of one frame, its atoms in the order of its SMILES.
pub(super) fn molecule(frame: &str) -> Result<Molecule, RowFault> {
    let mut lines = frame.lines();
    let counts = lines.next().unwrap_or("");
    let atoms: usize = match counts.trim().parse() {
        Ok(atoms) if atoms > 0 => atoms,
        _ => return Err(RowFault::counts(counts)),
    };
    let comment = Comment(lines.next().unwrap_or(""));
    let columns = comment.columns()?;
    let mut elements = Vec::new();
    let mut positions = Vec::new();
    for atom in 1..=atoms {
        let Some(line) = lines.next() else {
            return Err(RowFault::Truncated(format!("{} of {atoms} atom lines", atom - 1)));
        };
        let (element, position) = columns.read(line, atom)?;
        elements.push(element);
        positions.push(position);
    }
    let smiles = comment.smiles()?;
    let order = pairing::in_order(smiles, &elements, &Near { elements: &elements, positions: &positions })?;
    let conformer = order.into_iter().map(|atom| positions[atom]).collect();
    Ok(Molecule {
        name: comment.value("name").map(str::to_owned),
        smiles: smiles.to_owned(),
        conformers: vec![conformer],
    })
}

/// A frame has no bonds, but atoms that lie apart cannot be neighbours in the SMILES.
struct Near<'a> {
    elements: &'a [&'a str],
    positions: &'a [Position],
}

impl Neighbours for Near<'_> {
    fn bonded(&self, _: SmilesBond, from: usize, to: usize) -> bool {
        let ends = [from, to];
        graph::within_bond_length(ends.map(|end| self.elements[end]), ends.map(|end| self.positions[end]))
    }

    fn hydrogens(&self, _: usize) -> Option<usize> {
        None
    }
}

/// The second line of a frame: `key=value` pairs, or free text.
struct Comment<'a>(&'a str);

impl<'a> Comment<'a> {
    /// The SMILES under the key `smiles`, or the first word if it is one.
    fn smiles(&self) -> Result<&'a str, RowFault> {
        if let Some(smiles) = self.value("smiles") {
            return Ok(smiles);
        }
        let word = self.0.split_whitespace().next().unwrap_or("");
        let word = word.trim_matches(['"', '\'']);
        match Smiles::parse(word) {
            Ok(_) => Ok(word),
            Err(_) => Err(RowFault::Missing("SMILES in the comment line; write smiles=... there".to_owned())),
        }
    }

    /// The value of a key, in any case, without its quotes.
    fn value(&self, key: &str) -> Option<&'a str> {
        let mut rest = self.0.trim_start();
        while !rest.is_empty() {
            let (pair, after) = split_pair(rest);
            match pair.split_once('=') {
                Some((name, value)) if name.eq_ignore_ascii_case(key) => {
                    return Some(value.trim_matches(['"', '\'']));
                }
                _ => rest = after.trim_start(),
            }
        }
        None
    }

    /// The columns that `Properties=species:S:1:pos:R:3:...` gives, or the plain four.
    fn columns(&self) -> Result<Columns, RowFault> {
        let Some(properties) = self.value("properties") else { return Ok(Columns { species: 0, x: 1 }) };
        let (mut species, mut x, mut column) = (None, None, 0);
        let parts: Vec<&str> = properties.split(':').collect();
        for property in parts.chunks(3) {
            let width = property.get(2).and_then(|width| width.parse::<usize>().ok());
            let Some(width) = width.filter(|&width| width < 1000) else { break };
            match (property[0], width) {
                ("species", 1) => species = Some(column),
                ("pos", 3) => x = Some(column),
                _ => {}
            }
            column += width;
        }
        match (species, x) {
            (Some(species), Some(x)) => Ok(Columns { species, x }),
            _ => Err(RowFault::Missing(format!("species:S:1 and pos:R:3 in Properties={properties}"))),
        }
    }
}

/// The first `key=value` or word of `text`, which has no space outside quotes, and what follows.
fn split_pair(text: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' | b'\'' if quote.is_none() => quote = Some(byte),
            _ if quote == Some(byte) => quote = None,
            _ if quote.is_none() && byte.is_ascii_whitespace() => return text.split_at(at),
            _ => {}
        }
    }
    (text, "")
}

/// Where an atom line has the element and the first of the three coordinates.
struct Columns {
    species: usize,
    x: usize,
}

impl Columns {
    fn read<'a>(&self, line: &'a str, atom: usize) -> Result<(&'a str, Position), RowFault> {
        let bad = || RowFault::atom_line(atom, line);
        let words: Vec<&str> = line.split_whitespace().collect();
        let element = words.get(self.species).copied().ok_or_else(bad)?;
        let numbers = words.get(self.x..).and_then(<[_]>::first_chunk).ok_or_else(bad)?;
        if !element.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'*') {
            return Err(bad());
        }
        Ok((element, position(atom, *numbers)?))
    }
}
