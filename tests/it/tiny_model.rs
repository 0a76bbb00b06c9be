//! The tiny model's tokenizer: small, and no easier for templates than a large one.

use std::sync::Arc;

use tplc::{
    artifact::{Artifact, Tables},
    corpus::{Corpus, CorpusOptions, Row},
    matcher::Matcher,
    template::{Collector, Compiler, Oracle, TemplateOptions, certify},
    text::{NumberFormat, Skeleton, Tags},
    tokenizer::{DigitHandling, Tokenizer},
};

use crate::tokenizer_support::load;

fn options(tokenizer: &Tokenizer, format: NumberFormat) -> TemplateOptions {
    TemplateOptions { format, tags: Tags::conformer(), eos: tokenizer.eos(), ..TemplateOptions::default() }
}

#[test]
fn its_tokens_are_cut_as_those_of_large_models() {
    let tiny = load("models/tiny");
    assert_eq!(tiny.digit_handling(), DigitHandling::One);
    assert!((300..=400).contains(&tiny.vocab_size()));
    assert_eq!(tiny.changed_numbers(), []);
    let ids = tiny.encode("[SMILES]C=O[/SMILES][CONFORMER][C]<-1.25,-0.5,12>=[O]<1").unwrap().ids;
    let tokens: Vec<String> = ids.iter().filter_map(|&id| tiny.token(id)).collect();
    assert_eq!(
        tokens.join(" "),
        "[SMILES] C = O [/SMILES] [CONFORMER] [C ]< - 1 . 2 5 ,- 0 . 5 , 1 2 >=[ O ]< 1"
    );
    assert_eq!(tiny.eos().and_then(|eos| tiny.token(eos)).as_deref(), Some("<|endoftext|>"));
}

/// Every literal of the reference drugs, and every number of two decimals.
#[test]
fn its_templates_are_certified() {
    let tiny = load("models/tiny");
    let corpus = Corpus::open(&["reference:drugs".to_owned()], &CorpusOptions::default()).unwrap();
    let tags = Tags::conformer();
    let mut molecules = Collector::default();
    for record in corpus.records() {
        let Row::Molecule(molecule) = record.unwrap().parse().unwrap() else { panic!("not a molecule") };
        molecules.add(&Skeleton::new(&molecule.smiles, tags.completion.as_ref()).unwrap());
    }
    for format in [NumberFormat::fixed(2), NumberFormat::trimmed(2)] {
        let compiler = Compiler::new(&tiny, &options(&tiny, format)).unwrap();
        let tables: Arc<Tables> = Arc::new(compiler.tables(&molecules.literals()).unwrap());
        let certificate = certify(&tables, &tiny, &|_| ()).unwrap();
        assert_eq!(certificate.numbers, 19_999);
        assert!(certificate.literals > 300, "{certificate:?}");
    }
}

/// Whole texts with four decimals, as the model was trained on, walk through the template to its end.
#[test]
fn what_it_was_trained_on_is_accepted() {
    let tiny = load("models/tiny");
    let compiler = Compiler::new(&tiny, &options(&tiny, NumberFormat::trimmed(4))).unwrap();
    let corpus = Corpus::open(&["reference:qm9".to_owned()], &CorpusOptions::default()).unwrap();
    let tags = Tags::conformer();
    let mut texts = Vec::new();
    let mut collector = Collector::default();
    for record in corpus.records().step_by(10) {
        let Row::Molecule(molecule) = record.unwrap().parse().unwrap() else { panic!("not a molecule") };
        let skeleton = Skeleton::new(&molecule.smiles, tags.completion.as_ref()).unwrap();
        texts.push((
            molecule.smiles,
            skeleton.render(&molecule.conformers[0], &NumberFormat::trimmed(4)).unwrap(),
        ));
        collector.add(&skeleton);
    }
    let artifact = Artifact::from_bytes(collector.build(&compiler).unwrap()).unwrap();
    let oracle = Oracle::new(&tiny, &artifact.tables().header);
    assert!(texts.len() > 150);
    for (smiles, text) in &texts {
        let mut matcher = Matcher::new(artifact.template(smiles).unwrap());
        for id in oracle.encode(text).unwrap() {
            matcher.advance(id).unwrap();
        }
        assert!(matcher.is_finished());
        // The prompt is no part of the completion's tokens: both are cut alike together and alone.
        let prompt = format!("[SMILES]{smiles}[/SMILES]");
        let apart = [tiny.encode(&prompt).unwrap().ids, tiny.encode(text).unwrap().ids].concat();
        assert_eq!(tiny.encode(&format!("{prompt}{text}")).unwrap().ids, apart);
    }
}
