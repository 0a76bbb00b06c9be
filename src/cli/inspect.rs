//! `tplc inspect`: what is in an artifact.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{
    ExitStatus, Format, GlobalArgs,
    corpus::added_tokens,
    format::FormatArgs,
    output,
    table::{Table, count, counted, paragraph, percent},
};
use crate::{
    artifact::{Artifact, Template},
    corpus::{InputCounts, Smiles},
    matcher::Matcher,
    primitives::TokenId,
    template::{
        Compiler, Manifest, TemplateOptions, automaton_text, dot, example_numbers, same_tokenizer, trace,
    },
    text::{NumberFormat, Skeleton},
    tokenizer::TokenizerSource,
};

const EXAMPLES: &str = "\
Examples:
  tplc inspect qwen.tplc                         counts and sizes
  tplc inspect qwen.tplc --smiles CC=O           the template of a molecule
  tplc inspect qwen.tplc --smiles '[U]' -t qwen  with literals that it lacks
  tplc inspect qwen.tplc --show dot | dot -Tsvg > numbers.svg";

/// Show what is in an artifact, or the template of one molecule.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct InspectArgs {
    /// The artifact.
    artifact: PathBuf,
    /// The template of this molecule in trace notation: any whose literals the artifact has.
    #[arg(long, value_name = "SMILES", conflicts_with = "show", help_heading = "What to show")]
    smiles: Option<String>,
    /// The template of molecule I, from 0.
    #[arg(long, value_name = "I", conflicts_with_all = ["smiles", "show"], help_heading = "What to show")]
    molecule: Option<usize>,
    /// The tokenizer of the artifact: compiles literals of the molecule that the artifact lacks.
    #[arg(
        long,
        short,
        value_name = "NAME|PATH|hf:ORG/NAME",
        requires = "smiles",
        help_heading = "Tokenizer"
    )]
    tokenizer: Option<TokenizerSource>,
    /// Added tokens to lay over it, RON or JSON; repeatable.
    #[arg(long, value_name = "FILE", requires = "tokenizer", help_heading = "Tokenizer")]
    added_tokens: Vec<PathBuf>,
    /// Show this instead of counts and sizes.
    #[arg(long, value_enum, help_heading = "What to show")]
    show: Option<Part>,
    #[command(flatten)]
    pub(super) print: FormatArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The ids that are ever a choice, with their texts.
    Alphabet,
    /// The automaton of numbers, state by state.
    Automaton,
    /// The automaton of numbers as Graphviz.
    Dot,
    /// The literals, by place.
    Literals,
}

/// One molecule's template as JSON, schema `tplc.template/1`.
#[derive(Serialize)]
struct Shown {
    schema: &'static str,
    literals: Vec<String>,
    atoms: usize,
    tokens: [u32; 2],
    decisions: [u32; 2],
    text: String,
    trace: String,
}

impl InspectArgs {
    pub(super) fn run(&self, global: &GlobalArgs) -> Result<ExitStatus> {
        let artifact = Artifact::open(&self.artifact)?;
        if let Some(fault) = Manifest::fault(&self.artifact, &artifact) {
            global.tell(&format!("{}: {fault}", self.artifact.display()));
        }
        match (&self.smiles, self.molecule, self.show) {
            (Some(smiles), _, _) => {
                let template = match &self.tokenizer {
                    Some(source) => self.compile(&artifact, source, smiles)?,
                    None => {
                        // The artifact alone reads atoms off any text.
                        Smiles::parse(smiles)?;
                        artifact.template(smiles)?
                    }
                };
                show_template(&template, &artifact.literals_of(smiles), global)?;
            }
            (None, Some(index), _) => {
                let literals: Vec<String> = artifact.literals(index)?.map(str::to_owned).collect();
                show_template(&artifact.molecule(index)?, &literals, global)?;
            }
            (None, None, Some(part)) => show_part(&artifact, part, global)?,
            (None, None, None) => show_summary(&artifact, global)?,
        }
        Ok(ExitStatus::Success)
    }
}

impl InspectArgs {
    fn compile(&self, artifact: &Artifact, source: &TokenizerSource, smiles: &str) -> Result<Template> {
        let tokenizer = source.load(&added_tokens(&self.added_tokens)?)?;
        same_tokenizer(artifact.tables(), &tokenizer)?;
        let options = TemplateOptions::of(&artifact.tables().header)?;
        let skeleton = Skeleton::new(smiles, options.tags.completion.as_ref())?;
        Ok(Compiler::new(&tokenizer, &options)?.template(artifact.tables(), &skeleton)?)
    }
}

