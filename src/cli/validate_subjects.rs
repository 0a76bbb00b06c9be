//! The molecules that `tplc validate` decodes, and the tags around them.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow};

use super::corpus;
use crate::{
    corpus::{CorpusError, InputCounts, Position, Progress, Record, Row, RowFault, for_each_row},
    decode::Subject,
    text::{EnrichedReader, Skeleton, Tags, TextError},
    tokenizer::Tokenizer,
};

/// Molecules in the order of the corpus, each once.
#[derive(Default)]
pub(super) struct Molecules {
    known: BTreeSet<(String, Skeleton)>,
    all: Vec<Known>,
}

/// A molecule and its first coordinates, where it has any.
struct Known {
    smiles: String,
    skeleton: Skeleton,
    conformer: Option<Vec<Position>>,
}

impl Molecules {
    /// Adds the molecules of all records. A row with a fault is skipped and told to `progress`.
    pub(super) fn read(
        &mut self,
        records: impl Iterator<Item = Result<Record, CorpusError>> + Send,
        tags: &Tags,
        pool: &rayon::ThreadPool,
        progress: &mut impl Progress,
    ) -> Result<InputCounts, CorpusError> {
        let known = if *tags == Tags::none() { &Tags::conformer() } else { tags };
        let reader = EnrichedReader::new(known);
        let read = |record: &Record| {
            Ok(match record.parse() {
                Ok(row) => molecules(&row, &reader, tags)
                    .map_err(|fault| record.reject(RowFault::Text(fault.to_string()))),
                Err(error) => Err(error),
            })
        };
        for_each_row(records, pool, progress, read, |molecules: Vec<Known>| {
            for molecule in molecules {
                if self.known.insert((molecule.smiles.clone(), molecule.skeleton.clone())) {
                    self.all.push(molecule);
                }
            }
        })
    }

    /// The number of molecules.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// This many rows, spread evenly over the molecules, or going round where there are fewer.
    pub(super) fn spread(&self, rows: u64) -> Vec<Subject> {
        let molecules = self.all.len() as u64;
        let at = |row: u64| match rows < molecules {
            true => row * molecules / rows,
            false => row % molecules,
        };
        let subject = |row: u64| {
            let Known { smiles, skeleton, conformer } = &self.all[at(row) as usize];
            Subject { row, smiles: smiles.clone(), skeleton: skeleton.clone(), conformer: conformer.clone() }
        };
        (0..rows).map(subject).collect()
    }
}

/// The molecules of a row: one, or as many as it has enriched texts.
fn molecules(row: &Row, reader: &EnrichedReader, tags: &Tags) -> Result<Vec<Known>, TextError> {
    let completion = tags.completion.as_ref();
    match row {
        Row::Molecule(molecule) => Ok(vec![Known {
            smiles: molecule.smiles.clone(),
            skeleton: Skeleton::new(&molecule.smiles, completion)?,
            conformer: molecule.conformers.first().cloned(),
        }]),
        Row::Enriched(row) => {
            let read = |text: &String| {
                let text = reader.read(text)?;
                row.smiles.as_ref().map_or(Ok(()), |smiles| text.check_smiles(smiles))?;
                let smiles = row.smiles.clone().unwrap_or_else(|| text.smiles());
                let skeleton = Skeleton::new(&text.smiles(), completion)?;
                Ok(Known { smiles, skeleton, conformer: Some(text.conformer()?) })
            };
            row.texts.iter().map(read).collect()
        }
    }
}

/// Tags by name, from a file, or those of conformer models where the tokenizer has them as tokens.
pub(super) fn tags(text: &str, tokenizer: &Tokenizer) -> Result<Tags> {
    if text != "auto" {
        return corpus::tags(text).map_err(|fault| anyhow!("--tags {text}: {fault}"));
    }
    let tags = Tags::conformer();
    let words =
        [&tags.prompt, &tags.completion].into_iter().flatten().flat_map(|pair| [&pair.open, &pair.close]);
    let missing = words.filter(|word| tokenizer.vocabulary().added(word).is_none()).count();
    Ok(if missing == 0 { tags } else { Tags::none() })
}
