use std::fmt::Write;

use proptest::prelude::*;
use serde_json::{Value, json};
use tplc::{
    corpus::{Corpus, CorpusFormat, CorpusOptions, Progress, Record, Rejected},
    drift::{Analysis, AnalysisOptions, CostModel, Partial, PartialFile, Report},
    text::NumberFormat,
    tokenizer::{AddedTokens, Tokenizer, TokenizerSource, embedded},
};

use crate::golden;

struct Silent;

impl Progress for Silent {
    fn rejected(&mut self, rejected: Rejected<'_>) {
        panic!("{}", rejected.error);
    }
    fn advanced(&mut self, _: u64) {}
}

fn load(name: &str) -> Tokenizer {
    name.parse::<TokenizerSource>().unwrap().load(&[]).unwrap()
}

fn both_formats() -> Vec<Option<NumberFormat>> {
    vec![Some(NumberFormat::fixed(4)), Some(NumberFormat::trimmed(4))]
}

fn analyze_corpus(tokenizers: &[Tokenizer], corpus: &str, options: &AnalysisOptions) -> PartialFile {
    let corpus = Corpus::open(&[corpus.to_owned()], &CorpusOptions::default()).unwrap();
    let mut analysis = Analysis::new(tokenizers, options).unwrap();
    analysis.run(corpus.records(), &mut Silent).unwrap();
    analysis.finish().unwrap()
}

fn analyze_lines(tokenizers: &[Tokenizer], lines: &[String], options: &AnalysisOptions) -> PartialFile {
    let records = lines.iter().zip(1..).map(|(line, number)| {
        let bytes = line.clone().into_bytes();
        Ok(Record::new("lines", number, CorpusFormat::Enriched, bytes, &CorpusOptions::default()))
    });
    let mut analysis = Analysis::new(tokenizers, options).unwrap();
    analysis.run(records, &mut Silent).unwrap();
    analysis.finish().unwrap()
}

/// The same counts, however they were made.
fn counts_alone(mut file: PartialFile) -> Vec<Partial> {
    for partial in &mut file.partials {
        (partial.encoded, partial.verified) = (0, 0);
    }
    file.partials
}

/// Every embedded tokenizer, every conformer of the reference corpus, both formats: the tables agree with the
/// tokenizer token for token, and the published figures come out.
#[test]
fn reference_corpus_figures_and_full_verification() {
    let tokenizers: Vec<Tokenizer> = embedded().map(|known| load(known.name)).collect();
    let options = AnalysisOptions { formats: both_formats(), verify: 1.0, ..AnalysisOptions::default() };
    let counts = analyze_corpus(&tokenizers, "reference:drugs", &options);
    let report = Report::new(&counts, CostModel::default());
    let mut text = format!(
        "{:<15} {:<9} | {:<21} {:>3} {:>4} {:>13} {:>4} {:>4} | {:>8} {:>8} {:>6} | {:>10}\n",
        "tokenizer",
        "format",
        "placeholder P",
        "<P>",
        "FREE",
        "[C]<P>=[O]<P>",
        "FREE",
        "COPY",
        "shorter",
        "longer",
        "mean",
        "tokens/atom"
    );
    for tokenizer in &report.tokenizers {
        assert_eq!((tokenizer.conformers, tokenizer.atoms), (4_463, 117_491));
        assert_eq!((tokenizer.verified, tokenizer.encoded), (4_463, 0), "{}", tokenizer.name);
        for placeholder in &tokenizer.placeholders {
            let facts = &placeholder.facts;
            writeln!(
                text,
                "{:<15} {:<9} | {:<21} {:>3} {:>4} {:>13} {:>4} {:>4} | {:>7.2}% {:>7.2}% {:>6.2} | {:>10.2}",
                tokenizer.name,
                tokenizer.number_format,
                facts.text,
                facts.block_tokens,
                facts.block_free,
                facts.pair_tokens,
                facts.pair_free,
                facts.pair_copy,
                placeholder.under.share * 100.0,
                placeholder.over.share * 100.0,
                placeholder.drift_distribution.mean,
                tokenizer.per_atom.tokens,
            )
            .unwrap();
        }
    }
    golden::check("drift", "reference_corpus", text);
}

