//! `tplc validate`: decode molecules with a model under every strategy, judge every output twice, report side by side.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::{
    ExitStatus, Format, GlobalArgs,
    analyze::at_least_one,
    corpus::{CorpusArgs, judge_rows, number_format, placeholder},
    format::FormatArgs,
    output,
    progress::Bar,
    validate_model::{ModelArgs, ModelSource},
    validate_report::{Settings, Validated, render},
    validate_subjects::{Molecules, tags},
};
use crate::{
    artifact::{Artifact, Tables},
    corpus::{Corpus, CorpusOptions},
    decode::{
        LanguageModel, Prompt, Run, Runner, Sampler, Sampling, Strategy, StrategyReport, Subject, Watch,
    },
    drift::{Analysis, AnalysisOptions, CostModel, DEFAULT_PLACEHOLDERS, Report},
    template::{Compiler, TemplateOptions, same_tokenizer},
    text::NumberFormat,
    tokenizer::Tokenizer,
    trace::Recorder,
};

const EXAMPLES: &str = "\
Examples:
  tplc validate                                 the model that is compiled in
  tplc validate --model ./my-model --number-format fixed4 --samples 64
  tplc validate --model hf:Qwen/Qwen3-0.6B --temperature 0 --trace run.json
  tplc validate --model brackets -t llama --strategy mask,forced
  tplc validate --model ./my-model --device cuda:0 --dtype bf16 --replay

Strategies, tables and the JSON are described in docs/validate.md.";

/// Decode molecules with a model in every way there is, and judge the texts.
///
/// Strategies: `none`; position templates as in use, `blocklist` and `allowlist`, and with our placeholder, `adaptive`;
/// exact templates, `mask` (one token per pass), `forced` (tokens without a choice ride along), `restricted` (and logits of
/// the token alphabet only), `drafted` (and decimal points before they are chosen). Exit status 1 if an exact strategy shows one fault.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Exact templates from this artifact instead of compiling them; it must be built for the model's tokenizer, with an
    /// end-of-sequence token.
    #[arg(long, value_name = "FILE", conflicts_with = "number_format", help_heading = "Templates")]
    artifact: Option<PathBuf>,
    /// How coordinates are written: fixedN, trimmedN, RON, or a .ron file. [default: fixed4; trimmed4 for `tiny`]
    #[arg(long, value_name = "FORMAT", value_parser = number_format, help_heading = "Templates")]
    number_format: Option<NumberFormat>,
    /// Tags around prompt and completion: none, conformer, or a .ron file; `auto` takes those of conformer models if the
    /// tokenizer has them as tokens. Without tags, a prompt is the SMILES and a line break.
    #[arg(long, value_name = "TAGS", default_value = "auto", help_heading = "Templates")]
    tags: String,
    /// A token to put before every prompt, by its text.
    #[arg(long, value_name = "TEXT", help_heading = "Templates")]
    bos: Option<String>,
    /// What holds the model; repeatable, or a list. [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Strategies")]
    strategy: Vec<Strategy>,
    /// The placeholder of `adaptive`; by default the one of least expected cost on the reference corpus.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = placeholder, help_heading = "Strategies")]
    placeholder: Option<String>,
    /// Rows to decode: molecules spread evenly over the corpus, again from its start if it has fewer.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one, help_heading = "Work")]
    samples: u64,
    /// Rows side by side; when one ends, the next takes its place.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=4096), help_heading = "Work")]
    batch: u64,
    /// Let every strategy write the corpus's own coordinates, whatever it would choose, so that all do equal work: for
    /// comparing times. Faults are then not seen.
    #[arg(long, help_heading = "Work")]
    replay: bool,
    /// Run each strategy this often after one run to warm up, and show the median time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000), help_heading = "Work")]
    repeat: Option<u64>,
    /// Divides the logits; 0 takes the likeliest token.
    #[arg(
        long,
        value_name = "T",
        default_value_t = 0.7,
        allow_negative_numbers = true,
        help_heading = "Sampling"
    )]
    temperature: f64,
    /// Keep the likeliest tokens until they have this share together.
    #[arg(long, value_name = "P", default_value_t = 0.8, help_heading = "Sampling")]
    top_p: f64,
    /// Keep this many of the likeliest tokens; 0 keeps all.
    #[arg(long, value_name = "K", default_value_t = 20, help_heading = "Sampling")]
    top_k: usize,
    /// Keep tokens of at least this share of the likeliest one's.
    #[arg(long, value_name = "P", default_value_t = 0.0, help_heading = "Sampling")]
    min_p: f64,
    /// Decides all draws: each by seed, row, place and token, whatever the batch and the strategy.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Sampling")]
    seed: u64,
    /// Write a Chrome trace of all strategies, for Perfetto and `tplc trace`.
    #[arg(long, value_name = "FILE", help_heading = "Work")]
    trace: Option<PathBuf>,
    // Flattened groups come last: each sets the heading of what follows it.
    #[command(flatten)]
    corpus: CorpusArgs,
    #[command(flatten)]
    print: FormatArgs,
}

impl ValidateArgs {
    pub(super) fn format(&self) -> Format {
        self.print.format
    }

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
        analysis.run(corpus.records(), &mut ())?;
        let report = Report::new(&analysis.finish()?, CostModel::default());
        let adaptive = report.tokenizers.into_iter().next().and_then(|tokenizer| tokenizer.adaptive);
        Ok(adaptive.context("no adaptive placeholder is known: give one with --placeholder")?.facts.text)
    }
}
