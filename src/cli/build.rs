//! `tplc build`: exact templates of a corpus, as artifacts.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{
    ExitStatus, Format, GENERAL, GlobalArgs,
    build_drift::Measured,
    corpus::{CorpusArgs, added_tokens, judge_rows, number_format, tags},
    format::FormatArgs,
    output,
    progress::Bar,
    table::{Table, count},
    threads::threads,
};
use crate::{
    artifact::Tokenization,
    corpus::InputCounts,
    template::{CertificateError, Collector, Compiler, DriftSummary, Manifest, TemplateOptions, eos_token},
    text::{NumberFormat, Tags},
    tokenizer::{Tokenizer, TokenizerSource},
};

const EXAMPLES: &str = "\
Examples:
  tplc build --tokenizer qwen --output qwen.tplc    the embedded corpus of drugs
  tplc build -t ./my-model -c molecules.smi --tags conformer -o mine.tplc
  tplc build -t qwen -t llama -c train.jsonl -o out/    two artifacts in a folder
  tplc build -t qwen -c train.jsonl --shard 1/8 -o 1.tplc    for `tplc merge`
  tplc build -t qwen -o draft.tplc --certificate none    without the long proof

Inputs are described in docs/corpora.md, manifests and JSON in docs/build.md.";

/// Build exact templates of the molecules of a corpus.
///
/// One artifact is written for each tokenizer and number format.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BuildArgs {
    /// Embedded name (see `tplc tokenizers`), tokenizer.json, model folder, or hf:ORG/NAME[@REV]; repeatable.
    #[arg(long, short, value_name = "NAME|PATH|hf:ORG/NAME", required = true, help_heading = "Tokenizers")]
    tokenizer: Vec<TokenizerSource>,
    /// Added tokens to lay over each tokenizer, RON or JSON; repeatable.
    #[arg(long, value_name = "FILE", help_heading = "Tokenizers")]
    added_tokens: Vec<PathBuf>,
    /// How coordinates are written: fixedN, trimmedN, RON, or a .ron file; repeatable.
    #[arg(long, value_name = "FORMAT", value_parser = number_format, default_value = "fixed4", help_heading = "Templates")]
    number_format: Vec<NumberFormat>,
    /// Tags around prompt and completion: none, conformer, or a .ron file.
    #[arg(long, value_name = "TAGS", default_value = "none", value_parser = tags, help_heading = "Templates")]
    tags: Tags,
    /// The token that ends a sequence: its text, `auto` (the tokenizer's own, if it tells), or `none`.
    #[arg(long, value_name = "TEXT|auto|none", default_value = "auto", help_heading = "Templates")]
    eos: String,
    /// Which spellings of the text in tokens to accept: the tokenizer's own, or any (as engines do that look at
    /// characters; for comparison).
    #[arg(long, value_enum, default_value_t = Spelling::Canonical, help_heading = "Templates")]
    tokenization: Spelling,
    /// Where to write: a .tplc file, or a folder for several artifacts (TOKENIZER-FORMAT.tplc); one that ends in / is
    /// made. The manifest has the same name and ends in .ron.
    #[arg(long, short, value_name = "PATH", help_heading = "Output")]
    output: PathBuf,
    /// Take only row I, I+N, I+2N, … of the corpus; `tplc merge` makes the artifacts of all shards one.
    #[arg(long, value_name = "I/N", value_parser = shard, default_value = "1/1", hide_default_value = true, help_heading = "Output")]
    shard: Shard,
    /// What to prove before writing.
    #[arg(long, value_enum, default_value_t = Proof::Full, help_heading = "Output")]
    certificate: Proof,
    /// Tell in the manifests what position templates do to real coordinates: counts that `tplc analyze --partial` wrote of
    /// the same tokenizers and number formats.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    drift: Option<PathBuf>,
    // Flattened groups come last: each sets the heading of what follows it.
    #[command(flatten)]
    corpus: CorpusArgs,
    /// Threads, as many as there are cores at most; 0 takes one for each.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = threads, help_heading = GENERAL)]
    threads: usize,
    #[command(flatten)]
    pub(super) print: FormatArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Proof {
    /// Every number and every literal, against the tokenizer.
    Full,
    /// Nothing; `tplc check --exhaustive` can do it later.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Spelling {
    /// What the tokenizer gives for the text, and nothing else.
    Canonical,
    /// Every sequence of tokens that decodes to the text.
    Any,
}

