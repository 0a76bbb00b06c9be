//! Molecular graphs: SMILES written from a mol block, and atoms matched between the two.
//! The only file that knows the `chematic` crates.

use chematic_core::{AtomIdx, Element, Molecule, valence_inferred_hcount};
use chematic_mol::{read_mol_v3000_with_diagnostics, read_mol_with_diagnostics};
use chematic_perception::apply_aromaticity;
use chematic_smiles::{
    canonical_smiles_with_atom_order, rdkit_hydrogen_suppressed_with_map, write_with_atom_order,
};

use super::ctab::{is_v3000, unix_lines};
use super::pairing::same_element;
use super::{Position, RowFault, Smiles, SmilesBond};

/// The SMILES of a mol block, and for each atom that it writes the index of the block's atom.
///
/// Hydrogens are implicit, aromatic atoms in lower case, stereo marks from the geometry; hydrogens that a SMILES
/// must write (`[H][H]`, `[2H]`) stay.
pub(super) fn smiles(block: &str, elements: &[&str]) -> Result<(String, Vec<usize>), RowFault> {
    let graph = Graph::read(block, elements)?.without_hydrogens();
    let (smiles, order) = write_with_atom_order(&graph.molecule);
    let atoms: Option<Vec<usize>> = order.iter().map(|atom| graph.source(*atom)).collect();
    let atoms = atoms.ok_or_else(|| RowFault::Graph("an atom was lost in writing".to_owned()))?;
    // Reading back guards against a writer that disagrees with itself, so no coordinate goes to a wrong atom.
    let back = Smiles::parse(&smiles).map_err(|fault| RowFault::Graph(fault.to_string()))?;
    let same_elements = back.atoms().len() == atoms.len()
        && back
            .atoms()
            .iter()
            .zip(&atoms)
            .all(|(back, &atom)| same_element(back.symbol.of(&smiles), elements[atom]));
    let bonded = |bond: &SmilesBond| {
        graph.molecule.bond_between(order[bond.from as usize], order[bond.to as usize]).is_some()
    };
    if same_elements && back.bonds().iter().all(bonded) {
        Ok((smiles, atoms))
    } else {
        Err(RowFault::Graph(format!("{smiles:?} does not read back as the graph")))
    }
}

/// For each atom that `smiles` writes, the index of the block's atom, if both are the same molecule, stereo included.
pub(super) fn pair(smiles: &str, block: &str, elements: &[&str]) -> Option<Vec<usize>> {
    let written = chematic_smiles::parse(smiles).ok()?;
    let full = Graph::read(block, elements).ok()?;
    let heavy = full.without_hydrogens();
    let graph =
        [heavy, full].into_iter().find(|graph| graph.molecule.atom_count() == written.atom_count())?;
    let (here, here_order) = canonical_smiles_with_atom_order(&respelled(&graph.molecule));
    let (there, there_order) = canonical_smiles_with_atom_order(&respelled(&written));
    if here != there {
        return None;
    }
    // The same canonical text: its k-th atom is an atom of each.
    let mut pairs = Vec::with_capacity(there_order.len());
    for (there, here) in there_order.iter().zip(&here_order) {
        pairs.push((there.0, graph.source(*here)?));
    }
    pairs.sort_unstable();
    Some(pairs.into_iter().map(|(_, atom)| atom).collect())
}

/// Whether two atoms lie near enough to be bonded: within 1.3 times their covalent radii and 0.2 Å, which a second
/// neighbour is not. Unknown elements pass.
pub(super) fn within_bond_length(elements: [&str; 2], positions: [Position; 2]) -> bool {
    let [Some(first), Some(second)] = elements.map(Element::from_symbol) else { return true };
    let radii = f64::from(first.covalent_radius() + second.covalent_radius());
    let [from, to] = positions.map(|position| position.map(|axis| axis.nanos() as f64 * 1e-9));
    let squared: f64 = from.iter().zip(to).map(|(from, to)| (from - to).powi(2)).sum();
    squared.sqrt() <= 1.3 * radii + 0.2
}

/// A molecule, and which atom of the mol block each of its atoms is.
struct Graph {
    molecule: Molecule,
    atoms: Vec<usize>,
}

