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

use crate::checkpoint::{self, FAMILIES, difference, ids, one_shot, rows, torch_fixture};

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
        let (tokens, theirs) = torch_fixture(&folder, "tokens", "logits");
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
            packed.push(0, 90, &ids(tokens[0][90..91].iter().copied()), Wanted::Last(1));
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
        let (tokens, theirs) = torch_fixture(&folder, "tokens", "logits_16");
        let (long, last) = torch_fixture(&folder, "long", "long_16");
        let every_16th = |rows: Vec<Vec<f32>>| -> Vec<Vec<f32>> {
            rows.iter().map(|row| row.iter().step_by(16).copied().collect()).collect()
        };
        for (dtype, most) in [(DType::F32, 1e-3), (DType::F16, 1e-2), (DType::BF16, 6e-2)] {
            let mut model = resident(&folder, dtype, 2, 1024);
            for (slot, tokens) in tokens.iter().enumerate() {
                let ours = every_16th(one_shot(&mut model, slot, &ids(tokens.iter().copied())));
                let off = off(&ours, &theirs[slot]);
                println!("{} {dtype:?} text {slot}: off by {off:.1e} of the largest logit", folder.display());
                assert!(off < most, "{} {dtype:?}: {off}", folder.display());
            }
            // Cells of several parts, in runs of many sizes that end where the known logits are.
            let text = ids(long[0].iter().copied());
            let (mut read, mut ours) = (0, Vec::new());
            for run in [300, 200, 100, 60, 24, 7, 5, 3, 1] {
                let mut packed = Packed::default();
                let wanted = if read < text.len() - 16 { Wanted::Last(1) } else { Wanted::All };
                packed.push(1, read, &text[read..read + run], wanted);
                ours.extend(rows(&mut model, &packed));
                read += run;
            }
            assert_eq!(read, text.len());
            let off = off(&every_16th(ours.split_off(ours.len() - 16)), &last[0]);
            println!("{} {dtype:?} long text: off by {off:.1e} of the largest logit", folder.display());
            assert!(off < most, "{} {dtype:?}, long: {off}", folder.display());
        }
    }
}

struct Setting {
    tokenizer: Tokenizer,
    tables: Arc<Tables>,
    subjects: Vec<Subject>,
}

impl Setting {
    /// A tokenizer, and some molecules of up to so many atoms of the reference corpus with their coordinates.
    fn new(tokenizer: &str, rows: u64, atoms: usize) -> Self {
        let tokenizer = tokenizer.parse::<TokenizerSource>().unwrap().load(&[]).unwrap();
        let options = TemplateOptions {
            format: NumberFormat::trimmed(4),
            tags: Tags::conformer(),
            eos: tokenizer.eos(),
            ..TemplateOptions::default()
        };
        let corpus = Corpus::open(&["reference:drugs".to_owned()], &CorpusOptions::default()).unwrap();
        let subjects: Vec<Subject> = corpus
            .records()
            .step_by(if atoms == usize::MAX { 40 } else { 1 })
            .map(|record| match record.unwrap().parse().unwrap() {
                tplc::corpus::Row::Molecule(molecule) => molecule,
                tplc::corpus::Row::Enriched(_) => panic!("the reference corpus has coordinates apart"),
            })
            .filter(|molecule| molecule.conformers[0].len() <= atoms)
            .take(rows as usize)
            .zip(0..)
            .map(|(molecule, row)| {
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
    let setting = Setting::new(TINY, 8, 9);
    let runner = setting.runner();
    let context = runner.context(&setting.subjects).unwrap();
    let mut ours = resident(Path::new(TINY), DType::F32, 5, context);
    let mut theirs = host(Path::new(TINY), 5, context);
    // The others differ from these in nothing that a GPU sees.
    let strategies =
        [Strategy::None, Strategy::Blocklist, Strategy::Allowlist, Strategy::Restricted, Strategy::Drafted];
    for sampling in samplings() {
        for strategy in strategies {
            let ours = setting.run(&runner, strategy, sampling, &mut ours);
            let theirs = setting.run(&runner, strategy, sampling, &mut theirs);
            let same = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours == theirs).count();
            println!("{strategy} {sampling:?}: {same} of {} rows are equal", ours.len());
            assert!(ours.len() == 8 && same >= 7, "{strategy} {sampling:?}: {same}");
        }
    }
}

/// The same among a vocabulary that is too large to sort, with settings that leave thousands of candidates.
#[test]
#[ignore = "needs a GPU"]
fn cuda_chooses_among_a_whole_vocabulary() {
    let setting = Setting::new("qwen3", 2, 9);
    let runner = setting.runner();
    let context = runner.context(&setting.subjects).unwrap();
    let text = checkpoint::config("qwen3").replace(r#""vocab_size": 61"#, r#""vocab_size": 151936"#);
    let text = text.replace(r#""max_position_embeddings": 128"#, r#""max_position_embeddings": 4096"#);
    let config = ModelConfig::parse(text.as_bytes(), Path::new("config.json")).unwrap();
    let weights = |device: &Device| Weights::random(5, device, DType::F32);
    let mut ours = CudaDecoder::new(&config, weights(&gpu()), 2, context).unwrap();
    let mut theirs = Decoder::new(&config, weights(&Device::Cpu), 2, context).unwrap();
    let warm = Sampling { temperature: 1.0, ..Sampling::default() };
    let settings = [
        Sampling { top_p: 0.9, ..warm },
        Sampling { top_k: 20, ..warm },
        Sampling { top_k: 100, ..warm },
        Sampling { top_k: 300, ..warm },
        Sampling { top_k: 5000, top_p: 0.7, min_p: 0.01, ..warm },
        Sampling { min_p: 0.3, ..warm },
    ];
    for sampling in settings {
        let ours = setting.run(&runner, Strategy::None, sampling, &mut ours);
        let theirs = setting.run(&runner, Strategy::None, sampling, &mut theirs);
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let same = ours.tokens.iter().zip(&theirs.tokens).take_while(|(ours, theirs)| ours == theirs);
            let (same, all) = (same.count(), theirs.tokens.len());
            println!("{sampling:?}: {same} of {all} tokens are equal");
            assert!(all > 100 && same >= 60, "{sampling:?}: {same} of {all}");
        }
    }
}

/// Rows that must say given texts say them, in passes that the automaton foretells.
#[test]
#[ignore = "needs a GPU"]
fn cuda_replays_what_it_is_given() {
    let setting = Setting::new(TINY, 9, usize::MAX);
    let runner = setting.runner().replaying();
    let context = runner.context(&setting.subjects).unwrap();
    let mut ours = resident(Path::new(TINY), DType::BF16, 4, context);
    let mut theirs = host(Path::new(TINY), 4, context);
    for strategy in Strategy::ALL {
        let ours = setting.run(&runner, strategy, Sampling::default(), &mut ours);
        assert_eq!(ours, setting.run(&runner, strategy, Sampling::default(), &mut theirs), "{strategy}");
    }
}
