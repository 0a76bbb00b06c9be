//! From a corpus to its skeletons.

use super::{Collector, TemplateError};
use crate::{
    corpus::{CorpusError, InputCounts, Progress, Record, Row, RowFault, for_each_row},
    text::{EnrichedReader, Skeleton, Tags, TextError},
};

impl Collector {
    /// Adds the molecules of all records, whatever tags their text has: templates get `tags`. A row with a fault is
    /// skipped and told to `progress`.
    ///
    /// # Errors
    /// [`TemplateError::Corpus`] if the input cannot be read on.
    pub fn read(
        &mut self,
        records: impl Iterator<Item = Result<Record, CorpusError>> + Send,
        tags: &Tags,
        pool: &rayon::ThreadPool,
        progress: &mut impl Progress,
    ) -> Result<InputCounts, TemplateError> {
        let known = if *tags == Tags::none() { &Tags::conformer() } else { tags };
        let reader = EnrichedReader::new(known);
        let skeletons = |record: &Record| {
            let read = match record.parse() {
                Ok(row) => skeletons(&row, &reader, tags),
                Err(error) => return Ok(Err(error)),
            };
            Ok(read.map_err(|fault| record.reject(RowFault::Text(fault.to_string()))))
        };
        for_each_row(records, pool, progress, skeletons, |skeletons: Vec<Skeleton>| {
            for skeleton in &skeletons {
                self.add(skeleton);
            }
        })
    }
}

/// The skeletons of a row: one, or as many as it has enriched texts of different molecules.
fn skeletons(row: &Row, reader: &EnrichedReader, tags: &Tags) -> Result<Vec<Skeleton>, TextError> {
    let completion = tags.completion.as_ref();
    match row {
        Row::Molecule(molecule) => Ok(vec![Skeleton::new(&molecule.smiles, completion)?]),
        Row::Enriched(row) => {
            let mut all: Vec<Skeleton> = Vec::with_capacity(1);
            for text in &row.texts {
                let text = reader.read(text)?;
                row.smiles.as_ref().map_or(Ok(()), |smiles| text.check_smiles(smiles))?;
                let skeleton = Skeleton::new(&text.smiles(), completion)?;
                if all.last() != Some(&skeleton) {
                    all.push(skeleton);
                }
            }
            Ok(all)
        }
    }
}