impl From<Spelling> for Tokenization {
    fn from(spelling: Spelling) -> Self {
        match spelling {
            Spelling::Canonical => Self::Canonical,
            Spelling::Any => Self::Any,
        }
    }
}

/// Part `index` of `of`, from 1.
#[derive(Clone, Copy, Debug)]
struct Shard {
    index: usize,
    of: usize,
}

/// The manifests as JSON, schema `tplc.build/1`.
#[derive(Serialize)]
struct Built<'a> {
    schema: &'static str,
    artifacts: &'a [BuiltArtifact],
}

/// An artifact that was written.
#[derive(Serialize)]
pub(super) struct BuiltArtifact {
    path: String,
    manifest: Manifest,
}

impl BuiltArtifact {
    pub(super) fn new(path: &Path, manifest: Manifest) -> Self {
        Self { path: path.display().to_string(), manifest }
    }
}

/// Prints what was written.
pub(super) fn show_built(built: &[BuiltArtifact], global: &GlobalArgs) -> Result<()> {
    match global.format {
        Format::Json => output::print_json(&Built { schema: "tplc.build/1", artifacts: built }),
        _ if built.is_empty() => Ok(()),
        Format::Text | Format::Markdown | Format::Jsonl => output::print(&render(built, global.format)),
    }
}

impl BuildArgs {
    pub(super) fn run(&self, global: &GlobalArgs) -> Result<ExitStatus> {
        let overlays = added_tokens(&self.added_tokens)?;
        let tokenizers: Vec<Tokenizer> =
            self.tokenizer.iter().map(|source| source.load(&overlays)).collect::<Result<_, _>>()?;
        let corpus = self.corpus.open(false)?;
        let paths = self.paths(&tokenizers)?;
        let outputs: Vec<&Path> =
            paths.iter().flatten().chain(&self.corpus.rejects).map(PathBuf::as_path).collect();
        for path in &outputs {
            output::check_writable(path)?;
        }
        for [_, manifest] in &paths {
            Manifest::check_path(manifest)?;
        }
        let names: Vec<_> = corpus.names().collect();
        let inputs = names.iter().map(|name| Path::new(name.as_ref())).chain(self.drift.as_deref());
        output::check_distinct(&outputs, inputs)?;
        let jobs: Vec<(&Tokenizer, NumberFormat)> = tokenizers
            .iter()
            .flat_map(|tokenizer| self.number_format.iter().map(move |&format| (tokenizer, format)))
            .collect();
        let drifts = self.drifts(&jobs)?;

        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build()?;
        let bar = Bar::new(global, corpus.total_bytes(), corpus.bytes_read());
        let mut rejects = self.corpus.rejects(global, &bar)?;
        let mut molecules = Collector::default();
        let shard = corpus.records().skip(self.shard.index - 1).step_by(self.shard.of);
        let input = molecules.read(shard, &self.tags, &pool, &mut rejects)?;
        bar.finish();
        let part = self.shard.of > 1;
        let read = rejects.close(&input)?.max(judge_rows(&input, part, global));
        if molecules.is_empty() && !part {
            global.tell("nothing is written: there is no molecule to build a template of");
            show_built(&[], global)?;
            return Ok(ExitStatus::Failure);
        }

        let mut built = Vec::new();
        for (((tokenizer, format), drift), [artifact, _]) in jobs.into_iter().zip(drifts).zip(&paths) {
            let made = pool.install(|| self.build(tokenizer, format, &molecules, &input, global))?;
            let (bytes, manifest) = (made.0, made.1.with_drift(drift));
            manifest.save_with(artifact, &bytes)?;
            built.push(BuiltArtifact::new(artifact, manifest));
        }
        show_built(&built, global)?;
        Ok(read)
    }