impl Graph {
    fn read(block: &str, elements: &[&str]) -> Result<Self, RowFault> {
        let block = unix_lines(block);
        let read = if is_v3000(&block) { read_mol_v3000_with_diagnostics } else { read_mol_with_diagnostics };
        let molecule = read(&block).map_err(|error| RowFault::Graph(error.to_string()))?.mol;
        let agrees = |(atom, found): (&str, &&str)| same_element(atom, found) || atom == "*";
        let symbols = molecule.atoms().map(|(_, atom)| atom.element.symbol());
        if molecule.atom_count() != elements.len() || !symbols.zip(elements).all(agrees) {
            return Err(RowFault::Graph("its atoms are not those of the atom block".to_owned()));
        }
        // A molecule read from SMILES is what hydrogen removal and canonical writing are defined on.
        let (text, order) = write_with_atom_order(&molecule);
        let molecule =
            chematic_smiles::parse(&text).map_err(|error| RowFault::Graph(format!("{text:?}: {error}")))?;
        let atoms: Vec<usize> = order.iter().map(|atom| atom.0 as usize).collect();
        Ok(Self { molecule, atoms })
    }

    fn without_hydrogens(&self) -> Self {
        let (mut molecule, atoms) = match rdkit_hydrogen_suppressed_with_map(&self.molecule) {
            Some((molecule, kept)) => (molecule, kept.iter().map(|&atom| self.atoms[atom]).collect()),
            // Nothing to remove; removal would also have found the aromatic rings.
            None => (apply_aromaticity(&self.molecule), self.atoms.clone()),
        };
        drop_needless_brackets(&mut molecule);
        Self { molecule, atoms }
    }

    fn source(&self, atom: AtomIdx) -> Option<usize> {
        self.atoms.get(atom.0 as usize).copied()
    }
}

/// `[CH3][OH]` to `CO`: a hydrogen count that the valence implies is left out.
fn drop_needless_brackets(molecule: &mut Molecule) {
    for index in 0..molecule.atom_count() {
        let atom = AtomIdx(index as u32);
        if molecule.atom(atom).hydrogen_count == Some(valence_inferred_hcount(molecule, atom)) {
            molecule.set_hydrogen_count(atom, None);
        }
    }
}

/// The same molecule in one spelling of aromatic rings and brackets.
fn respelled(molecule: &Molecule) -> Molecule {
    let mut molecule = apply_aromaticity(molecule);
    drop_needless_brackets(&mut molecule);
    molecule
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mol block without hydrogens, all coordinates zero.
    fn block(elements: &[&str], bonds: &[(usize, usize, usize)]) -> String {
        let mut text =
            format!("\n\n\n{:3}{:3}  0  0  0  0  0  0  0  0999 V2000\n", elements.len(), bonds.len());
        for element in elements {
            text += &format!("{:10.4}{:10.4}{:10.4} {element:<3} 0  0\n", 0.0, 0.0, 0.0);
        }
        for (from, to, order) in bonds {
            text += &format!("{from:3}{to:3}{order:3}  0\n");
        }
        text + "M  END\n"
    }

    #[test]
    fn aromatic_rings_without_hydrogens_are_found() {
        let elements = ["C", "C", "N", "C", "C"];
        let pyrrole = block(&elements, &[(1, 2, 2), (2, 3, 1), (3, 4, 1), (4, 5, 2), (5, 1, 1)]);
        let (smiles, atoms) = smiles(&pyrrole, &elements).unwrap();
        assert_eq!(smiles, "c1c[nH]cc1");
        assert_eq!(atoms, [0, 1, 2, 3, 4]);
        assert_eq!(pair("[nH]1cccc1", &pyrrole, &elements).map(|order| order[0]), Some(2));
    }

    #[test]
    fn hydrogens_stay_only_where_a_smiles_must_write_them() {
        let hydrogen = block(&["H", "H"], &[(1, 2, 1)]);
        assert_eq!(smiles(&hydrogen, &["H", "H"]).unwrap().0, "[H][H]");
        let water = block(&["H", "O", "H"], &[(1, 2, 1), (2, 3, 1)]);
        assert_eq!(smiles(&water, &["H", "O", "H"]).unwrap(), ("O".to_owned(), vec![1]));
        let heavy_water = block(&["H", "O", "H"], &[(1, 2, 1), (2, 3, 1)])
            .replace("M  END", "M  ISO  2   1   2   3   2\nM  END");
        let (text, atoms) = smiles(&heavy_water, &["H", "O", "H"]).unwrap();
        assert_eq!((text.as_str(), atoms), ("[2H]O[2H]", vec![0, 1, 2]));
    }
}
