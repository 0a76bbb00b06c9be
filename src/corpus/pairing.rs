//! Which atom of a record each atom of a SMILES is.

use super::{RowFault, Smiles, SmilesAtom, SmilesBond};

/// What a record tells about atoms that come into question for those of a SMILES.
pub(super) trait Neighbours {
    /// Whether the record's atoms `from` and `to` are bonded as `bond` says.
    fn bonded(&self, bond: SmilesBond, from: usize, to: usize) -> bool;

    /// The hydrogens on an atom, where the record writes its hydrogens.
    fn hydrogens(&self, atom: usize) -> Option<usize>;
}

/// For each atom that `smiles` writes, the index of the record atom that it is: the record has the same atoms in the
/// same order, or has them once its hydrogens are dropped.
///
/// Elements alone would let `OC=O` pass when read backwards, so bonds and written hydrogens must agree too.
pub(super) fn in_order(
    smiles: &str,
    elements: &[&str],
    record: &impl Neighbours,
) -> Result<Vec<usize>, RowFault> {
    let parsed = Smiles::parse(smiles)?;
    let written: Vec<&str> = parsed.atoms().iter().map(|atom| atom.symbol.of(smiles)).collect();
    let all: Vec<usize> = (0..elements.len()).collect();
    let heavy: Vec<usize> = all.iter().copied().filter(|&atom| !is_hydrogen(elements[atom])).collect();
    let mut fault = RowFault::AtomCount {
        smiles: smiles.to_owned(),
        written: written.len(),
        atoms: all.len(),
        heavy: heavy.len(),
    };
    for order in [all, heavy] {
        if order.len() != written.len() {
            continue;
        }
        let other =
            written.iter().zip(&order).position(|(symbol, &atom)| !same_element(symbol, elements[atom]));
        if let Some(at) = other {
            fault = RowFault::AtomOrder {
                smiles: smiles.to_owned(),
                atom: at + 1,
                written: written[at].to_owned(),
                found: elements[order[at]].to_owned(),
            };
            continue;
        }
        let broken = parsed.bonds().iter().find(|&&bond| {
            let [from, to] = [bond.from, bond.to].map(|atom| order[atom as usize]);
            !record.bonded(bond, from, to)
        });
        if let Some(bond) = broken {
            let [from, to] = [bond.from, bond.to].map(|atom| atom as usize + 1);
            fault = RowFault::BondOrder { smiles: smiles.to_owned(), from, to };
            continue;
        }
        // Only without its hydrogens: else they are atoms of the SMILES, not a count.
        let implicit = order.len() < elements.len();
        let other = parsed.atoms().iter().zip(&order).position(|(atom, &at)| {
            let (written, found) = (bracket_hydrogens(smiles, *atom), record.hydrogens(at));
            implicit && written.is_some() && found.is_some() && written != found
        });
        match other {
            Some(at) => fault = RowFault::Hydrogens { smiles: smiles.to_owned(), atom: at + 1 },
            None => return Ok(order),
        }
    }
    Err(fault)
}

/// The hydrogens that a bracket atom states: 1 for `[nH]`, 0 for `[O-]`.
fn bracket_hydrogens(smiles: &str, atom: SmilesAtom) -> Option<usize> {
    let text = atom.span.of(smiles);
    let behind = text.get((atom.symbol.end - atom.span.start) as usize..).filter(|_| atom.bracketed)?;
    let Some((_, count)) = behind.split_once('H') else { return Some(0) };
    let digits = count.bytes().take_while(u8::is_ascii_digit).count();
    Some(count[..digits].parse().unwrap_or(1))
}

/// Whether a record's symbol is hydrogen, deuterium and tritium included.
pub(super) fn is_hydrogen(symbol: &str) -> bool {
    matches!(symbol, "H" | "D" | "T")
}

/// Whether a SMILES symbol (aromatic in lower case) names the same element as a record's.
pub(super) fn same_element(written: &str, found: &str) -> bool {
    written.eq_ignore_ascii_case(found) || (written == "H" && is_hydrogen(found))
}
