//! Exact templates against the tokenizer: accepted is what it gives, and nothing else.

use std::{collections::BTreeSet, fmt::Write, sync::OnceLock};

use proptest::prelude::*;
use rayon::prelude::*;
use tplc::{
    artifact::{Artifact, Automaton, LiteralPlace, Template, Tokenization},
    corpus::{Coordinate, Corpus, CorpusOptions, Row},
    matcher::{Label, Matcher, mask_words},
    primitives::{StateId, TokenId},
    template::{
        Collector, Compiler, NumberLanguage, Oracle, TemplateOptions, certify, example_numbers, snapshot,
        spell, trace,
    },
    text::{EnrichedReader, NumberFormat, Skeleton, Tags},
    tokenizer::{AddedTokens, Tokenizer, TokenizerSource, embedded},
};

use crate::{golden, tokenizer_support::load};

/// The molecules of a reference corpus: SMILES, skeleton, and some conformers written in a format.
pub(crate) fn molecules(
    corpus: &str,
    format: &NumberFormat,
    most: usize,
) -> Vec<(String, Skeleton, Vec<String>)> {
    let corpus = Corpus::open(&[corpus.to_owned()], &CorpusOptions::default()).unwrap();
    let molecule = |row| match row {
        Row::Molecule(molecule) => molecule,
        Row::Enriched(_) => panic!("the reference corpora hold molecules"),
    };
    corpus
        .records()
        .map(|record| molecule(record.unwrap().parse().unwrap()))
        .map(|molecule| {
            let skeleton = Skeleton::new(&molecule.smiles, None).unwrap();
            let conformers = molecule.conformers.iter().take(most);
            let texts = conformers.map(|conformer| skeleton.render(conformer, format).unwrap()).collect();
            (molecule.smiles, skeleton, texts)
        })
        .collect()
}

pub(crate) fn options(format: NumberFormat, tags: &Tags, tokenizer: &Tokenizer) -> TemplateOptions {
    TemplateOptions { format, tags: tags.clone(), eos: tokenizer.eos(), ..TemplateOptions::default() }
}

/// The artifact of some SMILES.
pub(crate) fn artifact(
    tokenizer: &Tokenizer,
    format: NumberFormat,
    tags: &Tags,
    smiles: &[&str],
) -> Artifact<Vec<u8>> {
    artifact_of(tokenizer, &options(format, tags, tokenizer), smiles)
}

pub(crate) fn artifact_of(
    tokenizer: &Tokenizer,
    options: &TemplateOptions,
    smiles: &[&str],
) -> Artifact<Vec<u8>> {
    let compiler = Compiler::new(tokenizer, options).unwrap();
    let mut collector = Collector::default();
    for smiles in smiles {
        collector.add(&Skeleton::new(smiles, options.tags.completion.as_ref()).unwrap());
    }
    Artifact::from_bytes(collector.build(&compiler).unwrap()).unwrap()
}

pub(crate) fn both_formats() -> [NumberFormat; 2] {
    [NumberFormat::fixed(4), NumberFormat::trimmed(4)]
}

fn template_of(artifact: &Artifact<Vec<u8>>, skeleton: &Skeleton) -> Template {
    let literals: Vec<&str> = skeleton.literals().collect();
    Template::of_literals(artifact.tables(), literals.into_iter()).unwrap()
}

/// What the SMILES of drugs write: each kind of literal that a conformer language model meets.
pub(crate) const TELLING: [(&str, &str); 12] = [
    ("one atom", "C"),
    ("two atoms, a double bond", "C=O"),
    ("chirality", "C[C@@H](N)C(=O)O"),
    ("charges", "C[N+](C)(C)CC([O-])=O"),
    ("rings of two digits", "C%10CCCCC%10"),
    ("rings", "c1ccc2ccccc2c1"),
    ("a salt", "[Na+].[Cl-]"),
    ("E and Z", "C/C=C/C=C\\Cl"),
    ("isotopes", "[13CH4].[2H]O[2H]"),
    ("a triple bond and branches", "CC(C)(C#N)Br"),
    ("aromatic hetero atoms", "c1c[nH]c(=O)n1C"),
    ("many branches", "CC(C(C(C)(C)O)(C)S(=O)(=O)N)P"),
];

