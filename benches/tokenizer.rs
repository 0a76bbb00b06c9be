//! From bytes to the first encoded text: the embedded form and a tokenizer.json read by us, beside the `tokenizers`
//! crate parsing the JSON.
//!
//! `cargo bench --bench tokenizer`. After Criterion's own reports comes one table with the ratios.
#![allow(clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use tplc::tokenizer::{EmbeddedTokenizer, TokenizerSource, embedded};

/// The first text: one atom, so that the model and every lazy part of the pipeline is used once.
const TEXT: &str = "[C]<-1.2345,0.0432,0.1000>";

fn load(source: &TokenizerSource) -> usize {
    source.load(&[]).expect("loads").encode(TEXT).expect("encodes").ids.len()
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
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bases = embedded().filter(|tokenizer| tokenizer.overlay().is_ok_and(|overlay| overlay.is_none()));
    let cases: Vec<(&str, TokenizerSource, TokenizerSource, String)> = bases
        .map(|tokenizer| {
            let (path, json) = (folder.path().join(tokenizer.name), original(tokenizer));
            std::fs::write(&path, &json).expect("writes");
            (tokenizer.name, TokenizerSource::Embedded(tokenizer), TokenizerSource::File(path), json)
        })
        .collect();

    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group("ready to encode");
    for (name, embedded, file, json) in &cases {
        group.bench_function(BenchmarkId::new("embedded", name), |b| b.iter(|| load(embedded)));
        group.bench_function(BenchmarkId::new("file", name), |b| b.iter(|| load(file)));
        group.bench_function(BenchmarkId::new("crate", name), |b| b.iter(|| parse_json(json)));
    }
    group.finish();
    criterion.final_summary();

    println!(
        "\n{:16} {:>10} {:>10} {:>10} {:>7} {:>7}",
        "tokenizer", "embedded", "file", "crate", "ratio", "file"
    );
    for (name, embedded, file, json) in &cases {
        let milliseconds = |run: &mut dyn FnMut() -> usize| median(11, run).as_secs_f64() * 1e3;
        let ours = milliseconds(&mut || load(embedded));
        let read = milliseconds(&mut || load(file));
        let theirs = milliseconds(&mut || parse_json(json));
        let (ratio, file_ratio) = (theirs / ours, theirs / read);
        println!("{name:16} {ours:7.1} ms {read:7.1} ms {theirs:7.1} ms {ratio:6.1}x {file_ratio:6.1}x");
    }
}
