//! From bytes to the first encoded text: the embedded form beside the `tokenizers` crate parsing the JSON.
//!
//! `cargo bench --bench tokenizer`. After Criterion's own reports comes one table with the ratios.
#![allow(clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use tplc::tokenizer::{EmbeddedTokenizer, TokenizerSource, embedded};

/// The first text: one atom, so that the model and every lazy part of the pipeline is used once.
const TEXT: &str = "[C]<-1.2345,0.0432,0.1000>";

fn load_embedded(tokenizer: &'static EmbeddedTokenizer) -> usize {
    let tokenizer = TokenizerSource::Embedded(tokenizer).load(&[]).expect("loads");
    tokenizer.encode(TEXT).expect("encodes").ids.len()
}

fn parse_json(json: &str) -> usize {
    let tokenizer: tokenizers::Tokenizer = json.parse().expect("parses");
    tokenizer.encode(TEXT, false).expect("encodes").len()
}

/// The original file, as text.
fn original(tokenizer: &EmbeddedTokenizer) -> String {
    tokenizer.tokenizer_json().expect("unpacks").to_string()
}

/// The median of `runs` runs after one that does not count.
fn median(runs: usize, mut run: impl FnMut() -> usize) -> Duration {
    black_box(run());
    let timed = |run: &mut dyn FnMut() -> usize| {
        let start = Instant::now();
        black_box(run());
        start.elapsed()
    };
    let mut times: Vec<Duration> = (0..runs).map(|_| timed(&mut run)).collect();
    times.sort_unstable();
    times[runs / 2]
}

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group("ready to encode");
    let bases = || embedded().filter(|tokenizer| tokenizer.overlay().is_ok_and(|overlay| overlay.is_none()));
    for tokenizer in bases() {
        let json = original(tokenizer);
        group.bench_function(BenchmarkId::new("embedded", tokenizer.name), |b| {
            b.iter(|| load_embedded(tokenizer))
        });
        group.bench_function(BenchmarkId::new("crate", tokenizer.name), |b| b.iter(|| parse_json(&json)));
    }
    group.finish();
    criterion.final_summary();

    println!("\n{:16} {:>10} {:>10} {:>7}", "tokenizer", "embedded", "crate", "ratio");
    for tokenizer in bases() {
        let json = original(tokenizer);
        let ours = median(11, || load_embedded(tokenizer)).as_secs_f64() * 1e3;
        let theirs = median(11, || parse_json(&json)).as_secs_f64() * 1e3;
        println!("{:16} {ours:7.1} ms {theirs:7.1} ms {:6.1}x", tokenizer.name, theirs / ours);
    }
}
