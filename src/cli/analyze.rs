//! `tplc analyze`: how far placeholders drift from real coordinates.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::{
    ExitStatus, Format, GENERAL, GlobalArgs,
    corpus::{CorpusArgs, added_tokens, judge_rows, number_format, placeholder, tags},
    format::FormatArgs,
    output,
    progress::Bar,
    report,
    threads::threads,
};
use crate::{
    drift::{Analysis, AnalysisOptions, CostModel, DEFAULT_PLACEHOLDERS, Report},
    text::{NumberFormat, Tags},
    tokenizer::{Tokenizer, TokenizerSource},
};

const EXAMPLES: &str = "\
Examples:
  tplc analyze --tokenizer qwen                    the embedded corpus of drugs
  tplc analyze -t qwen -t ./my-model               two tokenizers, side by side
  tplc analyze -t qwen -c 'data/*.jsonl.zst' --number-format trimmed4
  tplc analyze -t qwen --placeholder=-0.0000,0.0000,0.0000 --max-over 0.01
  cat texts.txt | tplc analyze -t llama --corpus - --format json
  tplc analyze -t qwen -c part-0.sdf --partial part-0.json    for `tplc merge`

Inputs are described in docs/corpora.md, tables and JSON in docs/analyze.md.";

/// Measure how far placeholders drift from real coordinates, and the cost.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AnalyzeArgs {
    /// Embedded name (see `tplc tokenizers`), tokenizer.json, model folder, or hf:ORG/NAME[@REV]; repeatable.
    #[arg(long, short, value_name = "NAME|PATH|hf:ORG/NAME", default_values = ["qwen", "llama"], help_heading = "Tokenizers")]
    tokenizer: Vec<TokenizerSource>,
    /// Added tokens to lay over each tokenizer, RON or JSON; repeatable.
    #[arg(long, value_name = "FILE", help_heading = "Tokenizers")]
    added_tokens: Vec<PathBuf>,
    /// How coordinates are written: fixedN, trimmedN, RON, or a .ron file; repeatable. Without it, enriched text is
    /// taken as it is and coordinates are written as fixed4.
    #[arg(long, value_name = "FORMAT", value_parser = number_format, help_heading = "Coordinates")]
    number_format: Vec<NumberFormat>,
    /// A placeholder to compare with, beside the two in use; repeatable.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = placeholder, help_heading = "Coordinates")]
    placeholder: Vec<String>,
    /// Tags around the text that is made from coordinates: none, conformer, or a .ron file.
    #[arg(long, value_name = "TAGS", default_value = "none", value_parser = tags, help_heading = "Coordinates")]
    tags: Tags,
    /// Share of texts, 0 to 1, whose table tokens are compared with the tokenizer's own.
    #[arg(long, value_name = "SHARE", default_value_t = AnalysisOptions::default().verify, value_parser = share, help_heading = "Counting")]
    verify: f64,
    /// Encode every text whole instead of counting by tables: slow, same figures.
    #[arg(long, help_heading = "Counting")]
    exact: bool,
    /// Write the mergeable counts to a file, for `tplc merge`.
    #[arg(long, value_name = "FILE", help_heading = "Counting")]
    partial: Option<PathBuf>,
    // Flattened groups come last: each sets the heading of what follows it.
    #[command(flatten)]
    corpus: CorpusArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    cost: CostArgs,
    /// Threads, as many as there are cores at most; 0 takes one for each.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = threads, help_heading = GENERAL)]
    threads: usize,
    #[command(flatten)]
    pub(super) print: FormatArgs,
}

/// The constants of the cost model; the defaults are published figures of one H100.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cost model")]
pub(super) struct CostArgs {
    /// One forward pass, in ms.
    #[arg(long, value_name = "MS", default_value_t = CostModel::default().pass_ms, value_parser = not_negative)]
    pass_ms: f64,
    /// Sampling one token, in ms.
    #[arg(long, value_name = "MS", default_value_t = CostModel::default().sampling_ms, value_parser = not_negative)]
    sampling_ms: f64,
    /// Memory operations of one pass, in ms.
    #[arg(long, value_name = "MS", default_value_t = CostModel::default().memory_ms, value_parser = not_negative)]
    memory_ms: f64,
    /// One kernel launch, in µs.
    #[arg(long, value_name = "US", default_value_t = CostModel::default().launch_us, value_parser = not_negative)]
    launch_us: f64,
    /// Kernel launches of one pass.
    #[arg(long, value_name = "N", default_value_t = CostModel::default().launches, value_parser = not_negative)]
    launches: f64,
    /// What one lost token costs, in passes: decides how long the adaptive placeholder is.
    #[arg(long, value_name = "N", default_value_t = CostModel::default().lost_passes, value_parser = not_negative)]
    lost_passes: f64,
    /// Molecules of the run that is costed.
    #[arg(long, value_name = "N", default_value_t = CostModel::default().samples)]
    samples: u64,
    /// Molecules that share one pass.
    #[arg(long, value_name = "N", default_value_t = CostModel::default().batch, value_parser = at_least_one)]
    batch: u64,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// Exit with 1 if more than this share of holes, 0 to 1, is shorter than a placeholder (junk), or if there are no
    /// holes. The placeholders given with --placeholder are judged, or else the one of four decimals.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    max_under: Option<f64>,
    /// The same for holes that are longer (cut digits).
    #[arg(long, value_name = "SHARE", value_parser = share)]
    max_over: Option<f64>,
}

