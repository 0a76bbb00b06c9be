//! The GPU against the CPU and against PyTorch. These tests need an NVIDIA GPU:
//!
//! ```console
//! $ cargo test --release --features cuda --test decode -- --ignored cuda
//! ```
//!
//! One of them compares what `scripts/torch_shapes.py` wrote to a folder, which `TPLC_SHAPES` must name.

#![allow(clippy::print_stdout, reason = "figures for the records")]

use std::{path::Path, sync::Arc};

use candle_core::{DType, Device};
use tplc::{
    artifact::{Artifact, Tables},
    corpus::{Corpus, CorpusOptions},
    decode::{
        CudaDecoder, Decoder, DeviceName, LanguageModel, ModelConfig, Output, Packed, Prompt, Runner,
        Sampler, Sampling, Strategy, Subject, Wanted, Watch, Weights,
    },
    template::{Collector, Compiler, TemplateOptions},
    text::{NumberFormat, Skeleton, Tags},
    tokenizer::{Tokenizer, TokenizerSource},
    trace::Recorder,
};

use crate::checkpoint::{FAMILIES, difference, ids, one_shot, rows, torch_fixture};

const TINY: &str = "models/tiny";

fn gpu() -> Device {
    DeviceName::Cuda(0).open().unwrap()
}

fn resident(folder: &Path, dtype: DType, slots: usize, context: usize) -> CudaDecoder {
    let config = ModelConfig::read(folder).unwrap();
    CudaDecoder::new(&config, Weights::read(folder, &gpu(), dtype).unwrap(), slots, context).unwrap()
}

fn host(folder: &Path, slots: usize, context: usize) -> Decoder {
    let config = ModelConfig::read(folder).unwrap();
    Decoder::new(&config, Weights::read(folder, &Device::Cpu, DType::F32).unwrap(), slots, context).unwrap()
}

/// How far the furthest logit is off, relative to the largest.
fn off(ours: &[Vec<f32>], theirs: &[Vec<f32>]) -> f32 {
    let largest = theirs.iter().flatten().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
    difference(ours, theirs) / largest
}

/// Every family in every type (bf16 keeps three bits less than f16): read at once, in ragged runs, and with runs taken back.
#[test]
#[ignore = "needs a GPU"]
fn cuda_logits_are_those_of_transformers() {
    for family in FAMILIES {
        let folder = Path::new("tests/decode/torch").join(family);
        let (tokens, theirs) = torch_fixture(&folder, "logits");
        for (dtype, most) in [(DType::F32, 1e-4), (DType::F16, 2e-2), (DType::BF16, 16e-2)] {
            let mut model = resident(&folder, dtype, 2, 128);
            for (slot, tokens) in tokens.iter().enumerate() {
                let ours = one_shot(&mut model, slot, &ids(tokens.iter().copied()));
                let off = off(&ours, &theirs[slot]);
                assert!(off < most, "{family} {dtype:?}: off by {off}");
            }
            // Both rows again from the middle, in runs of different lengths.
            let mut packed = Packed::default();
            packed.push(1, 60, &ids(tokens[1][60..67].iter().copied()), Wanted::All);
            packed.push(0, 90, &ids(tokens[0][90..91].iter().copied()), Wanted::Last);
            let again = rows(&mut model, &packed);
            let expected = [&theirs[1][60..67], &theirs[0][90..91]].concat();
            let off = off(&again, &expected);
            assert!(off < most, "{family} {dtype:?}, again: off by {off}");
        }
    }
}

/// The same at real sizes.
#[test]
#[ignore = "needs a GPU"]
fn cuda_logits_of_real_shapes_are_those_of_transformers() {
    let shapes =
        std::env::var_os("TPLC_SHAPES").expect("TPLC_SHAPES names a folder that torch_shapes.py wrote");
    for folder in std::fs::read_dir(shapes).unwrap().map(|entry| entry.unwrap().path()) {
        let (tokens, theirs) = torch_fixture(&folder, "logits_16");
        for (dtype, most) in [(DType::F32, 1e-3), (DType::F16, 1e-2), (DType::BF16, 6e-2)] {
            let mut model = resident(&folder, dtype, 2, 512);
            for (slot, tokens) in tokens.iter().enumerate() {
                let ours = one_shot(&mut model, slot, &ids(tokens.iter().copied()));
                let ours: Vec<Vec<f32>> =
                    ours.iter().map(|row| row.iter().step_by(16).copied().collect()).collect();
                let off = off(&ours, &theirs[slot]);
                println!("{} {dtype:?} text {slot}: off by {off:.1e} of the largest logit", folder.display());
                assert!(off < most, "{} {dtype:?}: {off}", folder.display());
            }
        }
    }
}

