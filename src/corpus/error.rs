//! What can go wrong: with the whole corpus, or with one row of it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::{CoordinateError, SmilesError};

/// Why a corpus cannot be read at all. Bad rows are [`RowError`]s and never stop a run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Neither a file, nor a folder, nor a pattern that matches any.
    #[error(
        "no file at {input:?}; give a file, a folder, a pattern such as 'data/*.sdf', '-' or 'reference:drugs'"
    )]
    NotFound {
        /// The input as given.
        input: String,
    },
    /// A pattern or folder with nothing to read.
    #[error(
        "{input:?} has no corpus file (.txt .smi .enriched .jsonl .ndjson .sdf .mol .xyz .extxyz .parquet, plain, .gz or .zst)"
    )]
    NoMatch {
        /// The input as given.
        input: String,
    },
    /// A pattern that does not follow the glob syntax.
    #[error("bad pattern {input:?}: {reason}")]
    BadPattern {
        /// The input as given.
        input: String,
        /// What the pattern parser says.
        reason: String,
    },
    /// An embedded corpus that does not exist.
    #[error("no reference corpus {name:?}; there are {known}")]
    UnknownReference {
        /// The name as given.
        name: String,
        /// The names there are.
        known: &'static str,
    },
    /// A format name that does not exist.
    #[error("no corpus format {name:?}; there are enriched, smiles, jsonl, sdf, xyz and parquet")]
    UnknownFormat {
        /// The name as given.
        name: String,
    },
    /// A field name that does not exist.
    #[error("no field {name:?}; there are name, smiles, conformers, canonical, enriched")]
    UnknownField {
        /// The name as given.
        name: String,
    },
    /// No input was given.
    #[error("no corpus given; give files, folders, patterns, '-' or 'reference:drugs'")]
    NoInput,
    /// A Parquet file, and a build without the feature.
    #[error(
        "{file} is Parquet, which this build does not read; install with: cargo install tplc --features parquet"
    )]
    NoParquet {
        /// The file.
        file: Arc<str>,
    },
    /// A Parquet file that cannot be opened as such.
    #[error("cannot read {file} as Parquet: {reason}")]
    Parquet {
        /// The file.
        file: Arc<str>,
        /// What is wrong.
        reason: String,
    },
}

/// One rejected row: where it is and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}:{line}: {reason}")]
pub struct RowError {
    /// The file as shown to people.
    pub file: Arc<str>,
    /// The line where the record starts, from 1 (in Parquet: the row).
    pub line: u64,
    /// Why the row is rejected.
    pub reason: RowFault,
}

/// Why one row is rejected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RowFault {
    /// The file ends, or the next record begins, inside this one.
    #[error("truncated: {0}")]
    Truncated(String),
    /// The compressed bytes are damaged or cut off here; records after this point are lost.
    #[error("the compressed data breaks off here ({0}); records after this point are lost")]
    Compression(String),
    /// The record is larger than [`CorpusOptions::max_record_bytes`](super::CorpusOptions::max_record_bytes).
    #[error("the record is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// A byte that is not UTF-8.
    #[error("not UTF-8 at byte {at}")]
    NotUtf8 {
        /// The first bad byte, from 0, in the record.
        at: usize,
    },
    /// A line that is not JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// A value that Python's `json` writes and JSON does not have.
    #[error(
        "{value} is no JSON and no coordinate (Python's json writes it for a missing value); drop the row"
    )]
    BareNonFinite {
        /// `NaN`, `Infinity` or `-Infinity`.
        value: String,
    },
    /// Fields that a row needs and does not have.
    #[error("no {0}")]
    Missing(String),
    /// A field with the wrong kind of value.
    #[error("{field:?} is not {expected}")]
    WrongType {
        /// The field.
        field: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A number that is no coordinate.
    #[error("conformer {conformer}, atom {atom}: {source}")]
    Coordinate {
        /// The conformer, from 1.
        conformer: usize,
        /// The atom, from 1.
        atom: usize,
        /// What is wrong with the number.
        source: CoordinateError,
    },
    /// A position without exactly three numbers.
    #[error("conformer {conformer}, atom {atom}: {found} numbers instead of x, y and z")]
    NotThree {
        /// The conformer, from 1.
        conformer: usize,
        /// The atom, from 1.
        atom: usize,
        /// How many numbers there are.
        found: usize,
    },
    /// A text that should be a SMILES.
    #[error(transparent)]
    Smiles(#[from] SmilesError),
    /// The counts or header line of a mol block or frame.
    #[error("bad counts line {0:?}")]
    BadCounts(String),
    /// An atom line that cannot be read.
    #[error("bad atom line {atom}: {line:?}")]
    BadAtomLine {
        /// The atom, from 1.
        atom: usize,
        /// The line.
        line: String,
    },
    /// The atoms of the SMILES are not those of the record.
    #[error("{smiles:?} has {written} atoms; the record has {atoms}, {heavy} without hydrogens")]
    AtomCount {
        /// The SMILES.
        smiles: String,
        /// Atoms written in it.
        written: usize,
        /// Atoms in the record.
        atoms: usize,
        /// Atoms in the record that are not hydrogen.
        heavy: usize,
    },
    /// As many atoms, but other elements or another order; for an SDF, the graph gives no mapping either.
    #[error(
        "the atoms of {smiles:?} do not follow the record's: atom {atom} is {written} there and {found} here; put them \
         in one order, or (SDF) take the SMILES from the graph"
    )]
    AtomOrder {
        /// The SMILES.
        smiles: String,
        /// The first atom that differs, from 1.
        atom: usize,
        /// Its element in the SMILES.
        written: String,
        /// Its element in the record.
        found: String,
    },
    /// The same elements in the same order, but other atoms are bonded; for an SDF, the graph gives no mapping either.
    #[error(
        "{smiles:?} bonds its atoms {from} and {to}, which are not bonded so, or lie far apart, in the record; put the \
         atoms in one order, or (SDF) take the SMILES from the graph"
    )]
    BondOrder {
        /// The SMILES.
        smiles: String,
        /// An atom of the SMILES, from 1.
        from: usize,
        /// The atom that it is bonded to, from 1.
        to: usize,
    },
    /// An atom with other hydrogens than the SMILES states; the graph gives no mapping either.
    #[error(
        "{smiles:?} states other hydrogens on its atom {atom} than the record has; put the atoms in one order, or take \
         the SMILES from the graph"
    )]
    Hydrogens {
        /// The SMILES.
        smiles: String,
        /// The atom of the SMILES, from 1.
        atom: usize,
    },
    /// No SMILES can be written for the record's graph.
    #[error("no SMILES from the molecular graph: {0}")]
    Graph(String),
    /// A reason found by a later layer, such as the text layer.
    #[error("{0}")]
    Text(String),
}

impl RowFault {
    /// A counts line that cannot be read.
    pub(super) fn counts(line: &str) -> Self {
        Self::BadCounts(start_of(line))
    }

    /// An atom line that cannot be read; `atom` counts from 1.
    pub(super) fn atom_line(atom: usize, line: &str) -> Self {
        Self::BadAtomLine { atom, line: start_of(line) }
    }
}

/// Enough of a line to recognise it by.
fn start_of(line: &str) -> String {
    line.chars().take(80).collect()
}
