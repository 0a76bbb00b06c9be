//! What is exported, whatever the format of the file.

use serde::Serialize;

use crate::{artifact::Tables, template::PositionTemplate};

/// Position templates of molecules, once for each placeholder.
pub(super) struct Export {
    pub(super) heading: Heading,
    /// The molecules, in the order of the rows.
    pub(super) smiles: Vec<String>,
    /// One entry for each placeholder.
    pub(super) arrays: Vec<Arrays>,
}

/// What the arrays were made with.
#[derive(Serialize)]
pub(super) struct Heading {
    schema: &'static str,
    tokenizer: String,
    fingerprint: String,
    number_format: String,
    tags: [String; 2],
    prompt: String,
    eos: Option<u32>,
    pub(super) placeholders: Vec<Placeholder>,
}

/// A text that stands in every hole.
#[derive(Serialize)]
pub(super) struct Placeholder {
    /// What its arrays are called by: `p0`, `p1`, …
    pub(super) name: String,
    pub(super) text: String,
    /// Who wants it: `blocklist`, `allowlist`, `given`, `adaptive`.
    pub(super) sources: Vec<&'static str>,
}

/// What stands beside arrays that have no room for text, as JSON.
#[derive(Serialize)]
struct Facts<'e> {
    #[serde(flatten)]
    heading: &'e Heading,
    smiles: &'e [String],
}

/// Position templates end to end: those of molecule i are `offsets[i]..offsets[i + 1]` of each array.
pub(super) struct Arrays {
    offsets: Vec<u64>,
    ref_ids: Vec<u32>,
    is_free: Vec<bool>,
    first: Vec<bool>,
    last_two: Vec<bool>,
}

/// The values of one array.
#[derive(Clone, Copy)]
pub(super) enum Values<'a> {
    U64(&'a [u64]),
    U32(&'a [u32]),
    Bool(&'a [bool]),
}

impl Heading {
    pub(super) fn new(tables: &Tables, placeholders: Vec<Placeholder>) -> Self {
        let header = &tables.header;
        Self {
            schema: "tplc.export/1",
            tokenizer: header.tokenizer.clone(),
            fingerprint: tables.fingerprint().to_string(),
            number_format: header.number_format.clone(),
            tags: [header.open.clone(), header.close.clone()],
            prompt: header.prompt.clone(),
            eos: header.eos.map(|eos| eos.0),
            placeholders,
        }
    }
}

impl Export {
    /// All arrays by name: `p0.offsets`, `p0.ref_ids`, …
    pub(super) fn named(&self) -> impl Iterator<Item = (String, Values<'_>)> {
        self.heading.placeholders.iter().zip(&self.arrays).flat_map(|(placeholder, arrays)| {
            arrays.columns().map(|(column, values)| (format!("{}.{column}", placeholder.name), values))
        })
    }

    /// All but the arrays, as JSON.
    pub(super) fn facts(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Facts { heading: &self.heading, smiles: &self.smiles })
    }
}

impl FromIterator<PositionTemplate> for Arrays {
    fn from_iter<T: IntoIterator<Item = PositionTemplate>>(templates: T) -> Self {
        let mut arrays = Self {
            offsets: vec![0],
            ref_ids: Vec::new(),
            is_free: Vec::new(),
            first: Vec::new(),
            last_two: Vec::new(),
        };
        for template in templates {
            arrays.ref_ids.extend(template.ref_ids.iter().map(|id| id.0));
            arrays.is_free.extend(template.is_free);
            arrays.first.extend(template.first);
            arrays.last_two.extend(template.last_two);
            arrays.offsets.push(arrays.ref_ids.len() as u64);
        }
        arrays
    }
}

impl Arrays {
    pub(super) fn positions(&self) -> usize {
        self.ref_ids.len()
    }

    pub(super) fn free(&self) -> usize {
        self.is_free.iter().filter(|&&free| free).count()
    }

    fn columns(&self) -> [(&'static str, Values<'_>); 5] {
        let [ids, free, first, last] = self.positional(0..self.positions());
        [("offsets", Values::U64(&self.offsets)), ids, free, first, last]
    }

    /// The arrays of one molecule.
    pub(super) fn row(&self, molecule: usize) -> [(&'static str, Values<'_>); 4] {
        let bound = |index: usize| self.offsets.get(index).map_or(self.positions(), |&at| at as usize);
        self.positional(bound(molecule)..bound(molecule + 1))
    }

    fn positional(&self, range: std::ops::Range<usize>) -> [(&'static str, Values<'_>); 4] {
        [
            ("ref_ids", Values::U32(&self.ref_ids[range.clone()])),
            ("is_free", Values::Bool(&self.is_free[range.clone()])),
            ("first", Values::Bool(&self.first[range.clone()])),
            ("last_two", Values::Bool(&self.last_two[range])),
        ]
    }
}

impl Values<'_> {
    pub(super) fn len(self) -> usize {
        match self {
            Self::U64(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::Bool(values) => values.len(),
        }
    }

    /// The bytes of one value.
    pub(super) fn width(self) -> usize {
        match self {
            Self::U64(_) => 8,
            Self::U32(_) => 4,
            Self::Bool(_) => 1,
        }
    }

    /// All values, little-endian.
    pub(super) fn bytes(self) -> Vec<u8> {
        match self {
            Self::U64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::U32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Bool(values) => values.iter().map(|&value| u8::from(value)).collect(),
        }
    }
}