/// The slow, obvious way gives the same counts: every text encoded whole, every token placed by its span.
#[test]
fn tables_and_whole_encoding_count_the_same() {
    let tokenizers = ["qwen3", "llama3-chem", "deepseek-v3", "gpt-2", "phi-3"].map(load);
    for tags in [tplc::text::Tags::none(), tplc::text::Tags::conformer()] {
        let fast =
            AnalysisOptions { formats: both_formats(), verify: 1.0, tags, ..AnalysisOptions::default() };
        let slow = AnalysisOptions { exact: true, ..fast.clone() };
        for corpus in ["reference:g2", "corpora/samples"] {
            let by_tables = analyze_corpus(&tokenizers, corpus, &fast);
            assert!(by_tables.partials.iter().all(|partial| partial.atoms > 0 && partial.encoded == 0));
            let by_encoding = analyze_corpus(&tokenizers, corpus, &slow);
            assert!(by_encoding.partials.iter().all(|partial| partial.encoded == partial.conformers));
            assert_eq!(counts_alone(by_tables), counts_alone(by_encoding));
        }
    }
}

fn lines(count: usize) -> Vec<String> {
    let axis = |seed: usize| {
        let nanos = (seed * 7_919_000_003) as i64 % 40_000_000_000 - 20_000_000_000;
        NumberFormat::trimmed(4).render(tplc::corpus::Coordinate::from_nanos(nanos)).unwrap()
    };
    (0..count)
        .map(|line| {
            let hole = |atom: usize| {
                let seed = line * 9 + atom * 3;
                format!("<{},{},{}>", axis(seed), axis(seed + 1), axis(seed + 2))
            };
            format!("[C]{}=[N+]{}([13CH3]{})", hole(0), hole(1), hole(2))
        })
        .collect()
}

/// Nobody promised that digits and points stay apart: a tokenizer that merges them is counted by encoding, and right.
#[test]
fn a_tokenizer_without_the_cut_is_counted_by_encoding() {
    let vocabulary: Vec<String> = (33u8..127).map(|byte| char::from(byte).to_string()).collect();
    let merges = [("1", "."), ("0", "."), ("5", ","), ("<", "1"), ("3", ">"), ("2", "3")];
    let tokens = vocabulary.into_iter().chain(merges.map(|(left, right)| format!("{left}{right}")));
    let vocabulary: serde_json::Map<_, _> =
        tokens.enumerate().map(|(id, token)| (token, id.into())).collect();
    let byte_level = serde_json::json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false
    });
    let json = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": byte_level, "post_processor": null, "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("merging.json");
    std::fs::write(&path, json.to_string()).unwrap();
    let merging = TokenizerSource::File(path).load(&[]).unwrap();
    let overlay = AddedTokens::read("tokenizers/overlays/qwen3-conf-binned.json").unwrap();
    let overlay = AddedTokens { base: None, added_tokens: renumbered(&overlay, 32_011), ..overlay };
    let binned_phi = "phi-3".parse::<TokenizerSource>().unwrap().load(&[overlay]).unwrap();
    let tokenizers = [merging, binned_phi];
    let fast = AnalysisOptions { verify: 1.0, ..AnalysisOptions::default() };
    let slow = AnalysisOptions { exact: true, ..fast.clone() };
    let by_tables = analyze_lines(&tokenizers, &lines(200), &fast);
    let encoded: Vec<u64> = by_tables.partials.iter().map(|partial| partial.encoded).collect();
    assert!(encoded.iter().all(|&texts| texts > 0), "{encoded:?}");
    assert!(by_tables.partials[0].borders.values().any(|border| border.text == "<1"));
    assert_eq!(counts_alone(by_tables), counts_alone(analyze_lines(&tokenizers, &lines(200), &slow)));
}

