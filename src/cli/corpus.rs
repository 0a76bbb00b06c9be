//! The options of every verb that reads a corpus, and telling of the rows that it skips.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::{ExitStatus, GlobalArgs, output, progress::Bar};
use crate::{
    corpus::{
        Coordinate, Corpus, CorpusFormat, CorpusOptions, InputCounts, JsonFields, Progress, Rejected,
        RowFault, SmilesSource,
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
    /// SDF data field that holds the SMILES, or `graph` to write it from the bonds; repeatable, the first that is there.
    /// Without it, the usual names, or else the bonds.
    #[arg(long, value_name = "FIELD|graph")]
    sdf_smiles: Vec<String>,
    /// Exit with 1 if a row was skipped.
    #[arg(long)]
    strict: bool,
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
        Ok(Rejects { kept, hint: true, strict: self.strict, ..Rejects::told(global, bar) })
    }
}

/// How many skipped rows are told one by one.
const TOLD: u64 = 10;

/// Tells of skipped rows, and keeps them.
pub(super) struct Rejects<'b> {
    kept: Option<(PathBuf, output::WholeFile)>,
    /// Whether they could be kept.
    hint: bool,
    strict: bool,
    told: u64,
    /// Whether compressed data broke off, so that nobody knows how many rows there are.
    broken: bool,
    quiet: bool,
    bar: &'b Bar,
}

impl Progress for Rejects<'_> {
    fn rejected(&mut self, rejected: Rejected<'_>) {
        let broken = matches!(rejected.error.reason, RowFault::Compression(_));
        self.broken |= broken;
        if broken || (self.told < TOLD && !self.quiet) {
            self.bar.line(&format!("skipped {}", rejected.error));
            self.told += 1;
        }
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
        let quiet = global.quiet;
        Self { kept: None, hint: false, strict: false, told: 0, broken: false, quiet, bar }
    }

    /// Tells how many rows were skipped and puts the kept ones in their place. The answer is no if data broke off, or if a
    /// row was skipped under --strict.
    pub(super) fn close(self, input: &InputCounts) -> Result<ExitStatus> {
        let skipped = input.skipped;
        if skipped > 0 && !self.quiet {
            if skipped > self.told {
                self.bar.line(&format!("… and {} more", skipped - self.told));
            }
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
        let bad = self.broken || (self.strict && skipped > 0);
        Ok(if bad { ExitStatus::Failure } else { ExitStatus::Success })
    }
}

/// Whether there was a good row, for every verb that reads a corpus; what there is instead is told. A part of a corpus may
/// be empty, a corpus should not: that may be a mistake in the inputs.
pub(super) fn judge_rows(input: &InputCounts, part: bool, global: &GlobalArgs) -> ExitStatus {
    let fault = match (input.rows, input.rows - input.skipped) {
        (0, _) => "no row was read: the input is empty",
        (_, 0) => "no row was counted: every one was skipped",
        _ => return ExitStatus::Success,
    };
    global.tell(fault);
    if part && input.rows == 0 { ExitStatus::Success } else { ExitStatus::Failure }
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
