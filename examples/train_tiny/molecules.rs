//! The molecules to learn from, and those to be judged by: the reference corpora in every spelling of their SMILES.

use anyhow::{Context, Result, bail};
use chematic_core::AtomIdx;
use rayon::prelude::*;
use tplc::{
    corpus::{Coordinate, Corpus, CorpusOptions, Molecule, Position, Row},
    text::Skeleton,
};

use crate::random::Random;

/// The corpora, all compiled in.
pub(crate) const CORPORA: [&str; 3] = ["drugs", "qm9", "g2"];

/// Of so many molecules of a corpus, one is never trained on.
const HELD_OUT: usize = 20;

/// The molecules of one reference corpus.
pub(crate) struct Source {
    /// `drugs`, `qm9` or `g2`.
    pub(crate) name: &'static str,
    /// Those to learn from.
    pub(crate) seen: Vec<Molecule>,
    /// Those that are only for judging.
    pub(crate) held_out: Vec<Molecule>,
}

/// Reads the reference corpora.
pub(crate) fn sources() -> Result<Vec<Source>> {
    CORPORA.into_iter().map(source).collect()
}

fn source(name: &'static str) -> Result<Source> {
    let corpus = Corpus::open(&[format!("reference:{name}")], &CorpusOptions::default())?;
    let mut source = Source { name, seen: Vec::new(), held_out: Vec::new() };
    for (index, record) in corpus.records().enumerate() {
        let Row::Molecule(molecule) = record?.parse()? else { bail!("{name} holds text, not molecules") };
        let side = if index % HELD_OUT == HELD_OUT - 1 { &mut source.held_out } else { &mut source.seen };
        side.push(molecule);
    }
    Ok(source)
}

/// One way to write a molecule: a SMILES, and for each atom of it the atom of the corpus.
pub(crate) struct Spelling {
    pub(crate) smiles: String,
    order: Vec<usize>,
}

/// A molecule with all its spellings.
pub(crate) struct Example {
    spellings: Vec<Spelling>,
    conformers: Vec<Vec<Position>>,
}

impl Example {
    /// The corpus's own spelling, and one from each atom.
    pub(crate) fn all(molecules: &[Molecule]) -> Result<Vec<Self>> {
        molecules.par_iter().map(Self::new).collect()
    }

    fn new(molecule: &Molecule) -> Result<Self> {
        let graph = chematic_smiles::parse(&molecule.smiles)
            .with_context(|| format!("cannot read {:?}", molecule.smiles))?;
        let atoms = molecule.conformers.first().map_or(0, Vec::len);
        let mut spellings = vec![Spelling { smiles: molecule.smiles.clone(), order: (0..atoms).collect() }];
        // Some stereo marks cannot be written from another atom; such a molecule has fewer spellings.
        let rooted = (0..atoms).filter_map(|root| chematic_smiles::write_rooted_checked(&graph, root).ok());
        for (smiles, order) in rooted {
            let order: Vec<usize> = order.into_iter().map(|AtomIdx(atom)| atom as usize).collect();
            let known = spellings.iter().any(|spelling| spelling.smiles == smiles);
            if !known && Skeleton::new(&smiles, None).is_ok_and(|skeleton| skeleton.atoms() == order.len()) {
                spellings.push(Spelling { smiles, order });
            }
        }
        Ok(Self { spellings, conformers: molecule.conformers.clone() })
    }

    pub(crate) fn conformers(&self) -> usize {
        self.conformers.len()
    }

    /// A SMILES with positions for its atoms: half the time as the corpus writes it, else any spelling; always turned
    /// by a random rotation.
    pub(crate) fn draw(&self, conformer: usize, random: &mut Random) -> Result<(&str, Vec<Position>)> {
        let spelling = if random.unit() < 0.5 { 0 } else { random.below(self.spellings.len()) };
        let spelling = &self.spellings[spelling];
        let rotation = rotation(random);
        let turned = spelling.order.iter().map(|&atom| turn(&rotation, &self.conformers[conformer][atom]));
        Ok((&spelling.smiles, turned.collect::<Result<_>>()?))
    }
}

/// A rotation, each as likely as any other: from a random unit quaternion.
fn rotation(random: &mut Random) -> [[f64; 3]; 3] {
    let drawn = [(); 4].map(|()| random.normal());
    let length = drawn.iter().map(|part| part * part).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    let [w, x, y, z] = drawn.map(|part| part / length);
    [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
    ]
}

fn turn(rotation: &[[f64; 3]; 3], position: &Position) -> Result<Position> {
    let from = position.map(|axis| axis.nanos() as f64 * 1e-9);
    let mut turned = Position::default();
    for (axis, row) in turned.iter_mut().zip(rotation) {
        let value: f64 = row.iter().zip(from).map(|(factor, part)| factor * part).sum();
        *axis = Coordinate::from_nanos((value * 1e9).round() as i64);
    }
    Ok(turned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(from: &Position, to: &Position) -> f64 {
        let parts = from.iter().zip(to).map(|(from, to)| ((from.nanos() - to.nanos()) as f64 * 1e-9).powi(2));
        parts.sum::<f64>().sqrt()
    }

    #[test]
    fn turning_keeps_every_distance() {
        let source = source("g2").unwrap();
        let mut random = Random::new(7);
        for molecule in &source.seen {
            let rotation = rotation(&mut random);
            let atoms = &molecule.conformers[0];
            let turned: Vec<Position> = atoms.iter().map(|atom| turn(&rotation, atom).unwrap()).collect();
            for (i, j) in (0..atoms.len()).flat_map(|i| (0..i).map(move |j| (i, j))) {
                let change = distance(&atoms[i], &atoms[j]) - distance(&turned[i], &turned[j]);
                assert!(change.abs() < 1e-8, "{} {change}", molecule.smiles);
            }
        }
    }

    /// Elements by position: another spelling must give each atom its own coordinates.
    #[test]
    fn spellings_pair_each_atom_with_its_own_position() {
        use tplc::corpus::Smiles;
        let source = source("drugs").unwrap();
        let examples = Example::all(&source.seen[..40]).unwrap();
        let mut others = 0;
        for (molecule, example) in source.seen.iter().zip(&examples) {
            let elements = |smiles: &str| -> Vec<String> {
                let parsed = Smiles::parse(smiles).unwrap();
                parsed.atoms().iter().map(|atom| atom.symbol.of(smiles).to_ascii_lowercase()).collect()
            };
            let original = elements(&molecule.smiles);
            for spelling in &example.spellings {
                let paired: Vec<&String> = spelling.order.iter().map(|&atom| &original[atom]).collect();
                assert_eq!(elements(&spelling.smiles).iter().collect::<Vec<_>>(), paired);
            }
            others += example.spellings.len() - 1;
        }
        assert!(others > 200, "{others}");
    }
}
