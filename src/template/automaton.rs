//! Building the automaton: equal states are one state, so that it is minimal as it grows.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::TemplateError;
use crate::{
    artifact::{Automaton, Target},
    primitives::{StateId, TokenId},
};

/// A state that is being built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Node {
    edges: BTreeMap<TokenId, Target>,
    ends_number: bool,
}

/// One way through the automaton: tokens, each with whether it is FREE, and the state behind the last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path {
    pub(super) tokens: Vec<(TokenId, bool)>,
    pub(super) target: StateId,
}

/// An automaton that grows. Children come before their parents, so ids fall along every path.
#[derive(Clone, Debug)]
pub(super) struct Builder {
    nodes: Vec<Node>,
    known: FxHashMap<Node, StateId>,
}

impl Builder {
    /// An automaton with nothing but the done state.
    pub(super) fn new() -> Self {
        let mut builder = Self { nodes: Vec::new(), known: FxHashMap::default() };
        builder.intern(Node::default());
        builder
    }

    /// The number of states so far.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The state in which a number is complete and nothing can be added to it.
    pub(super) fn number_end(&mut self) -> StateId {
        self.intern(Node { ends_number: true, ..Node::default() })
    }

    /// The state of these edges.
    pub(super) fn state(&mut self, edges: BTreeMap<TokenId, Target>, ends_number: bool) -> StateId {
        self.intern(Node { edges, ends_number })
    }

    /// The state that is this node.
    fn intern(&mut self, node: Node) -> StateId {
        if let Some(&known) = self.known.get(&node) {
            return known;
        }
        let state = StateId(self.nodes.len() as u32);
        self.nodes.push(node.clone());
        self.known.insert(node, state);
        state
    }

    /// The state from which exactly these paths lead on.
    ///
    /// # Errors
    /// [`TemplateError::Ambiguous`] if two paths give one token two meanings.
    pub(super) fn state_of_paths(&mut self, mut paths: Vec<Path>) -> Result<StateId, TemplateError> {
        paths.sort();
        paths.dedup();
        let paths: Vec<(&[(TokenId, bool)], StateId)> =
            paths.iter().map(|path| (path.tokens.as_slice(), path.target)).collect();
        self.grow(&paths)
    }

    /// As [`Builder::state_of_paths`], for paths in order. What they share is no way to part, so this is as deep as there
    /// are paths, however long they are.
    fn grow(&mut self, paths: &[(&[(TokenId, bool)], StateId)]) -> Result<StateId, TemplateError> {
        let shared = shared_tokens(paths);
        let rest: Vec<_> = paths.iter().map(|(tokens, target)| (&tokens[shared..], *target)).collect();
        let mut state = self.part(&rest)?;
        let shared = paths.first().map_or(&[][..], |(tokens, _)| &tokens[..shared]);
        for &(token, free) in shared.iter().rev() {
            state = self.state(BTreeMap::from([(token, Target { state, free })]), false);
        }
        Ok(state)
    }

    /// The state in which paths end or part.
    fn part(&mut self, paths: &[(&[(TokenId, bool)], StateId)]) -> Result<StateId, TemplateError> {
        let mut node = Node::default();
        let ended = paths.iter().take_while(|(tokens, _)| tokens.is_empty()).count();
        if ended == paths.len()
            && let [(_, target)] = paths
        {
            return Ok(*target);
        }
        for (_, target) in &paths[..ended] {
            let target = self.nodes[target.index()].clone();
            node.ends_number |= target.ends_number;
            for (token, target) in target.edges {
                insert(&mut node, token, target)?;
            }
        }
        for same in paths[ended..].chunk_by(|(a, _), (b, _)| a[0] == b[0]) {
            let (token, free) = same[0].0[0];
            let rest: Vec<_> = same.iter().map(|(tokens, target)| (&tokens[1..], *target)).collect();
            let state = self.grow(&rest)?;
            insert(&mut node, token, Target { state, free })?;
        }
        Ok(self.intern(node))
    }

    /// The state that is `state` of another automaton. States that were made from the same paths in the same order get
    /// the same ids again.
    pub(super) fn graft(
        &mut self,
        other: &Automaton,
        state: StateId,
        known: &mut FxHashMap<StateId, StateId>,
    ) -> StateId {
        // On a stack of our own: a file may have paths of any length. Each state waits for those that its edges lead to.
        let mut open = vec![(state, false)];
        while let Some((state, waited)) = open.pop() {
            if known.contains_key(&state) {
                continue;
            }
            let edges = other.edges(state).iter();
            if !waited {
                open.push((state, true));
                open.extend(edges.rev().map(|(_, target)| (target.state, false)));
                continue;
            }
            let grafted = |target: Target| Target { state: known[&target.state], ..target };
            let edges = edges.map(|(token, target)| (token, grafted(target))).collect();
            let new = self.state(edges, other.ends_number(state));
            known.insert(state, new);
        }
        known[&state]
    }

    /// The automaton as it is now.
    pub(super) fn build(&self) -> Automaton {
        let edges = self.nodes.iter().map(|node| {
            (node.edges.iter().map(|(&token, &target)| (token, target)).collect::<Vec<_>>(), node.ends_number)
        });
        Automaton::from_states(edges)
    }
}

/// How many tokens all paths begin with.
fn shared_tokens(paths: &[(&[(TokenId, bool)], StateId)]) -> usize {
    // Paths are in order, so what the first and the last share, all share.
    let (Some((first, _)), Some((last, _))) = (paths.first(), paths.last()) else { return 0 };
    first.iter().zip(*last).take_while(|(a, b)| a == b).count()
}

fn insert(node: &mut Node, token: TokenId, target: Target) -> Result<(), TemplateError> {
    match node.edges.insert(token, target) {
        Some(other) if other != target => Err(TemplateError::Ambiguous { token }),
        _ => Ok(()),
    }
}
