//! Stands in for `validate.rs` in a build without that feature, so that `--help` lists the verb everywhere.

use anyhow::{Result, bail};
use clap::Args;

use super::{ExitStatus, GlobalArgs};

/// Decode molecules with a model under every strategy, and judge every output twice.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(super) struct ValidateArgs {
    /// Whatever it would take.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<std::ffi::OsString>,
}

impl ValidateArgs {
    pub(super) fn run(&self, _: &GlobalArgs) -> Result<ExitStatus> {
        bail!("this build cannot decode: build it with `--features validate`, or `--features cuda` for GPUs")
    }
}
