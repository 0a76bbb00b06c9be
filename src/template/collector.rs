//! Collecting the molecules of a corpus: literals once each, molecules once each.

use std::collections::{BTreeSet, HashSet};

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::{Compiler, TemplateError};
use crate::{
    artifact::{LiteralPlace, Tables, write},
    text::Skeleton,
};

/// The distinct skeletons of a corpus, in little memory: four bytes an atom and something for each molecule.
///
/// What is built of it does not depend on the order in which skeletons were added.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    literals: [FxHashMap<Box<str>, u32>; 3],
    molecules: HashSet<Box<[u32]>, FxBuildHasher>,
    atoms: u64,
    row: Vec<u32>,
}

impl Collector {
    /// Adds a skeleton. Returns whether it is new.
    pub fn add(&mut self, skeleton: &Skeleton) -> bool {
        let atoms = skeleton.atoms();
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        for (index, literal) in skeleton.literals().enumerate() {
            let literals = &mut self.literals[LiteralPlace::of(index, atoms) as usize];
            let next = literals.len() as u32;
            row.push(match literals.get(literal) {
                Some(&known) => known,
                None => *literals.entry(literal.into()).or_insert(next),
            });
        }
        let new = !self.molecules.contains(row.as_slice());
        if new {
            self.molecules.insert(row.as_slice().into());
            self.atoms += atoms as u64;
        }
        self.row = row;
        new
    }

    /// The number of molecules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.molecules.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.molecules.is_empty()
    }

    /// The atoms of all molecules.
    #[must_use]
    pub fn atoms(&self) -> u64 {
        self.atoms
    }

    /// The literals by place, ascending.
    #[must_use]
    pub fn literals(&self) -> [BTreeSet<&str>; 3] {
        let sorted = |place: usize| self.literals[place].keys().map(AsRef::as_ref).collect();
        [0, 1, 2].map(sorted)
    }

    /// The molecules, each as the indices of its literals in `tables`; in no order.
    fn rows(&self, tables: &Tables) -> impl Iterator<Item = Box<[u32]>> {
        let renumbered = [0, 1, 2].map(|place: usize| {
            let mut numbers = vec![0; self.literals[place].len()];
            for (index, (literal, _)) in tables.literals[place].iter().enumerate() {
                if let Some(&number) = self.literals[place].get(literal) {
                    numbers[number as usize] = index as u32;
                }
            }
            numbers
        });
        #[allow(clippy::iter_over_hash_type, reason = "the writer sorts")]
        self.molecules.iter().map(move |row| {
            let atoms = row.len().saturating_sub(1);
            let number = |(index, &literal): (usize, &u32)| {
                renumbered[LiteralPlace::of(index, atoms) as usize][literal as usize]
            };
            row.iter().enumerate().map(number).collect()
        })
    }

    /// The bytes of the artifact.
    ///
    /// # Errors
    /// [`TemplateError`] if a literal cannot be compiled.
    pub fn build(&self, compiler: &Compiler<'_>) -> Result<Vec<u8>, TemplateError> {
        let tables = compiler.tables(&self.literals())?;
        Ok(write(&tables, self.rows(&tables))?)
    }
}
