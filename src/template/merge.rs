//! Artifacts of the parts of a corpus, made one: no tokenizer is needed.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::{TemplateError, automaton::Builder};
use crate::{
    artifact::{Artifact, Automaton, LiteralPlace, Literals, Tables, Tokens, write},
    primitives::{StateId, TokenId},
};

/// The bytes of one artifact with the molecules of all: those that one build of the whole corpus gives.
///
/// # Errors
/// [`TemplateError::OtherOptions`] if they were not built with the same tokenizer, number format and tags,
/// [`TemplateError::NothingToMerge`] if there is none.
pub fn merge<D: AsRef<[u8]>>(parts: &[Artifact<D>]) -> Result<Vec<u8>, TemplateError> {
    let Some(one) = parts.first() else { return Err(TemplateError::NothingToMerge) };
    for other in parts {
        same(one.tables(), other.tables())?;
    }
    let tables = united(one.tables(), parts)?;
    let rows = parts.iter().flat_map(|part| {
        // Where each literal of the part is in the united tables.
        let places = LiteralPlace::ALL.map(|place| {
            let texts = part.tables().literals[place as usize].iter().map(|(text, _)| text);
            let united = &tables.literals[place as usize];
            texts.map(|text| united.find(text).unwrap_or_default() as u32).collect::<Vec<u32>>()
        });
        part.rows().map(move |row| row.map(|(place, literal)| places[place as usize][literal]).collect())
    });
    Ok(write(&tables, rows)?)
}

/// Whether two tables may be one.
fn same(one: &Tables, other: &Tables) -> Result<(), TemplateError> {
    let (a, b) = (&one.header, &other.header);
    for (same, what) in [
        (a.fingerprint == b.fingerprint && a.tokenizer == b.tokenizer, "tokenizers"),
        (a.number_format == b.number_format, "number formats"),
        ((&a.prompt, &a.open, &a.close) == (&b.prompt, &b.open, &b.close), "tags"),
        (a.eos == b.eos, "end-of-sequence tokens"),
        (a == b, "options"),
        (one.number_states == other.number_states && one.separator == other.separator, "numbers"),
    ] {
        if !same {
            return Err(TemplateError::OtherOptions(what));
        }
    }
    let edges = |tables: &Tables, state| tables.automaton.edges(state).iter().collect::<Vec<_>>();
    let numbers = (0..=one.separator.0).map(StateId);
    let differ = numbers.into_iter().any(|state| {
        edges(one, state) != edges(other, state)
            || one.automaton.ends_number(state) != other.automaton.ends_number(state)
    });
    if differ { Err(TemplateError::OtherOptions("numbers")) } else { Ok(()) }
}

/// The tables with the literals of all parts, put together in the order in which a build does it.
fn united<D: AsRef<[u8]>>(one: &Tables, parts: &[Artifact<D>]) -> Result<Tables, TemplateError> {
    let mut builder = Builder::new();
    let mut grafted: Vec<FxHashMap<StateId, StateId>> = vec![FxHashMap::default(); parts.len()];
    for known in &mut grafted {
        for state in (0..=one.separator.0).map(StateId) {
            builder.graft(&one.automaton, state, known);
        }
    }
    let literals = LiteralPlace::ALL.map(|place| {
        let mut owners: BTreeMap<&str, (usize, StateId)> = BTreeMap::new();
        for (part, artifact) in parts.iter().enumerate() {
            for (text, root) in artifact.tables().literals[place as usize].iter() {
                owners.entry(text).or_insert((part, root));
            }
        }
        let roots = owners.into_iter().map(|(text, (part, root))| {
            (text, builder.graft(&parts[part].tables().automaton, root, &mut grafted[part]))
        });
        Literals::new(roots)
    });
    let automaton = builder.build();
    let mut texts: BTreeMap<TokenId, String> = BTreeMap::new();
    for id in (0..automaton.len()).flat_map(|state| automaton.edges(StateId(state as u32)).tokens()) {
        let named = |part: &Artifact<D>| part.tables().tokens.text(*id).map(str::to_owned);
        texts.entry(*id).or_insert_with(|| parts.iter().find_map(named).unwrap_or_default());
    }
    if texts.len() > Automaton::MOST_TOKENS {
        return Err(TemplateError::TooManyTokens { tokens: texts.len() });
    }
    let header = one.header.clone();
    Ok(Tables::new(header, Tokens::new(texts), automaton, one.number_states, one.separator, literals))
}
