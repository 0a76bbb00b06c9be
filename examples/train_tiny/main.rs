//! Trains the tiny conformer model in `models/tiny`: Qwen3's architecture with a million weights, which reads a SMILES and
//! writes it with a position behind each atom.
//!
//! ```console
//! $ cargo run --release --features validate --example train_tiny -- --minutes 1 --out /tmp/tiny
//! $ cargo run --release --features cuda --example train_tiny -- --device cuda --out models/tiny
//! ```
//!
//! | file | story |
//! | --- | --- |
//! | `molecules.rs` | the reference corpora, in every spelling of their SMILES, turned at random |
//! | `tokenizer.rs` | byte-level BPE learned from COPY text |
//! | `batches.rs` | texts to tokens to batches of one length |
//! | `model.rs`, `attention.rs` | Qwen3, with gradients |
//! | `training.rs` | the loop: loss, gradient, AdamW, learning rate |
//! | `generate.rs`, `evaluation.rs` | sampling without help, and what came of it |
//! | `folder.rs` | the Hugging Face layout |
#![allow(clippy::print_stdout)]

mod attention;
mod batches;
mod device;
mod evaluation;
mod folder;
mod generate;
mod model;
mod molecules;
mod random;
mod tokenizer;
mod training;

use std::{path::PathBuf, time::Instant};

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use serde_json::json;
use tplc::{
    corpus::Molecule,
    tokenizer::{Tokenizer, TokenizerSource},
};

use crate::{
    batches::{Batches, Rows},
    device::Place,
    evaluation::{Judge, Outcome},
    folder::Folder,
    generate::Sampling,
    model::{Model, Shape},
    molecules::{Example, Source, sources},
    training::{Plan, train},
};

/// Train the tiny conformer model on the embedded reference corpora.
#[derive(Debug, Parser)]
#[command(name = "train_tiny", max_term_width = 110)]
struct Cli {
    /// The folder to write the model to
    #[arg(long, short)]
    out: PathBuf,
    /// Where to train
    #[arg(long, value_enum, default_value_t = Place::Cpu)]
    device: Place,
    /// Decides the first weights, the batches and the samples
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Tokens of the vocabulary, the 5 added ones included
    #[arg(long, default_value_t = 352)]
    vocabulary: usize,
    /// Completions that each set of molecules is judged by
    #[arg(long, default_value_t = 512)]
    samples: usize,
    #[command(flatten)]
    shape: Shape,
    #[command(flatten)]
    plan: Plan,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let device = cli.device.open()?;
    let sources = sources()?;
    let folder = Folder::create(&cli.out)?;
    let tokenizer = tokenizer(&sources, &folder, cli.vocabulary)?;
    let end = tokenizer.eos().context("the tokenizer has no token that ends a text")?.0;
    let rows = tokenizer.vocabulary().max_id().map_or(0, |id| id.0 as usize + 1).next_multiple_of(8);

    let seen: Vec<Molecule> = sources.iter().flat_map(|source| source.seen.clone()).collect();
    let examples = Example::all(&seen)?;
    let rows_of_text = Rows { tokenizer: &tokenizer, end, copy_weight: cli.plan.copy_weight };
    let batches = Batches::new(rows_of_text, &examples, cli.plan.tokens, cli.plan.longest, cli.seed)?;
    let model = Model::new(&cli.shape, rows, cli.seed, &device)?;
    println!(
        "{} molecules, {} conformers of up to {} tokens; {} tokens in the vocabulary; {} weights",
        seen.len(),
        batches.len(),
        cli.plan.longest,
        tokenizer.vocab_size(),
        model.size()
    );

    let trained = train(&model, &batches, &cli.plan, |line| println!("{line}"))?;
    // From here on the model is what the file says, in half precision.
    folder.write_model(model.shape(), model.vocabulary(), end, model.round()?)?;
    println!("trained {} steps, {} tokens, {:.0} s", trained.steps, trained.tokens, trained.seconds);

    let judged = Instant::now();
    let (longest, samples, seed) = (cli.plan.longest, cli.samples, cli.seed);
    let outcomes =
        evaluate(&Judge { model: &model, tokenizer: &tokenizer, end, longest, samples, seed }, &sources)?;
    println!("evaluated in {:.0} s", judged.elapsed().as_secs_f64());
    let record = json!({
        "schema": "tplc.train_tiny/1",
        "seed": cli.seed,
        "shape": cli.shape,
        "plan": cli.plan,
        "vocabulary": tokenizer.vocab_size(),
        "weights": model.size(),
        "trained": trained,
        "outcomes": outcomes,
    });
    folder.write_json("training.json", &record)
}

/// Learns the tokenizer, writes it, and loads it as anybody would.
fn tokenizer(sources: &[Source], folder: &Folder, size: usize) -> Result<Tokenizer> {
    let molecules: Vec<&Molecule> = sources.iter().flat_map(|source| &source.seen).collect();
    let learned = tokenizer::learn(&molecules, size).and_then(|tokenizer| tokenizer.to_string(true));
    folder
        .write_tokenizer(&(learned.map_err(|error| anyhow!("cannot learn a tokenizer: {error}"))? + "\n"))?;
    Ok(TokenizerSource::Folder(folder.path().to_owned()).load(&[])?)
}

fn evaluate(judge: &Judge<'_>, sources: &[Source]) -> Result<Vec<Outcome>> {
    let mut sets: Vec<(&'static str, &[Molecule])> = Vec::new();
    for source in sources {
        match source.name {
            "drugs" => {
                sets.extend([("drugs, seen", &source.seen[..]), ("drugs, held out", &source.held_out)])
            }
            "qm9" => sets.push(("qm9, held out", &source.held_out)),
            _ => {}
        }
    }
    let samplings = [
        ("greedy", Sampling::Greedy),
        ("0.7 / 0.8", Sampling::TopP { temperature: 0.7, top_p: 0.8 }),
        ("1 / 1", Sampling::TopP { temperature: 1.0, top_p: 1.0 }),
    ];
    let mut outcomes = Vec::new();
    for (name, sampling) in samplings {
        for &set in &sets {
            let outcome = judge.judge(set, name, sampling)?;
            println!("{}", outcome.line());
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}
