//! Artifacts of older versions: they open, and say what they said when they were written. They are never written again.

use std::{collections::BTreeMap, fs, path::Path};

use tplc::{
    artifact::Artifact,
    corpus::{Corpus, CorpusOptions, Row},
    matcher::Matcher,
    template::{Oracle, certify, same_tokenizer, snapshot},
    text::{NumberFormat, Skeleton},
    tokenizer::TokenizerSource,
};

use crate::golden;

#[test]
fn artifacts_of_version_1_say_what_they_said() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/compat/v1");
    let files: BTreeMap<String, Vec<u8>> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "tplc"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect();
    assert_eq!(files.keys().collect::<Vec<_>>(), ["llama-3.1-any", "phi-3-fixed2", "qwen3-conf-trimmed4"]);
    let molecules = [("acetaldehyde", "CC=O"), ("a ring", "C1CC1"), ("a triple bond", "C#N")];
    let mut shown = String::new();
    for (name, bytes) in files {
        let artifact = Artifact::from_bytes(bytes).unwrap();
        let header = &artifact.tables().header;
        let base = header.tokenizer.parse::<TokenizerSource>().unwrap().load(&[]).unwrap();
        same_tokenizer(artifact.tables(), &base).unwrap();
        let format: NumberFormat = header.number_format.parse().unwrap();
        if format.decimals() < 4 {
            certify(artifact.tables(), &base, &|_| {}).unwrap();
        }
        let (tokenization, eos) = (header.tokenization, header.eos);
        shown += &format!("{name}: {} molecules, {tokenization}, {eos:?}, ", artifact.len());
        shown += &format!("{:?} {:?} {:?}\n", header.prompt, header.open, header.close);
        shown += &(snapshot(&artifact, molecules).unwrap() + "\n");
        let oracle = Oracle::new(&base, header);
        for record in Corpus::open(&["reference:g2".to_owned()], &CorpusOptions::default()).unwrap().records()
        {
            let Row::Molecule(molecule) = record.unwrap().parse().unwrap() else {
                panic!("g2 holds molecules")
            };
            let skeleton = Skeleton::new(&molecule.smiles, None).unwrap();
            let text = skeleton.render(&molecule.conformers[0], &format).unwrap();
            let text = format!("{}{text}{}", header.open, header.close);
            let mut matcher = Matcher::new(artifact.template(&molecule.smiles).unwrap());
            for id in oracle.encode(&text).unwrap() {
                matcher.advance(id).unwrap();
            }
            assert!(matcher.is_finished());
        }
    }
    golden::check("compat", "v1", shown);
}

/// Artifacts of files and of memory are one type, and can be merged.
#[test]
fn files_and_memory_are_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/compat/v1/phi-3-fixed2.tplc");
    let bytes = std::fs::read(path).unwrap();
    let memory = Artifact::from_bytes(bytes.clone()).unwrap().shared();
    let both = [Artifact::open(path).unwrap().shared(), memory];
    assert_eq!(both.clone().map(|artifact| artifact.bytes().to_vec()), [bytes.clone(), bytes.clone()]);
    assert_eq!(tplc::template::merge(&both).unwrap(), bytes);
}
