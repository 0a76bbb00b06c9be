//! Stands in for `validate.rs` in a build without that feature, so that `--help` lists the verb everywhere.

use anyhow::{Result, bail};
use clap::Args;

use super::{ExitStatus, Format, GlobalArgs};

const NEEDS: &str =
    "this build cannot decode: build it with `--features validate`, or `--features cuda` for GPUs";

/// Decode molecules with a model in every way there is, and judge the texts.
#[derive(Debug, Args)]
#[command(after_help = NEEDS)]
pub(super) struct ValidateArgs {
    /// Whatever it would take.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<std::ffi::OsString>,
}

impl ValidateArgs {
    pub(super) fn run(&self, _: &GlobalArgs) -> Result<ExitStatus> {
        bail!(NEEDS)
    }

    pub(super) fn format(&self) -> Format {
        Format::default()
    }
}
