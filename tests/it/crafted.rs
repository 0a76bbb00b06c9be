//! Crafted files: a right checksum, and content that no build writes.

use std::sync::Arc;

use tplc::{
    artifact::{Artifact, Automaton, Edges, LiteralPlace, Tokenization},
    matcher::Matcher,
    primitives::{StateId, TokenId},
    template::{Collector, Compiler, TemplateOptions, certify, merge},
    text::Skeleton,
};

use crate::tokenizer_support::load;

/// The sections of an artifact, in the order of the file, to be changed and put together again.
struct Sections(Vec<Vec<u8>>);

const STATES: usize = 3;
const EDGE_TOKENS: usize = 4;
const EDGE_TARGETS: usize = 5;
const LITERALS: usize = 6;

/// Where the section table starts, and the bytes of one entry.
const TABLE: usize = 32;
const ENTRY: usize = 24;

impl Sections {
    fn of(file: &[u8]) -> Self {
        let number = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
        let entries = (0..9).map(|section| TABLE + section * ENTRY);
        let range = |entry: usize| number(entry + 8)..number(entry + 8) + number(entry + 16);
        Self(entries.map(|entry| file[range(entry)].to_vec()).collect())
    }

    /// The file that has these sections, with the label and the tags of `file`.
    fn into_file(self, file: &[u8]) -> Vec<u8> {
        let mut made = file[..TABLE + 9 * ENTRY].to_vec();
        for (section, bytes) in self.0.iter().enumerate() {
            made.resize(made.len().next_multiple_of(8), 0);
            let entry = TABLE + section * ENTRY + 8;
            let place = [made.len() as u64, bytes.len() as u64].map(u64::to_le_bytes);
            made[entry..entry + 16].copy_from_slice(place.as_flattened());
            made.extend(bytes);
        }
        made.resize(made.len().next_multiple_of(8), 0);
        let checksum = crc32fast::hash(&made);
        made.extend(checksum.to_le_bytes());
        made
    }
}

/// An artifact of ethane.
fn ethane() -> Artifact<Vec<u8>> {
    artifact("CC", Tokenization::Canonical)
}

/// An artifact of one molecule, in a format in which a number may end in several states.
fn artifact(smiles: &str, tokenization: Tokenization) -> Artifact<Vec<u8>> {
    let qwen = load("qwen3");
    let format = "(integer_digits: 2, decimals: 1, trailing_zeros: strip)".parse().unwrap();
    let options = TemplateOptions { format, eos: qwen.eos(), tokenization, ..TemplateOptions::default() };
    let mut molecules = Collector::default();
    molecules.add(&Skeleton::new(smiles, None).unwrap());
    Artifact::from_bytes(molecules.build(&Compiler::new(&qwen, &options).unwrap()).unwrap()).unwrap()
}

/// All states.
fn states(automaton: &Automaton) -> impl Iterator<Item = StateId> {
    (0..automaton.len() as u32).map(StateId)
}

#[test]
fn sections_make_the_file_again() {
    let artifact = ethane();
    assert!(Sections::of(artifact.bytes()).into_file(artifact.bytes()) == artifact.bytes());
}

/// Where a number may end, a token that goes on with it and begins what stands behind it would have two meanings.
#[test]
fn a_token_of_two_meanings_is_an_error() {
    let artifact = ethane();
    let tables = Arc::clone(artifact.tables());
    let automaton = &tables.automaton;
    let root = |place: LiteralPlace| tables.literals[place as usize].root(0).unwrap();
    for behind in [tables.separator, root(LiteralPlace::Inner), root(LiteralPlace::Last)] {
        let mut crafted = 0;
        for token in automaton.edges(behind).tokens() {
            for state in states(automaton).filter(|&state| automaton.ends_number(state)) {
                for edge in 0..automaton.edges(state).len() {
                    let Some(file) = with_token(&artifact, state, edge, *token) else { continue };
                    let fault = Artifact::from_bytes(file).unwrap_err().to_string();
                    assert_eq!(
                        fault,
                        "the artifact is damaged: literals: a token goes on with a number and begins a literal; \
                         build it again"
                    );
                    crafted += 1;
                }
            }
        }
        assert!(crafted > 0);
    }
}

