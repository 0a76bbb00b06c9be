//! Certificates: every number and literal against the tokenizer, whole molecules at random, and tables that are wrong.

use rayon::prelude::*;
use serde_json::{Value, json};
use tplc::{
    artifact::Tokenization,
    corpus::InputCounts,
    matcher::Matcher,
    template::{Collector, Compiler, Oracle, TemplateOptions, certify},
    text::{NumberFormat, Skeleton, Tags},
    tokenizer::{Tokenizer, TokenizerSource, embedded},
};

use crate::{
    golden,
    template::{TELLING, artifact, artifact_of, both_formats, molecules, options, random_conformer},
    tokenizer_support::{load, oracle},
};

/// Whether to try as much as the records say, which takes an hour: `TPLC_FULL=1`.
fn full() -> bool {
    std::env::var_os("TPLC_FULL").is_some()
}

/// Every number and literal against the tokenizer. Two decimals are tried in a moment; `TPLC_FULL` tries the published
/// four, on the literals of the reference corpus.
#[test]
fn certificates_hold() {
    let by_path = ["qwen3", "phi-3"].map(|name| {
        let json = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
        oracle(name).save(json.path(), false).unwrap();
        json
    });
    let given = by_path.iter().map(|json| json.path().to_str().unwrap().to_owned());
    for name in embedded().map(|known| known.name.to_owned()).chain(given) {
        let tokenizer = name.parse::<TokenizerSource>().unwrap().load(&[]).unwrap();
        let decimals = if full() { 4 } else { 2 };
        for format in [NumberFormat::fixed(decimals), NumberFormat::trimmed(decimals)] {
            let drugs = if full() { molecules("reference:drugs", &format, 0) } else { Vec::new() };
            let drugs = drugs.iter().map(|(smiles, ..)| smiles.as_str());
            let smiles: Vec<&str> = TELLING.iter().map(|(_, smiles)| *smiles).chain(drugs).collect();
            let own_tags = name.ends_with("conf") || name.ends_with("chem");
            let tags = [Tags::none(), Tags::conformer()];
            for tags in tags.iter().filter(|&tags| !full() || (*tags != Tags::none()) == own_tags) {
                let artifact = artifact(&tokenizer, format, tags, &smiles);
                let certificate = certify(artifact.tables(), &tokenizer, &|_| {}).unwrap();
                let numbers = 2 * 10u64.pow(2 + u32::from(decimals)) - 1;
                assert_eq!((certificate.numbers, certificate.number_paths), (numbers, numbers));
            }
        }
    }
}

/// Random conformers, each against the tokenizer: a thousand for each tokenizer and format, or with `TPLC_FULL` a million
/// in all.
#[test]
fn random_conformers_match_the_tokenizer() {
    let count = if full() { 1_000_000 / 18 + 1 } else { 1_000 };
    for known in embedded() {
        let tokenizer = load(known.name);
        for format in both_formats() {
            let molecules = molecules("reference:qm9", &format, 0);
            let smiles: Vec<&str> = molecules.iter().map(|(smiles, ..)| smiles.as_str()).collect();
            let artifact = artifact(&tokenizer, format, &Tags::none(), &smiles);
            let oracle = Oracle::new(&tokenizer, &artifact.tables().header);
            (0..count).into_par_iter().for_each(|seed: u64| {
                let (smiles, skeleton, _) = &molecules[seed as usize % molecules.len()];
                let text = skeleton.render(&random_conformer(skeleton, seed), &format).unwrap();
                let mut matcher = Matcher::new(artifact.template(smiles).unwrap());
                for id in oracle.encode(&text).unwrap() {
                    matcher.advance(id).unwrap_or_else(|refused| panic!("{}: {refused}: {text}", known.name));
                }
                assert!(matcher.is_finished());
            });
        }
    }
}

/// Every spelling is accepted, and nothing that spells no text: the paths are counted against the vocabulary.
#[test]
fn certificates_of_any_spelling_hold() {
    for known in embedded() {
        let tokenizer = load(known.name);
        for (format, tags) in
            [(NumberFormat::fixed(2), Tags::none()), (NumberFormat::trimmed(2), Tags::conformer())]
        {
            let any = Tokenization::Any;
            let options = TemplateOptions { tokenization: any, ..options(format, &tags, &tokenizer) };
            let smiles: Vec<&str> = TELLING.iter().map(|(_, smiles)| *smiles).collect();
            let artifact = artifact_of(&tokenizer, &options, &smiles);
            let certificate = certify(artifact.tables(), &tokenizer, &|_| {})
                .unwrap_or_else(|fault| panic!("{}: {fault}", known.name));
            assert!(certificate.number_paths > certificate.numbers);
        }
    }
}

/// A certificate cannot be had for tables that leave something out, nor for another tokenizer.
#[test]
fn certificates_fail_where_tables_are_wrong() {
    let (qwen, llama) = (load("qwen3"), load("llama-3.1"));
    let format = NumberFormat::fixed(1);
    let good = artifact(&qwen, format, &Tags::none(), &["CC=O"]);
    let mut faults = vec![certify(good.tables(), &llama, &|_| {}).unwrap_err().to_string()];
    // Tables of fewer numbers that say they are of more.
    let fewer =
        artifact(&qwen, "(integer_digits: 1, decimals: 1)".parse().unwrap(), &Tags::none(), &["CC=O"]);
    let mut wrong = (**fewer.tables()).clone();
    wrong.header.number_format = format.to_string();
    faults.push(certify(&wrong.into(), &qwen, &|_| {}).unwrap_err().to_string());
    // Tables of one tokenizer that claim to be another's.
    let mut wrong = (**artifact(&llama, format, &Tags::none(), &["CC=O"]).tables()).clone();
    wrong.header.fingerprint = qwen.fingerprint().0;
    faults.push(certify(&wrong.into(), &qwen, &|_| {}).unwrap_err().to_string());
    // A format in which nothing can be written.
    let nothing = TemplateOptions {
        format: "(decimals: 1, range: (0.01, 0.05))".parse().unwrap(),
        ..TemplateOptions::default()
    };
    faults.extend(Compiler::new(&qwen, &nothing).err().map(|fault| fault.to_string()));
    golden::check("templates", "certificate_faults", faults.join("\n"));
}

