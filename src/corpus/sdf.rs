//! SDF records: a mol block, data fields, `$$$$`.

use super::ctab::AtomBlock;
use super::{Molecule, RowFault, SmilesSource, graph, pairing};

/// The molecule of one record, its atoms in the order of its SMILES.
pub(super) fn molecule(record: &str, source: &SmilesSource) -> Result<Molecule, RowFault> {
    let (block, data) = split(record)?;
    let atoms = AtomBlock::read(block)?;
    let (smiles, order) = match (data_smiles(data, source), source) {
        (Some(smiles), _) => (smiles.to_owned(), pair(smiles, &atoms, block)?),
        (None, SmilesSource::Fields(names)) => return Err(no_field(names, data)),
        (None, _) => graph::smiles(block, &atoms.elements)?,
    };
    let conformer = order.into_iter().map(|atom| atoms.positions[atom]).collect();
    let name = block.lines().next().map(str::trim).filter(|name| !name.is_empty());
    Ok(Molecule { name: name.map(str::to_owned), smiles, conformers: vec![conformer] })
}

/// The mol block with its `M  END`, and the data fields behind it.
///
/// The end of a file may stand for the last `$$$$` only where nothing follows the mol block, as in a `.mol` file:
/// else data fields may be missing.
fn split(record: &str) -> Result<(&str, &str), RowFault> {
    const END: &str = "M  END";
    let mut at = 0;
    for line in record.split_inclusive('\n') {
        at += line.len();
        if line.starts_with(END) {
            let data = &record[at..];
            let delimited = data.lines().next_back().is_some_and(|line| line.starts_with("$$$$"));
            if !delimited && !data.trim().is_empty() {
                return Err(RowFault::Truncated("no $$$$ after the data fields".to_owned()));
            }
            return Ok((&record[..at], data));
        }
    }
    // What the block lacks is told more exactly by reading it.
    AtomBlock::read(record)?;
    Err(RowFault::Truncated(format!("no {END:?} line")))
}

/// The first line of the first data field that names a SMILES.
fn data_smiles<'a>(data: &'a str, source: &SmilesSource) -> Option<&'a str> {
    let (SmilesSource::Fields(names) | SmilesSource::FieldsOrGraph(names)) = source else { return None };
    names.iter().find_map(|name| {
        let header = format!("<{name}>");
        let mut lines = data.lines().skip_while(|line| !(line.starts_with('>') && line.contains(&header)));
        lines.nth(1).map(str::trim).filter(|value| !value.is_empty())
    })
}

/// How many of a record's fields are told.
const TOLD: usize = 8;

/// No field of these names has a value.
fn no_field(names: &[String], data: &str) -> RowFault {
    let name_of =
        |line: &'_ str| Some(line.strip_prefix('>')?.split_once('<')?.1.split_once('>')?.0.to_owned());
    let has: Vec<String> = data.lines().filter_map(name_of).collect();
    let told = match has.len() {
        0 => "none".to_owned(),
        1..=TOLD => has.join(", "),
        _ => has[..TOLD].join(", ") + ", …",
    };
    RowFault::Missing(format!("data field {} with a SMILES; the record has {told}", names.join(" or ")))
}

/// Pairs in the order as written; where that is another molecule, by the molecular graph.
fn pair(smiles: &str, atoms: &AtomBlock<'_>, block: &str) -> Result<Vec<usize>, RowFault> {
    match pairing::in_order(smiles, &atoms.elements, atoms) {
        Err(fault @ RowFault::Smiles(_)) => Err(fault),
        Err(fault) => graph::pair(smiles, block, &atoms.elements).ok_or(fault),
        order => order,
    }
}
