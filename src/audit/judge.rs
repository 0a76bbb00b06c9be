//! Generations as lines of JSON, held against what they should be.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Auditor, Judgement, Totals};
use crate::{
    artifact::{Tables, Template},
    corpus::{
        Corpus, CorpusError, CorpusFormat, CorpusOptions, InputCounts, Record, Row, RowError, RowFault,
    },
    matcher::Matcher,
    primitives::TokenId,
    template::{CertificateError, TemplateOptions, same_tokenizer},
    text::{NumberFormatError, Skeleton},
    tokenizer::Tokenizer,
};

/// Why generations cannot be judged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AuditError {
    /// Reading them, or the corpus of their names, stopped.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// A row of the corpus of their names has a fault.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The artifact was built for another tokenizer.
    #[error(transparent)]
    Tokenizer(Box<CertificateError>),
    /// The number format of the artifact cannot be read.
    #[error(transparent)]
    Format(#[from] NumberFormatError),
    /// Text and automaton say two things of one generation: a defect.
    #[error(
        "line {line}: the artifact and the tokenizer do not agree ({fault}): run `tplc check --exhaustive` and report it"
    )]
    Disagreement {
        /// The line of the generation.
        line: u64,
        /// What the text says.
        fault: String,
    },
}

/// Judges lines of JSON: `{"ids": [...]}` or `{"text": "..."}`, with `smiles` or `name` if the text alone does not say which
/// molecule. Ids are judged in two ways that know nothing of each other, by an [`Auditor`] and by the artifact's automaton.
#[derive(Clone, Debug)]
pub struct Judge<'t> {
    tokenizer: &'t Tokenizer,
    auditor: Auditor<'t>,
    options: TemplateOptions,
    tables: Option<Arc<Tables>>,
    names: BTreeMap<String, String>,
}

/// One line of input. Other fields are left alone.
#[derive(Deserialize)]
struct Line {
    ids: Option<Vec<u32>>,
    text: Option<String>,
    smiles: Option<String>,
    name: Option<String>,
}

/// A generation and what it is, as a line of JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// Its line in the input, from 1.
    pub line: u64,
    /// What it is.
    #[serde(flatten)]
    pub judgement: Judgement,
}

/// What an audit says of all: schema `tplc.audit/1`.
#[derive(Clone, Debug, Serialize)]
pub struct AuditReport<'a> {
    /// The schema.
    pub schema: &'static str,
    /// The tokenizer's name.
    pub tokenizer: &'a str,
    /// The number format.
    pub number_format: String,
    /// Lines of input.
    pub input: &'a InputCounts,
    /// The sums.
    #[serde(flatten)]
    pub totals: &'a Totals,
}

impl<'t> Judge<'t> {
    /// A judge of what templates with these options allow.
    #[must_use]
    pub fn new(tokenizer: &'t Tokenizer, options: TemplateOptions) -> Self {
        let auditor = Auditor::new(tokenizer, &options);
        Self { tokenizer, auditor, options, tables: None, names: BTreeMap::new() }
    }

    /// A judge of what the templates of an artifact allow.
    ///
    /// # Errors
    /// [`AuditError::Tokenizer`] if it was built for another tokenizer, [`AuditError::Format`] if its number format cannot be
    /// read.
    pub fn of_artifact(tokenizer: &'t Tokenizer, tables: &Arc<Tables>) -> Result<Self, AuditError> {
        same_tokenizer(tables, tokenizer).map_err(|error| AuditError::Tokenizer(error.into()))?;
        let judge = Self::new(tokenizer, TemplateOptions::of(&tables.header)?);
        Ok(Self { tables: Some(Arc::clone(tables)), ..judge })
    }

    /// Says which SMILES a name means.
    pub fn add_name(&mut self, name: String, smiles: String) {
        self.names.insert(name, smiles);
    }

    /// Takes the names of the molecules of a corpus.
    ///
    /// # Errors
    /// [`AuditError::Corpus`] or [`AuditError::Row`] if it cannot be read.
    pub fn read_names(&mut self, inputs: &[String]) -> Result<(), AuditError> {
        if inputs.is_empty() {
            return Ok(());
        }
        let options = CorpusOptions { conformers: false, ..CorpusOptions::default() };
        for record in Corpus::open(inputs, &options)?.records() {
            let (name, smiles) = match record?.parse()? {
                Row::Molecule(molecule) => (molecule.name, Some(molecule.smiles)),
                Row::Enriched(row) => (row.name, row.smiles),
            };
            self.names.extend(name.zip(smiles));
        }
        Ok(())
    }

