//! How to read a corpus.

use super::{CorpusError, CorpusFormat};

/// How to read a corpus; the default reads what the field writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorpusOptions {
    /// The format of every input; `None` tells it from the file name, or else from the content.
    pub format: Option<CorpusFormat>,
    /// Field names of JSON lines and column names of Parquet.
    pub fields: JsonFields,
    /// Where the SMILES of an SDF record comes from.
    pub smiles: SmilesSource,
    /// Whether a row without any conformer has a fault. Templates need none, only the SMILES.
    pub conformers: bool,
    /// A record longer than this many bytes is rejected; memory is bounded by it.
    pub max_record_bytes: usize,
}

impl Default for CorpusOptions {
    fn default() -> Self {
        Self {
            format: None,
            fields: JsonFields::default(),
            smiles: SmilesSource::default(),
            conformers: true,
            max_record_bytes: 64 << 20,
        }
    }
}

/// Field names of JSON lines and column names of Parquet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonFields {
    /// The molecule's name, optional.
    pub name: String,
    /// The SMILES whose atoms the conformers follow.
    pub smiles: String,
    /// The conformers: each a list of `[x, y, z]`, one for each atom of the SMILES.
    pub conformers: String,
    /// The canonical SMILES beside enriched text, optional.
    pub canonical: String,
    /// Enriched text: one string, or a list of them.
    pub enriched: String,
}

impl Default for JsonFields {
    fn default() -> Self {
        Self {
            name: "name".into(),
            smiles: "smiles".into(),
            conformers: "conformers".into(),
            canonical: "canonical".into(),
            enriched: "enriched".into(),
        }
    }
}

impl JsonFields {
    /// What a row or file has instead of the fields that it lacks, and what to do.
    pub(super) fn there(&self, names: &[String]) -> String {
        /// Names that are listed.
        const LISTED: usize = 8;
        let listed: Vec<String> = names.iter().take(LISTED).map(|name| format!("{name:?}")).collect();
        let more = if names.len() > LISTED { ", …" } else { "" };
        match listed.is_empty() {
            true => "it has none at all".to_owned(),
            false => {
                format!("it has {}{more}; if one of these is meant, say so with --fields", listed.join(", "))
            }
        }
    }

    /// Says how one of the fields is called in a corpus.
    ///
    /// # Errors
    /// [`CorpusError::UnknownField`] if there is no field of that name.
    pub fn set(&mut self, name: &str, field: &str) -> Result<(), CorpusError> {
        let slot = match name {
            "name" => &mut self.name,
            "smiles" => &mut self.smiles,
            "conformers" => &mut self.conformers,
            "canonical" => &mut self.canonical,
            "enriched" => &mut self.enriched,
            _ => return Err(CorpusError::UnknownField { name: name.to_owned() }),
        };
        field.clone_into(slot);
        Ok(())
    }
}

/// Where the SMILES of an SDF record comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SmilesSource {
    /// The first of these data fields that the record has; a record without any has a fault.
    Fields(Vec<String>),
    /// The first of these data fields that the record has, or else the molecular graph.
    FieldsOrGraph(Vec<String>),
    /// Always the molecular graph.
    Graph,
}

impl SmilesSource {
    /// By names as given: of data fields, and `graph` for the molecular graph where none of them is; without one, the
    /// default.
    #[must_use]
    pub fn of_fields(names: &[String]) -> Self {
        let fields: Vec<String> = names.iter().filter(|name| *name != "graph").cloned().collect();
        match (names.is_empty(), fields.is_empty(), fields.len() < names.len()) {
            (true, ..) => Self::default(),
            (_, true, _) => Self::Graph,
            (_, _, true) => Self::FieldsOrGraph(fields),
            (_, _, false) => Self::Fields(fields),
        }
    }
}

impl Default for SmilesSource {
    /// The usual names, or else the graph.
    fn default() -> Self {
        let names = ["smiles", "SMILES", "canonical_smiles", "PUBCHEM_OPENEYE_ISO_SMILES", "PUBCHEM_SMILES"];
        Self::FieldsOrGraph(names.map(str::to_owned).to_vec())
    }
}
