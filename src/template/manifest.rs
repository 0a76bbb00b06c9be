//! The manifest: what an artifact is made of, for people and pipelines.

use serde::{Deserialize, Serialize};

use super::{Certificate, TemplateError};
use crate::{
    artifact::{Artifact, LiteralPlace},
    corpus::InputCounts,
    primitives::Fingerprint,
};

/// What an artifact is made of. Written as RON beside it, and as JSON on request (`"schema": "tplc.manifest/1"`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`Manifest::SCHEMA`].
    pub schema: String,
    /// The program that wrote it.
    pub written_by: String,
    /// BLAKE3 of the artifact's bytes, 64 hexadecimal digits.
    pub artifact: String,
    /// Bytes of the artifact.
    pub bytes: u64,
    /// What it was built from.
    pub source: Source,
    /// Rows of the corpus.
    pub input: InputCounts,
    /// What is in it.
    pub molecules: MoleculeCounts,
    /// Bytes by section, in the order of the file.
    pub sections: Vec<SectionSize>,
    /// What was tried and held; `None` if nothing was tried (`--certificate none`).
    pub certificate: Option<Certificate>,
    /// What position templates of the same tokenizer and number format do to real coordinates; `None` if nothing was
    /// given (`--drift`).
    #[serde(default)]
    pub drift: Option<DriftSummary>,
}

/// What was measured of position templates, which count tokens: why exact ones are needed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriftSummary {
    /// Conformers that were measured.
    pub conformers: u64,
    /// Their holes.
    pub holes: u64,
    /// Tokens wholly inside a hole.
    pub hole_tokens: HoleTokens,
    /// The placeholders that were compared.
    pub placeholders: Vec<PlaceholderDrift>,
    /// The placeholder of least cost.
    pub adaptive: Option<PlaceholderDrift>,
}

/// The tokens of holes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoleTokens {
    /// Their mean.
    pub mean: f64,
    /// The fewest.
    pub min: i64,
    /// The most.
    pub max: i64,
}

/// What one placeholder does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceholderDrift {
    /// The text that stands in each hole.
    pub text: String,
    /// The share of holes whose coordinates are shorter, 0 to 1: junk follows them.
    pub under: f64,
    /// The share of holes whose coordinates are longer, 0 to 1: digits are cut.
    pub over: f64,
}

/// What an artifact was built from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The tokenizer's name.
    pub tokenizer: String,
    /// Its content fingerprint, 64 hexadecimal digits.
    pub fingerprint: String,
    /// The width of the logits.
    pub logits_width: u32,
    /// The id that ends a sequence.
    pub eos: Option<u32>,
    /// The regex engine that cut texts for the tokenizer.
    pub regex_engine: String,
    /// The number format.
    pub number_format: String,
    /// Which spellings in tokens are accepted: `canonical` or `any`.
    pub tokenization: String,
    /// The opening and the closing tag of the completion.
    pub tags: (String, String),
    /// A prompt such as stands before it; empty without prompt tags.
    pub prompt: String,
}

/// What is in an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoleculeCounts {
    /// Molecules: distinct skeletons.
    pub molecules: u64,
    /// Their atoms.
    pub atoms: u64,
    /// Distinct literals that begin a text, stand between holes, end a text.
    pub literals: [u64; 3],
    /// States of the automaton.
    pub states: u64,
    /// Its edges.
    pub edges: u64,
    /// Ids that it uses.
    pub tokens: u64,
    /// Ids that are a choice in some state: the token alphabet.
    pub alphabet: u64,
}

/// Bytes of one section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SectionSize {
    /// The section.
    pub section: String,
    /// Its bytes.
    pub bytes: u64,
}

impl Manifest {
    /// The schema.
    pub const SCHEMA: &str = "tplc.manifest/1";