/// A byte-pair tokenizer of single characters and of some pairs, with parts of its own.
fn crafted(merges: &[(&str, &str)], parts: Value) -> Tokenizer {
    let single = ('!'..='~').map(String::from).chain(["\u{2581}".to_owned()]);
    let merged = merges.iter().map(|(left, right)| format!("{left}{right}"));
    let tokens: Vec<String> = single.chain(merged).collect();
    let mut vocabulary = serde_json::Map::new();
    for (id, token) in tokens.iter().enumerate() {
        vocabulary.insert(token.clone(), id.into());
    }
    let mut file = json!({
        "version": "1.0",
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": null,
        "decoder": null,
        "model": { "type": "BPE", "vocab": vocabulary, "merges": merges },
    });
    for (name, part) in parts.as_object().unwrap() {
        match name.as_str() {
            "ignore_merges" | "byte_fallback" => file["model"][name] = part.clone(),
            _ => file[name] = part.clone(),
        }
    }
    let json = tempfile::Builder::new().prefix("crafted").suffix(".json").tempfile().unwrap();
    std::fs::write(json.path(), file.to_string()).unwrap();
    json.path().to_str().unwrap().parse::<TokenizerSource>().unwrap().load(&[]).unwrap()
}

/// The numbers that a certificate of a crafted tokenizer tells of, or what is wrong.
fn certified(tokenizer: &Tokenizer) -> Result<u64, String> {
    let options = options(NumberFormat::fixed(0), &Tags::none(), tokenizer);
    let mut molecules = Collector::default();
    molecules.add(&Skeleton::new("CCNC", None).unwrap());
    let told = |fault: &dyn std::error::Error| fault.to_string().replace(tokenizer.name(), "NAME");
    let compiler = Compiler::new(tokenizer, &options).map_err(|fault| told(&fault))?;
    match molecules.prove(&compiler, InputCounts::default(), Some(&|_| {})) {
        Ok((_, manifest)) => Ok(manifest.certificate.unwrap().numbers),
        Err(fault) => Err(told(&fault)),
    }
}

const JOINING: [(&str, &str); 4] = [("]", "<"), ("N", "]<"), ("8", "8"), ("N]<", "88")];

/// Not every text can be tried, so a tokenizer whose tokens depend on what stands together is refused with what it is that
/// makes them, even where every literal and every number that was tried has the right tokens.
#[test]
fn tokenizers_that_may_join_what_is_not_tried_together_are_refused() {
    let apart = &JOINING[..3];
    let added = |content: &str| json!([{ "content": content, "special": false, "id": 200 }]);
    let split = |pattern: &str| {
        let pattern = json!({ "Regex": pattern });
        json!({ "type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false })
    };
    let mut faults = Vec::new();
    for (merges, parts) in [
        (&JOINING[..], json!({})),
        (apart, json!({ "added_tokens": added("<-75,") })),
        (&JOINING[..0], json!({ "pre_tokenizer": split(".{1,3}") })),
        (apart, json!({ "pre_tokenizer": split(r"\d(?=\d)") })),
        (&JOINING[..0], json!({ "pre_tokenizer": { "type": "FixedLength", "length": 5 } })),
        (apart, json!({ "normalizer": { "type": "Lowercase" } })),
        (apart, json!({ "normalizer": { "type": "Replace", "pattern": { "String": "x" }, "content": "y" } })),
        (apart, json!({ "ignore_merges": true })),
    ] {
        faults.push(certified(&crafted(merges, parts)).unwrap_err());
    }
    golden::check("templates", "certificate_refusals", faults.join("\n"));
}

/// The same tokens and steps where they cannot meet a number, or where every border is cut before them.
#[test]
fn tokenizers_that_keep_apart_what_is_not_tried_together_are_certified() {
    let apart = &JOINING[..3];
    let digits = json!({ "type": "Digits", "individual_digits": false });
    let fixed = json!({ "type": "FixedLength", "length": 5 });
    let prepend = json!({ "type": "Prepend", "prepend": "\u{2581}" });
    for (merges, parts) in [
        (apart, json!({})),
        (&JOINING[..], json!({ "pre_tokenizer": digits })),
        (apart, json!({ "added_tokens": [{ "content": "<SPECIAL_7>", "special": true, "id": 200 }] })),
        (apart, json!({ "pre_tokenizer": { "type": "Sequence", "pretokenizers": [digits, fixed] } })),
        (apart, json!({ "pre_tokenizer": digits, "ignore_merges": true })),
        (
            &[("\u{2581}", "["), ("]", "<"), ("8", "8")][..],
            json!({ "normalizer": prepend, "decoder": { "type": "ByteFallback" } }),
        ),
        (&[("x", "-"), ("x-", "1")][..], json!({})),
    ] {
        assert_eq!(certified(&crafted(merges, parts.clone())), Ok(199), "{parts}");
    }
}