/// The file in which edge `edge` of a state has another token; `None` where the edges would no longer ascend.
fn with_token(artifact: &Artifact<Vec<u8>>, state: StateId, edge: usize, token: TokenId) -> Option<Vec<u8>> {
    let tables = artifact.tables();
    let mut tokens = tables.automaton.edges(state).tokens().to_vec();
    tokens[edge] = token;
    if !tokens.is_sorted_by(|a, b| a < b) {
        return None;
    }
    let before: usize =
        (0..state.0).map(StateId).map(|state| tables.automaton.edges(state)).map(Edges::len).sum();
    let place = tables.tokens.ids().binary_search(&token).unwrap() as u16;
    let mut sections = Sections::of(artifact.bytes());
    sections.0[EDGE_TOKENS][(before + edge) * 2..][..2].copy_from_slice(&place.to_le_bytes());
    Some(sections.into_file(artifact.bytes()))
}

/// A file may claim a literal of any length: nothing goes down it by calling itself.
#[test]
fn a_chain_of_any_depth_is_merged() {
    const DEPTH: u32 = 300_000;
    let artifact = ethane();
    let automaton = &artifact.tables().automaton;
    let (first_state, first_edge) = (automaton.len() as u32, automaton.edge_count() as u32);
    let mut sections = Sections::of(artifact.bytes());
    let words = |words: &mut dyn Iterator<Item = u32>| words.flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
    // Each new state has one edge to the one before it, the first to the end; all with the first token.
    sections.0[STATES].extend(words(&mut (1..=DEPTH).map(|edges| first_edge + edges)));
    sections.0[EDGE_TOKENS].extend([0; 2 * DEPTH as usize]);
    let targets = std::iter::once(0).chain(first_state..first_state + DEPTH - 1);
    sections.0[EDGE_TARGETS].extend(words(&mut { targets }));
    // The literal that ends the text begins in the last of them: its root stands before its end, length and text, `>`.
    let root = sections.0[LITERALS].len() - (4 + 4 + 4 + 1);
    sections.0[LITERALS][root..root + 4].copy_from_slice(&(first_state + DEPTH - 1).to_le_bytes());
    let deep = Artifact::from_bytes(sections.into_file(artifact.bytes())).unwrap();

    // Of two literals of the same text, the first part's is kept.
    let merged = Artifact::from_bytes(merge(&[deep, artifact]).unwrap()).unwrap();
    assert!(Matcher::new(merged.molecule(0).unwrap()).tokens_left().max > DEPTH);
    assert!(merged.tables().automaton.len() as u32 > DEPTH);
}

/// A SMILES may close any number of branches at once, and its literals are compiled all the same.
#[test]
fn a_literal_of_any_length_is_compiled() {
    const DEPTH: usize = 30_000;
    let smiles = format!("{}C{}C", "C(".repeat(DEPTH), ")".repeat(DEPTH));
    for tokenization in [Tokenization::Canonical, Tokenization::Any] {
        let artifact = artifact(&smiles, tokenization);
        let template = artifact.template(&smiles).unwrap();
        assert_eq!(template.atoms(), DEPTH + 2);
    }
}

/// A long literal has more spellings than a number holds: that is no proof, and said.
#[test]
fn spellings_beyond_counting_are_no_certificate() {
    let smiles = format!("{}C{}C", "C(".repeat(300), ")".repeat(300));
    let artifact = artifact(&smiles, Tokenization::Any);
    let fault = certify(artifact.tables(), &load("qwen3"), &|_| {}).unwrap_err().to_string();
    assert!(fault.ends_with(
        "more spellings in tokens than can be counted: build canonical templates, which have one"
    ));
    assert!(fault.starts_with("the literal \">))))"), "{fault}");
}