/// Every conformer of the corpus is accepted as its tokenizer writes it; how many tokens need no pass is recorded.
#[test]
fn conformers_are_accepted_and_forced_as_far_as_the_language_goes() {
    let mut report = format!(
        "{:<15} {:<9} {:>8} {:>8} {:>8} {:>9} {:>8} {:>7} {:>7}\n",
        "tokenizer", "format", "tok/atom", "passes", "forced", "alphabet", "states", "edges", "B/atom"
    );
    for known in embedded() {
        let tokenizer = load(known.name);
        for format in both_formats() {
            let molecules = molecules("reference:drugs", &format, 1);
            let smiles: Vec<&str> = molecules.iter().map(|(smiles, ..)| smiles.as_str()).collect();
            let artifact = artifact(&tokenizer, format, &Tags::none(), &smiles);
            let oracle = Oracle::new(&tokenizer, &artifact.tables().header);
            let (mut tokens, mut passes, mut atoms) = (0, 0, 0);
            for (smiles, skeleton, texts) in &molecules {
                let template = artifact.template(smiles).unwrap();
                assert_eq!(artifact.literals_of(smiles), skeleton.literals().collect::<Vec<_>>());
                assert!(artifact.find(skeleton.literals().collect::<Vec<_>>().into_iter()).is_some());
                atoms += template.atoms();
                let mut matcher = Matcher::new(template);
                for (at, id) in oracle.encode(&texts[0]).unwrap().into_iter().enumerate() {
                    let before = (at % 16 == 0).then(|| (matcher.tokens_left(), matcher.passes_left()));
                    let forced = matcher.forced_run().next();
                    passes += usize::from(forced.is_none());
                    tokens += 1;
                    assert!(forced.is_none_or(|forced| forced == id));
                    matcher
                        .advance(id)
                        .unwrap_or_else(|refused| panic!("{} {smiles}: {refused}", known.name));
                    let Some((left, needed)) = before else { continue };
                    // What is left falls by one token, and by one pass for each decision, at the most.
                    assert!(
                        matcher.tokens_left().max < left.max && matcher.tokens_left().min + 1 >= left.min
                    );
                    let passed = u32::from(forced.is_none());
                    assert!(matcher.passes_left().max + passed <= needed.max, "{smiles}");
                    assert!(matcher.passes_left().min + passed >= needed.min, "{smiles}");
                }
                assert!(matcher.is_finished() && matcher.tokens_left().max == 0);
            }
            let tables = artifact.tables();
            writeln!(
                report,
                "{:<15} {:<9} {:>8.2} {:>8.2} {:>7.1}% {:>9} {:>8} {:>7} {:>7.2}",
                known.name,
                format.to_string(),
                tokens as f64 / atoms as f64,
                passes as f64 / atoms as f64,
                100.0 * (1.0 - passes as f64 / tokens as f64),
                tables.alphabet().len(),
                tables.automaton.len(),
                tables.automaton.edge_count(),
                artifact.bytes().len() as f64 / atoms as f64,
            )
            .unwrap();
        }
    }
    golden::check("templates", "reference_corpus", report);
}

/// In trace notation, for a person to review.
#[test]
fn telling_templates_in_trace_notation() {
    let hundred = "C".repeat(100);
    let telling: Vec<(&str, &str)> =
        TELLING.into_iter().chain([("a hundred atoms", hundred.as_str())]).collect();
    let smiles: Vec<&str> = telling.iter().map(|(_, smiles)| *smiles).collect();
    let [fixed, trimmed] = both_formats();
    let mut told = BTreeSet::new();
    // Where much is as in another snapshot, one format tells enough.
    for (name, tags, formats) in [
        ("qwen3", Tags::none(), vec![fixed, trimmed]),
        ("qwen3-conf", Tags::conformer(), vec![fixed, trimmed]),
        ("llama-3.1", Tags::none(), vec![fixed, trimmed]),
        ("llama3-chem", Tags::conformer(), vec![trimmed]),
        ("deepseek-v3", Tags::conformer(), vec![fixed, trimmed]),
        ("gpt-4o", Tags::none(), vec![fixed]),
        ("gpt-2", Tags::none(), vec![fixed, trimmed]),
        ("phi-3", Tags::none(), vec![fixed, trimmed]),
        ("mistral-tekken", Tags::none(), vec![trimmed]),
    ] {
        let tokenizer = load(name);
        let shown: Vec<String> = formats
            .into_iter()
            .map(|format| {
                let artifact = artifact(&tokenizer, format, &tags, &smiles);
                let oracle = Oracle::new(&tokenizer, &artifact.tables().header);
                let numbers = example_numbers(&format).unwrap().join(",");
                for smiles in &smiles {
                    let text = artifact.literals_of(smiles).join(&numbers);
                    let template = artifact.template(smiles).unwrap();
                    assert_eq!(
                        spell(&template, &text),
                        Some(oracle.encode(&text).unwrap()),
                        "{name} {smiles}"
                    );
                }
                snapshot(&artifact, telling.iter().copied()).unwrap()
            })
            .collect();
        told.insert(name);
        golden::check("templates", name, shown.join("\n"));
    }
    assert!(embedded().all(|known| told.contains(known.name)));
}

