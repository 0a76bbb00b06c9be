//! Nothing is too much: the paths of an automaton, counted.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::CertificateError;
use crate::{
    artifact::{Automaton, LiteralPlace, Tables, Target, Tokenization},
    primitives::{StateId, TokenId},
    template::{
        NumberLanguage, Opening, Start,
        spelling::{Words, prefix},
    },
    tokenizer::Tokenizer,
};

/// Counts the paths through each literal, and through the separator, with the number behind it; returns the latter.
pub(super) fn count_paths(
    tables: &Tables,
    language: &NumberLanguage,
    tokenizer: &Tokenizer,
) -> Result<u64, CertificateError> {
    let automaton = &tables.automaton;
    let mut paths = vec![0u64; automaton.len()];
    for index in 0..automaton.len() {
        let state = StateId(index as u32);
        let onward =
            |sum: u64, (_, target): (TokenId, Target)| sum.saturating_add(paths[target.state.index()]);
        let ended = u64::from(automaton.ends_number(state) || state == Automaton::DONE);
        paths[index] = automaton.edges(state).iter().fold(ended, onward);
    }
    let words = match tables.header.tokenization {
        Tokenization::Canonical => None,
        Tokenization::Any => Some(Words::new(tokenizer.vocabulary())),
    };
    let ways = |text: &[u8]| words.as_ref().map_or(1, |words| words.spellings(text));
    let behind = |opening: &Opening| -> u64 {
        let ways_from = |start: &Start| -> u64 {
            let set = &language.decimals[start.decimals];
            if words.is_none() {
                return set.count() as u64;
            }
            let mut text = String::new();
            let written = (0..set.count()).map(|index| {
                text.clear();
                start.push(&mut text, set, index);
                ways(text.as_bytes())
            });
            written.fold(0, u64::saturating_add)
        };
        opening.starts.par_iter().map(ways_from).reduce(|| 0, u64::saturating_add)
    };
    let openings: Vec<(&str, u64)> =
        language.openings.iter().map(|opening| (opening.text.as_str(), behind(opening))).collect();
    let with_number = |copy: &[u8]| -> u64 {
        let texts = |(opening, numbers): &(&str, u64)| {
            ways(&[copy, opening.as_bytes()].concat()).saturating_mul(*numbers)
        };
        openings.iter().map(texts).fold(0, u64::saturating_add)
    };
    let expect = |root: StateId, texts: u64, what: &dyn Fn() -> String| {
        let paths = paths[root.index()];
        // Beyond this, counts are no longer told apart.
        if texts == u64::MAX {
            return Err(CertificateError::Uncounted { what: what() });
        }
        if paths == texts { Ok(()) } else { Err(CertificateError::Paths { what: what(), paths, texts }) }
    };
    expect(tables.separator, with_number(b","), &|| "the separator and the number behind it".to_owned())?;
    // Numbers are tried in full behind few literals: all others must lead to the same.
    let entries = entered(tables, tables.separator);
    let numbers = first_states(tables, tables.separator, &entries);
    for (place, literals) in LiteralPlace::ALL.into_iter().zip(&tables.literals) {
        for (literal, root) in literals.iter() {
            if place != LiteralPlace::Last && first_states(tables, root, &entries) != numbers {
                return Err(CertificateError::OtherNumbers { literal: literal.to_owned() });
            }
            let mut copy = match (place, &words) {
                (LiteralPlace::First, Some(_)) => prefix(tokenizer, &tables.header.prompt, literal)?,
                _ => Vec::new(),
            };
            copy.extend(literal.as_bytes());
            let texts = if place == LiteralPlace::Last { ways(&copy) } else { with_number(&copy) };
            let number = if place == LiteralPlace::Last { "" } else { " and the number behind it" };
            expect(root, texts, &|| format!("the literal {literal:?}{number}"))?;
        }
    }
    Ok(paths[tables.separator.index()])
}

/// The states of numbers behind their first token, from `root` on. Where a number may begin at the end of a literal or go
/// on from a sign, the first token leads out of the literal or out of one of `entries`, states in which a number begins.
fn first_states(tables: &Tables, root: StateId, entries: &BTreeSet<StateId>) -> BTreeSet<StateId> {
    let targets = |state| tables.automaton.edges(state).iter().map(|(_, target)| target.state);
    let entered = entered(tables, root).into_iter();
    entered
        .flat_map(|state| match entries.contains(&state) {
            true => targets(state).collect(),
            false => vec![state],
        })
        .collect()
}

/// The states of numbers that are entered from `root`, without going through others.
fn entered(tables: &Tables, root: StateId) -> BTreeSet<StateId> {
    let (mut entered, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![root]);
    while let Some(state) = open.pop() {
        for (_, target) in tables.automaton.edges(state).iter() {
            if target.state.0 < tables.number_states {
                entered.insert(target.state);
            } else if seen.insert(target.state) {
                open.push(target.state);
            }
        }
    }
    entered
}