    /// The bytes of one artifact, and its manifest.
    fn build(
        &self,
        tokenizer: &Tokenizer,
        format: NumberFormat,
        molecules: &Collector,
        input: &InputCounts,
        global: &GlobalArgs,
    ) -> Result<(Vec<u8>, Manifest)> {
        let options = TemplateOptions {
            format,
            tags: self.tags.clone(),
            eos: eos_token(tokenizer, &self.eos)?,
            tokenization: self.tokenization.into(),
        };
        let compiler = Compiler::new(tokenizer, &options)?;
        let proven = match self.certificate {
            Proof::Full => {
                let (bar, moved) = Bar::of_share(global, format!("proving {} {format}", tokenizer.name()));
                let proven = molecules.prove(&compiler, input.clone(), Some(&moved));
                bar.finish();
                proven
            }
            Proof::None => molecules.prove(&compiler, input.clone(), None),
        };
        proven.map_err(|error| match error {
            CertificateError::Template(error) => error.into(),
            error => anyhow::Error::new(error).context(format!("{} {format}: not exact", tokenizer.name())),
        })
    }

    /// What is known of the drift of each job, in order.
    fn drifts(&self, jobs: &[(&Tokenizer, NumberFormat)]) -> Result<Vec<Option<DriftSummary>>> {
        let Some(path) = &self.drift else { return Ok(vec![None; jobs.len()]) };
        let measured = Measured::open(path)?;
        jobs.iter().map(|&(tokenizer, format)| measured.summary(tokenizer, format).map(Some)).collect()
    }

    /// Artifact and manifest of each job, in order.
    fn paths(&self, tokenizers: &[Tokenizer]) -> Result<Vec<[PathBuf; 2]>> {
        let single = tokenizers.len() * self.number_format.len() == 1;
        if single && self.output.extension().is_some_and(|extension| extension == "tplc") {
            return Ok(vec![[self.output.clone(), Manifest::path_of(&self.output)]]);
        }
        let folder = self.output.display();
        if self.output.as_os_str().as_encoded_bytes().ends_with(b"/") {
            std::fs::create_dir_all(&self.output)
                .with_context(|| format!("cannot make the folder {folder}"))?;
        }
        let wanted = if single {
            "let the name end in .tplc, or give a folder"
        } else {
            "several artifacts need a folder"
        };
        ensure!(self.output.is_dir(), "{folder} is no folder: {wanted} (one that ends in / is made)");
        let names = tokenizers.iter().flat_map(|tokenizer| {
            // A hub name has a slash, and a format in RON is no file name.
            let plain = |c: char| if c.is_ascii_alphanumeric() || "-+._".contains(c) { c } else { '_' };
            let name: String = tokenizer.name().chars().map(plain).collect();
            (1..).zip(&self.number_format).map(move |(number, format)| {
                let format = format.to_string();
                if format.starts_with('(') {
                    format!("{name}-format{number}")
                } else {
                    format!("{name}-{format}")
                }
            })
        });
        let path = |name: &str, extension: &str| self.output.join(format!("{name}.{extension}"));
        Ok(names.map(|name| [path(&name, "tplc"), path(&name, "ron")]).collect())
    }
}

fn render(built: &[BuiltArtifact], format: Format) -> String {
    let header = [
        "artifact",
        "tokenizer",
        "format",
        "molecules",
        "atoms",
        "literals",
        "bytes",
        "bytes/atom",
        "proven",
    ];
    let mut table = Table::new("Built", &[0, 1, 2, 8], &header);
    for BuiltArtifact { path, manifest } in built {
        let molecules = &manifest.molecules;
        table.row(vec![
            path.clone(),
            manifest.source.tokenizer.clone(),
            manifest.source.number_format.clone(),
            count(molecules.molecules),
            count(molecules.atoms),
            count(molecules.literals.iter().sum()),
            count(manifest.bytes),
            format!("{:.2}", manifest.bytes as f64 / molecules.atoms.max(1) as f64),
            match &manifest.certificate {
                Some(proof) => {
                    format!("{} numbers, {} literals", count(proof.numbers), count(proof.literals))
                }
                None => "nothing".to_owned(),
            },
        ]);
    }
    table.render(format).trim_end().to_owned() + "\n"
}

fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
    match parts {
        Some((index, of)) if (1..=of).contains(&index) => Ok(Shard { index, of }),
        _ => Err("must be I/N with 1 ≤ I ≤ N, such as 3/8".to_owned()),
    }
}
