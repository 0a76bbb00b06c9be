//! Which atom of a record each atom of a SMILES is.

use super::{RowFault, Smiles};

/// For each atom that `smiles` writes, the index of the record atom that it is, told by elements alone: the record
/// has the same atoms in the same order, or has them once its hydrogens are dropped.
pub(super) fn by_elements(smiles: &str, elements: &[&str]) -> Result<Vec<usize>, RowFault> {
    let parsed = Smiles::parse(smiles)?;
    let written: Vec<&str> = parsed.atoms().iter().map(|atom| atom.symbol.of(smiles)).collect();
    let all: Vec<usize> = (0..elements.len()).collect();
    let heavy: Vec<usize> = all.iter().copied().filter(|&atom| !is_hydrogen(elements[atom])).collect();
    let mut mismatch = None;
    for candidate in [all, heavy] {
        if candidate.len() != written.len() {
            continue;
        }
        match written.iter().zip(&candidate).position(|(symbol, &atom)| !same_element(symbol, elements[atom]))
        {
            None => return Ok(candidate),
            Some(at) => mismatch = Some((at, candidate[at])),
        }
    }
    Err(match mismatch {
        Some((at, atom)) => RowFault::AtomOrder {
            smiles: smiles.to_owned(),
            atom: at + 1,
            written: written[at].to_owned(),
            found: elements[atom].to_owned(),
        },
        None => RowFault::AtomCount {
            smiles: smiles.to_owned(),
            written: written.len(),
            atoms: elements.len(),
            heavy: elements.iter().filter(|element| !is_hydrogen(element)).count(),
        },
    })
}

/// Whether a record's symbol is hydrogen, deuterium and tritium included.
pub(super) fn is_hydrogen(symbol: &str) -> bool {
    matches!(symbol, "H" | "D" | "T")
}

/// Whether a SMILES symbol (aromatic in lower case) names the same element as a record's.
pub(super) fn same_element(written: &str, found: &str) -> bool {
    written.eq_ignore_ascii_case(found) || (written == "H" && is_hydrogen(found))
}