/// A chain of a hundred atoms: nothing in it is new, so its template is made of the literals of a short one.
#[test]
fn molecules_that_were_not_in_the_corpus_are_made_of_its_literals() {
    let tokenizer = load("llama-3.1");
    let format = NumberFormat::trimmed(4);
    let artifact = artifact(&tokenizer, format, &Tags::none(), &["CCC"]);
    let chain = "C".repeat(100);
    let template = artifact.template(&chain).unwrap();
    let skeleton = Skeleton::new(&chain, None).unwrap();
    let text = skeleton.render(&vec![[Coordinate::from_nanos(-70_500_000_000); 3]; 100], &format).unwrap();
    let mut matcher = Matcher::new(template);
    for id in Oracle::new(&tokenizer, &artifact.tables().header).encode(&text).unwrap() {
        matcher.advance(id).unwrap();
    }
    assert!(matcher.is_finished());
    let faults = ["CCO", "", "C#C", "C1CC1"].map(|smiles| artifact.template(smiles).unwrap_err().to_string());
    golden::check("templates", "unknown_literals", faults.join("\n"));
}

/// With the tokenizer at hand, literals that the artifact lacks are compiled: the template is as good as a built one.
#[test]
fn unknown_literals_are_compiled_with_the_tokenizer() {
    for (name, tags) in [("qwen3-conf", Tags::conformer()), ("phi-3", Tags::none())] {
        let tokenizer = load(name);
        let format = NumberFormat::trimmed(2);
        let small = artifact(&tokenizer, format, &tags, &["CCC"]);
        let options = TemplateOptions::of(&small.tables().header).unwrap();
        assert_eq!(options, self::options(format, &tags, &tokenizer));
        let compiler = Compiler::new(&tokenizer, &options).unwrap();
        for (_, smiles) in TELLING {
            let skeleton = Skeleton::new(smiles, tags.completion.as_ref()).unwrap();
            let compiled = compiler.template(small.tables(), &skeleton).unwrap();
            let built = template_of(&artifact(&tokenizer, format, &tags, &[smiles]), &skeleton);
            let numbers = [[Coordinate::from_nanos(-1_250_000_000); 3]].repeat(skeleton.atoms());
            let text = skeleton.render(&numbers, &format).unwrap();
            assert_eq!(trace(&compiled, &text), trace(&built, &text));
            assert_eq!(compiled.tables().header, small.tables().header);
            // Nothing but its own literals was compiled.
            if small.template(smiles).is_err() {
                assert_eq!(compiled.tables(), built.tables());
            }
        }
        let other = Compiler::new(&tokenizer, &TemplateOptions { eos: None, ..options }).unwrap();
        let skeleton = Skeleton::new("C", tags.completion.as_ref()).unwrap();
        assert!(other.template(small.tables(), &skeleton).is_err());
    }
}

/// Example texts need no list of all numbers, so a format that is too wide for templates has them too.
#[test]
fn examples_are_written_in_any_format() {
    for (format, numbers) in [
        ("fixed7", ["-1.2500000", "0.5000000", "10.0000000"]),
        ("trimmed9", ["-1.25", "0.5", "10"]),
        ("(integer_digits: 1, decimals: 1)", ["-1.2", "0.5", "0.0"]),
    ] {
        assert_eq!(example_numbers(&format.parse().unwrap()).unwrap(), numbers, "{format}");
    }
}

