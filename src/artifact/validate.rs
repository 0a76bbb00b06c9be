//! What tables must be, checked when a file is opened: the bytes alone do not promise it.

use rustc_hash::FxHashSet;

use super::{Automaton, Error, Literals, Tables, fault};
use crate::primitives::{StateId, TokenId};

impl Tables {
    /// Checks that every id exists, edges ascend and lead down, no state is a dead end, every literal leads through a
    /// number or to the end as its place demands, and every token has one meaning.
    pub(super) fn validate(&self) -> Result<(), Error> {
        self.validate_automaton()?;
        let states = self.automaton.len();
        let numbers = self.number_states as usize;
        if numbers == 0 || numbers > states {
            return Err(fault("number states", "out of range"));
        }
        let literal_state = |state: StateId| state.index() < states && state != Automaton::DONE;
        if !literal_state(self.separator) {
            return Err(fault("separator", "no such state"));
        }
        for literals in &self.literals {
            if !literals.roots.iter().all(|&root| literal_state(root)) {
                return Err(fault("literals", "a root is no state"));
            }
        }
        self.validate_ends()?;
        self.validate_meanings()
    }

    fn validate_automaton(&self) -> Result<(), Error> {
        let automaton = &self.automaton;
        let section = "automaton";
        let in_order = automaton.edge_ends.is_sorted();
        let whole = automaton.edge_ends.last().copied().unwrap_or(0) as usize == automaton.tokens.len();
        let same = automaton.tokens.len() == automaton.targets.len()
            && automaton.edge_ends.len() == automaton.ends_number.len();
        if !(in_order && whole && same) || automaton.is_empty() {
            return Err(fault(section, "edges do not fill the states"));
        }
        for index in 0..automaton.len() {
            let state = StateId(index as u32);
            let edges = automaton.edges(state);
            if !edges.tokens().is_sorted_by(|a, b| a < b) {
                return Err(fault(section, "the edges of a state do not ascend"));
            }
            if edges.iter().any(|(_, target)| target.state >= state) {
                return Err(fault(section, "an edge does not lead down"));
            }
            let free_number = index < self.number_states as usize;
            if free_number && edges.iter().any(|(_, target)| !target.free) {
                return Err(fault(section, "a number has a COPY token"));
            }
            let stops = edges.is_empty();
            let done = state == Automaton::DONE;
            if done != (stops && !automaton.ends_number(state)) {
                return Err(fault(section, "a state is a dead end"));
            }
        }
        Ok(())
    }

    /// A literal must end where its place says: the last one in the done state, all others in numbers alone. Numbers
    /// end in states that say so. One pass upwards, since edges lead down.
    fn validate_ends(&self) -> Result<(), Error> {
        let automaton = &self.automaton;
        let mut to_done = vec![false; automaton.len()];
        let mut to_number = vec![false; automaton.len()];
        for index in 0..automaton.len() {
            let state = StateId(index as u32);
            let edges = automaton.edges(state);
            to_done[index] =
                state == Automaton::DONE || edges.iter().any(|(_, target)| to_done[target.state.index()]);
            to_number[index] = automaton.ends_number(state)
                || edges.iter().any(|(_, target)| to_number[target.state.index()]);
        }
        let ends_well = |root: StateId, last: bool| {
            to_done[root.index()] == last && to_number[root.index()] != last && !automaton.ends_number(root)
        };
        let all = |literals: &Literals, last| literals.roots.iter().all(|&root| ends_well(root, last));
        let [first, inner, last] = &self.literals;
        if all(first, false) && all(inner, false) && all(last, true) && ends_well(self.separator, false) {
            return Ok(());
        }
        Err(fault("literals", "a literal does not end as its place demands"))
    }

    /// Where a number may end, a token either goes on with it or begins what stands behind it.
    fn validate_meanings(&self) -> Result<(), Error> {
        let automaton = &self.automaton;
        let states = (0..automaton.len()).map(|index| StateId(index as u32));
        let ends = states.filter(|&state| automaton.ends_number(state));
        let goes_on: FxHashSet<TokenId> =
            ends.flat_map(|state| automaton.edges(state).tokens()).copied().collect();
        // A literal that begins a text has no number before it.
        let [_, inner, last] = &self.literals;
        let mut behind = inner.roots.iter().chain(&last.roots).chain([&self.separator]);
        if behind.any(|&root| automaton.edges(root).tokens().iter().any(|token| goes_on.contains(token))) {
            return Err(fault("literals", "a token goes on with a number and begins a literal"));
        }
        Ok(())
    }
}
