//! What is asked of a tokenizer once and then known to all threads: the tokens of runs, and how literals are tokenized.

use std::{collections::BTreeMap, sync::Mutex};

use rustc_hash::FxHashMap;

use super::{Candidates, PlaceholderFacts, TokenizerFacts};
use crate::{
    primitives::ByteSpan,
    text::NumberFormat,
    tokenizer::{Encoding, Runs, Tokenizer, TokenizerError, lock},
};

/// How one literal is tokenized, whatever the coordinates.
#[derive(Clone, Debug, Default)]
pub(super) struct LiteralFacts {
    /// For each placeholder: its tokens wholly inside a hole behind the literal.
    pub(super) placeholder_tokens: Vec<u32>,
    /// The literal's pieces before a digit, a straddling one whole.
    pub(super) before_digit: Vec<String>,
    /// Its pieces before a minus; empty if no hole follows it.
    pub(super) before_minus: Vec<String>,
}

/// Asks one tokenizer; shared between threads.
pub(super) struct Learner<'t> {
    pub(super) tokenizer: &'t Tokenizer,
    pub(super) placeholders: &'t [String],
    pub(super) runs: Runs<'t>,
    literals: Mutex<FxHashMap<Box<str>, LiteralFacts>>,
    facts: Mutex<Option<Facts>>,
    candidates: Mutex<BTreeMap<Option<NumberFormat>, Vec<Candidates>>>,
}

/// What is known of a tokenizer and of the placeholders without any corpus.
type Facts = (TokenizerFacts, Vec<PlaceholderFacts>);

impl<'t> Learner<'t> {
    pub(super) fn new(tokenizer: &'t Tokenizer, placeholders: &'t [String]) -> Self {
        Self {
            tokenizer,
            placeholders,
            runs: Runs::new(tokenizer),
            literals: Mutex::default(),
            facts: Mutex::default(),
            candidates: Mutex::default(),
        }
    }

    /// What is known without any corpus, measured at the first call.
    pub(super) fn facts(&self) -> Result<Facts, TokenizerError> {
        let mut facts = lock(&self.facts);
        if let Some(known) = &*facts {
            return Ok(known.clone());
        }
        let placeholders = PlaceholderFacts::all(self.tokenizer, self.placeholders)?;
        Ok(facts.insert((TokenizerFacts::of(self.tokenizer), placeholders)).clone())
    }

    /// Placeholders to choose from, measured at the first call for each format.
    pub(super) fn candidates(&self, format: Option<NumberFormat>) -> Result<Vec<Candidates>, TokenizerError> {
        let mut candidates = lock(&self.candidates);
        if let Some(known) = candidates.get(&format) {
            return Ok(known.clone());
        }
        Ok(candidates.entry(format).or_insert(Candidates::all(self.tokenizer, format)?).clone())
    }

    /// How a literal is tokenized; `first` tells whether it begins its text.
    pub(super) fn literal(&self, literal: &str, first: bool) -> Result<LiteralFacts, TokenizerError> {
        if let Some(known) = lock(&self.literals).get(literal) {
            return Ok(known.clone());
        }
        // An inner literal always has the digits of a hole before it.
        let before = if first { "" } else { "0" };
        let place = ByteSpan::new(before.len(), before.len() + literal.len());
        let encode = |behind: &str| -> Result<(String, Encoding), TokenizerError> {
            let text = format!("{before}{literal}{behind}");
            let encoding = self.tokenizer.encode(&text)?;
            Ok((text, encoding))
        };
        let pieces = |behind: &str| -> Result<Vec<String>, TokenizerError> {
            let (text, encoding) = encode(behind)?;
            let touching = |token: &&ByteSpan| token.start < place.end && token.end > place.start;
            Ok(encoding.spans.iter().filter(touching).map(|token| token.of(&text).to_owned()).collect())
        };
        let facts = if literal.ends_with('<') {
            let inside = |placeholder: &String| -> Result<u32, TokenizerError> {
                let hole = ByteSpan::new(place.end as usize, place.end as usize + placeholder.len());
                let (_, encoding) = encode(&format!("{placeholder}>"))?;
                Ok(encoding.spans.iter().filter(|&&token| hole.contains(token) && !token.is_empty()).count()
                    as u32)
            };
            LiteralFacts {
                placeholder_tokens: self.placeholders.iter().map(inside).collect::<Result<_, _>>()?,
                before_digit: pieces("0")?,
                before_minus: pieces("-0")?,
            }
        } else {
            LiteralFacts { before_digit: pieces("")?, ..LiteralFacts::default() }
        };
        lock(&self.literals).insert(literal.into(), facts.clone());
        Ok(facts)
    }
}