    /// The manifest of an artifact.
    pub fn new<D: AsRef<[u8]>>(
        artifact: &Artifact<D>,
        input: InputCounts,
        certificate: Option<Certificate>,
    ) -> Self {
        let tables = artifact.tables();
        let header = &tables.header;
        let atoms = artifact.rows().map(|row| row.count() as u64 - 1).sum();
        Self {
            schema: Self::SCHEMA.to_owned(),
            written_by: concat!("tplc ", env!("CARGO_PKG_VERSION")).to_owned(),
            artifact: hash(artifact.bytes()),
            bytes: artifact.bytes().len() as u64,
            source: Source {
                tokenizer: header.tokenizer.clone(),
                fingerprint: tables.fingerprint().to_string(),
                logits_width: header.logits_width,
                eos: header.eos.map(|eos| eos.0),
                regex_engine: "onig".to_owned(),
                number_format: header.number_format.clone(),
                tokenization: header.tokenization.to_string(),
                tags: (header.open.clone(), header.close.clone()),
                prompt: header.prompt.clone(),
            },
            input,
            molecules: MoleculeCounts {
                molecules: artifact.len() as u64,
                atoms,
                literals: LiteralPlace::ALL.map(|place| tables.literals[place as usize].len() as u64),
                states: tables.automaton.len() as u64,
                edges: tables.automaton.edge_count() as u64,
                tokens: tables.tokens.ids().len() as u64,
                alphabet: tables.alphabet().len() as u64,
            },
            sections: artifact
                .section_sizes()
                .map(|(section, bytes)| SectionSize { section: section.to_owned(), bytes: bytes as u64 })
                .collect(),
            certificate,
            drift: None,
        }
    }

    /// With what was measured of position templates.
    #[must_use]
    pub fn with_drift(self, drift: Option<DriftSummary>) -> Self {
        Self { drift, ..self }
    }

    /// The manifest of an artifact that was merged of others: rows add up, and it is as proven as all its parts are, since
    /// each of its literals is one of theirs.
    ///
    /// # Errors
    /// [`TemplateError::OtherDrift`] if the parts do not tell of the same drift, [`TemplateError::TooManyRows`] if their rows
    /// are more than a number holds.
    pub fn of_merged<D: AsRef<[u8]>>(
        artifact: &Artifact<D>,
        parts: Option<&[Self]>,
    ) -> Result<Self, TemplateError> {
        let parts = parts.unwrap_or_default();
        let mut input = InputCounts::default();
        for part in parts {
            input = input.checked_add(&part.input).ok_or(TemplateError::TooManyRows)?;
        }
        let drift = parts.first().and_then(|part| part.drift.clone());
        if parts.iter().any(|part| part.drift != drift) {
            return Err(TemplateError::OtherDrift);
        }
        // A part without molecules has nothing to prove.
        let mut parts = parts.iter().filter(|part| part.molecules.molecules > 0);
        let first = parts.next().and_then(|part| part.certificate.clone());
        let proven = first.filter(|_| parts.all(|part| part.certificate.is_some()));
        let mut manifest = Self::new(artifact, input, None).with_drift(drift);
        let literals = manifest.molecules.literals.iter().sum();
        manifest.certificate = proven.map(|certificate| Certificate { literals, ..certificate });
        Ok(manifest)
    }

    /// Whether it was written for these bytes.
    #[must_use]
    pub fn is_of(&self, artifact: &[u8]) -> bool {
        self.artifact == hash(artifact)
    }

    /// As RON, for people.
    ///
    /// # Errors
    /// What the writer of RON says.
    pub fn to_ron(&self) -> Result<String, ron::Error> {
        let pretty = ron::ser::PrettyConfig::new().depth_limit(3);
        Ok(ron::ser::to_string_pretty(self, pretty)? + "\n")
    }

    /// Reads RON.
    ///
    /// # Errors
    /// Where it is no manifest.
    pub fn from_ron(text: &str) -> Result<Self, ron::error::SpannedError> {
        ron::from_str(text)
    }
}

fn hash(bytes: &[u8]) -> String {
    Fingerprint(*blake3::hash(bytes).as_bytes()).to_string()
}
