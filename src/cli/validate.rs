//! `tplc validate`: decode molecules with a model under every strategy, judge every output twice, report side by side.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

use super::{
    ExitStatus, Format, GlobalArgs,
    corpus::{CorpusArgs, judge_rows, number_format, placeholder},
    output,
    progress::Bar,
    table::{Table, count, figure, percent},
    validate_model::{ModelArgs, ModelSource},
    validate_subjects::{Molecules, tags},
};
use crate::{
    artifact::{Artifact, Tables},
    corpus::{Corpus, CorpusOptions, Progress, Rejected},
    decode::{
        LanguageModel, Prompt, Run, Runner, Sampler, Sampling, Strategy, StrategyReport, Subject, Watch,
    },
    drift::{Analysis, AnalysisOptions, CostModel, DEFAULT_PLACEHOLDERS, Report},
    template::{Compiler, TemplateOptions, same_tokenizer},
    text::NumberFormat,
    tokenizer::Tokenizer,
    trace::Recorder,
};

/// Decode molecules with a model under every strategy, and judge every output twice.
///
/// Strategies: `none`; position templates as in use, `blocklist` and `allowlist`, and with our placeholder, `adaptive`;
/// exact templates, `mask` (one token a pass), `forced` (tokens without a choice ride along), `restricted` (and logits of
/// the token alphabet only), `drafted` (and decimal points before they are chosen). Exit status 1 if an exact strategy shows one fault.
#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Exact templates from this artifact instead of compiling them; it must be built for the model's tokenizer, with an
    /// end-of-sequence token.
    #[arg(long, value_name = "FILE", conflicts_with = "number_format")]
    artifact: Option<PathBuf>,
    /// How coordinates are written: fixedN, trimmedN, RON, or a .ron file. [default: fixed4]
    #[arg(long, value_name = "FORMAT", value_parser = number_format)]
    number_format: Option<NumberFormat>,
    /// Tags around prompt and completion: none, conformer, or a .ron file; `auto` takes those of conformer models if the
    /// tokenizer has them as tokens. Without tags, a prompt is the SMILES and a line break.
    #[arg(long, value_name = "TAGS", default_value = "auto")]
    tags: String,
    /// A token to put before every prompt, by its text.
    #[arg(long, value_name = "TEXT")]
    bos: Option<String>,
    /// What holds the model; repeatable, or a list. [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    strategy: Vec<Strategy>,
    /// The placeholder of `adaptive`; by default the one of least expected cost on the reference corpus.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = placeholder)]
    placeholder: Option<String>,
    /// Rows to decode: molecules spread evenly over the corpus, again from its start if it has fewer.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    samples: u64,
    /// Rows side by side; when one ends, the next takes its place.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=4096))]
    batch: u64,
    /// Let every strategy write the corpus's own coordinates, whatever it would choose, so that all do equal work: for
    /// comparing times. Faults are then not seen.
    #[arg(long)]
    replay: bool,
    /// Run each strategy so often behind one run to warm up, and tell the median time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    repeat: Option<u64>,
    /// Divides the logits; 0 takes the likeliest token.
    #[arg(long, value_name = "T", default_value_t = 0.7, allow_negative_numbers = true)]
    temperature: f64,
    /// Keep the likeliest tokens until they have this share together.
    #[arg(long, value_name = "P", default_value_t = 0.8)]
    top_p: f64,
    /// Keep this many of the likeliest tokens; 0 keeps all.
    #[arg(long, value_name = "K", default_value_t = 20)]
    top_k: usize,
    /// Keep tokens of at least this share of the likeliest one's.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    min_p: f64,
    /// Decides all draws: each by seed, row, place and token, whatever the batch and the strategy.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Write a Chrome trace of all strategies, for Perfetto and `tplc trace`.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    // Flattened groups come last: each sets the heading of what follows it.
    #[command(flatten)]
    corpus: CorpusArgs,
}

