//! Templates: making one of a molecule, beside tokenizing its skeleton, by ours and by the bare `tokenizers` crate; a
//! matcher's step, alone and in a batch; filling a mask, beside clearing its words; opening an artifact.
//!
//! `cargo bench --bench template`. After Criterion's own reports come the ratios of one run.
#![allow(clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use tplc::{
    artifact::{Artifact, write},
    corpus::{Corpus, CorpusOptions, Row},
    matcher::{Matcher, MatcherBatch, mask_words},
    primitives::TokenId,
    template::{Collector, Compiler, Oracle, TemplateOptions},
    text::Skeleton,
    tokenizer::{EmbeddedTokenizer, Tokenizer, TokenizerSource},
};

/// The SMILES of the reference corpus with their skeletons, and a conformer of each as text.
fn molecules() -> Vec<(String, Skeleton, String)> {
    let corpus = Corpus::open(&["reference:drugs".to_owned()], &CorpusOptions::default()).expect("opens");
    let rows = corpus.records().map(|record| record.expect("reads").parse().expect("parses"));
    rows.filter_map(|row| match row {
        Row::Molecule(molecule) => {
            let skeleton = Skeleton::new(&molecule.smiles, None).expect("is SMILES");
            let text = skeleton.render(&molecule.conformers[0], &TemplateOptions::default().format);
            Some((molecule.smiles, skeleton, text.expect("renders")))
        }
        Row::Enriched(_) => None,
    })
    .collect()
}

fn build(tokenizer: &Tokenizer, molecules: &[(String, Skeleton, String)]) -> Vec<u8> {
    let options = TemplateOptions { eos: tokenizer.eos(), ..TemplateOptions::default() };
    let compiler = Compiler::new(tokenizer, &options).expect("compiles");
    let mut collector = Collector::default();
    for (_, skeleton, _) in molecules {
        collector.add(skeleton);
    }
    collector.build(&compiler).expect("builds")
}

/// The `tokenizer.json` that the `tokenizers` crate reads.
fn original(name: &str) -> String {
    EmbeddedTokenizer::find(name).expect("is known").tokenizer_json().expect("unpacks").to_string()
}

/// The median time of one call, over five rounds of `calls` after one that does not count.
fn median(calls: u32, mut call: impl FnMut()) -> Duration {
    let [median] = medians([(calls, &mut call)]);
    median
}

/// The same for several calls, round by round in turns: what else the machine does meets all of them.
fn medians<const N: usize>(mut all: [(u32, &mut dyn FnMut()); N]) -> [Duration; N] {
    let mut times = [(); N].map(|()| Vec::new());
    for _ in 0..6 {
        for ((calls, call), times) in all.iter_mut().zip(&mut times) {
            let start = Instant::now();
            (0..*calls).for_each(|_| call());
            times.push(start.elapsed() / *calls);
        }
    }
    times.map(|mut times| {
        times.remove(0);
        times.sort_unstable();
        times[2]
    })
}