/// Digits that are too many for a table are counted by their chunks where a tokenizer cuts them so, else by encoding.
#[test]
fn long_decimals_count_as_encoding_counts_them() {
    let nanos =
        |seed: u64| (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 28) as i64 % 40_000_000_000 - 20_000_000_000;
    let number = |seed| {
        let written = tplc::corpus::Coordinate::from_nanos(nanos(seed)).to_string();
        // From five to seventeen decimals, as doubles are printed.
        if seed % 3 == 0 {
            format!("{written}{}", nanos(seed + 1).unsigned_abs() % 100_000_000)
        } else {
            written
        }
    };
    let hole = |seed| format!("<{},{},{}>", number(seed), number(seed + 1), number(seed + 2));
    let lines: Vec<String> =
        (0..400).map(|seed| format!("[C]{}=[O]{}", hole(seed * 6), hole(seed * 6 + 3))).collect();
    let mut tokenizers: Vec<Tokenizer> = embedded().map(|known| load(known.name)).collect();
    // One number with a token of its own: no sample of runs would tell, the vocabulary does.
    let year = tplc::tokenizer::AddedToken::new("31415926", None);
    let year = AddedTokens { name: "pi".into(), base: None, embedding_rows: None, added_tokens: vec![year] };
    tokenizers.push("qwen3".parse::<TokenizerSource>().unwrap().load(&[year]).unwrap());
    let fast = AnalysisOptions { verify: 1.0, ..AnalysisOptions::default() };
    let slow = AnalysisOptions { exact: true, ..fast.clone() };
    let by_tables = analyze_lines(&tokenizers, &lines, &fast);
    for partial in &by_tables.partials {
        let free = matches!(partial.tokenizer.name.as_str(), "gpt-2" | "qwen3+pi");
        assert_eq!(partial.encoded, if free { 400 } else { 0 }, "{}", partial.tokenizer.name);
    }
    assert_eq!(counts_alone(by_tables), counts_alone(analyze_lines(&tokenizers, &lines, &slow)));
}

fn renumbered(overlay: &AddedTokens, from: u32) -> Vec<tplc::tokenizer::AddedToken> {
    let number = |(token, id): (&tplc::tokenizer::AddedToken, u32)| tplc::tokenizer::AddedToken {
        id: Some(id),
        // Cut out before the normalizer runs, so that phi-3 prepends its space again behind each of them.
        normalized: Some(false),
        ..token.clone()
    };
    overlay.added_tokens.iter().zip(from..).map(number).collect()
}

#[test]
fn same_bytes_at_any_thread_count() {
    let tokenizers = ["qwen3", "deepseek-v3"].map(load);
    let bytes = |threads| {
        let options = AnalysisOptions { threads, formats: both_formats(), ..AnalysisOptions::default() };
        analyze_corpus(&tokenizers, "reference:qm9", &options).to_json().unwrap()
    };
    let one = bytes(1);
    assert!(bytes(2) == one && bytes(5) == one);
    assert_eq!(PartialFile::from_json(&one).unwrap().to_json().unwrap(), one);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_split_and_order_merges_to_the_same_bytes(
        seed in proptest::collection::vec(0usize..4, 60), swap in 0usize..24,
    ) {
        let tokenizers = [load("gpt-2")];
        let options = AnalysisOptions { verify: 0.5, threads: 1, ..AnalysisOptions::default() };
        let all = lines(seed.len());
        let whole = analyze_lines(&tokenizers, &all, &options).to_json().unwrap();
        let mut parts: Vec<PartialFile> = (0..4)
            .map(|part| {
                let mine: Vec<String> =
                    all.iter().zip(&seed).filter(|(_, of)| **of == part).map(|(line, _)| line.clone()).collect();
                analyze_lines(&tokenizers, &mine, &options)
            })
            .collect();
        parts.rotate_left(swap % 4);
        parts.swap(0, swap / 6);
        let mut parts = parts.into_iter();
        let mut sum = parts.next().unwrap();
        parts.try_for_each(|part| sum.merge(part)).unwrap();
        prop_assert_eq!(sum.to_json().unwrap(), whole);
    }
}

#[test]
fn counts_of_different_runs_do_not_mix() {
    let count = |name: &str, options: &AnalysisOptions| analyze_lines(&[load(name)], &lines(3), options);
    let plain = AnalysisOptions::default();
    let trimmed = AnalysisOptions { formats: vec![Some(NumberFormat::trimmed(4))], ..plain.clone() };
    let placeholder = AnalysisOptions { placeholders: vec!["0,0,0".to_owned()], ..plain.clone() };
    let mut faults = Vec::new();
    for other in [count("phi-3", &plain), count("gpt-2", &trimmed), count("gpt-2", &placeholder)] {
        faults.push(count("gpt-2", &plain).merge(other).unwrap_err().to_string());
    }
    faults.push(PartialFile::from_json("{}").unwrap_err().to_string());
    faults.push(PartialFile::from_json("[C]<0,0,0>").unwrap_err().to_string());
    golden::check("drift", "merge_faults", faults.join("\n"));
}

