//! Exports as JSON: one object, molecule by molecule.

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
    templates: InOrder<&'e str, InOrder<&'static str, Values<'e>>>,
}

/// An object whose fields stay in order.
struct InOrder<K, V>(Vec<(K, V)>);

/// The bytes of the file.
pub(super) fn bytes(export: &Export) -> Result<Vec<u8>> {
    let templates = |molecule: usize| {
        let names = export.heading.placeholders.iter().map(|placeholder| placeholder.name.as_str());
        let rows = export.arrays.iter().map(|arrays| InOrder(arrays.row(molecule).into()));
        InOrder(names.zip(rows).collect())
    };
    let molecules = export.smiles.iter().enumerate();
    let molecules = molecules.map(|(index, smiles)| Molecule { smiles, templates: templates(index) });
    let mut bytes = serde_json::to_vec(&File { heading: &export.heading, molecules: molecules.collect() })?;
    bytes.push(b'\n');
    Ok(bytes)
}

impl<K: Serialize, V: Serialize> Serialize for InOrder<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
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