fn main() {
    let all = molecules();
    let thirty: Vec<&(String, Skeleton, String)> =
        all.iter().filter(|(_, skeleton, _)| (28..=32).contains(&skeleton.atoms())).collect();
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let mut table = Vec::new();
    for name in ["qwen3", "llama-3.1"] {
        let tokenizer = name.parse::<TokenizerSource>().expect("is known").load(&[]).expect("loads");
        let artifact = Artifact::from_bytes(build(&tokenizer, &all)).expect("opens");
        let oracle = Oracle::new(&tokenizer, &artifact.tables().header);
        let mut group = criterion.benchmark_group(format!("template/{name}"));

        let mut next = thirty.iter().cycle();
        let mut template =
            || black_box(artifact.template(&next.next().expect("cycles").0).expect("is known"));
        group.bench_function("compile, warm", |b| b.iter(&mut template));
        let mut next = thirty.iter().cycle();
        let mut encode = || {
            black_box(tokenizer.encode(next.next().expect("cycles").1.as_str()).expect("encodes"));
        };
        // Ids alone, without spans: the fastest that the crate offers.
        let shipped: tokenizers::Tokenizer = original(name).parse().expect("parses");
        let mut next = thirty.iter().cycle();
        let mut bare = || {
            let skeleton = next.next().expect("cycles").1.as_str();
            black_box(shipped.encode_fast(skeleton, false).expect("encodes"));
        };
        let [compile, tokenize, bare] =
            medians([(2_000, &mut || drop(template())), (200, &mut encode), (200, &mut bare)]);
        let cold = median(1, || drop(black_box(build(&tokenizer, &all))));

        // A step: the mask's ids, and the token that the conformer has.
        let (smiles, _, text) = thirty[0];
        let ids = oracle.encode(text).expect("encodes");
        let mut matcher = Matcher::new(artifact.template(smiles).expect("is known"));
        let mut walk = || {
            matcher.reset();
            for &id in &ids {
                black_box(matcher.mask_row().len());
                matcher.advance(id).expect("is allowed");
            }
        };
        group.throughput(Throughput::Elements(ids.len() as u64));
        group.bench_function(BenchmarkId::new("advance and mask_row", "whole text"), |b| b.iter(&mut walk));
        let step = median(200, &mut walk) / ids.len() as u32;

        let mut words = vec![0u32; mask_words(artifact.tables().header.logits_width)];
        matcher.reset();
        let fill = median(5_000, || {
            black_box(matcher.fill_mask(black_box(&mut words))).expect("is wide enough");
        });
        let clear = median(5_000, || black_box(&mut words).fill(0));

        // A batch of 64 molecules, each at its own place.
        let texts: Vec<(Matcher, Vec<TokenId>)> = thirty
            .iter()
            .cycle()
            .take(64)
            .map(|(smiles, _, text)| {
                (
                    Matcher::new(artifact.template(smiles).expect("is known")),
                    oracle.encode(text).expect("encodes"),
                )
            })
            .collect();
        let shortest = texts.iter().map(|(_, ids)| ids.len()).min().unwrap_or(0);
        let (rows, ids): (Vec<Matcher>, Vec<Vec<TokenId>>) = texts.into_iter().unzip();
        let steps: Vec<Vec<TokenId>> =
            (0..shortest).map(|at| ids.iter().map(|ids| ids[at]).collect()).collect();
        let mut batch = MatcherBatch::new(rows);
        let back = vec![usize::MAX; batch.len()];
        let mut walk = || {
            batch.rollback(&back).expect("one for each row");
            for tokens in &steps {
                black_box(batch.rows().iter().map(|row| row.mask_row().len()).sum::<usize>());
                batch.advance(tokens).expect("is allowed");
            }
        };
        group.bench_function("batch of 64", |b| b.iter(&mut walk));
        let batch_step = median(50, &mut walk) / shortest as u32;

        let open = median(50, || drop(black_box(Artifact::from_bytes(artifact.bytes())).expect("opens")));
        group.finish();
        table.push((
            name,
            compile,
            tokenize,
            bare,
            cold,
            step,
            fill,
            clear,
            batch_step,
            open,
            artifact.bytes().len(),
        ));
    }
    let big = hundred_megabytes(&all);
    let open_big = median(5, || drop(black_box(Artifact::from_bytes(big.as_slice())).expect("opens")));
    criterion.bench_function("template/open 100 MB", |b| {
        b.iter(|| Artifact::from_bytes(big.as_slice()).expect("opens").len())
    });
    criterion.final_summary();

    for (name, compile, tokenize, bare, cold, step, fill, clear, batch, open, bytes) in table {
        println!("\n{name}");
        println!("  template of a 30-atom molecule, warm tables   {compile:>12.2?}");
        println!(
            "  tokenizing its skeleton                       {tokenize:>12.2?}  {:.0}x",
            ratio(tokenize, compile)
        );
        println!(
            "  the same by the bare `tokenizers` crate       {bare:>12.2?}  {:.0}x",
            ratio(bare, compile)
        );
        println!("  all tables and 990 molecules, cold            {cold:>12.2?}");
        println!("  advance + mask_row, a token                   {step:>12.2?}");
        println!("  fill_mask                                     {fill:>12.2?}");
        println!(
            "  clearing the words of a mask                  {clear:>12.2?}  {:.2}x",
            ratio(fill, clear)
        );
        println!("  one step of 64 molecules                      {batch:>12.2?}");
        println!("  opening {bytes} bytes                           {open:>12.2?}");
    }
    let rate = big.len() as f64 / open_big.as_secs_f64() / 1e9;
    println!("\nopening {} bytes, checked whole  {open_big:>12.2?}  {rate:.2} GB/s", big.len());
}

/// An artifact of two million molecules of 25 atoms, made of the literals of real ones.
fn hundred_megabytes(all: &[(String, Skeleton, String)]) -> Vec<u8> {
    let tokenizer = "qwen3".parse::<TokenizerSource>().expect("is known").load(&[]).expect("loads");
    let artifact = Artifact::from_bytes(build(&tokenizer, all)).expect("opens");
    let tables = artifact.tables();
    let [first, inner, last] = [0, 1, 2].map(|place: usize| tables.literals[place].len() as u64);
    let row = |molecule: u64| -> Box<[u32]> {
        let mut state = molecule;
        let mut below = |count: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % count) as u32
        };
        let numbers = std::iter::once(below(first)).chain((0..24).map(|_| below(inner))).collect::<Vec<_>>();
        numbers.into_iter().chain([below(last)]).collect()
    };
    write(tables, (0..2_000_000).map(row)).expect("is sound")
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}
