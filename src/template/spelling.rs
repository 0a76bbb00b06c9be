//! Every spelling of a text in tokens, canonical or not: what engines accept that look at characters alone.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::{TemplateError, automaton::Builder};
use crate::{
    artifact::{Automaton, Target},
    primitives::{StateId, TokenId},
    tokenizer::{Tokenizer, TokenizerError, Vocabulary},
};

/// Stands for the end-of-sequence token in an automaton of bytes; all smaller ids are bytes.
pub(super) const END: TokenId = TokenId(256);

/// The tokens of a vocabulary by their bytes.
pub(super) struct Words<'v> {
    /// Ascending; several tokens may have the same bytes.
    words: Vec<(&'v [u8], TokenId)>,
}

impl<'v> Words<'v> {
    pub(super) fn new(vocabulary: &'v Vocabulary) -> Self {
        let words = vocabulary.iter().filter(|(_, bytes)| !bytes.is_empty());
        let mut words: Vec<(&[u8], TokenId)> = words.map(|(id, bytes)| (bytes, id)).collect();
        words.sort_unstable();
        Self { words }
    }

    /// In how many ways tokens spell a text.
    pub(super) fn spellings(&self, text: &[u8]) -> u64 {
        // ways[i] are those of the first i bytes.
        let mut ways = vec![0u64; text.len() + 1];
        ways[0] = 1;
        for start in 0..text.len() {
            let mut words = self.words.as_slice();
            for end in start + 1..=text.len() {
                words = narrowed(words, end - start - 1, text[end - 1]);
                let whole = words.partition_point(|(bytes, _)| bytes.len() == end - start) as u64;
                ways[end] = ways[end].saturating_add(ways[start].saturating_mul(whole));
            }
        }
        ways[text.len()]
    }
}

/// Of words that agree before byte `at` and are longer or equal, those that have `byte` there.
fn narrowed<'w, 'v>(words: &'w [(&'v [u8], TokenId)], at: usize, byte: u8) -> &'w [(&'v [u8], TokenId)] {
    let next = |word: &(&[u8], TokenId)| word.0.get(at).copied();
    let start = words.partition_point(|word| next(word) < Some(byte));
    let length = words[start..].partition_point(|word| next(word) == Some(byte));
    &words[start..start + length]
}

/// What the tokenizer writes before a text that begins with `literal`: the space that SentencePiece marks a start with.
pub(super) fn prefix(tokenizer: &Tokenizer, prompt: &str, literal: &str) -> Result<Vec<u8>, TokenizerError> {
    if !prompt.is_empty() {
        return Ok(Vec::new());
    }
    let ids = tokenizer.encode(literal)?.ids;
    let spelled: Vec<u8> =
        ids.iter().filter_map(|&id| tokenizer.vocabulary().bytes(id)).flatten().copied().collect();
    Ok(spelled.strip_suffix(literal.as_bytes()).unwrap_or_default().to_vec())
}

/// Makes an automaton of tokens from one of bytes, state by state.
pub(super) struct Speller<'v> {
    tokenizer: &'v Tokenizer,
    words: Words<'v>,
    eos: Option<TokenId>,
    bytes: Automaton,
    /// States of numbers, among those of bytes.
    number_states: usize,
    tokens: Builder,
    known: FxHashMap<StateId, StateId>,
}

/// The first bytes of a token that is being spelled.
struct Way {
    /// Behind them.
    state: StateId,
    /// How many they are.
    depth: usize,
    /// Whether all are FREE.
    free: bool,
    /// Whether one of them is before the first digit of a number.
    outside: bool,
}

impl<'v> Speller<'v> {
    pub(super) fn new(
        tokenizer: &'v Tokenizer,
        eos: Option<TokenId>,
        bytes: Automaton,
        number_states: usize,
    ) -> Result<Self, TemplateError> {
        let words = Words::new(tokenizer.vocabulary());
        let (tokens, known) = (Builder::new(), FxHashMap::from_iter([(Automaton::DONE, Automaton::DONE)]));
        let mut speller = Self { tokenizer, words, eos, bytes, number_states, tokens, known };
        for state in 0..number_states {
            speller.state(StateId(state as u32))?;
        }
        Ok(speller)
    }

