//! `tplc trace`: what a Chrome trace says, and two of them side by side.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

use super::{
    ExitStatus, Format, GlobalArgs,
    analyze::at_least_one,
    format::FormatArgs,
    output,
    progress::Bar,
    table::{Table, count, figure, micros, paragraph, percent},
};
use crate::trace::{Comparison, Ending, Measure, Patterns, Row, Summary, Tally, TraceSummary};

const EXAMPLES: &str = "\
Examples:
  tplc trace profile.json.gz --tokens 38195                 figures per token
  tplc trace before.json after.json --tokens 38195,28536    side by side
  tplc trace run.json                      what `tplc validate --trace` wrote
  tplc trace profile.json --patterns mine.ron

Patterns and the JSON are described in docs/trace.md.";

/// Sum up profiles: kernels, launches, copies, masking; two side by side.
///
/// A profile is a Chrome trace, PyTorch's or ours.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TraceArgs {
    /// One trace or two, plain or .gz: what PyTorch's `export_chrome_trace` or `tplc validate --trace` wrote.
    #[arg(required = true, num_args = 1..=2, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How many tokens each file generated, in the order of the files, for figures per token. Our own traces say it.
    #[arg(long, value_name = "N[,N]", value_delimiter = ',', value_parser = at_least_one, help_heading = "Reading")]
    tokens: Vec<u64>,
    /// A RON table of name patterns that adds to the standard one (see docs/trace.md); repeatable.
    #[arg(long, value_name = "FILE", help_heading = "Reading")]
    patterns: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) print: FormatArgs,
}

/// The result as JSON, schema `tplc.trace/1`.
#[derive(Serialize)]
struct Traced<'a> {
    schema: &'static str,
    small_below_us: f64,
    files: Vec<TracedFile<'a>>,
    comparison: Option<Compared<'a>>,
}

#[derive(Serialize)]
struct TracedFile<'a> {
    file: String,
    events: u64,
    ending: &'static str,
    fault: Option<&'a str>,
    runs: &'a [Summary],
}

#[derive(Serialize)]
struct Compared<'a> {
    runs: &'a [String],
    #[serde(flatten)]
    figures: Comparison,
}

impl TraceArgs {
    pub(super) fn run(&self, global: &GlobalArgs) -> Result<ExitStatus> {
        ensure!(
            self.tokens.len() <= self.files.len(),
            "--tokens has {} numbers for {} file: one for each, in their order",
            self.tokens.len(),
            self.files.len()
        );
        let patterns = self.patterns()?;
        let mut traces = Vec::new();
        for (index, path) in self.files.iter().enumerate() {
            traces.push(self.read(path, self.tokens.get(index).copied(), &patterns, global)?);
        }
        let names = self.names(&traces);
        let runs: Vec<&Summary> = traces.iter().flat_map(|trace| &trace.runs).collect();
        let comparison = (runs.len() > 1).then(|| Comparison::new(&runs));
        match global.format {
            Format::Json => self.print_json(&traces, &names, comparison, &patterns)?,
            Format::Text | Format::Markdown | Format::Jsonl => {
                let mut text: String =
                    names.iter().zip(&runs).map(|(name, run)| heading(name, run)).collect();
                text += "\n";
                text += &match (&comparison, runs.as_slice()) {
                    (Some(comparison), _) => side_by_side(comparison, &names, &patterns, global.format),
                    (None, runs) => runs.iter().map(|run| alone(run, &patterns, global.format)).collect(),
                };
                output::print(&(text.trim_end().to_owned() + "\n"))?;
            }
        }
        Ok(ExitStatus::Success)
    }

