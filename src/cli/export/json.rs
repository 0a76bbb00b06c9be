//! Exports as JSON: one object, molecule by molecule.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Serialize, Serializer};

use super::arrays::{Export, Heading, Values};

/// Schema `tplc.export/1`, described in `docs/export.md`.
#[derive(Serialize)]
struct File<'e> {
    #[serde(flatten)]
    heading: &'e Heading,
    molecules: Vec<Molecule<'e>>,
}

#[derive(Serialize)]
struct Molecule<'e> {
    smiles: &'e str,
    /// Arrays by the name of the placeholder, then by their own.
    templates: BTreeMap<&'e str, BTreeMap<&'static str, Values<'e>>>,
}

/// The bytes of the file.
pub(super) fn bytes(export: &Export) -> Result<Vec<u8>> {
    let templates = |molecule: usize| {
        let names = export.heading.placeholders.iter().map(|placeholder| placeholder.name.as_str());
        names.zip(export.arrays.iter().map(|arrays| arrays.row(molecule).into())).collect()
    };
    let molecules = export.smiles.iter().enumerate();
    let molecules = molecules.map(|(index, smiles)| Molecule { smiles, templates: templates(index) });
    let mut bytes = serde_json::to_vec(&File { heading: &export.heading, molecules: molecules.collect() })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Flags are written as 0 and 1, which keeps a position in a column.
impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::U64(values) => values.serialize(serializer),
            Self::U32(values) => values.serialize(serializer),
            Self::Bool(values) => serializer.collect_seq(values.iter().map(|&value| u8::from(value))),
        }
    }
}
