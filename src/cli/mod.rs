//! The command line: one file a verb. Data goes to standard output, all else to standard error.

mod analyze;
mod audit;
mod build;
mod build_drift;
mod check;
mod completions;
mod corpus;
mod export;
mod inspect;
mod merge;
mod output;
mod progress;
mod report;
mod table;
mod threads;
mod tokenizers;
mod trace;
#[cfg(feature = "validate")]
mod validate;
#[cfg(not(feature = "validate"))]
#[path = "validate_absent.rs"]
mod validate;
#[cfg(feature = "validate")]
mod validate_model;
#[cfg(feature = "validate")]
mod validate_subjects;

use std::{ffi::OsString, io::Write, process::ExitCode};

use anyhow::anyhow;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// What the exit code says.
/// The worse of two is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    /// 0: done, and the answer is good.
    Success,
    /// 1: done, and the answer is no: rows were skipped under `--strict`, or all of them; compressed data broke off; drift is
    /// over a limit, or there is none to judge.
    Failure,
    /// 2: could not run.
    Error,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        match status {
            ExitStatus::Success => Self::SUCCESS,
            ExitStatus::Failure => Self::from(1),
            ExitStatus::Error => Self::from(2),
        }
    }
}

const AFTER_HELP: &str = "\
Examples:
  tplc analyze --tokenizer qwen                      drift on the embedded reference corpus
  tplc analyze --tokenizer qwen --tokenizer llama    side by side
  tplc analyze --tokenizer ./my-model --corpus 'conformers/*.jsonl.zst' --number-format trimmed4
  tplc tokenizers show qwen --text '[C]<-1.5,0,2>'   the pieces of a text
  tplc trace before.json.gz after.json.gz            two profiles side by side

Exit status: 0 done and good, 1 the answer is no (a limit, --strict, no good row), 2 could not run.";

/// Token-exact templates for language models that write 3D molecules: measure the drift of position templates.
#[derive(Debug, Parser)]
#[command(name = "tplc", version, after_help = AFTER_HELP, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
struct GlobalArgs {
    /// How to print the result.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Say nothing on standard error but errors.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Draw no progress bar (none is drawn unless standard error is a terminal).
    #[arg(long, global = true)]
    no_progress: bool,
}

impl GlobalArgs {
    /// Says one line on standard error, unless that is to be quiet.
    fn tell(&self, text: &str) {
        if !self.quiet {
            // Nobody is left to tell if standard error is closed.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables and histograms for the terminal.
    Text,
    /// One JSON object with a "schema" field.
    Json,
    /// Tables for a page or a pull request.
    Markdown,
    /// One JSON object a line, where there are many (`tplc audit`).
    Jsonl,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Analyze(Box<analyze::AnalyzeArgs>),
    Audit(Box<audit::AuditArgs>),
    Build(Box<build::BuildArgs>),
    Check(check::CheckArgs),
    Export(export::ExportArgs),
    Inspect(inspect::InspectArgs),
    Merge(merge::MergeArgs),
    Tokenizers(tokenizers::TokenizersArgs),
    Trace(trace::TraceArgs),
    Validate(Box<validate::ValidateArgs>),
    Completions(completions::CompletionsArgs),
}

/// Runs the program with these arguments, the first being its own name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let asked = !error.use_stderr();
            // A closed pipe while printing help is no failure.
            let _ = error.print();
            return if asked { ExitStatus::Success } else { ExitStatus::Error }.into();
        }
    };
    let status = match cli.verb {
        Verb::Audit(args) => args.run(&cli.global),
        _ if cli.global.format == Format::Jsonl => {
            Err(anyhow!("--format jsonl: only `tplc audit` prints many objects; --format json prints one"))
        }
        Verb::Analyze(args) => args.run(&cli.global),
        Verb::Build(args) => args.run(&cli.global),
        Verb::Check(args) => args.run(&cli.global),
        Verb::Export(args) => args.run(&cli.global),
        Verb::Inspect(args) => args.run(&cli.global),
        Verb::Merge(args) => args.run(&cli.global),
        Verb::Tokenizers(args) => args.run(&cli.global),
        Verb::Trace(args) => args.run(&cli.global),
        Verb::Validate(args) => args.run(&cli.global),
        Verb::Completions(args) => args.run(),
    };
    status
        .unwrap_or_else(|error| {
            if output::is_broken_pipe(&error) {
                return ExitStatus::Success;
            }
            let mut shown: Vec<String> = Vec::new();
            for cause in error.chain().map(ToString::to_string) {
                // Many an error ends in the words of its cause, or is a wrapper that has no other.
                if !shown.last().is_some_and(|last| last.ends_with(&cause)) {
                    shown.push(cause);
                }
            }
            let _ = writeln!(std::io::stderr(), "error: {}", shown.join("\n  because "));
            ExitStatus::Error
        })
        .into()
}
