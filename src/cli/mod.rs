//! The command line: one file a verb. Data goes to standard output, all else to standard error.

mod analyze;
mod audit;
mod build;
mod build_drift;
mod check;
mod completions;
mod corpus;
mod export;
mod format;
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
mod validate_report;
#[cfg(feature = "validate")]
mod validate_subjects;
mod version;

use std::{ffi::OsString, io::Write, process::ExitCode};

use clap::{ArgAction, Args, Parser, Subcommand};

use self::format::Format;

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
  tplc analyze --tokenizer qwen                     drift on the embedded corpus
  tplc build --tokenizer qwen --output qwen.tplc    exact templates of it
  tplc check qwen.tplc                              is the file good?
  tplc inspect qwen.tplc --smiles CC=O              the template of a molecule
  tplc audit qwen.tplc texts.jsonl                  what is wrong with generations

`tplc COMMAND --help` has examples of each command.

Exit status: 0 done and good, 1 the answer is no (a limit, --strict, no good row), 2 could not run.";

/// Token-exact templates for language models that write 3D molecules: measure drift, build and check templates, judge
/// what models wrote.
#[derive(Debug, Parser)]
#[command(name = "tplc", version, long_version = version::LONG.as_str(), after_help = AFTER_HELP)]
#[command(max_term_width = 110, disable_help_flag = true, disable_version_flag = true)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
struct GlobalArgs {
    /// What `--format` of the verb says.
    #[arg(skip)]
    format: Format,
    /// Print only errors on standard error.
    #[arg(long, short, global = true, help_heading = GENERAL, display_order = LAST)]
    quiet: bool,
    /// Draw no progress bar.
    #[arg(long, global = true, help_heading = GENERAL, display_order = LAST)]
    no_progress: bool,
    // These two are clap's own but for the heading they stand under.
    /// Print help; with -h, a summary.
    #[arg(id = "help", long = "help", short = 'h', global = true, help_heading = GENERAL, display_order = LAST, action = ArgAction::Help)]
    _help: Option<bool>,
    /// Print the version; with --version, the features too.
    #[arg(id = "version", long = "version", short = 'V', help_heading = GENERAL, display_order = LAST, action = ArgAction::Version)]
    _version: Option<bool>,
}

/// The heading of options that say nothing about the work: the last of every page.
const GENERAL: &str = "General";

/// Where the options of the program stand among them: behind those of the verb.
const LAST: usize = 1000;

impl GlobalArgs {
    /// Says one line on standard error, unless that is to be quiet.
    fn tell(&self, text: &str) {
        if !self.quiet {
            // Nobody is left to tell if standard error is closed.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }
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

impl Verb {
    fn format(&self) -> Format {
        match self {
            Self::Analyze(args) => args.print.format,
            Self::Audit(args) => args.format,
            Self::Build(args) => args.print.format,
            Self::Check(args) => args.format,
            Self::Export(args) => args.print.format,
            Self::Inspect(args) => args.print.format,
            Self::Merge(args) => args.print.format,
            Self::Tokenizers(args) => args.print.format,
            Self::Trace(args) => args.print.format,
            Self::Validate(args) => args.format(),
            Self::Completions(_) => Format::default(),
        }
    }
}

/// Runs the program with these arguments, the first being its own name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Cli { mut global, verb } = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let asked = !error.use_stderr();
            // A closed pipe while printing help is no failure.
            let _ = error.print();
            return if asked { ExitStatus::Success } else { ExitStatus::Error }.into();
        }
    };
    global.format = verb.format();
    let status = match verb {
        Verb::Analyze(args) => args.run(&global),
        Verb::Audit(args) => args.run(&global),
        Verb::Build(args) => args.run(&global),
        Verb::Check(args) => args.run(&global),
        Verb::Export(args) => args.run(&global),
        Verb::Inspect(args) => args.run(&global),
        Verb::Merge(args) => args.run(&global),
        Verb::Tokenizers(args) => args.run(&global),
        Verb::Trace(args) => args.run(&global),
        Verb::Validate(args) => args.run(&global),
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