impl AnalyzeArgs {
    pub(super) fn run(&self, global: &GlobalArgs) -> Result<ExitStatus> {
        let outputs: Vec<&Path> =
            [&self.partial, &self.corpus.rejects].into_iter().flatten().map(PathBuf::as_path).collect();
        for path in &outputs {
            output::check_writable(path)?;
        }
        let options = self.options()?;
        let tokenizers = self.load()?;
        let corpus = self.corpus.open(true)?;
        output::check_distinct(&outputs, corpus.names().map(|name| Path::new(name.as_ref())))?;
        let bar = Bar::new(global, corpus.total_bytes(), corpus.bytes_read());
        let mut rejects = self.corpus.rejects(global, &bar)?;
        let mut analysis = Analysis::new(&tokenizers, &options)?;
        analysis.run(corpus.records(), &mut rejects)?;
        let counts = analysis.finish()?;
        bar.finish();
        let read = rejects.close(&counts.input)?;
        if let Some(path) = &self.partial {
            output::write_whole(path, &counts.to_json()?)?;
        }
        let report = Report::new(&counts, self.cost.model());
        show(&report, global)?;
        let rows = judge_rows(&report.input, self.partial.is_some(), global);
        Ok(read.max(rows).max(self.limits.judge(&report, global)))
    }

    fn options(&self) -> Result<AnalysisOptions> {
        let mut formats: Vec<Option<NumberFormat>> = self.number_format.iter().copied().map(Some).collect();
        if formats.is_empty() {
            formats.push(None);
        }
        let mut options = AnalysisOptions {
            formats,
            tags: self.tags.clone(),
            verify: self.verify,
            exact: self.exact,
            threads: self.threads,
            ..AnalysisOptions::default()
        };
        options.add_placeholders(&self.placeholder)?;
        Ok(options)
    }

    /// The tokenizers under their overlays.
    fn load(&self) -> Result<Vec<Tokenizer>> {
        let overlays = added_tokens(&self.added_tokens)?;
        Ok(self.tokenizer.iter().map(|source| source.load(&overlays)).collect::<Result<_, _>>()?)
    }
}

/// Prints a report in the format asked for; tables only where there is something in them.
pub(super) fn show(report: &Report, global: &GlobalArgs) -> Result<()> {
    match global.format {
        Format::Json => output::print_json(report),
        _ if report.input.rows == report.input.skipped => Ok(()),
        Format::Text | Format::Markdown | Format::Jsonl => {
            output::print(&report::render(report, global.format))
        }
    }
}

impl CostArgs {
    pub(super) fn model(&self) -> CostModel {
        CostModel {
            pass_ms: self.pass_ms,
            sampling_ms: self.sampling_ms,
            memory_ms: self.memory_ms,
            launch_us: self.launch_us,
            launches: self.launches,
            lost_passes: self.lost_passes,
            samples: self.samples,
            batch: self.batch,
        }
    }
}

impl LimitArgs {
    /// Whether every judged placeholder keeps the limits; what does not is told.
    pub(super) fn judge(&self, report: &Report, global: &GlobalArgs) -> ExitStatus {
        let mut status = ExitStatus::Success;
        let limited = self.max_under.is_some() || self.max_over.is_some();
        if limited && report.tokenizers.iter().all(|tokenizer| tokenizer.atoms == 0) {
            global.tell("no hole was counted, so the limits cannot be judged");
            return ExitStatus::Failure;
        }
        for tokenizer in &report.tokenizers {
            let own = tokenizer.placeholders.len() > DEFAULT_PLACEHOLDERS.len();
            let judged = if own { DEFAULT_PLACEHOLDERS.len()..tokenizer.placeholders.len() } else { 0..1 };
            for placeholder in tokenizer.placeholders.get(judged).unwrap_or_default() {
                for (limit, share, what) in [
                    (self.max_under, placeholder.under.share, "shorter than"),
                    (self.max_over, placeholder.over.share, "longer than"),
                ] {
                    let Some(limit) = limit.filter(|limit| share > *limit) else { continue };
                    status = ExitStatus::Failure;
                    global.tell(&format!(
                        "over the limit: with {}, {:.2}% of holes are {what} {} (limit {:.2}%)",
                        tokenizer.name,
                        share * 100.0,
                        placeholder.facts.text,
                        limit * 100.0
                    ));
                }
            }
        }
        status
    }
}

/// A share, 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be a number from 0 to 1".to_owned()),
    }
}

/// A number of things of which there must be some.
pub(super) fn at_least_one(text: &str) -> Result<u64, String> {
    text.parse()
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| "must be a whole number, 1 or more".to_owned())
}

/// A constant of the cost model; anything else would end as `NaN` or junk that saves time.
pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.0..=f64::MAX).contains(&number) => Ok(number),
        _ => Err("must be a finite number, 0 or more".to_owned()),
    }
}
