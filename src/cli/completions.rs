//! `tplc completions`: shell completions on standard output.

use anyhow::Result;
use clap::{Args, CommandFactory};

use super::{Cli, ExitStatus, output};

/// Print completions for a shell, to be sourced: `tplc completions bash > /etc/bash_completion.d/tplc`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: clap_complete::Shell,
}

impl CompletionsArgs {
    pub(super) fn run(&self) -> Result<ExitStatus> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "tplc", &mut script);
        output::print(&String::from_utf8(script)?)?;
        Ok(ExitStatus::Success)
    }
}
