//! `tplc audit`: what is wrong with generations that exist.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Result, bail, ensure};
use clap::Args;

use super::{
    ExitStatus, Format, GENERAL, GlobalArgs,
    check::load_embedded,
    corpus::{Rejects, added_tokens, number_format, tags},
    format, output,
    progress::Bar,
    table::{Table, count, percent},
    threads::threads,
};
use crate::{
    artifact::Artifact,
    audit::{Judge, Judged, Totals, Verdict},
    corpus::{Corpus, InputCounts, for_each_row},
    template::{TemplateOptions, eos_token},
    text::{NumberFormat, Tags},
    tokenizer::{Tokenizer, TokenizerSource},
};

const EXAMPLES: &str = "\
Examples:
  tplc audit qwen.tplc texts.jsonl
  tplc audit qwen.tplc texts.jsonl --format jsonl      a verdict for each line
  tplc audit texts.jsonl --tokenizer qwen --number-format trimmed4
  tplc audit qwen.tplc - --corpus drugs.jsonl < named.jsonl

The lines, the verdicts and the JSON are described in docs/audit.md.";

/// Judge generations: junk, cut numbers, wrong molecules, foreign tokens.
///
/// Each line of FILE is one generation: {"ids": [...]} or {"text": "..."}, with "smiles" or "name" if the text alone does
/// not say which molecule. Generations are judged against an artifact, or without one against a number format.
#[derive(Debug, Args)]
#[command(allow_missing_positional = true, after_help = EXAMPLES)]
pub(super) struct AuditArgs {
    /// The artifact.
    artifact: Option<PathBuf>,
    /// Generations as JSON lines, plain, .gz or .zst; `-` is standard input.
    #[arg(value_name = "FILE")]
    generations: String,
    /// The tokenizer of the generations; without one, the embedded one that the artifact was built for.
    #[arg(long, short, value_name = "NAME|PATH|hf:ORG/NAME", help_heading = "Tokenizer")]
    tokenizer: Option<TokenizerSource>,
    /// Added tokens to lay over it, RON or JSON; repeatable.
    #[arg(long, value_name = "FILE", help_heading = "Tokenizer")]
    added_tokens: Vec<PathBuf>,
    /// The number format: fixedN, trimmedN, RON, or a .ron file.
    #[arg(long, value_name = "FORMAT", value_parser = number_format, conflicts_with = "artifact", help_heading = ALONE)]
    number_format: Option<NumberFormat>,
    /// The tags around prompt and completion: none, conformer, or a .ron file.
    #[arg(long, value_name = "TAGS", default_value = "none", value_parser = tags, conflicts_with = "artifact", help_heading = ALONE)]
    tags: Tags,
    /// The token that ends a generation: its text, `auto` (the tokenizer's own, if it tells), or `none`.
    #[arg(long, value_name = "TEXT|auto|none", default_value = "auto", conflicts_with = "artifact", help_heading = ALONE)]
    eos: String,
    /// A corpus whose molecules are meant by "name"; repeatable.
    #[arg(long, short, value_name = "INPUT", help_heading = "Molecules")]
    corpus: Vec<String>,
    /// Threads, as many as there are cores at most; 0 takes one for each.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = threads, help_heading = GENERAL)]
    threads: usize,
    /// How to print the result.
    #[arg(long, help_heading = GENERAL, default_value = "text", value_parser = format::of(&["text", "json", "markdown", "jsonl"]))]
    pub(super) format: Format,
}

/// The heading of what an artifact says where there is one.
const ALONE: &str = "Without an artifact";

