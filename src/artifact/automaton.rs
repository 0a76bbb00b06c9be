//! The token automaton: which tokens may follow, and where each leads.

use crate::primitives::{StateId, TokenId};

/// One token automaton, shared by all molecules of a tokenizer and number format. It has no loop: every edge leads to
/// a state with a smaller id.
///
/// States come in three kinds. State 0 is *done*: the text is complete. In a state that *ends a number*, the next
/// literal of the molecule begins, so its edges are those of the state and those of the literal's root. All others
/// are inside a number or a literal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Automaton {
    /// Behind the last edge of each state.
    pub(super) edge_ends: Vec<u32>,
    /// The token of each edge; ascending within a state.
    pub(super) tokens: Vec<TokenId>,
    /// Where each edge leads.
    pub(super) targets: Vec<Target>,
    /// Whether a number may end in each state.
    pub(super) ends_number: Vec<bool>,
}

/// Where an edge leads, and on which side of a hole's border its token lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The next state.
    pub state: StateId,
    /// Whether the token is FREE text: wholly inside a hole.
    pub free: bool,
}

/// The edges of one state.
#[derive(Clone, Copy, Debug)]
pub struct Edges<'a> {
    tokens: &'a [TokenId],
    targets: &'a [Target],
}

impl Automaton {
    /// The state in which the text is complete.
    pub const DONE: StateId = StateId(0);

    /// The most different tokens that an automaton can use: a file numbers them with 16 bits.
    pub const MOST_TOKENS: usize = 1 << 16;

    /// The number of states.
    #[must_use]
    pub fn len(&self) -> usize {
        self.edge_ends.len()
    }

    /// Whether there is no state, not even the one that is done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edge_ends.is_empty()
    }

    /// The number of edges.
    #[must_use]
    pub fn edge_count(&self) -> usize {
        self.tokens.len()
    }

    /// The edges of a state by ascending token; none for a state that does not exist.
    #[must_use]
    pub fn edges(&self, state: StateId) -> Edges<'_> {
        let index = state.index();
        let end = self.edge_ends.get(index).copied().unwrap_or(0) as usize;
        let start = match index.checked_sub(1) {
            Some(before) => self.edge_ends.get(before).map_or(end, |&start| start as usize),
            None => 0,
        };
        Edges {
            tokens: self.tokens.get(start..end).unwrap_or_default(),
            targets: self.targets.get(start..end).unwrap_or_default(),
        }
    }

    /// Whether a number may end in this state, so that a literal follows.
    #[must_use]
    pub fn ends_number(&self, state: StateId) -> bool {
        self.ends_number.get(state.index()).copied().unwrap_or(false)
    }
}

impl<'a> Edges<'a> {
    /// The number of edges.
    #[must_use]
    pub fn len(self) -> usize {
        self.tokens.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.tokens.is_empty()
    }

    /// The tokens, ascending.
    #[must_use]
    pub fn tokens(self) -> &'a [TokenId] {
        self.tokens
    }

    /// Where `token` leads.
    #[must_use]
    pub fn target(self, token: TokenId) -> Option<Target> {
        let index = self.tokens.binary_search(&token).ok()?;
        self.targets.get(index).copied()
    }

    /// The only edge, if there is exactly one.
    #[must_use]
    pub fn only(self) -> Option<(TokenId, Target)> {
        match (self.tokens, self.targets) {
            (&[token], &[target]) => Some((token, target)),
            _ => None,
        }
    }

    /// All edges by ascending token.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = (TokenId, Target)> + ExactSizeIterator + 'a {
        self.tokens.iter().copied().zip(self.targets.iter().copied())
    }
}

impl Automaton {
    /// An automaton of these states in order, each with its edges by ascending token and whether a number may end.
    #[cfg(feature = "compile")]
    pub(crate) fn from_states(states: impl Iterator<Item = (Vec<(TokenId, Target)>, bool)>) -> Self {
        let mut automaton = Self::default();
        for (edges, ends_number) in states {
            automaton.tokens.extend(edges.iter().map(|(token, _)| token));
            automaton.targets.extend(edges.iter().map(|(_, target)| target));
            automaton.edge_ends.push(automaton.tokens.len() as u32);
            automaton.ends_number.push(ends_number);
        }
        automaton
    }
}
