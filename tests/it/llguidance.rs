//! Against an engine that others wrote: llguidance knows the text as a grammar of characters, and nothing of our tables.

use std::{collections::BTreeSet, sync::Arc};

use llguidance::{
    Matcher as Peer, ParserFactory,
    api::TopLevelGrammar,
    toktrie::{TokEnv, TokRxInfo, TokTrie, TokenizerEnv},
};
use tplc::{
    artifact::{Template, Tokenization},
    matcher::Matcher,
    primitives::TokenId,
    template::{Collector, Compiler, Oracle, TemplateOptions},
    text::{NumberFormat, Skeleton, Tags},
    tokenizer::{Tokenizer, TokenizerSource},
};

const SMILES: &str = "C[C@@H](N)C(=O)[13CH3]";

/// What llguidance asks of a tokenizer.
struct Env {
    tokenizer: Tokenizer,
    trie: TokTrie,
}

impl TokenizerEnv for Env {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        let ids = self.tokenizer.encode(std::str::from_utf8(bytes).unwrap()).unwrap().ids;
        ids.into_iter().map(|id| id.0).collect()
    }
}

fn factory(name: &str) -> (Tokenizer, ParserFactory) {
    let load = || name.parse::<TokenizerSource>().unwrap().load(&[]).unwrap();
    let tokenizer = load();
    let vocabulary = tokenizer.vocabulary();
    let width = vocabulary.max_id().unwrap().0 + 1;
    let word = |id| match vocabulary.bytes(TokenId(id)) {
        // Text can never spell these.
        Some(bytes) if vocabulary.is_added(TokenId(id)) => [&[TokTrie::SPECIAL_TOKEN_MARKER], bytes].concat(),
        bytes => bytes.unwrap_or_default().to_vec(),
    };
    let words: Vec<Vec<u8>> = (0..width).map(word).collect();
    let info = TokRxInfo::new(width, tokenizer.eos().unwrap().0);
    let env: TokEnv = Arc::new(Env { trie: TokTrie::from(&info, &words), tokenizer: load() });
    let mut factory = ParserFactory::new_simple(&env).unwrap();
    factory.quiet();
    (tokenizer, factory)
}

/// The molecule's text as a grammar: literals as they are, numbers as a regular expression. Where it forces, its masks hold
/// the tokens it forces and no others.
fn grammar(skeleton: &Skeleton, number: &str, forcing: bool) -> TopLevelGrammar {
    let literals: Vec<String> = skeleton.literals().map(|literal| format!("{literal:?}")).collect();
    let hole = " N \",\" N \",\" N ";
    TopLevelGrammar::from_lark(format!(
        "%llguidance {{\"no_forcing\": {}}}\nstart: {}\nN: /{number}/\n",
        !forcing,
        literals.join(hole)
    ))
}

fn template(
    tokenizer: &Tokenizer,
    skeleton: &Skeleton,
    format: NumberFormat,
    tokenization: Tokenization,
) -> Template {
    let options = TemplateOptions { format, tags: Tags::none(), eos: tokenizer.eos(), tokenization };
    let mut molecules = Collector::default();
    molecules.add(skeleton);
    let built = molecules.build(&Compiler::new(tokenizer, &options).unwrap()).unwrap();
    tplc::artifact::Artifact::from_bytes(built).unwrap().template(SMILES).unwrap()
}

const CASES: [(&str, &str); 2] = [
    (
        "fixed4",
        "([0-9]|[1-9][0-9])\\.[0-9]{4}|-([0-9]\\.[0-9]{3}[1-9]|[0-9]\\.[0-9]{2}[1-9]0|[0-9]\\.[0-9][1-9]00|[0-9]\\.[1-9]000|[1-9]\\.0000|[1-9][0-9]\\.[0-9]{4})",
    ),
    ("trimmed4", "-?([1-9]|[1-9][0-9])(\\.[0-9]{0,3}[1-9])?|0|-?0\\.[0-9]{0,3}[1-9]"),
];

/// A walk that chooses among the allowed by a generator of its own.
struct Chooser(u64);

impl Chooser {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % count
    }
}

/// At every step of random walks through every spelling, both allow the same ids.
#[test]
fn any_masks_are_llguidances() {
    for name in ["qwen3", "llama-3.1", "gpt-2"] {
        let (tokenizer, factory) = factory(name);
        let skeleton = Skeleton::new(SMILES, None).unwrap();
        for (format, number) in CASES {
            let template = template(&tokenizer, &skeleton, format.parse().unwrap(), Tokenization::Any);
            for seed in 0..4 {
                let (mut choose, mut ours) = (Chooser(seed), Matcher::new(template.clone()));
                let mut peer = Peer::new(factory.create_parser(grammar(&skeleton, number, false)));
                while !ours.is_finished() {
                    let mask: BTreeSet<u32> = ours.mask_row().iter().map(|id| id.0).collect();
                    // At the end of its grammar it stops, which is our end-of-sequence token.
                    let other: BTreeSet<u32> = match peer.is_stopped() {
                        true => tokenizer.eos().iter().map(|id| id.0).collect(),
                        false => peer.compute_mask().unwrap().iter().collect(),
                    };
                    assert_eq!(mask, other, "{name} {format} seed {seed} token {}", ours.len());
                    let id = *mask.iter().nth(choose.below(mask.len())).unwrap();
                    ours.advance(TokenId(id)).unwrap();
                    if !ours.is_finished() {
                        peer.consume_token(id).unwrap();
                    }
                }
            }
        }
    }
}

/// What llguidance forces, after it took back what a longer token could cover, we force or have forced as well.
#[test]
fn healed_forced_runs_are_never_contradicted() {
    for name in ["qwen3", "llama-3.1", "gpt-2"] {
        let (tokenizer, factory) = factory(name);
        let skeleton = Skeleton::new(SMILES, None).unwrap();
        for (format, number) in CASES {
            let template = template(&tokenizer, &skeleton, format.parse().unwrap(), Tokenization::Canonical);
            let oracle_header = template.tables().header.clone();
            let oracle = Oracle::new(&tokenizer, &oracle_header);
            let (mut theirs, mut more) = (0, 0);
            for seed in 0..4 {
                let (mut choose, mut ours) = (Chooser(seed), Matcher::new(template.clone()));
                let mut peer = Peer::new(factory.create_parser(grammar(&skeleton, number, true)));
                let mut ids = Vec::new();
                while !ours.is_finished() {
                    let forced: Vec<TokenId> = ours.forced_run().collect();
                    let peer_forced = peer.compute_ff_tokens();
                    theirs += peer_forced.len();
                    more += forced.len();
                    assert!(
                        forced.iter().zip(&peer_forced).all(|(a, b)| a.0 == *b),
                        "{name} {format}: {forced:?} and {peer_forced:?}"
                    );
                    // Where they force more than we do, the tokenizer must have another way: then theirs is not sound.
                    assert!(peer_forced.len() <= forced.len(), "{name} {format} token {}", ours.len());
                    let row: Vec<TokenId> = ours.mask_row().iter().collect();
                    let id = row[choose.below(row.len())];
                    ours.advance(id).unwrap();
                    ids.push(id);
                    if !ours.is_finished() {
                        peer.consume_token(id.0).unwrap();
                    }
                }
                let text = tokenizer.decode(&ids[..ids.len() - 1], false).unwrap();
                assert_eq!(oracle.encode(&text).unwrap(), ids);
            }
            assert!(theirs > 0 && more > theirs, "{name} {format}: {theirs} {more}");
        }
    }
}