/// The result as JSON, schema `tplc.validate/1`.
#[derive(Serialize)]
struct Validated<'a> {
    schema: &'static str,
    good: bool,
    model: &'a str,
    device: String,
    dtype: String,
    tokenizer: &'a str,
    number_format: &'a str,
    molecules: u64,
    samples: u64,
    batch: u64,
    replay: bool,
    repeat: u64,
    sampling: Settings,
    alphabet: u64,
    tables_seconds: f64,
    strategies: &'a [StrategyReport],
}

#[derive(Clone, Copy, Serialize)]
struct Settings {
    temperature: f64,
    top_p: f64,
    top_k: u64,
    min_p: f64,
    seed: u64,
}

impl ValidateArgs {
    pub(super) fn run(&self, global: &GlobalArgs) -> Result<ExitStatus> {
        // What cannot work is told before anything long.
        let sampling = Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
        };
        let sampler = Sampler::new(sampling, self.seed)?;
        let source = self.model.open()?;
        let corpus = self.corpus.open(false)?;
        let outputs: Vec<&Path> =
            self.trace.iter().chain(&self.corpus.rejects).map(PathBuf::as_path).collect();
        for path in &outputs {
            output::check_writable(path)?;
        }
        output::check_distinct(&outputs, corpus.names().map(|name| Path::new(name.as_ref())))?;

        let tags = tags(&self.tags, &source.tokenizer)?;
        let bar = Bar::new(global, corpus.total_bytes(), corpus.bytes_read());
        let mut rejects = self.corpus.rejects(global, &bar)?;
        let pool = rayon::ThreadPoolBuilder::new().build()?;
        let mut molecules = Molecules::default();
        let input = molecules.read(corpus.records(), &tags, &pool, &mut rejects)?;
        bar.finish();
        let read = rejects.close(&input)?.max(judge_rows(&input, false, global));
        if molecules.is_empty() {
            global.tell("nothing is decoded: there is no molecule");
            return Ok(ExitStatus::Failure);
        }
        let subjects = molecules.spread(self.samples);

        let started = Instant::now();
        let tables = self.tables(&source, &tags, &subjects)?;
        let tables_seconds = started.elapsed().as_secs_f64();
        let placeholder = self.placeholder(&source.tokenizer, &tables)?;
        let bos = self.bos.as_deref().map(|text| {
            let known = source.tokenizer.vocabulary().added(text);
            known.with_context(|| format!("{} has no added token {text:?}", source.tokenizer.name()))
        });
        let prompt = Prompt { bos: bos.transpose()?, tags: tags.prompt.clone() };
        let runner = Runner::new(&source.tokenizer, &tables, prompt, &placeholder)?;
        let runner = if self.replay { runner.replaying() } else { runner };
        let context = runner.context(&subjects)?;
        let slots = self.batch.min(self.samples) as usize;
        let mut model = source.load(slots, context)?;

