//! `tplc audit`: what is wrong with generations that exist.

use std::{collections::BTreeMap, io::Write, path::PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::{
    ExitStatus, Format, GlobalArgs,
    check::load_embedded,
    corpus::{Rejects, added_tokens, eos, number_format, tags},
    output,
    progress::Bar,
    table::{Table, count, percent},
};
use crate::{
    artifact::{Artifact, Template},
    audit::{Auditor, Judgement, Totals, Verdict},
    corpus::{Corpus, CorpusFormat, CorpusOptions, InputCounts, Record, Row, RowFault, for_each_row},
    matcher::Matcher,
    primitives::TokenId,
    template::{TemplateOptions, same_tokenizer},
    text::{NumberFormat, Skeleton, Tags},
    tokenizer::{Tokenizer, TokenizerSource},
};

/// Judge generations against an artifact, or against a number format: junk, cut numbers, wrong molecules, tokens that the
/// tokenizer would not give.
///
/// Each line of FILE is one generation: {"ids": [...]} or {"text": "..."}, with "smiles" or "name" where the molecule is
/// not to be told by the text. Without an artifact, name the tokenizer and the number format.
#[derive(Debug, Args)]
#[command(allow_missing_positional = true)]
pub(super) struct AuditArgs {
    /// The artifact.
    #[arg(required_unless_present = "number_format")]
    artifact: Option<PathBuf>,
    /// Generations as JSON lines, plain, .gz or .zst; `-` is standard input.
    #[arg(value_name = "FILE")]
    generations: String,
    /// The tokenizer of the generations; without one, the embedded one that the artifact was built for.
    #[arg(long, short, value_name = "NAME|PATH|hf:ORG/NAME", required_unless_present = "artifact")]
    tokenizer: Option<TokenizerSource>,
    /// Added tokens to lay over it, RON or JSON; repeatable.
    #[arg(long, value_name = "FILE")]
    added_tokens: Vec<PathBuf>,
    /// Judge against this number format instead of an artifact: fixedN, trimmedN, RON, or a .ron file.
    #[arg(long, value_name = "FORMAT", value_parser = number_format, conflicts_with = "artifact")]
    number_format: Option<NumberFormat>,
    /// With --number-format, the tags around prompt and completion: none, conformer, or a .ron file.
    #[arg(long, value_name = "TAGS", default_value = "none", value_parser = tags, conflicts_with = "artifact")]
    tags: Tags,
    /// With --number-format, the token that ends a generation: its text, `auto` (the tokenizer's own, if it tells), or
    /// `none`.
    #[arg(long, value_name = "TEXT|auto|none", default_value = "auto", conflicts_with = "artifact")]
    eos: String,
    /// A corpus whose molecules are meant by "name"; repeatable.
    #[arg(long, short, value_name = "INPUT")]
    corpus: Vec<String>,
    /// Threads; 0 takes one a core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
}

/// One line of input. Other fields are left alone.
#[derive(Deserialize)]
struct Line {
    ids: Option<Vec<u32>>,
    text: Option<String>,
    smiles: Option<String>,
    name: Option<String>,
}

/// One generation as a line of JSON.
#[derive(Serialize)]
struct Judged<'a> {
    line: u64,
    #[serde(flatten)]
    judgement: &'a Judgement,
}

/// The answer as JSON, schema `tplc.audit/1`.
#[derive(Serialize)]
struct Answer<'a> {
    schema: &'static str,
    tokenizer: &'a str,
    number_format: String,
    input: &'a InputCounts,
    #[serde(flatten)]
    totals: &'a Totals,
}

/// What generations are held against.
struct Judge<'t> {
    auditor: Auditor<'t>,
    options: TemplateOptions,
    artifact: Option<Artifact>,
    names: BTreeMap<String, String>,
}

impl AuditArgs {
    pub(super) fn run(&self, global: &GlobalArgs) -> Result<ExitStatus> {
        let artifact = self.artifact.as_ref().map(Artifact::open).transpose()?;
        let tokenizer = self.load(artifact.as_ref())?;
        let options = self.options(artifact.as_ref(), &tokenizer)?;
        let auditor = Auditor::new(&tokenizer, &options);
        let judge = Judge { auditor, options, artifact, names: self.names()? };

        let lines = CorpusOptions { format: Some(CorpusFormat::JsonLines), ..CorpusOptions::default() };
        let corpus = Corpus::open(std::slice::from_ref(&self.generations), &lines)?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build()?;
        let bar = Bar::new(global, corpus.total_bytes(), corpus.bytes_read());
        let mut rejects = Rejects::told(global, &bar);
        let mut totals = Totals::default();
        let mut printed: Result<()> = Ok(());
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let take = |(line, judgement): (u64, Judgement)| {
            totals.add(line, &judgement);
            if global.format == Format::Jsonl && printed.is_ok() {
                printed = print_line(&mut out, line, &judgement);
            }
        };
        let input = for_each_row(corpus.records(), &pool, &mut rejects, |record| judge.judge(record), take)?;
        bar.finish();
        rejects.close(&input)?;
        printed.and_then(|()| Ok(out.flush()?))?;
        drop(out);

        match global.format {
            Format::Jsonl => {}
            Format::Json => output::print_json(&Answer {
                schema: "tplc.audit/1",
                tokenizer: tokenizer.name(),
                number_format: judge.options.format.to_string(),
                input: &input,
                totals: &totals,
            })?,
            Format::Text | Format::Markdown => output::print(&render(&totals, &input, global.format))?,
        }
        let good = totals.all_valid() && input.skipped == 0;
        Ok(if good { ExitStatus::Success } else { ExitStatus::Failure })
    }