    /// How generations are read: as lines of JSON, whatever their file is called.
    #[must_use]
    pub fn corpus_options() -> CorpusOptions {
        CorpusOptions { format: Some(CorpusFormat::JsonLines), ..CorpusOptions::default() }
    }

    /// The answer on all generations.
    #[must_use]
    pub fn report<'a>(&'a self, input: &'a InputCounts, totals: &'a Totals) -> AuditReport<'a> {
        AuditReport {
            schema: "tplc.audit/1",
            tokenizer: self.tokenizer.name(),
            number_format: self.options.format.to_string(),
            input,
            totals,
        }
    }

    /// Judges one line; the inner error is why it cannot be judged.
    ///
    /// # Errors
    /// [`AuditError::Disagreement`] if text and automaton say two things of it.
    pub fn judge(&self, record: &Record) -> Result<Result<Judged, RowError>, AuditError> {
        match self.judge_line(record.bytes()) {
            Ok(Ok(judgement)) => Ok(Ok(Judged { line: record.line(), judgement })),
            Ok(Err(fault)) => Err(AuditError::Disagreement { line: record.line(), fault }),
            Err(fault) => Ok(Err(record.reject(RowFault::Text(fault)))),
        }
    }

    fn judge_line(&self, line: &[u8]) -> Result<Result<Judgement, String>, String> {
        let line: Line = serde_json::from_slice(line).map_err(|error| no_line(&error))?;
        let smiles = match (&line.smiles, &line.name) {
            (Some(smiles), _) => Some(smiles),
            (None, Some(name)) => Some(
                self.names.get(name).ok_or_else(|| format!("no molecule of a --corpus is named {name:?}"))?,
            ),
            (None, _) => None,
        };
        let tags = self.options.tags.completion.as_ref();
        let expected = smiles.map(|smiles| Skeleton::new(smiles, tags)).transpose();
        let expected = expected.map_err(|error| error.to_string())?;
        match (&line.ids, &line.text) {
            (Some(ids), None) => {
                let ids: Vec<TokenId> = ids.iter().copied().map(TokenId).collect();
                Ok(self.judge_ids(expected, &ids))
            }
            (None, Some(text)) => Ok(Ok(self.auditor.judge_text(expected.as_ref(), text))),
            _ => Err("a generation has either \"ids\" or \"text\"".to_owned()),
        }
    }

    /// Judges ids as text and by the automaton; the error is the fault that only one of them sees.
    fn judge_ids(&self, expected: Option<Skeleton>, ids: &[TokenId]) -> Result<Judgement, String> {
        let judgement = self.auditor.judge_ids(expected.as_ref(), ids);
        let molecule = expected.or_else(|| self.auditor.molecule(ids));
        if let (Some(tables), Some(molecule)) = (&self.tables, molecule) {
            let literals: Vec<&str> = molecule.literals().collect();
            // A molecule with a literal that the artifact lacks has no template to follow.
            if let Ok(template) = Template::of_literals(tables, literals.into_iter()) {
                let mut matcher = Matcher::new(template);
                let taken = ids.iter().take_while(|&&id| matcher.advance(id).is_ok()).count();
                // Behind the end, padding may stand.
                let special = |&id: &TokenId| self.auditor.is_padding(id);
                let accepted = matcher.is_finished() && ids[taken..].iter().all(special);
                if accepted != judgement.is_valid() {
                    return Err(judgement.fault.unwrap_or_else(|| "valid, but refused".to_owned()));
                }
            }
        }
        Ok(judgement)
    }
}

/// Why a line is no generation. One generation is one line, so only the column is worth telling.
fn no_line(error: &serde_json::Error) -> String {
    let reason = error.to_string();
    let reason = reason.rsplit_once(" at line").map_or(reason.as_str(), |(what, _)| what);
    let what = if error.is_data() { "a field of the wrong type" } else { "not JSON" };
    format!("{what}: {reason} at column {}", error.column())
}
