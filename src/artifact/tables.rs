//! What all molecules of one tokenizer and number format share.

use rustc_hash::FxHashMap;

use super::{Automaton, Distance, distance::distances};
use crate::primitives::{Fingerprint, StateId, TokenId};

/// The shared tables: one automaton, and a dictionary of literals into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// What the tables were compiled for.
    pub header: Header,
    /// The ids that the automaton uses, ascending, with their texts for people.
    pub tokens: Tokens,
    /// Which tokens may follow.
    pub automaton: Automaton,
    /// The states of numbers: all ids below this one. The states of literals come after them.
    pub number_states: u32,
    /// The root of the separator between two numbers of a hole.
    pub separator: StateId,
    /// The literals that begin a text, stand between two holes, and end a text.
    pub literals: [Literals; 3],
    /// How far it is from each state.
    pub(super) distances: Vec<Distance>,
}

/// What tables were compiled for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The content hash of the tokenizer.
    pub fingerprint: [u8; 32],
    /// The width of the logits: mask words are made for this many ids.
    pub logits_width: u32,
    /// The token behind the text, forced last.
    pub eos: Option<TokenId>,
    /// Which tokens spell a text.
    pub tokenization: Tokenization,
    /// The tokenizer's name, for people.
    pub tokenizer: String,
    /// The number format, as `--number-format` takes it.
    pub number_format: String,
    /// A prompt such as stands before the text, or nothing: the first literal was compiled behind it.
    pub prompt: String,
    /// The text before the first literal's SMILES, part of that literal: an opening tag, or nothing.
    pub open: String,
    /// The text behind the last literal's SMILES, part of that literal: a closing tag, or nothing.
    pub close: String,
}

/// Which spellings in tokens a template accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tokenization {
    /// The one that the tokenizer gives.
    #[default]
    Canonical,
    /// Every one.
    Any,
}

impl std::fmt::Display for Tokenization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Canonical => "canonical",
            Self::Any => "any",
        })
    }
}

/// Where a literal stands in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LiteralPlace {
    /// It begins the text.
    First,
    /// It stands between two holes.
    Inner,
    /// It ends the text.
    Last,
}

impl LiteralPlace {
    /// All places, in the order of [`Tables::literals`].
    pub const ALL: [Self; 3] = [Self::First, Self::Inner, Self::Last];

    /// The place of literal `index` of a text with `atoms` holes.
    #[must_use]
    pub fn of(index: usize, atoms: usize) -> Self {
        match index {
            0 => Self::First,
            last if last == atoms => Self::Last,
            _ => Self::Inner,
        }
    }
}

/// Literals of one place, ascending, each with the state where it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Literals {
    pub(super) text: String,
    pub(super) ends: Vec<u32>,
    pub(super) roots: Vec<StateId>,
    /// The index of each text.
    by_text: FxHashMap<Box<str>, u32>,
}

/// Token ids, ascending, with their texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub(super) ids: Vec<TokenId>,
    pub(super) text: String,
    pub(super) ends: Vec<u32>,
}

impl Tables {
    pub(crate) fn new(
        header: Header,
        tokens: Tokens,
        automaton: Automaton,
        number_states: u32,
        separator: StateId,
        literals: [Literals; 3],
    ) -> Self {
        let distances = distances(&automaton);
        Self { header, tokens, automaton, number_states, separator, literals, distances }
    }

    /// The root of a literal.
    #[must_use]
    pub fn root(&self, literal: &str, place: LiteralPlace) -> Option<StateId> {
        let literals = &self.literals[place as usize];
        literals.find(literal).and_then(|index| literals.root(index))
    }

    /// The token alphabet: every id that is one of several in some state, ascending. A model that is held by a template
    /// needs no other logits.
    #[must_use]
    pub fn alphabet(&self) -> Vec<TokenId> {
        let automaton = &self.automaton;
        let states = (0..automaton.len()).map(|index| StateId(index as u32));
        // Where a number may end, what may follow it is a choice unless the number must end and the literal is one.
        let ends_open =
            states.clone().any(|state| automaton.ends_number(state) && !automaton.edges(state).is_empty());
        // A literal that begins a text has no number before it.
        let [_, behind_numbers @ ..] = &self.literals;
        let roots = behind_numbers.iter().flat_map(|literals| literals.roots.iter().copied());
        let roots = roots.chain([self.separator]);
        let chosen = states.filter(|&state| automaton.edges(state).len() > 1 || automaton.ends_number(state));
        let mut ids: Vec<TokenId> = chosen
            .chain(roots.filter(|&root| ends_open || automaton.edges(root).len() > 1))
            .flat_map(|state| automaton.edges(state).tokens())
            .copied()
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The text of a token for people: what the tokenizer calls it, or its id.
    #[must_use]
    pub fn token_text(&self, token: TokenId) -> String {
        self.tokens.text(token).map_or_else(|| format!("#{token}"), str::to_owned)
    }

    /// The content hash of the tokenizer.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.header.fingerprint)
    }
}

impl Literals {
    /// The number of literals.
    #[must_use]
    pub fn len(&self) -> usize {
        self.roots.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// The index of a literal.
    #[must_use]
    pub fn find(&self, literal: &str) -> Option<usize> {
        self.by_text.get(literal).map(|&index| index as usize)
    }

    /// The text of a literal.
    #[must_use]
    pub fn text(&self, index: usize) -> Option<&str> {
        part(&self.text, &self.ends, index)
    }

    /// Where a literal begins.
    #[must_use]
    pub fn root(&self, index: usize) -> Option<StateId> {
        self.roots.get(index).copied()
    }

    /// All literals with their roots, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&str, StateId)> {
        (0..self.len()).filter_map(|index| Some((self.text(index)?, self.root(index)?)))
    }

    #[cfg(feature = "compile")]
    pub(crate) fn new<'a>(sorted: impl IntoIterator<Item = (&'a str, StateId)>) -> Self {
        let (mut text, mut ends, mut roots) = (String::new(), Vec::new(), Vec::new());
        for (literal, root) in sorted {
            text.push_str(literal);
            ends.push(text.len() as u32);
            roots.push(root);
        }
        Self::of_parts(text, ends, roots)
    }

    /// Literals whose texts are those parts of one text.
    pub(super) fn of_parts(text: String, ends: Vec<u32>, roots: Vec<StateId>) -> Self {
        let parts =
            (0..roots.len()).filter_map(|index| Some((part(&text, &ends, index)?.into(), index as u32)));
        let by_text = parts.collect();
        Self { text, ends, roots, by_text }
    }
}

impl Tokens {
    /// The ids, ascending.
    #[must_use]
    pub fn ids(&self) -> &[TokenId] {
        &self.ids
    }

    /// The text of an id.
    #[must_use]
    pub fn text(&self, id: TokenId) -> Option<&str> {
        part(&self.text, &self.ends, self.ids.binary_search(&id).ok()?)
    }

    #[cfg(feature = "compile")]
    pub(crate) fn new(sorted: impl IntoIterator<Item = (TokenId, String)>) -> Self {
        let mut tokens = Self::default();
        for (id, text) in sorted {
            tokens.ids.push(id);
            tokens.text.push_str(&text);
            tokens.ends.push(tokens.text.len() as u32);
        }
        tokens
    }
}

/// Part `index` of a text that is cut behind each of `ends`.
fn part<'a>(text: &'a str, ends: &[u32], index: usize) -> Option<&'a str> {
    let end = *ends.get(index)? as usize;
    let start = index.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |&start| start as usize);
    text.get(start..end)
}