/// Tokens over the edge of a number have no place where every spelling is accepted; bytes must have tokens.
#[test]
fn vocabularies_that_cannot_spell_are_refused() {
    let faults = [">1", "5,", "0>", "-7"].map(|content| {
        let added = vec![tplc::tokenizer::AddedToken::new(content, None)];
        let overlay =
            AddedTokens { name: "odd".into(), base: None, embedding_rows: None, added_tokens: added };
        let tokenizer = "qwen3".parse::<TokenizerSource>().unwrap().load(&[overlay]).unwrap();
        let options = TemplateOptions { tokenization: Tokenization::Any, ..TemplateOptions::default() };
        let compiler = Compiler::new(&tokenizer, &options).unwrap();
        let mut molecules = Collector::default();
        molecules.add(&Skeleton::new("CC1CC1", None).unwrap());
        molecules.build(&compiler).err().map_or_else(|| "built".to_owned(), |fault| fault.to_string())
    });
    golden::check("templates", "not_spelled", faults.join("\n"));
}

/// The ids that some member of the language has behind each prefix of `ids`: found by writing every number in each place,
/// with each kind of number behind it, and asking the tokenizer.
fn naive_masks(
    oracle: &Oracle<'_>,
    language: &NumberLanguage,
    skeleton: &Skeleton,
    numbers: &[String],
    ids: &[TokenId],
) -> Vec<BTreeSet<TokenId>> {
    let all: Vec<String> = language.texts().collect();
    let digits = |text: &str| text.find(|c: char| c.is_ascii_digit());
    let begins = |text: &str, opening: &str| text.starts_with(opening) && digits(text) == Some(opening.len());
    let openings =
        language.openings.iter().map(|opening| all.iter().find(|text| begins(text, &opening.text)).unwrap());
    let openings: Vec<&String> = openings.collect();
    let mut masks = vec![BTreeSet::new(); ids.len()];
    let literals: Vec<&str> = skeleton.literals().collect();
    for place in 0..numbers.len() {
        for number in &all {
            for behind in &openings {
                let mut numbers = numbers.to_vec();
                numbers[place].clone_from(number);
                if let Some(next) = numbers.get_mut(place + 1) {
                    (*behind).clone_into(next);
                }
                let mut text = literals[0].to_owned();
                for (literal, hole) in literals[1..].iter().zip(numbers.chunks(3)) {
                    text += &hole.join(",");
                    text += literal;
                }
                let other = oracle.encode(&text).unwrap();
                let shared = other.iter().zip(ids).take_while(|(a, b)| a == b).count();
                for (mask, id) in masks.iter_mut().zip(&other).take(shared + 1) {
                    mask.insert(*id);
                }
            }
        }
    }
    masks
}

#[test]
fn masks_are_the_naive_oracles_at_every_step() {
    let formats = [
        "(integer_digits: 1, decimals: 2)",
        "(integer_digits: 2, decimals: 1, trailing_zeros: strip)",
        "(integer_digits: 1, decimals: 1, leading_zeros: none, sign: always)",
        "(integer_digits: 1, decimals: 2, leading_zeros: none, trailing_zeros: strip)",
    ];
    for (index, known) in embedded().enumerate() {
        let tokenizer = load(known.name);
        // Each tokenizer with two of the formats: all four take as long as all other tests.
        let formats = formats.iter().skip(index % 3).take(2);
        for (format, tags) in formats.zip([Tags::none(), Tags::conformer()].iter().cycle()) {
            let format: NumberFormat = format.parse().unwrap();
            let artifact = artifact(&tokenizer, format, tags, &["C=[13CH2]"]);
            let oracle = Oracle::new(&tokenizer, &artifact.tables().header);
            let language = NumberLanguage::new(&format).unwrap();
            let skeleton = Skeleton::new("C=[13CH2]", tags.completion.as_ref()).unwrap();
            let all: Vec<String> = language.texts().collect();
            let numbers: Vec<String> = (0..skeleton.atoms() * 3)
                .map(|n| all[(n * 7919 + known.name.len()) % all.len()].clone())
                .collect();
            let literals: Vec<&str> = skeleton.literals().collect();
            let text = literals[1..]
                .iter()
                .zip(numbers.chunks(3))
                .fold(literals[0].to_owned(), |text, (literal, hole)| text + &hole.join(",") + literal);
            let ids = oracle.encode(&text).unwrap();
            let naive = naive_masks(&oracle, &language, &skeleton, &numbers, &ids);
            let mut matcher = Matcher::new(template_of(&artifact, &skeleton));
            for (at, &id) in ids.iter().enumerate() {
                let mask: BTreeSet<TokenId> = matcher.mask_row().iter().collect();
                assert_eq!(mask, naive[at], "{} {format} token {at} of {text}", known.name);
                let mut words = vec![u32::MAX; mask_words(artifact.tables().header.logits_width)];
                assert!(matcher.fill_mask(&mut words).unwrap());
                let bits =
                    (0..words.len() as u32 * 32).filter(|id| words[*id as usize / 32] >> (id % 32) & 1 == 1);
                assert!(bits.map(TokenId).eq(mask.iter().copied()));
                let only = mask.len() == 1;
                assert_eq!(matcher.forced_run().next().is_some(), only);
                let label = matcher.advance(id).unwrap();
                assert!(label != Label::Decided || !only);
            }
            assert!(matcher.is_finished() && matcher.mask_row().is_empty());
        }
    }
}

