//! Corpora in: molecules and enriched text from files, streaming, with every bad row told apart.

mod coordinate;
mod smiles;

pub use coordinate::{Coordinate, CoordinateError, MAX_DECIMALS};
pub use smiles::{Smiles, SmilesAtom, SmilesError, SmilesFault};

/// One molecule: a SMILES and any number of conformers of it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Molecule {
    /// Its name, where the corpus gives one.
    pub name: Option<String>,
    /// The SMILES as the corpus writes it.
    pub smiles: String,
    /// Conformers: one position for each atom of `smiles`, in its order.
    pub conformers: Vec<Vec<Position>>,
}

/// The x, y and z of one atom.
pub type Position = [Coordinate; 3];
