//! `tplc export`: position templates, for those who keep the processor that counts positions.

mod arrays;
mod json;
mod npz;
mod tensors;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use rayon::prelude::*;
use serde::Serialize;

use self::arrays::{Arrays, Export, Heading, Placeholder};
use super::{
    ExitStatus, Format, GENERAL, GlobalArgs,
    analyze::not_negative,
    check::load_embedded,
    corpus::{added_tokens, placeholder},
    format::FormatArgs,
    output,
    progress::Bar,
    table::{Table, count, counted},
    threads::threads,
};
use crate::{
    artifact::{Artifact, Header, Tables},
    drift::{CostModel, DEFAULT_PLACEHOLDERS, PartialFile, Report},
    template::{Oracle, PositionTemplate, TemplateOptions, same_tokenizer},
    text::Skeleton,
    tokenizer::{Tokenizer, TokenizerSource},
};

const EXAMPLES: &str = "\
Examples:
  tplc export qwen.tplc --output all.npz                    all its molecules
  tplc export qwen.tplc -o one.json --smiles CC=O --placeholder=0.00,0.00,0.00
  tplc export qwen.tplc -o all.safetensors --adaptive counts.json

The arrays and the JSON are described in docs/export.md.";

/// Export position templates, for a processor that counts positions.
///
/// For each molecule and each placeholder: the ids, the FREE positions and the markers of holes. Exact templates need
/// none of this.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExportArgs {
    /// The artifact: its molecules, tokenizer, tags and end of sequence.
    artifact: PathBuf,
    /// Where to write: FILE.json, FILE.npz (NumPy) or FILE.safetensors.
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: PathBuf,
    /// Export this molecule, in the artifact or not, instead of all of the artifact; repeatable.
    #[arg(long, value_name = "SMILES", help_heading = "Output")]
    smiles: Vec<String>,
    /// A placeholder to fill holes with, beside the two in use; repeatable.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = placeholder, help_heading = "Placeholders")]
    placeholder: Vec<String>,
    /// Counts that `tplc analyze --partial` wrote with this tokenizer and number format: their adaptive placeholder is
    /// exported too.
    #[arg(long, value_name = "PARTIAL.json", help_heading = "Placeholders")]
    adaptive: Option<PathBuf>,
    /// What one lost token costs, in passes: decides how long the adaptive placeholder is.
    #[arg(long, value_name = "N", requires = "adaptive", default_value_t = CostModel::default().lost_passes, value_parser = not_negative, help_heading = "Placeholders")]
    lost_passes: f64,
    /// The tokenizer of the artifact; without one, the embedded one it was built for.
    #[arg(long, short, value_name = "NAME|PATH|hf:ORG/NAME", help_heading = "Tokenizer")]
    tokenizer: Option<TokenizerSource>,
    /// Added tokens to lay over it, RON or JSON; repeatable.
    #[arg(long, value_name = "FILE", help_heading = "Tokenizer")]
    added_tokens: Vec<PathBuf>,
    /// Threads, as many as there are cores at most; 0 takes one for each.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = threads, help_heading = GENERAL)]
    threads: usize,
    #[command(flatten)]
    pub(super) print: FormatArgs,
}

/// Makes the bytes of a file.
type Writer = fn(&Export) -> Result<Vec<u8>>;

/// What was written, as JSON, schema `tplc.exported/1`.
#[derive(Serialize)]
struct Exported<'e> {
    schema: &'static str,
    output: String,
    molecules: usize,
    placeholders: Vec<Counted<'e>>,
}

#[derive(Serialize)]
struct Counted<'e> {
    #[serde(flatten)]
    placeholder: &'e Placeholder,
    positions: usize,
    free: usize,
    copy: usize,
}

impl ExportArgs {
    pub(super) fn run(&self, global: &GlobalArgs) -> Result<ExitStatus> {
        let writer = writer(&self.output)?;
        output::check_writable(&self.output)?;
        let inputs = [&self.artifact].into_iter().chain(&self.adaptive).chain(&self.added_tokens);
        output::check_distinct(&[&self.output], inputs.map(PathBuf::as_path))?;
        let artifact = Artifact::open(&self.artifact)?;
        let tokenizer = self.load(artifact.tables())?;
        same_tokenizer(artifact.tables(), &tokenizer)?;
        let header = &artifact.tables().header;
        let placeholders = self.placeholders(artifact.tables())?;

        let tags = TemplateOptions::of(header)?.tags.completion;
        let skeleton = |smiles: &String| {
            Skeleton::new(smiles, tags.as_ref()).with_context(|| format!("--smiles {smiles}"))
        };
        let named: Vec<Skeleton> = self.smiles.iter().map(skeleton).collect::<Result<_>>()?;
        let molecules: Vec<Vec<&str>> = match named.as_slice() {
            [] => (0..artifact.len())
                .map(|index| Ok(artifact.literals(index)?.collect()))
                .collect::<Result<_>>()?,
            named => named.iter().map(|skeleton| skeleton.literals().collect()).collect(),
        };
        let export = Export {
            smiles: molecules.iter().map(|literals| smiles(literals, header)).collect(),
            arrays: self.templates(&molecules, &placeholders, &Oracle::new(&tokenizer, header), global)?,
            heading: Heading::new(artifact.tables(), placeholders),
        };
        output::write_whole(&self.output, writer(&export)?)?;
        self.show(&export, global)?;
        Ok(ExitStatus::Success)
    }

    fn load(&self, tables: &Tables) -> Result<Tokenizer> {
        let overlays = added_tokens(&self.added_tokens)?;
        match &self.tokenizer {
            Some(source) => Ok(source.load(&overlays)?),
            None => load_embedded(tables, &overlays),
        }
    }

