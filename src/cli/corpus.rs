//! The options of every verb that reads a corpus, and telling of the rows that it skips.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::{GlobalArgs, output, progress::Bar};
use crate::{
    corpus::{
        Coordinate, Corpus, CorpusFormat, CorpusOptions, InputCounts, JsonFields, Progress, Rejected,
        SmilesSource,
    },
    drift::check_placeholder,
    text::{NumberFormat, Tags, TagsError},
    tokenizer::AddedTokens,
};

#[derive(Debug, Args)]
#[command(next_help_heading = "Corpus")]
pub(super) struct CorpusArgs {
    /// File, folder, glob, `-`, or reference:drugs, reference:qm9, reference:g2; plain, .gz or .zst; repeatable.
    #[arg(long, short, value_name = "INPUT", default_values = ["reference:drugs"])]
    corpus: Vec<String>,
    /// The format of files whose names do not tell it: enriched, smiles, jsonl, sdf, xyz, parquet.
    #[arg(long, value_name = "FORMAT")]
    corpus_format: Option<CorpusFormat>,
    /// Your own names for the fields name, smiles, conformers, canonical and enriched of JSONL and Parquet, such as
    /// `smiles=smi,conformers=xyz`.
    #[arg(long, value_name = "NAME=FIELD,…", value_parser = json_fields, default_value = "", hide_default_value = true)]
    fields: JsonFields,
    /// SDF data field that holds the SMILES, or `graph` to write it from the bonds; repeatable.
    #[arg(long, value_name = "FIELD|graph")]
    sdf_smiles: Vec<String>,
    /// Exit with 1 if a row was skipped.
    #[arg(long)]
    pub(super) strict: bool,
    /// Keep skipped records in this file.
    #[arg(long, value_name = "FILE")]
    pub(super) rejects: Option<PathBuf>,
}

impl CorpusArgs {
    /// The corpus; `conformers` tells whether a row without one has a fault.
    pub(super) fn open(&self, conformers: bool) -> Result<Corpus> {
        let options = CorpusOptions {
            format: self.corpus_format,
            fields: self.fields.clone(),
            smiles: SmilesSource::of_fields(&self.sdf_smiles),
            conformers,
            ..CorpusOptions::default()
        };
        Ok(Corpus::open(&self.corpus, &options)?)
    }

    /// Who hears of skipped rows.
    pub(super) fn rejects<'b>(&self, global: &GlobalArgs, bar: &'b Bar) -> Result<Rejects<'b>> {
        let kept = match &self.rejects {
            Some(path) => Some((path.clone(), output::WholeFile::create(path)?)),
            None => None,
        };
        Ok(Rejects { kept, hint: true, told: 0, quiet: global.quiet, bar })
    }
}

/// How many skipped rows are told one by one.
const TOLD: u64 = 10;

/// Tells of skipped rows, and keeps them.
pub(super) struct Rejects<'b> {
    kept: Option<(PathBuf, output::WholeFile)>,
    /// Whether they could be kept.
    hint: bool,
    told: u64,
    quiet: bool,
    bar: &'b Bar,
}

impl Progress for Rejects<'_> {
    fn rejected(&mut self, rejected: Rejected<'_>) {
        if self.told < TOLD && !self.quiet {
            self.bar.line(&format!("skipped {}", rejected.error));
        }
        self.told += 1;
        if let Some((_, file)) = &mut self.kept {
            file.write(rejected.record.bytes());
            file.write(b"\n");
        }
    }

    fn advanced(&mut self, rows: u64) {
        self.bar.advance(rows);
    }
}

impl<'b> Rejects<'b> {
    /// Tells of skipped rows and keeps none.
    pub(super) fn told(global: &GlobalArgs, bar: &'b Bar) -> Self {
        Self { kept: None, hint: false, told: 0, quiet: global.quiet, bar }
    }

    pub(super) fn close(self, input: &InputCounts) -> Result<()> {
        let skipped = input.skipped;
        if skipped > 0 && !self.quiet {
            let hint = match &self.kept {
                Some((path, _)) => format!("; kept in {}", path.display()),
                None if self.hint => "; keep them with --rejects FILE".to_owned(),
                None => String::new(),
            };
            self.bar.line(&format!("{skipped} of {} rows skipped{hint}", input.rows));
        }
        if let Some((_, file)) = self.kept {
            file.finish()?;
        }
        Ok(())
    }
}

/// The overlays of added tokens in these files.
pub(super) fn added_tokens(files: &[PathBuf]) -> Result<Vec<AddedTokens>> {
    Ok(files.iter().map(AddedTokens::read).collect::<Result<_, _>>()?)
}

/// A number format by name, RON text, or the path of a .ron file.
pub(super) fn number_format(text: &str) -> Result<NumberFormat, String> {
    let file;
    let source = if text.ends_with(".ron") {
        file = std::fs::read_to_string(text).map_err(|error| format!("cannot read {text}: {error}"))?;
        file.as_str()
    } else {
        text
    };
    source.trim().parse().map_err(|error: crate::text::NumberFormatError| error.to_string())
}

/// Tags by name, RON text, or from a .ron file.
pub(super) fn tags(text: &str) -> Result<Tags, String> {
    if let Ok(tags) = text.parse() {
        return Ok(tags);
    }
    let source = std::fs::read_to_string(text)
        .map_err(|error| format!("neither none nor conformer, and no readable file: {error}"))?;
    source.parse().map_err(|error: TagsError| error.reason)
}

/// Three numbers that can stand in a hole. The library takes any text there; here, anything else is a slip.
pub(super) fn placeholder(text: &str) -> Result<String, String> {
    check_placeholder(text).map_err(|error| error.to_string())?;
    // An exponent is a number that no format writes.
    let number = |part: &str| Coordinate::parse(part).is_ok() && !part.contains(['e', 'E']);
    match text.split(',').filter(|part| number(part)).count() == 3 && text.matches(',').count() == 2 {
        true => Ok(text.to_owned()),
        false => Err("a placeholder is three numbers, such as 0.0000,0.0000,0.0000".to_owned()),
    }
}

/// Field names: `smiles=smi,conformers=xyz`.
fn json_fields(text: &str) -> Result<JsonFields, String> {
    let mut fields = JsonFields::default();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let (name, field) = pair.split_once('=').ok_or_else(|| format!("{pair:?} is not NAME=FIELD"))?;
        fields.set(name, field).map_err(|error| error.to_string())?;
    }
    Ok(fields)
}
