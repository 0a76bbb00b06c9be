//! The drift that a manifest tells of: counts of `tplc analyze --partial`, summed up.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{
    drift::{CostModel, PartialFile, PlaceholderReport, Report, TokenizerReport},
    template::{DriftSummary, HoleTokens, PlaceholderDrift},
    text::NumberFormat,
    tokenizer::Tokenizer,
};

/// A file of counts.
pub(super) struct Measured {
    path: PathBuf,
    reports: Vec<TokenizerReport>,
}

impl Measured {
    /// Reads a file of counts.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let at = || format!("cannot use {}", path.display());
        let counts =
            PartialFile::from_json(&std::fs::read_to_string(path).with_context(at)?).with_context(at)?;
        // The adaptive placeholder is that of the default costs, as `tplc analyze` shows it.
        let reports = Report::new(&counts, CostModel::default()).tokenizers;
        Ok(Self { path: path.to_owned(), reports })
    }

    /// What was measured with this very tokenizer in this format.
    pub(super) fn summary(&self, tokenizer: &Tokenizer, format: NumberFormat) -> Result<DriftSummary> {
        let (fingerprint, format) = (tokenizer.fingerprint(), format.to_string());
        let same = |report: &&TokenizerReport| {
            report.fingerprint == fingerprint.to_string() && report.number_format == format
        };
        if let Some(report) = self.reports.iter().find(same) {
            return Ok(summary(report));
        }
        let has = self.reports.iter().map(|report| {
            let short: String = report.fingerprint.chars().take(fingerprint.short().len()).collect();
            format!("{} ({short}) in {}", report.name, report.number_format)
        });
        bail!(
            "{} has no counts of {} ({}) in {format}, it has {}: count them with `tplc analyze --partial`, the same \
             tokenizer and the same number format",
            self.path.display(),
            tokenizer.name(),
            fingerprint.short(),
            has.collect::<Vec<_>>().join(", ")
        )
    }
}

fn summary(report: &TokenizerReport) -> DriftSummary {
    let tokens = &report.hole_distribution;
    DriftSummary {
        conformers: report.conformers,
        holes: report.atoms,
        hole_tokens: HoleTokens { mean: tokens.mean, min: tokens.min, max: tokens.max },
        placeholders: report.placeholders.iter().map(placeholder).collect(),
        adaptive: report.adaptive.as_ref().map(placeholder),
    }
}

fn placeholder(report: &PlaceholderReport) -> PlaceholderDrift {
    PlaceholderDrift { text: report.facts.text.clone(), under: report.under.share, over: report.over.share }
}