impl AuditArgs {
    pub(super) fn run(&self, global: &GlobalArgs) -> Result<ExitStatus> {
        ensure!(
            self.artifact.is_some() || self.number_format.is_some(),
            "what to judge {} against? Give an ARTIFACT before it, or --number-format with --tokenizer",
            self.generations
        );
        let artifact = self.artifact.as_ref().map(Artifact::open).transpose()?;
        let tokenizer = self.load(artifact.as_ref())?;
        let mut judge = match (&artifact, self.number_format) {
            (Some(artifact), _) => Judge::of_artifact(&tokenizer, artifact.tables())?,
            (None, Some(format)) => Judge::new(&tokenizer, self.options(format, &tokenizer)?),
            (None, None) => bail!("name an artifact, or a number format with --number-format"),
        };
        judge.read_names(&self.corpus)?;

        let corpus = Corpus::open(std::slice::from_ref(&self.generations), &Judge::corpus_options())?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build()?;
        let bar = Bar::new(global, corpus.total_bytes(), corpus.bytes_read());
        let mut rejects = Rejects::told(global, &bar);
        let mut totals = Totals::default();
        let mut printed: Result<()> = Ok(());
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        // Nobody reads on behind a line that cannot be printed.
        let gone = AtomicBool::new(false);
        let take = |judged: Judged| {
            totals.add(judged.line, &judged.judgement);
            if global.format == Format::Jsonl && printed.is_ok() {
                printed = print_line(&mut out, &judged);
                gone.store(printed.is_err(), Ordering::Relaxed);
            }
        };
        let records = corpus.records().take_while(|_| !gone.load(Ordering::Relaxed));
        let input = for_each_row(records, &pool, &mut rejects, |record| judge.judge(record), take)?;
        bar.finish();
        printed.and_then(|()| Ok(out.flush()?))?;
        rejects.close(&input)?;
        drop(out);

        match global.format {
            Format::Jsonl => {}
            Format::Json => output::print_json(&judge.report(&input, &totals))?,
            Format::Text | Format::Markdown => output::print(&render(&totals, &input, global.format))?,
        }
        let good = totals.all_valid() && input.skipped == 0;
        Ok(if good { ExitStatus::Success } else { ExitStatus::Failure })
    }

    fn load(&self, artifact: Option<&Artifact>) -> Result<Tokenizer> {
        let overlays = added_tokens(&self.added_tokens)?;
        Ok(match (&self.tokenizer, artifact) {
            (Some(source), _) => source.load(&overlays)?,
            (None, Some(artifact)) => load_embedded(artifact.tables(), &overlays)?,
            (None, None) => bail!("name the tokenizer with --tokenizer"),
        })
    }

    fn options(&self, format: NumberFormat, tokenizer: &Tokenizer) -> Result<TemplateOptions> {
        let (tags, eos) = (self.tags.clone(), eos_token(tokenizer, &self.eos)?);
        Ok(TemplateOptions { format, tags, eos, ..TemplateOptions::default() })
    }
}

fn print_line(out: &mut impl Write, judged: &Judged) -> Result<()> {
    // As the failure to write that it is, which tells a reader that went away.
    serde_json::to_writer(&mut *out, judged).map_err(io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

fn render(totals: &Totals, input: &InputCounts, format: Format) -> String {
    let share = |part: u64, whole: u64| percent(part as f64 / whole.max(1) as f64);
    let mut verdicts = Table::new("Generations", &[0], &["", "generations", "share"]);
    for verdict in Verdict::ALL {
        let generations = totals.count(verdict);
        verdicts.row(vec![verdict.to_string(), count(generations), share(generations, totals.generations)]);
    }
    let mut faults = Table::new("Faults", &[0], &["", "tokens", "of tokens", "holes", "of holes"]);
    let mut fault = |name: &str, tokens: Option<u64>, holes: u64| {
        faults.row(vec![
            name.to_owned(),
            tokens.map(count).unwrap_or_default(),
            tokens.map(|tokens| share(tokens, totals.tokens)).unwrap_or_default(),
            count(holes),
            share(holes, totals.holes),
        ]);
    };
    fault("junk", Some(totals.junk_tokens), totals.junk_blocks);
    for (kind, junk) in &totals.junk {
        fault(&format!("  {kind}"), Some(junk.tokens), junk.blocks);
    }
    fault("cut off or missing numbers", None, totals.truncated);
    let (fewest, most) = totals.tokens_range.unwrap_or_default();
    let mean = totals.tokens as f64 / totals.generations.max(1) as f64;
    let mut text = verdicts.render(format) + &faults.render(format);
    text += &format!(
        "{} holes; {} tokens, {mean:.1} per molecule ({fewest} to {most})\n\n",
        count(totals.holes),
        count(totals.tokens)
    );
    if input.skipped > 0 {
        text += &format!("{} of {} lines could not be judged\n\n", input.skipped, input.rows);
    }
    if !totals.examples.is_empty() {
        let mut examples = Table::new("Examples", &[1, 2], &["line", "verdict", "first fault"]);
        for example in &totals.examples {
            examples.row(vec![example.line.to_string(), example.verdict.to_string(), example.fault.clone()]);
        }
        text += &examples.render(format);
    }
    text.trim_end().to_owned() + "\n"
}