    fn patterns(&self) -> Result<Patterns> {
        let named = |path: &PathBuf| path.display().to_string();
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", named(path)))
        };
        let tables: Vec<String> = self.patterns.iter().map(read).collect::<Result<_>>()?;
        let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
        let files: Vec<String> = self.patterns.iter().map(named).collect();
        Patterns::new(&tables).with_context(|| files.join(", "))
    }

    fn read(
        &self,
        path: &Path,
        tokens: Option<u64>,
        patterns: &Patterns,
        global: &GlobalArgs,
    ) -> Result<TraceSummary> {
        let shown = path.display().to_string();
        let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
        let total = file.metadata().map_or(0, |metadata| metadata.len());
        let (bar, moved) = Bar::of_share(global, shown.clone());
        let watched = Watched { file, read: 0, total, moved };
        let trace = TraceSummary::read(watched, patterns, tokens);
        bar.finish();
        let trace = trace.with_context(|| shown.clone())?;
        let told = trace.runs.iter().any(|run| run.strategy.is_some() && run.tokens != tokens);
        ensure!(tokens.is_none() || !told, "{shown} tells its tokens itself: leave --tokens out for it");
        let events = count(trace.events);
        match &trace.ending {
            Ending::Whole => {}
            Ending::CutOff => {
                global.tell(&format!("{shown} is cut off: its first {events} events are summed up"))
            }
            Ending::Damaged(fault) => {
                global.tell(&format!(
                    "{shown} is damaged: its first {events} events are summed up, up to: {fault}"
                ));
            }
        }
        Ok(trace)
    }

    /// What each run is called: its file, its strategy, or both where one alone does not tell.
    fn names(&self, traces: &[TraceSummary]) -> Vec<String> {
        let alone = self.files.len() == 1;
        let name = |file: &Path, run: &Summary| match &run.strategy {
            Some(strategy) if alone => strategy.clone(),
            Some(strategy) => format!("{}: {strategy}", file.display()),
            None => file.display().to_string(),
        };
        let runs = self.files.iter().zip(traces);
        runs.flat_map(|(file, trace)| trace.runs.iter().map(move |run| name(file, run))).collect()
    }

    fn print_json(
        &self,
        traces: &[TraceSummary],
        names: &[String],
        comparison: Option<Comparison>,
        patterns: &Patterns,
    ) -> Result<()> {
        let files = self.files.iter().zip(traces).map(|(path, trace)| {
            let (ending, fault) = match &trace.ending {
                Ending::Whole => ("whole", None),
                Ending::CutOff => ("cut off", None),
                Ending::Damaged(fault) => ("damaged", Some(fault.as_str())),
            };
            TracedFile {
                file: path.display().to_string(),
                events: trace.events,
                ending,
                fault,
                runs: &trace.runs,
            }
        });
        output::print_json(&Traced {
            schema: "tplc.trace/1",
            small_below_us: patterns.small().below_us,
            files: files.collect(),
            comparison: comparison.map(|figures| Compared { runs: names, figures }),
        })
    }
}

/// A file that moves the progress bar as it is read.
struct Watched<F> {
    file: File,
    read: u64,
    total: u64,
    moved: F,
}

impl<F: Fn(f64)> Read for Watched<F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read += read as u64;
        (self.moved)(self.read as f64 / self.total.max(1) as f64);
        Ok(read)
    }
}

/// One line about a run.
fn heading(name: &str, run: &Summary) -> String {
    let tokens = match run.tokens {
        Some(tokens) => format!("{} tokens", count(tokens)),
        None => "tokens not known: give --tokens N".to_owned(),
    };
    let mut parts = vec![micros(run.duration_us), format!("{} spans", count(run.spans)), tokens];
    parts.extend(run.device_busy_share.map(|share| match run.devices {
        1 => format!("GPU busy {}", percent(share)),
        devices => format!("{devices} GPUs busy {}", percent(share)),
    }));
    if run.unnamed > 0 {
        parts.push(format!("{} spans of rare names not listed as operations", count(run.unnamed)));
    }
    paragraph(&format!("{name}: {}", parts.join(" · "))) + "\n"
}

const NONE: &str = "–";

