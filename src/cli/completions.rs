//! `tplc completions`: shell completions on standard output.

use anyhow::Result;
use clap::{Args, CommandFactory};

use super::{Cli, ExitStatus, output};

const EXAMPLES: &str = "\
Examples:
  tplc completions bash > ~/.local/share/bash-completion/completions/tplc
  tplc completions fish > ~/.config/fish/completions/tplc.fish";

/// Print completions for a shell.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
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