/// Coordinates of all sizes: most near the middle, some with many zeros, some at the edge.
pub(crate) fn random_conformer(skeleton: &Skeleton, seed: u64) -> Vec<[Coordinate; 3]> {
    let coordinate = |n: u64| {
        let word = (seed ^ n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        Coordinate::from_nanos(((word >> 20) as i64 % 99_999_999_999) >> (word % 20))
    };
    (0..skeleton.atoms() as u64).map(|n| [0, 1, 2].map(|axis| coordinate(n * 3 + axis))).collect()
}

/// A tokenizer that merges digits with points is refused, and told why.
#[test]
fn a_tokenizer_without_the_cut_is_refused() {
    let overlay = AddedTokens::read("tokenizers/overlays/qwen3-conf-binned.json").unwrap();
    let binned = "qwen3".parse::<TokenizerSource>().unwrap().load(&[overlay]).unwrap();
    // Its added numbers are cut as digits are, so it can be built; and proven.
    let artifact = artifact(&binned, NumberFormat::fixed(3), &Tags::none(), &["CC=O"]);
    assert!(certify(artifact.tables(), &binned, &|_| {}).is_ok());
    let point = tplc::tokenizer::AddedToken::new("0.5", None);
    let point =
        AddedTokens { name: "half".into(), base: None, embedding_rows: None, added_tokens: vec![point] };
    let half = "qwen3".parse::<TokenizerSource>().unwrap().load(&[point]).unwrap();
    let fault = Compiler::new(&half, &TemplateOptions::default()).err().map(|fault| fault.to_string());
    golden::check("templates", "not_cut", fault.unwrap_or_else(|| "built".to_owned()));
}

#[test]
fn every_flip_and_every_cut_is_an_error() {
    let tokenizer = load("llama-3.1");
    let format = "(integer_digits: 1, decimals: 1)".parse().unwrap();
    let artifact = artifact(&tokenizer, format, &Tags::none(), &["CC=O", "C", "c1ccccc1"]);
    let bytes = artifact.bytes();
    for at in 0..bytes.len() {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << (at % 8);
        assert!(Artifact::from_bytes(flipped.as_slice()).is_err(), "byte {at}");
        assert!(Artifact::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        // With a right checksum, the sections must speak for themselves: an error or a sound template, never a panic.
        let body = flipped.len() - 4;
        let checksum = crc32fast::hash(&flipped[..body]).to_le_bytes();
        flipped[body..].copy_from_slice(&checksum);
        if let Ok(odd) = Artifact::from_bytes(flipped.as_slice()) {
            for index in 0..odd.len().min(8) {
                walk(&odd, index);
            }
        }
    }
}

/// Follows the first allowed token to the end.
fn walk(artifact: &Artifact<&[u8]>, index: usize) {
    let Ok(template) = artifact.molecule(index) else { return };
    let mut matcher = Matcher::new(template);
    let most = matcher.tokens_left().max;
    for _ in 0..=most {
        let Some(id) = matcher.mask_row().iter().next() else { break };
        matcher.advance(id).unwrap();
    }
    assert!(matcher.is_finished());
}

/// Thousands of atoms are no deeper than one.
#[test]
fn long_molecules_are_spelled() {
    let tokenizer = load("llama-3.1");
    let artifact = artifact(&tokenizer, NumberFormat::fixed(4), &Tags::none(), &["CCC"]);
    let shown = snapshot(&artifact, [("long", "C".repeat(20_000).as_str())]).unwrap();
    assert!(shown.contains("× 19999"), "{}", &shown[..400.min(shown.len())]);
}

/// Rows gone through one behind the other are those that are looked up one by one, over blocks of the index.
#[test]
fn rows_in_order_are_those_by_number() {
    let smiles: Vec<String> = molecules("reference:g2", &NumberFormat::fixed(1), 0)
        .into_iter()
        .map(|(smiles, ..)| smiles)
        .collect();
    let smiles: Vec<&str> = smiles.iter().map(String::as_str).collect();
    let artifact = artifact(&load("qwen3"), NumberFormat::fixed(1), &Tags::none(), &smiles);
    assert!(artifact.len() > 64);
    let text = |(place, index): (LiteralPlace, usize)| {
        artifact.tables().literals[place as usize].text(index).unwrap()
    };
    let rows: Vec<String> = artifact.rows().map(|row| row.map(text).collect()).collect();
    let by_number: Vec<String> =
        (0..artifact.len()).map(|row| artifact.literals(row).unwrap().collect()).collect();
    assert_eq!(rows, by_number);
}

/// A part of the molecules that ends as the next begins is found at any number of threads.
#[test]
fn a_molecule_that_stands_twice_is_found_wherever_it_stands() {
    let tokenizer = load("qwen3");
    let format = "(integer_digits: 1, decimals: 1)".parse().unwrap();
    let some = artifact(&tokenizer, format, &Tags::none(), &["C[13CH3]N"]);
    let tables = some.tables();
    let width = 24usize;
    let inner = tables.literals[1].len() as u32;
    assert_eq!(inner, 2);
    // Rows of two literals each in 23 places: all different.
    let row = |number: usize| -> Box<[u32]> {
        let places = (0..width - 1).rev().map(|place| (number >> place & 1) as u32);
        std::iter::once(0).chain(places).chain([0]).collect()
    };
    let rows = 49_152usize;
    let bytes = tplc::artifact::write(tables, (0..rows).map(row)).unwrap();
    assert!(Artifact::from_bytes(bytes.as_slice()).is_ok());
    // The middle is where two threads part: put the row before it there again.
    let mut twice = bytes.clone();
    let (row_bytes, programs) =
        ((width + 1) * 2, bytes.len() - 4 - (bytes.len() - 4 - rows * (width + 1) * 2) % 8);
    let start = (0..8).map(|pad| programs - pad - rows * row_bytes).find(|&start| start % 8 == 0).unwrap();
    let middle = start + rows / 2 * row_bytes;
    let before = twice[middle - row_bytes..middle].to_vec();
    twice[middle..middle + row_bytes].copy_from_slice(&before);
    let body = twice.len() - 4;
    let checksum = crc32fast::hash(&twice[..body]).to_le_bytes();
    twice[body..].copy_from_slice(&checksum);
    let fault = Artifact::from_bytes(twice.as_slice()).unwrap_err().to_string();
    assert!(fault.contains("ascend") || fault.contains("twice"), "{fault}");
}

/// A tokenizer with the artifact of [`PEPTIDE`], which takes a second to make.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) format: NumberFormat,
    pub(crate) artifact: Artifact<Vec<u8>>,
}

/// A molecule with one of each: chirality, a branch, a ring, a double bond.
pub(crate) const PEPTIDE: &str = "C[C@@H](N)C1=CC1";

/// Each embedded tokenizer in both formats, made once.
pub(crate) fn case(which: usize, trimmed: bool) -> &'static Case {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    let cases = CASES.get_or_init(|| {
        let all: Vec<_> =
            embedded().flat_map(|known| both_formats().map(|format| (known.name, format))).collect();
        let made = all.into_par_iter().map(|(name, format)| {
            let tokenizer = load(name);
            let artifact = artifact(&tokenizer, format, &Tags::none(), &[PEPTIDE]);
            Case { name, tokenizer, format, artifact }
        });
        made.collect()
    });
    &cases[which * 2 + usize::from(trimmed)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Near-misses: a member with one token changed, dropped, doubled, split or merged is accepted if and only if it is
    /// what the tokenizer gives for a member.
    #[test]
    fn near_misses_are_judged_as_the_tokenizer_judges(
        which in 0usize..9, trimmed: bool, seed: u64, at in 0usize..10_000, change in 0usize..6,
        choice in 0usize..100_000,
    ) {
        let Case { name, tokenizer, format, artifact } = case(which, trimmed);
        let oracle = Oracle::new(tokenizer, &artifact.tables().header);
        let skeleton = Skeleton::new(PEPTIDE, None).unwrap();
        let conformer = random_conformer(&skeleton, seed);
        let text = skeleton.render(&conformer, format).unwrap();
        let ids = oracle.encode(&text).unwrap();
        let alphabet = artifact.tables().tokens.ids();
        let mut changed = ids.clone();
        let at = at % ids.len();
        match change {
            0 => changed[at] = alphabet[choice % alphabet.len()],
            1 => changed[at] = TokenId((choice % tokenizer.vocab_size()) as u32),
            2 => { changed.remove(at); }
            3 => changed.insert(at, ids[at]),
            4 => {
                // Split: the token's bytes as two tokens, if there are such.
                let vocabulary = tokenizer.vocabulary();
                let bytes = vocabulary.bytes(ids[at]).unwrap_or_default();
                let find = |part: &[u8]| vocabulary.iter().find(|(_, known)| *known == part).map(|(id, _)| id);
                if bytes.len() > 1 && let (Some(a), Some(b)) = (find(&bytes[..1]), find(&bytes[1..])) {
                    changed.splice(at..=at, [a, b]);
                }
            }
            _ => {
                let vocabulary = tokenizer.vocabulary();
                let pair = ids.get(at..at + 2).unwrap_or_default();
                let joined: Vec<u8> = pair.iter().flat_map(|id| vocabulary.bytes(*id).unwrap_or_default()).copied().collect();
                if let Some((id, _)) = vocabulary.iter().find(|(_, known)| !joined.is_empty() && *known == joined.as_slice()) {
                    changed.splice(at..at + 2, [id]);
                }
            }
        }
        let mut matcher = Matcher::new(template_of(artifact, &skeleton));
        let accepted = changed.iter().all(|&id| matcher.advance(id).is_ok()) && matcher.is_finished();
        prop_assert_eq!(accepted, is_member(tokenizer, &oracle, &skeleton, format, &changed), "{} {}", name, text);
        // Taking back is the inverse of taking.
        matcher.reset();
        let mut again = Matcher::new(matcher.template().clone());
        for (taken, &id) in ids.iter().enumerate() {
            let row: Vec<TokenId> = again.mask_row().iter().collect();
            again.advance(id).unwrap();
            if taken % 7 == at % 7 {
                again.rollback(1);
                prop_assert!(again.mask_row().iter().eq(row));
                again.advance(id).unwrap();
            }
        }
        prop_assert_eq!(again.validate(&[TokenId(0)]), 0);
        again.reset();
        prop_assert_eq!(again.validate(&ids), ids.len());
    }
}

