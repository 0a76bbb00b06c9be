//! `--format`: how a result is printed. Each verb offers the formats that it has.

use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};

use super::GENERAL;

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Tables and histograms for the terminal.
    #[default]
    Text,
    /// One JSON object with a "schema" field.
    Json,
    /// Tables for a page or a pull request.
    Markdown,
    /// One JSON object a line.
    Jsonl,
}

/// The option of a verb that prints tables.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct FormatArgs {
    /// How to print the result.
    #[arg(long, help_heading = GENERAL, default_value = "text", value_parser = of(&["text", "json", "markdown"]))]
    #[arg(global = true)]
    pub(super) format: Format,
}

/// Takes one of these formats; their names say enough, so `--help` has them in one line.
pub(super) fn of(offered: &'static [&'static str]) -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(offered).try_map(|name| Format::from_str(&name, false))
}
