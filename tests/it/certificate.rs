//! Certificates: every number and literal against the tokenizer, whole molecules at random, and tables that are wrong.

use rayon::prelude::*;
use tplc::{
    artifact::Tokenization,
    matcher::Matcher,
    template::{Compiler, Oracle, TemplateOptions, certify},
    text::{NumberFormat, Tags},
    tokenizer::{TokenizerSource, embedded},
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