        let mut reports = self.decode(&runner, model.as_mut(), sampler, &subjects, global)?;
        StrategyReport::compare(&mut reports);
        let good = reports.iter().all(StrategyReport::keeps_its_promise);
        let validated = Validated {
            schema: "tplc.validate/1",
            good,
            model: &source.name,
            device: source.device().to_string(),
            dtype: self.model.dtype.to_string(),
            tokenizer: source.tokenizer.name(),
            number_format: &tables.header.number_format,
            molecules: molecules.len() as u64,
            samples: self.samples,
            batch: self.batch,
            replay: self.replay,
            repeat: self.repeat.unwrap_or(0),
            sampling: Settings {
                temperature: self.temperature,
                top_p: self.top_p,
                top_k: self.top_k as u64,
                min_p: self.min_p,
                seed: self.seed,
            },
            alphabet: tables.alphabet().len() as u64,
            tables_seconds,
            strategies: &reports,
        };
        match global.format {
            Format::Json => output::print_json(&validated)?,
            Format::Text | Format::Markdown | Format::Jsonl => {
                output::print(&render(&validated, global.format))?
            }
        }
        Ok(if good { read } else { ExitStatus::Failure })
    }

    fn decode(
        &self,
        runner: &Runner<'_>,
        model: &mut dyn LanguageModel,
        sampler: Sampler,
        subjects: &[Subject],
        global: &GlobalArgs,
    ) -> Result<Vec<StrategyReport>> {
        let began = Instant::now();
        let recorder = match &self.trace {
            Some(_) => Recorder::new(move || began.elapsed()),
            None => Recorder::off(),
        };
        let mut watch = Watch::new(recorder);
        let strategies =
            if self.strategy.is_empty() { Strategy::ALL.to_vec() } else { self.strategy.clone() };
        let all = (strategies.len() * subjects.len()) as f64;
        let mut rows = 0;
        let failed = |strategy| move || format!("cannot decode with strategy {strategy}");
        let mut runs = Vec::new();
        for &strategy in &strategies {
            let (bar, moved) = Bar::of_share(global, strategy.name().to_owned());
            let finished = || {
                rows += 1;
                moved(f64::from(rows) / all);
            };
            let run = runner.run(strategy, model, sampler, subjects, &mut watch, finished);
            bar.finish();
            runs.push(vec![run.with_context(failed(strategy))?]);
        }
        // The first runs warm up where more are asked for; strategies take turns, so that what changes in the meantime
        // changes for all.
        if let Some(repeat) = self.repeat {
            runs.iter_mut().for_each(Vec::clear);
            for _ in 0..repeat {
                for (&strategy, runs) in strategies.iter().zip(&mut runs) {
                    let run = runner.run(strategy, model, sampler, subjects, &mut watch, || {});
                    runs.push(run.with_context(failed(strategy))?);
                }
            }
        }
        let medians = runs.into_iter().filter_map(Run::median);
        let reports = medians.map(|run| runner.report(&run, subjects)).collect::<Result<Vec<_>, _>>()?;
        if let Some(path) = &self.trace {
            let mut trace = Vec::new();
            watch.recorder().write(&mut trace)?;
            output::write_whole(path, trace)?;
        }
        Ok(reports)
    }

    /// The exact templates: opened, or compiled for the molecules at hand.
    fn tables(
        &self,
        source: &ModelSource<'_>,
        tags: &crate::text::Tags,
        subjects: &[Subject],
    ) -> Result<Arc<Tables>> {
        let tokenizer = &source.tokenizer;
        if let Some(path) = &self.artifact {
            let artifact = Artifact::open(path)?;
            same_tokenizer(artifact.tables(), tokenizer)?;
            let completion = tags.completion.as_ref();
            let header = &artifact.tables().header;
            let asked = completion.map_or(("", ""), |tags| (&tags.open, &tags.close));
            ensure!(
                asked == (header.open.as_str(), header.close.as_str()),
                "{} was built with tags {:?} and {:?} around completions: give the same with --tags",
                path.display(),
                header.open,
                header.close
            );
            return Ok(Arc::clone(artifact.tables()));
        }
        let format = self.number_format.or(source.number_format).unwrap_or_default();
        let options =
            TemplateOptions { format, tags: tags.clone(), eos: source.eos()?, ..TemplateOptions::default() };
        let compiler = Compiler::new(tokenizer, &options)?;
        let mut collector = crate::template::Collector::default();
        for subject in subjects {
            collector.add(&subject.skeleton);
        }
        let artifact = Artifact::from_bytes(collector.build(&compiler)?)?;
        Ok(Arc::clone(artifact.tables()))
    }

    /// The placeholder of `adaptive`.
    fn placeholder(&self, tokenizer: &Tokenizer, tables: &Tables) -> Result<String> {
        let wanted = self.strategy.is_empty() || self.strategy.contains(&Strategy::Adaptive);
        if let Some(text) = &self.placeholder {
            return Ok(text.clone());
        }
        if !wanted {
            return Ok(DEFAULT_PLACEHOLDERS[0].to_owned());
        }
        let format: NumberFormat = tables.header.number_format.parse()?;
        let options = AnalysisOptions { formats: vec![Some(format)], ..AnalysisOptions::default() };
        let mut analysis = Analysis::new(std::slice::from_ref(tokenizer), &options)?;
        let corpus = Corpus::open(&["reference:drugs".to_owned()], &CorpusOptions::default())?;
        analysis.run(corpus.records(), &mut Quiet)?;
        let report = Report::new(&analysis.finish()?, CostModel::default());
        let adaptive = report.tokenizers.into_iter().next().and_then(|tokenizer| tokenizer.adaptive);
        Ok(adaptive.context("no adaptive placeholder is known: give one with --placeholder")?.facts.text)
    }
}