struct Setting {
    tokenizer: Tokenizer,
    tables: Arc<Tables>,
    subjects: Vec<Subject>,
}

impl Setting {
    /// The tiny model's tokenizer, and every so many-th molecule of the reference corpus with its coordinates.
    fn new(rows: u64) -> Self {
        let tokenizer = TokenizerSource::Folder(TINY.into()).load(&[]).unwrap();
        let options = TemplateOptions {
            format: NumberFormat::trimmed(4),
            tags: Tags::conformer(),
            eos: tokenizer.eos(),
            ..TemplateOptions::default()
        };
        let corpus = Corpus::open(&["reference:drugs".to_owned()], &CorpusOptions::default()).unwrap();
        let subjects: Vec<Subject> = corpus
            .records()
            .step_by(40)
            .take(rows as usize)
            .zip(0..)
            .map(|(record, row)| {
                let molecule = match record.unwrap().parse().unwrap() {
                    tplc::corpus::Row::Molecule(molecule) => molecule,
                    tplc::corpus::Row::Enriched(_) => panic!("the reference corpus has coordinates apart"),
                };
                let skeleton = Skeleton::new(&molecule.smiles, options.tags.completion.as_ref()).unwrap();
                let conformer = molecule.conformers.into_iter().next();
                Subject { row, smiles: molecule.smiles, skeleton, conformer }
            })
            .collect();
        let mut collector = Collector::default();
        for subject in &subjects {
            collector.add(&subject.skeleton);
        }
        let compiler = Compiler::new(&tokenizer, &options).unwrap();
        let artifact = Artifact::from_bytes(collector.build(&compiler).unwrap()).unwrap();
        let tables = Arc::clone(artifact.tables());
        Self { tokenizer, tables, subjects }
    }

    fn runner(&self) -> Runner<'_> {
        let prompt = Prompt { bos: None, tags: Tags::conformer().prompt };
        Runner::new(&self.tokenizer, &self.tables, prompt, "0.0000,0.0000,0.0000").unwrap()
    }

    fn run(
        &self,
        runner: &Runner<'_>,
        strategy: Strategy,
        sampling: Sampling,
        model: &mut dyn LanguageModel,
    ) -> Vec<Output> {
        let sampler = Sampler::new(sampling, 3).unwrap();
        let mut watch = Watch::new(Recorder::off());
        runner.run(strategy, model, sampler, &self.subjects, &mut watch, || {}).unwrap().outputs
    }
}

fn samplings() -> [Sampling; 6] {
    let warm = Sampling { temperature: 1.0, ..Sampling::default() };
    [
        Sampling::default(),
        Sampling { temperature: 0.7, top_p: 0.8, top_k: 20, min_p: 0.0 },
        warm,
        Sampling { top_p: 0.4, ..warm },
        Sampling { min_p: 0.05, ..warm },
        Sampling { top_k: 3, top_p: 0.9, min_p: 0.1, ..warm },
    ]
}

/// The GPU's rows are the CPU's, token for token, but where two sums in another order make another token win.
#[test]
#[ignore = "needs a GPU"]
fn cuda_rows_are_those_of_the_cpu() {
    let setting = Setting::new(12);
    let runner = setting.runner();
    let context = runner.context(&setting.subjects).unwrap();
    let mut ours = resident(Path::new(TINY), DType::F32, 5, context);
    let mut theirs = host(Path::new(TINY), 5, context);
    for sampling in samplings() {
        for strategy in Strategy::ALL {
            let ours = setting.run(&runner, strategy, sampling, &mut ours);
            let theirs = setting.run(&runner, strategy, sampling, &mut theirs);
            let same = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours == theirs).count();
            println!("{strategy} {sampling:?}: {same} of {} rows are equal", ours.len());
            assert!(ours.len() == 12 && same >= 10, "{strategy} {sampling:?}: {same}");
        }
    }
}

/// Rows that must say given texts say them, in passes that the automaton foretells.
#[test]
#[ignore = "needs a GPU"]
fn cuda_replays_what_it_is_given() {
    let setting = Setting::new(9);
    let runner = setting.runner().replaying();
    let context = runner.context(&setting.subjects).unwrap();
    let mut ours = resident(Path::new(TINY), DType::BF16, 4, context);
    let mut theirs = host(Path::new(TINY), 4, context);
    for strategy in Strategy::ALL {
        let ours = setting.run(&runner, strategy, Sampling::default(), &mut ours);
        assert_eq!(ours, setting.run(&runner, strategy, Sampling::default(), &mut theirs), "{strategy}");
    }
}