    fn load(&self, artifact: Option<&Artifact>) -> Result<Tokenizer> {
        let overlays = added_tokens(&self.added_tokens)?;
        let tokenizer = match (&self.tokenizer, artifact) {
            (Some(source), _) => source.load(&overlays)?,
            (None, Some(artifact)) => load_embedded(artifact.tables(), &overlays)?,
            (None, None) => bail!("name the tokenizer with --tokenizer"),
        };
        if let Some(artifact) = artifact {
            same_tokenizer(artifact.tables(), &tokenizer)?;
        }
        Ok(tokenizer)
    }

    fn options(&self, artifact: Option<&Artifact>, tokenizer: &Tokenizer) -> Result<TemplateOptions> {
        match (artifact, self.number_format) {
            (Some(artifact), _) => Ok(TemplateOptions::of(&artifact.tables().header)?),
            (None, Some(format)) => Ok(TemplateOptions {
                format,
                tags: self.tags.clone(),
                eos: eos(tokenizer, &self.eos)?,
                ..TemplateOptions::default()
            }),
            (None, None) => bail!("name an artifact, or a number format with --number-format"),
        }
    }

    /// The SMILES of each name in the corpora.
    fn names(&self) -> Result<BTreeMap<String, String>> {
        let mut names = BTreeMap::new();
        if self.corpus.is_empty() {
            return Ok(names);
        }
        let options = CorpusOptions { conformers: false, ..CorpusOptions::default() };
        for record in Corpus::open(&self.corpus, &options)?.records() {
            let (name, smiles) = match record?.parse()? {
                Row::Molecule(molecule) => (molecule.name, Some(molecule.smiles)),
                Row::Enriched(row) => (row.name, row.smiles),
            };
            names.extend(name.zip(smiles));
        }
        Ok(names)
    }
}

impl Judge<'_> {
    /// The line of a record and what it is; the inner error is why it cannot be judged.
    fn judge(&self, record: &Record) -> Result<Result<(u64, Judgement), crate::corpus::RowError>> {
        match self.judge_line(record.bytes()) {
            Ok(judged) => Ok(Ok((record.line(), judged.with_context(|| format!("line {}", record.line()))?))),
            Err(fault) => Ok(Err(record.reject(RowFault::Text(fault)))),
        }
    }

    fn judge_line(&self, line: &[u8]) -> Result<Result<Judgement>, String> {
        let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let smiles = match (&line.smiles, &line.name) {
            (Some(smiles), _) => Some(smiles),
            (None, Some(name)) => Some(
                self.names.get(name).ok_or_else(|| format!("no molecule of a --corpus is named {name:?}"))?,
            ),
            (None, _) => None,
        };
        let tags = self.options.tags.completion.as_ref();
        let expected = smiles.map(|smiles| Skeleton::new(smiles, tags)).transpose();
        let expected = expected.map_err(|error| error.to_string())?;
        match (&line.ids, &line.text) {
            (Some(ids), None) => {
                let ids: Vec<TokenId> = ids.iter().copied().map(TokenId).collect();
                Ok(self.judge_ids(expected, &ids))
            }
            (None, Some(text)) => Ok(Ok(self.auditor.judge_text(expected.as_ref(), text))),
            _ => Err("a generation has either \"ids\" or \"text\"".to_owned()),
        }
    }

    /// Judges ids in two ways that know nothing of each other: as text, and by the automaton.
    fn judge_ids(&self, expected: Option<Skeleton>, ids: &[TokenId]) -> Result<Judgement> {
        let judgement = self.auditor.judge_ids(expected.as_ref(), ids);
        let molecule = expected.or_else(|| self.auditor.molecule(ids));
        if let (Some(artifact), Some(molecule)) = (&self.artifact, molecule) {
            let literals: Vec<&str> = molecule.literals().collect();
            // A molecule with a literal that the artifact lacks has no template to follow.
            if let Ok(template) = Template::of_literals(artifact.tables(), literals.into_iter()) {
                let mut matcher = Matcher::new(template);
                let taken = ids.iter().take_while(|&&id| matcher.advance(id).is_ok()).count();
                // Behind the end, padding may stand.
                let special = |&id: &TokenId| self.auditor.is_padding(id);
                let accepted = matcher.is_finished() && ids[taken..].iter().all(special);
                if accepted != judgement.is_valid() {
                    return Err(anyhow!(
                        "the artifact and the tokenizer do not agree ({}): run `tplc check --exhaustive` and report it",
                        judgement.fault.as_deref().unwrap_or("valid, but refused")
                    ));
                }
            }
        }
        Ok(judgement)
    }
}

fn print_line(out: &mut impl Write, line: u64, judgement: &Judgement) -> Result<()> {
    serde_json::to_writer(&mut *out, &Judged { line, judgement })?;
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
        "{} holes; {} tokens, {mean:.1} a molecule ({fewest} to {most})\n\n",
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