/// The reference corpus has no row to tell of.
struct Quiet;

impl Progress for Quiet {
    fn rejected(&mut self, _: Rejected<'_>) {}
    fn advanced(&mut self, _: u64) {}
}

fn render(validated: &Validated<'_>, format: Format) -> String {
    let Settings { temperature, top_p, top_k, min_p, seed } = validated.sampling;
    let sampling = match temperature {
        0.0 => "greedy".to_owned(),
        _ => format!("temperature {temperature}, top-p {top_p}, top-k {top_k}, min-p {min_p}, seed {seed}"),
    };
    let replayed = if validated.replay { " · replayed" } else { "" };
    let repeated = match validated.repeat {
        0 => String::new(),
        runs => format!(" · median of {runs}"),
    };
    let mut text = format!(
        "{} · {} · {} · {} rows in batches of {} · {sampling}{replayed}{repeated} · {} {}\n\n",
        validated.model,
        validated.tokenizer,
        validated.number_format,
        count(validated.samples),
        validated.batch,
        validated.device,
        validated.dtype,
    );
    let header = ["strategy", "seconds", "speed", "passes", "ms/pass", "tokens", "passes/atom", "bound"];
    let mut work = Table::new("Work", &[0], &header);
    let header = [
        "strategy",
        "blocks",
        "junk tokens",
        "junk blocks",
        "truncated",
        "structure",
        "not canonical",
        "faulty rows",
    ];
    let mut faults = Table::new("Faults", &[0], &header);
    let header = ["strategy", "build", "prefill", "forward", "mask", "sample", "matcher", "append"];
    let mut times = Table::new("Seconds", &[0], &header);
    for report in validated.strategies {
        work.row(vec![
            report.strategy.to_owned(),
            format!("{:.2}", report.seconds),
            report.speed.map_or("-".to_owned(), |speed| format!("{speed:.2}x")),
            count(report.passes),
            figure(report.ms_per_pass),
            count(report.tokens),
            format!("{:.2}", report.passes_per_atom),
            report.bound.map_or("-".to_owned(), |bound| format!("{:.1}..{:.1}", bound.min, bound.max)),
        ]);
        let share = report.junk_blocks as f64 / report.blocks.max(1) as f64;
        faults.row(vec![
            report.strategy.to_owned(),
            count(report.blocks),
            count(report.junk_tokens),
            format!("{} ({})", count(report.junk_blocks), percent(share)),
            count(report.truncated),
            count(report.structural_failures),
            count(report.non_canonical),
            count(report.failures),
        ]);
        let time = &report.time;
        let stages =
            [time.build, time.prefill, time.forward, time.mask, time.sample, time.matcher, time.append];
        let mut row = vec![report.strategy.to_owned()];
        row.extend(stages.map(|seconds| format!("{seconds:.3}")));
        times.row(row);
    }
    text += &work.render(format);
    if !validated.replay {
        text += &faults.render(format);
    }
    text += &times.render(format);
    for report in validated.strategies.iter().filter(|report| report.first_fault.is_some()) {
        let fault = report.first_fault.as_deref().unwrap_or_default();
        text += &format!("{}: {fault}\n", report.strategy);
    }
    text += match validated.good {
        true if validated.replay => {
            "\nReplayed: every strategy said the same texts, so this tells nothing of faults.\n"
        }
        true => "\nExact strategies: no junk, nothing cut, nothing out of place; ids and texts agree.\n",
        false => "\nAn exact strategy shows a fault: this is a bug.\n",
    };
    text
}
