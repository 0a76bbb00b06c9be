//! The embedded tokenizers beside the crate's own, on every conformer of the corpora in both number formats.

use rayon::prelude::*;
use tplc::{
    corpus::{Corpus, CorpusOptions, Row},
    text::{NumberFormat, Skeleton, Tags},
};

use crate::tokenizer_support::{assert_same_decoding, load, oracle, oracle_encode, plain};

fn texts(corpus: &str, format: NumberFormat, tags: &Tags) -> Vec<String> {
    let corpus = Corpus::open(&[corpus.to_owned()], &CorpusOptions::default()).unwrap();
    let rows = corpus.records().map(|record| record.unwrap().parse());
    rows.flat_map(|row| {
        let Row::Molecule(molecule) = row.unwrap() else { panic!("the corpora hold molecules") };
        let skeleton = Skeleton::new(&molecule.smiles, tags.completion.as_ref()).unwrap();
        molecule
            .conformers
            .iter()
            .map(|conformer| skeleton.render(conformer, &format).unwrap())
            .collect::<Vec<_>>()
    })
    .collect()
}

/// Ids and offsets of every text, decoding of one in sixteen.
fn equal_to_the_crate(corpus: &str, texts: usize) {
    let fixed = self::texts(corpus, NumberFormat::fixed(4), &Tags::conformer());
    let trimmed = self::texts(corpus, NumberFormat::trimmed(4), &Tags::none());
    assert_eq!((fixed.len(), trimmed.len()), (texts, texts));
    for known in tplc::tokenizer::embedded() {
        let (ours, oracle) = (load(known.name), oracle(known.name));
        fixed.par_iter().chain(&trimmed).enumerate().for_each(|(index, text)| {
            let encoding = ours.encode(text).unwrap();
            assert_eq!(plain(&encoding), oracle_encode(&oracle, text), "{}: {text:?}", known.name);
            if index % 16 == 0 {
                assert_same_decoding(&ours, &oracle, &encoding.ids);
            }
        });
    }
}

#[test]
fn tokenizer_drugs_equal_the_crate() {
    equal_to_the_crate("reference:drugs", 4_463);
}

#[test]
fn tokenizer_qm9_and_g2_equal_the_crate() {
    equal_to_the_crate("reference:qm9", 1_989);
    equal_to_the_crate("reference:g2", 97);
}