    /// Every placeholder once, with all that it is there for.
    fn placeholders(&self, tables: &Tables) -> Result<Vec<Placeholder>> {
        let [blocklist, allowlist] = DEFAULT_PLACEHOLDERS.map(str::to_owned);
        let mut wanted = vec![("blocklist", blocklist), ("allowlist", allowlist)];
        wanted.extend(self.placeholder.iter().map(|text| ("given", text.clone())));
        if let Some(path) = &self.adaptive {
            let chosen = self.adaptive(path, tables).with_context(|| path.display().to_string())?;
            wanted.push(("adaptive", chosen));
        }
        let mut placeholders: Vec<Placeholder> = Vec::new();
        for (source, text) in wanted {
            let known = placeholders.iter_mut().find(|known| known.text == text);
            match known {
                Some(known) if known.sources.contains(&source) => {}
                Some(known) => known.sources.push(source),
                None => {
                    let name = format!("p{}", placeholders.len());
                    placeholders.push(Placeholder { name, text, sources: vec![source] });
                }
            }
        }
        Ok(placeholders)
    }

    /// The adaptive placeholder of the counts that were made with the artifact's tokenizer and number format.
    fn adaptive(&self, path: &Path, tables: &Tables) -> Result<String> {
        let counts = PartialFile::from_json(&std::fs::read_to_string(path)?)?;
        let cost = CostModel { lost_passes: self.lost_passes, ..CostModel::default() };
        let report = Report::new(&counts, cost);
        let (header, fingerprint) = (&tables.header, tables.fingerprint().to_string());
        let counted = report.tokenizers.iter().find(|counted| {
            counted.fingerprint == fingerprint && counted.number_format == header.number_format
        });
        let Some(counted) = counted else {
            let there: Vec<String> = report
                .tokenizers
                .iter()
                .map(|counted| format!("{} {}", counted.name, counted.number_format))
                .collect();
            bail!(
                "it has no counts of {} {}, but {}: run `tplc analyze --partial` with the artifact's tokenizer and \
                 --number-format",
                header.tokenizer,
                header.number_format,
                if there.is_empty() { "none at all".to_owned() } else { there.join(", ") }
            );
        };
        ensure!(counted.atoms > 0, "no hole was counted, so no placeholder can be chosen");
        let adaptive = counted.adaptive.as_ref().ok_or_else(|| anyhow!("the counts hold no candidates"))?;
        Ok(adaptive.facts.text.clone())
    }

    /// The templates of all molecules, placeholder by placeholder.
    fn templates(
        &self,
        molecules: &[Vec<&str>],
        placeholders: &[Placeholder],
        oracle: &Oracle<'_>,
        global: &GlobalArgs,
    ) -> Result<Vec<Arrays>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build()?;
        let (bar, moved) = Bar::of_share(global, "tokenizing".to_owned());
        let (done, all) = (AtomicUsize::new(0), molecules.len() * placeholders.len());
        let template = |literals: &Vec<&str>, text: &str| {
            let template = PositionTemplate::new(oracle, literals.iter().copied(), text);
            moved((done.fetch_add(1, Ordering::Relaxed) + 1) as f64 / all as f64);
            template
        };
        let filled = |placeholder: &Placeholder| -> Result<Arrays> {
            let templates: Vec<PositionTemplate> = molecules
                .par_iter()
                .map(|literals| template(literals, &placeholder.text))
                .collect::<Result<_, _>>()?;
            Ok(templates.into_iter().collect())
        };
        let arrays = pool.install(|| placeholders.iter().map(filled).collect());
        bar.finish();
        arrays
    }

    fn show(&self, export: &Export, global: &GlobalArgs) -> Result<()> {
        let count_of = |(placeholder, arrays): (_, &Arrays)| {
            let (positions, free) = (arrays.positions(), arrays.free());
            Counted { placeholder, positions, free, copy: positions - free }
        };
        let exported = Exported {
            schema: "tplc.exported/1",
            output: self.output.display().to_string(),
            molecules: export.smiles.len(),
            placeholders: export.heading.placeholders.iter().zip(&export.arrays).map(count_of).collect(),
        };
        if global.format == Format::Json {
            return output::print_json(&exported);
        }
        let molecules = counted(exported.molecules as u64, "molecule");
        let title = format!("{}: position templates of {molecules}", exported.output);
        let mut table =
            Table::new(title, &[0, 1, 2], &["name", "placeholder", "for", "positions", "FREE", "COPY"]);
        for Counted { placeholder, positions, free, copy } in &exported.placeholders {
            let mut row =
                vec![placeholder.name.clone(), placeholder.text.clone(), placeholder.sources.join(", ")];
            row.extend([positions, free, copy].map(|&number| count(number as u64)));
            table.row(row);
        }
        output::print(&(table.render(global.format).trim_end().to_owned() + "\n"))
    }
}

/// Who writes a file of this name.
fn writer(path: &Path) -> Result<Writer> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => Ok(json::bytes),
        Some("npz") => Ok(npz::bytes),
        Some("safetensors") => Ok(tensors::bytes),
        _ => bail!("--output {}: give it the ending .json, .npz or .safetensors", path.display()),
    }
}

/// The SMILES that a text of these literals copies, every atom in brackets.
fn smiles(literals: &[&str], header: &Header) -> String {
    let last = literals.len().saturating_sub(1);
    let copied = |(index, literal): (usize, &&'_ str)| {
        let before = if index == 0 { header.open.as_str() } else { ">" };
        let behind = if index == last { header.close.as_str() } else { "<" };
        let copied = literal.strip_prefix(before).unwrap_or(literal);
        copied.strip_suffix(behind).unwrap_or(copied).to_owned()
    };
    literals.iter().enumerate().map(copied).collect()
}