/// Whether ids are what the tokenizer gives for a text of the skeleton in the format.
fn is_member(
    tokenizer: &Tokenizer,
    oracle: &Oracle<'_>,
    skeleton: &Skeleton,
    format: &NumberFormat,
    ids: &[TokenId],
) -> bool {
    let Some((&eos, body)) = ids.split_last() else { return false };
    if Some(eos) != tokenizer.eos() || body.iter().any(|id| tokenizer.is_added(*id)) {
        return false;
    }
    let Ok(text) = tokenizer.decode(body, false) else { return false };
    let Ok(read) = EnrichedReader::new(&Tags::none()).read(&text) else { return false };
    let numbers = read.holes().iter().flat_map(|hole| hole.numbers);
    read.skeleton() == *skeleton
        && numbers.into_iter().all(|number| format.parse(number.of(&text)).is_some())
        && oracle.encode(&text).is_ok_and(|real| real == ids)
}

#[test]
fn automata_have_no_dead_end() {
    let artifact = artifact(&load("gpt-2"), NumberFormat::fixed(4), &Tags::none(), &["CC=O"]);
    let automaton = &artifact.tables().automaton;
    assert!(automaton.edges(Automaton::DONE).is_empty() && !automaton.is_empty());
    assert!(automaton.edges(StateId(u32::MAX)).is_empty());
}