    /// The automaton of tokens so far.
    pub(super) fn tokens(&self) -> &Builder {
        &self.tokens
    }

    /// The state of tokens that spells all that follows a state of bytes.
    ///
    /// # Errors
    /// [`TemplateError::Straddles`] if a token would reach over the edge of a number, [`TemplateError::NotSpelled`] if the
    /// vocabulary lacks a byte.
    pub(super) fn state(&mut self, state: StateId) -> Result<StateId, TemplateError> {
        // On a stack of our own, as literals may be long: each state waits for those that its edges lead to.
        let mut open = vec![(state, None)];
        while let Some((state, edges)) = open.pop() {
            if self.known.contains_key(&state) {
                continue;
            }
            let Some(mut edges) = edges else {
                let edges = self.edges(state)?;
                let targets: Vec<StateId> = edges.values().map(|target| target.state).collect();
                open.push((state, Some(edges)));
                open.extend(targets.into_iter().rev().map(|target| (target, None)));
                continue;
            };
            edges.values_mut().for_each(|target| target.state = self.known[&target.state]);
            let new = self.tokens.state(edges, self.bytes.ends_number(state));
            self.known.insert(state, new);
        }
        Ok(self.known[&state])
    }

    /// The tokens that go on from a state of bytes, and the states of bytes behind them.
    fn edges(&self, state: StateId) -> Result<BTreeMap<TokenId, Target>, TemplateError> {
        let mut edges = BTreeMap::new();
        self.spell(&self.words.words, Way { state, depth: 0, free: true, outside: false }, &mut edges)?;
        if edges.is_empty() && !self.bytes.ends_number(state) {
            let byte = self.bytes.edges(state).tokens().first().map_or(0, |byte| byte.0);
            let text = char::from(byte as u8).to_string();
            return Err(TemplateError::NotSpelled { tokenizer: self.tokenizer.name().to_owned(), text });
        }
        Ok(edges)
    }

    /// Finds the tokens that go on from a way, among the words that it is the beginning of.
    fn spell(
        &self,
        words: &[(&'v [u8], TokenId)],
        way: Way,
        edges: &mut BTreeMap<TokenId, Target>,
    ) -> Result<(), TemplateError> {
        let Way { state, depth, free, outside } = way;
        let whole = if depth == 0 { 0 } else { words.partition_point(|(bytes, _)| bytes.len() == depth) };
        let (whole, longer) = words.split_at(whole);
        edges.extend(whole.iter().map(|&(_, id)| (id, Target { state, free })));
        // The literal behind a number is another for each atom, so a token that reaches into it has no one target.
        let behind_number = [b',', b'>'].map(|byte| narrowed(longer, depth, byte));
        if depth > 0
            && self.bytes.ends_number(state)
            && let Some(word) = behind_number.iter().find_map(|words| words.first())
        {
            return Err(self.straddles(word.1));
        }
        for (unit, target) in self.bytes.edges(state).iter() {
            if unit == END {
                edges.extend(self.eos.filter(|_| depth == 0).map(|eos| (eos, target)));
                continue;
            }
            let byte = unit.0 as u8;
            let words = narrowed(longer, depth, byte);
            let Some(word) = words.first() else { continue };
            let digit = target.free && byte.is_ascii_digit();
            if outside && digit {
                return Err(self.straddles(word.1));
            }
            let opening = state.index() >= self.number_states && !digit;
            let way = Way {
                state: target.state,
                depth: depth + 1,
                free: free && target.free,
                outside: outside || !target.free || opening,
            };
            self.spell(words, way, edges)?;
        }
        Ok(())
    }

    fn straddles(&self, token: TokenId) -> TemplateError {
        let token = self.tokenizer.vocabulary().readable(token).unwrap_or_default();
        TemplateError::Straddles { tokenizer: self.tokenizer.name().to_owned(), token }
    }
}
