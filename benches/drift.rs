//! Counting a corpus: the count tables beside `tokenizers::Tokenizer::encode_batch`, on the same text and threads.
//!
//! `cargo bench --bench drift`. After Criterion's own reports comes one table with the ratios. The tables do more than
//! encoding does (they read the text, count holes by kind and compare placeholders); a table starts empty in each run.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use tplc::{
    corpus::{Corpus, CorpusFormat, CorpusOptions, Position, Progress, Record, Rejected, Row},
    drift::{Analysis, AnalysisOptions},
    text::{NumberFormat, Skeleton},
    tokenizer::{EmbeddedTokenizer, Tokenizer, TokenizerSource, embedded},
};

struct Silent;

impl Progress for Silent {
    fn rejected(&mut self, rejected: Rejected<'_>) {
        panic!("{}", rejected.error);
    }
    fn advanced(&mut self, _: u64) {}
}

/// Every conformer of the reference corpus in six orientations, as enriched text: about 19 MB with no text twice.
fn texts(format: NumberFormat) -> Vec<String> {
    let corpus = Corpus::open(&["reference:drugs".to_owned()], &CorpusOptions::default()).expect("opens");
    let rows = corpus.records().map(|record| record.expect("reads").parse());
    let molecules = rows.filter_map(|row| match row.expect("parses") {
        Row::Molecule(molecule) => Some(molecule),
        Row::Enriched(_) => None,
    });
    molecules
        .flat_map(|molecule| {
            let skeleton = Skeleton::new(&molecule.smiles, None).expect("is SMILES");
            let turned = |conformer: &Vec<Position>, [x, y, z]: [usize; 3]| -> String {
                let turned: Vec<Position> =
                    conformer.iter().map(|atom| [atom[x], atom[y], atom[z]]).collect();
                skeleton.render(&turned, &format).expect("renders")
            };
            let axes = [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 2, 1], [2, 1, 0], [1, 0, 2]];
            let texts =
                axes.iter().flat_map(|&axes| molecule.conformers.iter().map(move |atoms| (atoms, axes)));
            texts.map(|(conformer, axes)| turned(conformer, axes)).collect::<Vec<_>>()
        })
        .collect()
}

fn count(tokenizer: &[Tokenizer], texts: &[String], options: &AnalysisOptions) -> u64 {
    let shared = CorpusOptions::default();
    let records = texts.iter().zip(1..).map(|(text, line)| {
        Ok(Record::new("bench", line, CorpusFormat::Enriched, text.clone().into_bytes(), &shared))
    });
    let mut analysis = Analysis::new(tokenizer, options).expect("starts");
    analysis.run(records, &mut Silent).expect("counts");
    analysis.finish().expect("finishes").partials.iter().map(|partial| partial.tokens).sum()
}

fn encode(tokenizer: &tokenizers::Tokenizer, texts: &[String]) -> u64 {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    tokenizer.encode_batch(texts, false).expect("encodes").iter().map(|encoding| encoding.len() as u64).sum()
}

/// The median of three runs after one that does not count.
fn median(mut run: impl FnMut() -> u64) -> Duration {
    black_box(run());
    let mut times: Vec<Duration> = (0..3)
        .map(|_| {
            let start = Instant::now();
            black_box(run());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[1]
}

fn main() {
    let texts = texts(NumberFormat::fixed(4));
    let bytes: usize = texts.iter().map(String::len).sum();
    let options = AnalysisOptions::default();
    let cases: Vec<(&str, [Tokenizer; 1], tokenizers::Tokenizer)> = embedded()
        .filter(|known| known.overlay().is_ok_and(|overlay| overlay.is_none()))
        .map(|known: &'static EmbeddedTokenizer| {
            let json = known.tokenizer_json().expect("unpacks").to_string();
            let ours = TokenizerSource::Embedded(known).load(&[]).expect("loads");
            // Facts of the vocabulary are made once for each tokenizer, not once for each corpus.
            black_box((ours.vocabulary().len(), ours.fingerprint(), ours.digit_handling()));
            (known.name, [ours], json.parse().expect("parses"))
        })
        .collect();

    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group("count a corpus");
    group.throughput(Throughput::Bytes(bytes as u64));
    // One tokenizer of each kind of digits is enough for Criterion; the table below has all.
    for (name, ours, theirs) in
        cases.iter().filter(|(name, ..)| ["qwen3", "llama-3.1", "gpt-2"].contains(name))
    {
        group.bench_function(BenchmarkId::new("tables", name), |b| b.iter(|| count(ours, &texts, &options)));
        group.bench_function(BenchmarkId::new("encode_batch", name), |b| b.iter(|| encode(theirs, &texts)));
    }
    group.finish();
    criterion.final_summary();

    println!("\n{:16} {:>14} {:>14} {:>7}", "tokenizer", "tables", "encode_batch", "ratio");
    for (name, ours, theirs) in &cases {
        assert_eq!(count(ours, &texts, &options), encode(theirs, &texts), "{name}");
        let rate = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
        let tables = rate(median(|| count(ours, &texts, &options)));
        let encoded = rate(median(|| encode(theirs, &texts)));
        println!("{name:16} {tables:>9.1} MB/s {encoded:>9.1} MB/s {:>6.1}x", tables / encoded);
    }
}
