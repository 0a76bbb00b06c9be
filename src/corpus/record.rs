//! Raw records, and the row that each of them is.

use std::sync::Arc;

use super::{CorpusFormat, CorpusOptions, Molecule, RowError, RowFault, format::has_hole, jsonl, sdf, xyz};

/// One row of a corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A SMILES with conformers.
    Molecule(Molecule),
    /// Texts that are enriched already.
    Enriched(EnrichedRow),
}

/// Enriched texts as a corpus gives them; reading them is the text layer's work.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EnrichedRow {
    /// The molecule's name, where the corpus gives one.
    pub name: Option<String>,
    /// The canonical SMILES, where it is given beside the texts.
    pub smiles: Option<String>,
    /// The enriched texts, tags included: several where a JSON line gives a list.
    pub texts: Vec<String>,
}

/// One raw record: cut out of its file, not read yet.
///
/// Cutting is serial and cheap; [`Record::parse`] is pure, so records can be parsed in parallel.
#[derive(Clone, Debug)]
pub struct Record {
    pub(super) context: Arc<Context>,
    pub(super) line: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) fault: Option<RowFault>,
}

/// What the records of one file share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) file: Arc<str>,
    pub(super) format: CorpusFormat,
    pub(super) options: Arc<CorpusOptions>,
}

impl Record {
    /// A record that does not come from a file, such as one line of a service.
    #[must_use]
    pub fn new(file: &str, line: u64, format: CorpusFormat, bytes: Vec<u8>, options: &CorpusOptions) -> Self {
        let context = Context { file: file.into(), format, options: Arc::new(options.clone()) };
        Self { context: Arc::new(context), line, bytes, fault: None }
    }

    /// The file as shown to people.
    #[must_use]
    pub fn file(&self) -> &Arc<str> {
        &self.context.file
    }

    /// The line where the record starts, from 1 (in Parquet: the row).
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The format that the record is read as.
    #[must_use]
    pub fn format(&self) -> CorpusFormat {
        self.context.format
    }

    /// The bytes as read, without the last line ending; with `\n` after it, a record of a rejects file.
    ///
    /// Of a record over the size limit, only its first bytes. A row of Parquet is the JSON line that it stands for.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The error that rejects this record for `reason`.
    #[must_use]
    pub fn reject(&self, reason: RowFault) -> RowError {
        RowError { file: Arc::clone(&self.context.file), line: self.line, reason }
    }

    /// The row that this record is. Never panics, whatever the bytes are.
    ///
    /// # Errors
    /// [`RowError`] if the record cannot be read.
    pub fn parse(&self) -> Result<Row, RowError> {
        self.row().map_err(|reason| self.reject(reason))
    }

    fn row(&self) -> Result<Row, RowFault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let text = std::str::from_utf8(&self.bytes)
            .map_err(|error| RowFault::NotUtf8 { at: error.valid_up_to() })?;
        let options = &self.context.options;
        match self.context.format {
            CorpusFormat::Enriched => {
                Ok(Row::Enriched(EnrichedRow { texts: vec![text.to_owned()], ..EnrichedRow::default() }))
            }
            CorpusFormat::Smiles => smiles_row(text, options.conformers),
            CorpusFormat::JsonLines | CorpusFormat::Parquet => {
                jsonl::row(text, &options.fields, options.conformers)
            }
            CorpusFormat::Sdf => Ok(Row::Molecule(sdf::molecule(text, &options.smiles)?)),
            CorpusFormat::Xyz => Ok(Row::Molecule(xyz::molecule(text)?)),
        }
    }
}

/// A SMILES and maybe a name; or enriched text, which such lists hold too.
fn smiles_row(line: &str, conformers: bool) -> Result<Row, RowFault> {
    if has_hole(line.as_bytes()) {
        return Ok(Row::Enriched(EnrichedRow { texts: vec![line.to_owned()], ..EnrichedRow::default() }));
    }
    if conformers {
        return Err(RowFault::Missing("conformer: this is a SMILES alone".to_owned()));
    }
    let (smiles, name) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
    let name = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
    Ok(Row::Molecule(Molecule { name, smiles: smiles.to_owned(), conformers: Vec::new() }))
}