/// Counts that no analysis makes are refused where they are read and where they are added, before they are summed up.
#[test]
fn counts_that_do_not_add_up_are_refused() {
    let counts = analyze_lines(&[load("gpt-2")], &lines(3), &AnalysisOptions::default());
    let whole: Value = serde_json::from_str(&counts.to_json().unwrap()).unwrap();
    let with = |path: &str, value: Value| {
        let mut file = whole.clone();
        *file.pointer_mut(path).unwrap() = value;
        PartialFile::from_json(&file.to_string())
    };
    let literal = whole["partials"][0]["literals"].as_object().unwrap().keys().next().unwrap();
    let openings = format!("/partials/0/literals/{}/openings", literal.replace('~', "~0").replace('/', "~1"));
    let changes = [
        ("/input/skipped", json!(4)),
        ("/partials/0/tokens", json!(0)),
        ("/partials/0/copy_tokens", json!(u64::MAX)),
        ("/partials/0/conformers", json!(u64::MAX)),
        ("/partials/0/atoms", json!(0)),
        ("/partials/0/holes/0/1", json!(u64::MAX)),
        ("/partials/0/holes/0/0/tokens", json!(u32::MAX)),
        ("/partials/0/holes/0/0/placeholder_tokens", json!([])),
        ("/partials/0/placeholders/0/pair_free", json!(u64::MAX)),
        ("/partials/0/candidates/0/placeholders/0/pair_free", json!(u64::MAX)),
        (openings.as_str(), json!({"": u64::MAX})),
        ("/partials/0/survey/plus_signs", json!(u64::MAX)),
        ("/partials/0/survey/plain/4", json!(u64::MAX)),
    ];
    let faults = changes.map(|(path, value)| {
        let read = with(path, value.clone());
        format!("{path} {value}: {}", read.map_or_else(|fault| fault.to_string(), |_| "read".to_owned()))
    });
    golden::check("drift", "partial_faults", faults.join("\n"));

    // Each is fine, and both together are more than is counted; then nothing has been added.
    let many = with("/partials/0/bytes", json!(1u64 << 47)).unwrap();
    let mut sum = many.clone();
    let fault = sum.merge(many.clone()).unwrap_err().to_string();
    assert_eq!(fault, "the counts of gpt-2 are none that an analysis makes: more than 2^47 of something");
    assert_eq!(sum, many);
    let rows = with("/input/rows", json!(u64::MAX)).unwrap();
    assert!(rows.clone().merge(rows).is_err());
}

/// The adaptive placeholder costs what it says where it is measured behind each literal, and no candidate costs less.
#[test]
fn no_candidate_costs_less_than_the_adaptive_placeholder() {
    for known in embedded() {
        let tokenizers = [load(known.name)];
        let formats: Vec<_> = both_formats().into_iter().chain([None]).collect();
        let counted = |placeholders: Vec<String>| {
            let options =
                AnalysisOptions { formats: formats.clone(), placeholders, ..AnalysisOptions::default() };
            analyze_corpus(&tokenizers, "reference:qm9", &options)
        };
        let first = counted(Vec::new());
        let candidates = |partial: &Partial| -> Vec<String> {
            partial.candidates.iter().flat_map(|c| c.placeholders.iter().map(|p| p.text.clone())).collect()
        };
        let all: Vec<String> = first.partials.iter().flat_map(candidates).collect();
        let report = Report::new(&counted(all), CostModel::default());
        for (index, tokenizer) in report.tokenizers.iter().enumerate() {
            let adaptive = tokenizer.adaptive.as_ref().unwrap();
            let own = candidates(&first.partials[index]);
            let measured = tokenizer.placeholders.iter().filter(|p| own.contains(&p.facts.text));
            let best = measured.clone().map(|p| p.cost_per_hole).min_by(f64::total_cmp).unwrap();
            let same = measured.clone().find(|p| p.facts.text == adaptive.facts.text).unwrap();
            let name = (known.name, &tokenizer.number_format);
            assert_eq!(
                (same.junk_tokens, same.lost_tokens),
                (adaptive.junk_tokens, adaptive.lost_tokens),
                "{name:?}"
            );
            assert!(adaptive.cost_per_hole <= best, "{name:?}");
        }
    }
}
