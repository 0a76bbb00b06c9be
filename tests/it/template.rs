//! Exact templates against the tokenizer: accepted is what it gives, and nothing else.

use tplc::{
    artifact::Artifact,
    corpus::{Corpus, CorpusOptions, Row},
    matcher::{Label, Matcher},
    template::{Collector, Compiler, TemplateOptions},
    text::{NumberFormat, Skeleton},
    tokenizer::{Tokenizer, embedded},
};

use crate::tokenizer_support::load;

/// The molecules of a reference corpus, each with its conformers written in a format.
fn molecules(corpus: &str, format: &NumberFormat) -> Vec<(String, Skeleton, Vec<String>)> {
    let corpus = Corpus::open(&[corpus.to_owned()], &CorpusOptions::default()).unwrap();
    let rows = corpus.records().map(|record| record.unwrap().parse());
    rows.filter_map(|row| match row.unwrap() {
        Row::Molecule(molecule) => {
            let skeleton = Skeleton::new(&molecule.smiles, None).unwrap();
            let texts = molecule.conformers.iter().map(|c| skeleton.render(c, format).unwrap()).collect();
            Some((molecule.smiles, skeleton, texts))
        }
        Row::Enriched(_) => None,
    })
    .collect()
}

fn artifact(tokenizer: &Tokenizer, format: NumberFormat, skeletons: &[&Skeleton]) -> Artifact<Vec<u8>> {
    let compiler =
        Compiler::new(tokenizer, &TemplateOptions { format, ..TemplateOptions::default() }).unwrap();
    let mut collector = Collector::default();
    for skeleton in skeletons {
        collector.add(skeleton);
    }
    Artifact::from_bytes(collector.build(&compiler).unwrap()).unwrap()
}

#[test]
fn every_conformer_is_accepted_as_its_tokenizer_writes_it() {
    for known in embedded() {
        let tokenizer = load(known.name);
        for format in [NumberFormat::fixed(4), NumberFormat::trimmed(4)] {
            let start = std::time::Instant::now();
            let molecules = molecules("reference:drugs", &format);
            let skeletons: Vec<&Skeleton> = molecules.iter().map(|(_, skeleton, _)| skeleton).collect();
            let read = start.elapsed();
            let artifact = artifact(&tokenizer, format, &skeletons);
            let built = start.elapsed() - read;
            let (mut forced, mut decided, mut copy) = (0u64, 0u64, 0u64);
            let (mut tokens, mut passes) = (0, 0);
            let mut at_once = 0;
            for (smiles, _, texts) in &molecules {
                let mut matcher = Matcher::new(artifact.template(smiles).unwrap());
                for text in texts.iter().take(2) {
                    let mut run = 0;
                    for &id in &tokenizer.encode(text).unwrap().ids {
                        tokens += 1;
                        if matcher.forced_run().next().is_some() {
                            at_once += 1;
                        } else {
                            passes += 1;
                        }
                        match matcher
                            .advance(id)
                            .unwrap_or_else(|refused| panic!("{known:?} {text} {refused}"))
                        {
                            Label::Copy => copy += 1,
                            Label::Forced => forced += 1,
                            Label::Decided => decided += 1,
                        }
                        run += 1;
                    }
                    assert!(matcher.is_finished(), "{text}");
                    matcher.reset();
                    let _ = run;
                }
            }
            println!(
                "{} {format}: read {read:?} built {built:?} states {} numbers {} edges {} literals {:?} bytes {} sections {:?} copy {copy} forced {forced} decided {decided} share {:.4} {passes}",
                known.name,
                artifact.tables().automaton.len(),
                artifact.tables().number_states,
                artifact.tables().automaton.edge_count(),
                artifact.tables().literals.iter().map(|l| l.len()).collect::<Vec<_>>(),
                artifact.bytes().len(),
                artifact.section_sizes().collect::<Vec<_>>(),
                f64::from(at_once) / f64::from(tokens)
            );
        }
    }
}

#[test]
#[ignore = "ten minutes: every number with four decimals, nine tokenizers"]
fn certificates_hold() {
    for known in embedded() {
        let tokenizer = load(known.name);
        for format in ["fixed4", "trimmed4"] {
            let format: NumberFormat = format.parse().unwrap();
            let molecules = molecules("reference:drugs", &format);
            let skeletons: Vec<&Skeleton> = molecules.iter().map(|(_, skeleton, _)| skeleton).collect();
            let artifact = artifact(&tokenizer, format, &skeletons);
            let start = std::time::Instant::now();
            let certificate = tplc::template::certify(artifact.tables(), &tokenizer, &|_| {});
            println!("{} {format} {:?} {certificate:?}", known.name, start.elapsed());
            certificate.unwrap();
        }
    }
}
