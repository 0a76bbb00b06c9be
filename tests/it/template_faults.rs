//! What cannot be compiled, written, merged or read off: each refused in its own words, or text and no more.

use tplc::{
    artifact::{Tables, write},
    corpus::InputCounts,
    primitives::TokenId,
    template::{Collector, Compiler, Manifest, TemplateError, TemplateOptions, merge},
    text::{NumberFormat, Skeleton, Tags},
    tokenizer::{AddedToken, AddedTokens, TokenizerSource},
};

use crate::{
    golden,
    template::{artifact, options},
    tokenizer_support::load,
};

/// Of several literals that cannot be cut, the first is named, however many threads look and however long it takes.
#[test]
fn the_first_literal_that_cannot_be_cut_is_named() {
    const DEPTH: usize = 5_000;
    let atoms = ["Br", "Cl", "F", "I", "N", "O", "P", "S"];
    let added = atoms.map(|atom| AddedToken::new(format!("{atom}]<1"), None)).to_vec();
    let merging =
        AddedTokens { name: "merging".into(), base: None, embedding_rows: None, added_tokens: added };
    let tokenizer = "qwen3".parse::<TokenizerSource>().unwrap().load(&[merging]).unwrap();
    let options = options(NumberFormat::fixed(1), &Tags::none(), &tokenizer);
    let compiler = Compiler::new(&tokenizer, &options).unwrap();
    let mut molecules = Collector::default();
    let deep = format!("{}C{}Br", "C(".repeat(DEPTH), ")".repeat(DEPTH));
    for smiles in atoms.map(|atom| format!("C{atom}")).into_iter().chain([deep]) {
        molecules.add(&Skeleton::new(&smiles, None).unwrap());
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(8).build().unwrap();
    for _ in 0..5 {
        let fault = pool.install(|| molecules.build(&compiler)).unwrap_err();
        let TemplateError::NotCut { text, .. } = fault else { panic!("{fault}") };
        assert!(text.starts_with(">)))"), "{text}");
    }
}

/// A bracket that never closes is text and no atom, however many there are; one that closes takes all before it.
#[test]
fn brackets_that_never_close_are_no_atoms() {
    let artifact = artifact(&load("qwen3"), NumberFormat::fixed(1), &Tags::none(), &["C"]);
    let open = "[".repeat(100_000);
    assert_eq!(artifact.literals_of(&open), [open.as_str()]);
    assert_eq!(
        artifact.literals_of(&format!("{open}]C")),
        [format!("{open}]<"), ">[C]<".to_owned(), ">".to_owned()]
    );
    assert_eq!(artifact.literals_of(&format!("[nH]{open}")), ["[nH]<".to_owned(), format!(">{open}")]);
    assert_eq!(artifact.literals_of("]["), ["]["]);
}

/// A writer that is given a literal or a token that is not there says so, and writes no file that opens.
#[test]
fn what_cannot_be_written_is_refused() {
    let of = |name| artifact(&load(name), NumberFormat::fixed(1), &Tags::none(), &["CC"]);
    let artifact = of("qwen3");
    let written = |row: &[u32]| write(artifact.tables(), std::iter::once(row.into()));
    assert_eq!(written(&[0, 0, 0]).unwrap(), artifact.bytes());
    let none = Vec::new();
    for row in [&none[..], &[0], &[1, 0], &[0, 1], &[0, 1, 0]] {
        assert!(written(row).is_err(), "{row:?}");
    }
    let mut tables = Tables::clone(artifact.tables());
    tables.tokens = of("gpt-2").tables().tokens.clone();
    assert!(write(&tables, std::iter::empty()).is_err());
}

/// An end-of-sequence token that the logits do not have, and a merge of nothing, are refused in their own words.
#[test]
fn options_that_no_artifact_can_have_are_refused() {
    let tokenizer = load("qwen3");
    let options = TemplateOptions { eos: Some(TokenId(10_000_000)), ..TemplateOptions::default() };
    let beyond = Compiler::new(&tokenizer, &options).err().map(|fault| fault.to_string());
    let nothing = merge::<Vec<u8>>(&[]).unwrap_err().to_string();
    let faults = [beyond.unwrap_or_else(|| "compiled".to_owned()), nothing];
    golden::check("templates", "misuse", faults.join("\n"));
}

/// Manifests may say anything: rows that cannot be added are no panic.
#[test]
fn rows_beyond_counting_are_refused() {
    let artifact = artifact(&load("qwen3"), NumberFormat::fixed(1), &Tags::none(), &["C"]);
    let manifest = |rows| Manifest::new(&artifact, InputCounts { rows, skipped: 0 }, None);
    let merged = Manifest::of_merged(&artifact, Some(&[manifest(3), manifest(4)])).unwrap();
    assert_eq!(merged.input.rows, 7);
    assert!(Manifest::of_merged(&artifact, Some(&[manifest(u64::MAX), manifest(1)])).is_err());
}
