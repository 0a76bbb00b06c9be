//! Corpora in: molecules and enriched text from files, streaming, with every bad row told apart.
//!
//! [`Corpus::open`] resolves inputs, [`Corpus::records`] cuts them into raw [`Record`]s (serial, cheap, constant
//! memory), and [`Record::parse`] reads one record (pure, so it can run in parallel). A record is one [`Row`], good or bad
//! as a whole; a bad one is a [`RowError`] that names file, line and reason, and never stops a run. Coordinates are exact decimals ([`Coordinate`]).
//!
//! Formats: enriched text lines, JSON lines, SDF (V2000 and V3000), extended XYZ, and Parquet (build feature
//! `parquet`); plain, gzip or zstd.

mod batch;
mod coordinate;
mod ctab;
mod error;
mod format;
mod frame;
mod graph;
mod jsonl;
mod options;
mod pairing;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(not(feature = "parquet"))]
#[path = "parquet_absent.rs"]
mod parquet;
mod record;
mod records;
mod reference;
mod sdf;
mod smiles;
mod source;
mod stream;
mod xyz;

pub use batch::{InputCounts, Progress, Rejected, for_each_row};
pub use coordinate::{Coordinate, CoordinateError, MAX_DECIMALS};
pub use error::{CorpusError, RowError, RowFault};
pub use format::CorpusFormat;
pub use options::{CorpusOptions, JsonFields, SmilesSource};
pub use record::{EnrichedRow, Record, Row};
pub use records::{Corpus, Records};
pub use smiles::{Smiles, SmilesAtom, SmilesBond, SmilesError, SmilesFault};
pub use stream::BytesRead;

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

/// The position on an atom line; `atom` counts from 1.
fn position(atom: usize, numbers: [&str; 3]) -> Result<Position, RowFault> {
    let mut position = Position::default();
    for (axis, number) in position.iter_mut().zip(numbers) {
        *axis = Coordinate::parse(number).map_err(|source| RowFault::Coordinate {
            conformer: 1,
            atom,
            source,
        })?;
    }
    Ok(position)
}