/// The tables of a single run.
fn alone(run: &Summary, patterns: &Patterns, format: Format) -> String {
    let header = ["", "count", "time", "average", "count/token", "time/token"];
    let mut categories = Table::new("What ran", &[0], &header);
    let (found, absent): (Vec<_>, Vec<_>) =
        run.categories.iter().partition(|category| category.tally.count > 0);
    for category in found {
        categories.row(tally_cells(category.category.clone(), category.tally));
    }
    let mut small = Table::new(small_title(patterns), &[0], &header);
    for operation in &run.small {
        small.row(tally_cells(shortened(&operation.name), operation.tally));
    }
    let absent = absent_line(absent.iter().map(|category| category.category.as_str()));
    let small = if run.small.is_empty() { String::new() } else { small.render(format) };
    categories.render(format) + &absent + &small
}

fn tally_cells(label: String, tally: Tally) -> Vec<String> {
    vec![
        label,
        count(tally.count),
        micros(tally.total_us),
        micros(tally.average_us),
        tally.count_per_token.map_or(NONE.to_owned(), figure),
        tally.us_per_token.map_or(NONE.to_owned(), micros),
    ]
}

/// The tables of several runs.
fn side_by_side(comparison: &Comparison, names: &[String], patterns: &Patterns, format: Format) -> String {
    let mut header = vec![""];
    for (index, name) in names.iter().enumerate() {
        header.push(name);
        if index > 0 {
            header.push("×");
        }
    }
    let title = "Side by side (× is the ratio to the first)";
    let mut table = Table::new(title, &[0], &header);
    let telling = |of: &str| comparison.rows.iter().any(|row| row.of == of && row.is_telling());
    for row in comparison.rows.iter().filter(|row| row.is_telling()) {
        let label = match (row.of.as_str(), row.figure) {
            ("", figure) => readable(figure),
            (of, "count") => of.to_owned(),
            // A cell that begins with spaces keeps them in a terminal, and needs none in Markdown.
            (_, figure) => format!("  {}", readable(figure)),
        };
        table.row(cells(label, row));
    }
    let mut small = Table::new(small_title(patterns), &[0], &header);
    for row in &comparison.small {
        small.row(cells(shortened(&row.of), row));
    }
    let counts = comparison.rows.iter().filter(|row| row.figure == "count" && !telling(&row.of));
    let absent = absent_line(counts.map(|row| row.of.as_str()));
    let small = if comparison.small.is_empty() { String::new() } else { small.render(format) };
    table.render(format) + &absent + &small
}

fn cells(label: String, row: &Row) -> Vec<String> {
    let shown = |value: f64| match row.measure {
        Measure::Count if value.fract() == 0.0 => count(value as u64),
        Measure::Count => figure(value),
        Measure::TimeUs => micros(value),
        Measure::Share => percent(value),
    };
    let mut cells = vec![label];
    for (index, (value, ratio)) in row.values.iter().zip(&row.ratios).enumerate() {
        cells.push(value.map_or(NONE.to_owned(), shown));
        if index > 0 {
            cells.push(ratio.map_or(NONE.to_owned(), |ratio| format!("{ratio:.2}")));
        }
    }
    cells
}

/// A figure as tables name it; in JSON it keeps the name that it has always had.
fn readable(figure: &str) -> String {
    figure.replace(" a token", " per token")
}

fn small_title(patterns: &Patterns) -> String {
    format!("Small frequent operations: under {} on average", micros(patterns.small().below_us))
}

fn absent_line<'a>(absent: impl Iterator<Item = &'a str>) -> String {
    let absent: Vec<&str> = absent.collect();
    if absent.is_empty() {
        String::new()
    } else {
        paragraph(&format!("None of: {}.", absent.join(", "))) + "\n\n"
    }
}

/// Characters of an operation's name that are shown.
const NAME: usize = 60;

/// The name of an operation on one line of a table.
fn shortened(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match name.char_indices().nth(NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name,
    }
}
