//! How far it is from each state: tokens, and the passes of those that must be decided.

use super::Automaton;
use crate::primitives::StateId;

/// The fewest and the most of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The fewest.
    pub min: u32,
    /// The most.
    pub max: u32,
}

/// From a state to the end of the number it leads to (or of the text).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distance {
    /// Tokens up to that end.
    pub tokens: Bounds,
    /// Tokens among them that have an alternative, that of ending the number included: where the literal behind the
    /// number begins with a token without choice, and where it begins with a choice.
    pub decisions: [Bounds; 2],
}

/// The distances of all states. One pass upwards, since edges lead down.
pub(super) fn distances(automaton: &Automaton) -> Vec<Distance> {
    let mut all: Vec<Distance> = Vec::with_capacity(automaton.len());
    for index in 0..automaton.len() {
        let state = StateId(index as u32);
        let distance = of(automaton, state, &all);
        all.push(distance);
    }
    all
}

fn of(automaton: &Automaton, state: StateId, known: &[Distance]) -> Distance {
    let edges = automaton.edges(state);
    let ends = automaton.ends_number(state);
    let mut tokens = Reach::default();
    let mut decisions = [Reach::default(), Reach::default()];
    if ends || state == Automaton::DONE {
        tokens.reach(Bounds::default());
        for (next_branches, decisions) in decisions.iter_mut().enumerate() {
            let chosen = ends && (!edges.is_empty() || next_branches == 1);
            decisions.reach(Bounds { min: u32::from(chosen), max: u32::from(chosen) });
        }
    }
    let chosen = u32::from(edges.len() > 1 || ends);
    for (_, target) in edges.iter() {
        let Some(behind) = known.get(target.state.index()) else { continue };
        tokens.reach(behind.tokens.plus(1));
        for (decisions, behind) in decisions.iter_mut().zip(behind.decisions) {
            decisions.reach(behind.plus(chosen));
        }
    }
    Distance { tokens: tokens.bounds(), decisions: decisions.map(Reach::bounds) }
}

/// Bounds over the ways found so far.
#[derive(Clone, Copy, Default)]
struct Reach(Option<Bounds>);

impl Reach {
    fn reach(&mut self, way: Bounds) {
        let known = self.0.unwrap_or(way);
        self.0 = Some(Bounds { min: known.min.min(way.min), max: known.max.max(way.max) });
    }

    fn bounds(self) -> Bounds {
        self.0.unwrap_or_default()
    }
}

impl Bounds {
    /// The bounds over alternatives; nothing for none.
    pub(super) fn over(ways: impl Iterator<Item = Self>) -> Self {
        let mut reach = Reach::default();
        ways.for_each(|way| reach.reach(way));
        reach.bounds()
    }

    /// Both, with as many more.
    #[must_use]
    pub fn plus(self, more: u32) -> Self {
        self + Self { min: more, max: more }
    }
}

impl std::ops::Add for Bounds {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }
}
