//! Molecules, tables and models for tests of strategies.

use std::sync::Arc;

use candle_core::{DType, Device};
use tplc::{
    artifact::{Artifact, Tables},
    decode::{
        Decoder, LanguageModel, ModelConfig, Output, Prompt, Run, Runner, Sampler, Sampling, Strategy,
        StrategyReport, Subject, Watch, Weights,
    },
    template::{Collector, Compiler, TemplateOptions},
    text::{Skeleton, Tags},
    tokenizer::{Tokenizer, TokenizerSource},
    trace::Recorder,
};

/// The four ways to sample that are in use.
pub(crate) const SAMPLINGS: [Sampling; 4] = [
    Sampling { temperature: 0.0, top_p: 1.0, top_k: 0, min_p: 0.0 },
    Sampling { temperature: 0.7, top_p: 0.8, top_k: 20, min_p: 0.0 },
    Sampling { temperature: 1.0, top_p: 0.4, top_k: 0, min_p: 0.0 },
    Sampling { temperature: 1.0, top_p: 1.0, top_k: 0, min_p: 0.05 },
];

pub(crate) const WARM: Sampling = Sampling { temperature: 1.0, top_p: 1.0, top_k: 0, min_p: 0.0 };

const SMILES: [&str; 8] = [
    "CC=O",
    "C[C@@H](N)C(=O)O",
    "c1ccccc1Cl",
    "[NH4+].[Cl-]",
    "FC(F)(F)S(=O)(=O)/C=C/C#N",
    "O",
    "C1CC2(C1)CCN2",
    "Brc1ncc([N+](=O)[O-])s1",
];

/// A tokenizer, tables for the molecules, and how the models are asked.
pub(crate) struct Bench {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) tables: Arc<Tables>,
    pub(crate) tags: Tags,
}

impl Bench {
    pub(crate) fn new(tokenizer: &str, format: &str, tags: Tags) -> Self {
        let tokenizer = tokenizer.parse::<TokenizerSource>().unwrap().load(&[]).unwrap();
        let eos = tokenizer.eos();
        let options = TemplateOptions {
            format: format.parse().unwrap(),
            tags: tags.clone(),
            eos,
            ..TemplateOptions::default()
        };
        let compiler = Compiler::new(&tokenizer, &options).unwrap();
        let mut collector = Collector::default();
        for smiles in SMILES {
            collector.add(&Skeleton::new(smiles, tags.completion.as_ref()).unwrap());
        }
        let artifact = Artifact::from_bytes(collector.build(&compiler).unwrap()).unwrap();
        let tables = Arc::clone(artifact.tables());
        drop(compiler);
        Self { tokenizer, tables, tags }
    }

    /// The tokenizer of the tiny model: digits one by one, a sign of its own.
    pub(crate) fn tiny(format: &str) -> Self {
        Self::new("models/tiny/", format, Tags::conformer())
    }

    pub(crate) fn runner(&self) -> Runner<'_> {
        let prompt = Prompt { bos: None, tags: self.tags.prompt.clone() };
        Runner::new(&self.tokenizer, &self.tables, prompt, "-0.0000,0.0000,0.0000").unwrap()
    }

    /// This many rows, molecule by molecule.
    pub(crate) fn subjects(&self, rows: u64) -> Vec<Subject> {
        let subject = |row: u64| {
            let smiles = SMILES[row as usize % SMILES.len()];
            let skeleton = Skeleton::new(smiles, self.tags.completion.as_ref()).unwrap();
            Subject { row, smiles: smiles.to_owned(), skeleton, conformer: None }
        };
        (0..rows).map(subject).collect()
    }

    /// A Qwen3 of random weights: it wants anything, and never what it should.
    pub(crate) fn model(&self, slots: usize, context: usize) -> Decoder {
        let config = ModelConfig::small(self.tables.header.logits_width as usize);
        Decoder::new(&config, Weights::random(7, &Device::Cpu, DType::F32), slots, context).unwrap()
    }

    pub(crate) fn run(
        &self,
        strategy: Strategy,
        model: &mut dyn LanguageModel,
        sampling: Sampling,
        subjects: &[Subject],
    ) -> Run {
        let sampler = Sampler::new(sampling, 42).unwrap();
        let mut watch = Watch::new(Recorder::off());
        self.runner().run(strategy, model, sampler, subjects, &mut watch, || ()).unwrap()
    }

    pub(crate) fn report(&self, run: &Run, subjects: &[Subject]) -> StrategyReport {
        self.runner().report(run, subjects).unwrap()
    }
}

/// The tokens of each row.
pub(crate) fn said(run: &Run) -> Vec<(u64, Vec<u32>)> {
    let ids = |output: &Output| output.tokens.iter().map(|token| token.0).collect();
    run.outputs.iter().map(|output| (output.row, ids(output))).collect()
}