fn show_summary(artifact: &Artifact, global: &GlobalArgs) -> Result<()> {
    let manifest = Manifest::new(artifact, InputCounts::default(), None);
    if global.format == Format::Json {
        return output::print_json(&manifest);
    }
    let (source, molecules) = (&manifest.source, &manifest.molecules);
    let mut facts = Table::new("Artifact", &[0, 1], &["property", "value"]);
    let tags = match (source.tags.0.as_str(), source.tags.1.as_str()) {
        ("", "") => "none".to_owned(),
        (open, close) => format!("{open} … {close}"),
    };
    let [first, inner, last] = molecules.literals.map(count);
    let eos = source.eos.map_or_else(|| "none".to_owned(), |eos| artifact.tables().token_text(TokenId(eos)));
    for (name, value) in [
        ("tokenizer", source.tokenizer.clone()),
        ("fingerprint", source.fingerprint.clone()),
        ("number format", source.number_format.clone()),
        ("tags", tags),
        ("end of sequence", eos),
        ("molecules", count(molecules.molecules)),
        ("atoms", count(molecules.atoms)),
        ("literals", format!("{first} at the start, {inner} between two holes, {last} at the end")),
        ("automaton", format!("{} states, {} edges", count(molecules.states), count(molecules.edges))),
        (
            "tokens",
            format!("{}, {} of them ever a choice", count(molecules.tokens), count(molecules.alphabet)),
        ),
    ] {
        facts.row(vec![name.to_owned(), value]);
    }
    let mut sizes = Table::new("Sizes", &[0], &["section", "bytes", "share", "bytes/atom"]);
    for section in &manifest.sections {
        let bytes = section.bytes as f64;
        sizes.row(vec![
            section.section.clone(),
            count(section.bytes),
            percent(bytes / manifest.bytes as f64),
            format!("{:.3}", bytes / molecules.atoms.max(1) as f64),
        ]);
    }
    let text = facts.render(global.format) + &sizes.render(global.format);
    output::print(&(text.trim_end().to_owned() + "\n"))
}

fn show_part(artifact: &Artifact, part: Part, global: &GlobalArgs) -> Result<()> {
    let tables = artifact.tables();
    ensure!(
        global.format != Format::Json,
        "--show {part:?} is text for people: --format json shows the summary"
    );
    match part {
        Part::Alphabet => {
            let mut table = Table::new("Token alphabet", &[1], &["id", "token"]);
            for id in tables.alphabet() {
                table.row(vec![id.to_string(), tables.token_text(id)]);
            }
            output::print(&table.render(global.format))
        }
        Part::Automaton => output::print(&automaton_text(tables)),
        Part::Dot => output::print(&dot(tables)),
        Part::Literals => {
            let mut table = Table::new("Literals", &[0, 1], &["place", "literal", "state"]);
            for (place, literals) in ["first", "inner", "last"].into_iter().zip(&tables.literals) {
                for (text, root) in literals.iter() {
                    table.row(vec![place.to_owned(), text.to_owned(), root.0.to_string()]);
                }
            }
            output::print(&table.render(global.format))
        }
    }
}

fn show_template(template: &Template, literals: &[String], global: &GlobalArgs) -> Result<()> {
    let format: NumberFormat = template.tables().header.number_format.parse()?;
    let numbers = example_numbers(&format)?;
    let text = literals.join(&numbers.join(","));
    let traced = trace(template, &text).unwrap_or_default();
    let matcher = Matcher::new(template.clone());
    let (tokens, decisions) = (matcher.tokens_left(), matcher.passes_left());
    if global.format == Format::Json {
        return output::print_json(&Shown {
            schema: "tplc.template/1",
            literals: literals.to_vec(),
            atoms: template.atoms(),
            tokens: [tokens.min, tokens.max],
            decisions: [decisions.min, decisions.max],
            text,
            trace: traced,
        });
    }
    output::print(&format!(
        "{}, {} to {} tokens, {} to {} of them decided\n\n{}\n\n{}\n",
        counted(template.atoms() as u64, "atom"),
        tokens.min,
        tokens.max,
        decisions.min,
        decisions.max,
        traced,
        paragraph(
            "‧ came without a choice, │ was one of as many as the small number says; coordinates are an example"
        )
    ))
}
