//! `tplc merge`: adds the counts of several runs.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::Args;

use super::{
    ExitStatus, GlobalArgs,
    analyze::{CostArgs, LimitArgs, show},
    output,
};
use crate::drift::{PartialFile, Report};

/// Add the counts that `tplc analyze --partial` wrote; any split and order gives the same counts and bytes.
#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// Files of counts, made with the same tokenizers and options.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write the added counts to a file.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    cost: CostArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

impl MergeArgs {
    pub(super) fn run(&self, global: &GlobalArgs) -> Result<ExitStatus> {
        let mut sum: Option<PartialFile> = None;
        for path in &self.files {
            let at = || format!("{}", path.display());
            let counts = std::fs::read_to_string(path).with_context(at)?;
            let counts = PartialFile::from_json(&counts).with_context(at)?;
            match &mut sum {
                Some(sum) => sum.merge(counts).with_context(at)?,
                None => sum = Some(counts),
            }
        }
        let sum = sum.ok_or_else(|| anyhow!("no files given"))?;
        if let Some(path) = &self.output {
            output::write_whole(path, &sum.to_json()?)?;
        }
        let report = Report::new(&sum, self.cost.model());
        show(&report, global)?;
        Ok(self.limits.judge(&report, global))
    }
}
