//! `tplc merge`: adds the counts of several runs, or makes the artifacts of several shards one.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;

use super::{
    ExitStatus, GlobalArgs,
    analyze::{CostArgs, LimitArgs, show},
    build::{BuiltArtifact, show_built},
    corpus::judge_rows,
    format::FormatArgs,
    output,
};
use crate::{
    artifact::Artifact,
    drift::{PartialFile, Report},
    template::{Manifest, merge},
};

const EXAMPLES: &str = "\
Examples:
  tplc merge part-*.json                       the report of all counts together
  tplc merge part-*.json --output all.json     and the counts, in a file
  tplc merge shard*.tplc --output all.tplc     one artifact of many

Any split and any order give the same bytes as one run.";

/// Add up the counts of several runs, or make several artifacts one.
///
/// Counts are files that `tplc analyze --partial` wrote, artifacts those of `tplc build --shard`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct MergeArgs {
    /// Files of counts, or artifacts (.tplc), made with the same tokenizers and options.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write the added counts, or the artifact, to a file.
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
    #[command(flatten)]
    cost: CostArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    pub(super) print: FormatArgs,
}

/// The files so far, by the hash of their bytes.
#[derive(Default)]
struct Twice<'f>(HashMap<blake3::Hash, &'f Path>);

impl<'f> Twice<'f> {
    /// Tells of a file with the bytes of one before it: a copy would count twice. Empty parts may well be equal.
    fn tell(&mut self, path: &'f Path, bytes: &[u8], empty: bool, global: &GlobalArgs) {
        if let Some(before) = self.0.insert(blake3::hash(bytes), path)
            && !empty
        {
            let (path, before) = (path.display(), before.display());
            global.tell(&format!(
                "{path} has the same bytes as {before}: if it is a copy, its rows count twice"
            ));
        }
    }
}

impl MergeArgs {
    pub(super) fn run(&self, global: &GlobalArgs) -> Result<ExitStatus> {
        let artifacts = self.files.iter().filter(|path| path.extension().is_some_and(|ext| ext == "tplc"));
        match artifacts.count() {
            0 => self.merge_counts(global),
            all if all == self.files.len() => self.merge_artifacts(global),
            _ => bail!("counts and artifacts cannot be merged with each other: give one kind"),
        }
    }

    fn merge_counts(&self, global: &GlobalArgs) -> Result<ExitStatus> {
        self.output.as_deref().map_or(Ok(()), output::check_writable)?;
        let mut sum: Option<PartialFile> = None;
        let mut twice = Twice::default();
        for path in &self.files {
            let at = || format!("{}", path.display());
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let counts = PartialFile::from_json(&text).with_context(at)?;
            twice.tell(path, text.as_bytes(), counts.input.rows == 0, global);
            match &mut sum {
                Some(sum) => sum.merge(counts).with_context(at)?,
                None => sum = Some(counts),
            }
        }
        let sum = sum.ok_or_else(|| anyhow!("no files given"))?;
        if let Some(path) = &self.output {
            output::write_whole(path, sum.to_json()?)?;
        }
        let report = Report::new(&sum, self.cost.model());
        show(&report, global)?;
        let rows = judge_rows(&report.input, self.output.is_some(), global);
        Ok(rows.max(self.limits.judge(&report, global)))
    }

    fn merge_artifacts(&self, global: &GlobalArgs) -> Result<ExitStatus> {
        let path =
            self.output.as_deref().context("artifacts are merged into a file: give --output FILE.tplc")?;
        output::check_writable(path)?;
        let parts: Vec<Artifact> = self
            .files
            .iter()
            .map(|path| Artifact::open(path).with_context(|| path.display().to_string()))
            .collect::<Result<_>>()?;
        let bytes = merge(&parts)?;
        let artifact = Artifact::from_bytes(bytes.as_slice())?;
        ensure!(
            path.extension().is_some_and(|extension| extension == "tplc"),
            "{} does not end in .tplc, as an artifact does",
            path.display()
        );
        Manifest::check_path(&Manifest::path_of(path))?;
        let mut twice = Twice::default();
        for (path, part) in self.files.iter().zip(&parts) {
            twice.tell(path, part.bytes(), part.is_empty(), global);
            if let Some(fault) = Manifest::fault(path, part) {
                global.tell(&format!("{}: {fault}", path.display()));
            }
        }
        let beside = self.files.iter().zip(&parts).map(|(path, part)| Manifest::beside(path, part));
        let parts: Option<Vec<Manifest>> = beside.collect();
        let manifest = Manifest::of_merged(&artifact, parts.as_deref())?;
        drop(artifact);
        manifest.save_with(path, &bytes)?;
        show_built(&[BuiltArtifact::new(path, manifest)], global)?;
        Ok(ExitStatus::Success)
    }
}
