//! The certificate: tables accept exactly what the tokenizer gives, shown by trying everything.
//!
//! 1. *Nothing is missing.* Every number of the format, as x, as y and as z, between literals of the table, and every
//!    literal before and behind numbers of every kind: the tokenizer's ids lead through the automaton to its end.
//! 2. *Nothing is too much.* An accepted path spells one text, and texts differ where paths do unless a text has two
//!    paths. So the automaton has as many paths as there are texts, which is counted.
//!
//! Both are exhaustive because a path is made of numbers and literals, and each of those is tried.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{NumberLanguage, Oracle, TemplateError};
use crate::{
    artifact::{Automaton, LiteralPlace, Tables, Template},
    matcher::Matcher,
    primitives::{StateId, TokenId},
    text::NumberFormat,
    tokenizer::{Tokenizer, TokenizerError},
};

/// What was tried, and held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Numbers of the format: each was tried as x, y and z.
    pub numbers: u64,
    /// Paths of the automaton through numbers: as many.
    pub number_paths: u64,
    /// Literals: each was tried before and behind numbers of every kind.
    pub literals: u64,
    /// Ways in which a number may begin: what stands before its first digit.
    pub openings: u64,
    /// Paths of the automaton through literals: one for each way in which the number behind it may begin.
    pub literal_paths: u64,
}

impl Certificate {
    /// The same for another number of literals: those with a number behind them, and those that end a text.
    pub(super) fn of_literals(self, before_numbers: u64, last: u64) -> Self {
        let literal_paths = before_numbers * self.openings + last;
        Self { literals: before_numbers + last, literal_paths, ..self }
    }
}

/// What does not hold.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The tables were built for another tokenizer.
    #[error(
        "the artifact was built for tokenizer {built_name} ({built}), and {given_name} is {given}: use that tokenizer, or build again"
    )]
    OtherTokenizer {
        /// The name in the artifact.
        built_name: String,
        /// The fingerprint in the artifact.
        built: String,
        /// The name of the given one.
        given_name: String,
        /// The fingerprint of the given one.
        given: String,
    },
    /// A text whose tokens are not accepted.
    #[error(
        "{text:?} is not accepted: token {position} of the tokenizer is {real}, and the automaton allows {allowed}"
    )]
    Refused {
        /// The text.
        text: String,
        /// The first token that is not allowed.
        position: usize,
        /// The token.
        real: String,
        /// Some of those that are.
        allowed: String,
    },
    /// Another number of paths than of texts.
    #[error("the automaton has {paths} paths through {what}, and there are {texts} texts")]
    Paths {
        /// Numbers or literals.
        what: String,
        /// Paths.
        paths: u64,
        /// Texts.
        texts: u64,
    },
    /// The tables cannot be tried: their number format is unknown here, or too wide.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The number format of the artifact cannot be read.
    #[error(transparent)]
    Format(#[from] crate::text::NumberFormatError),
    /// The tokenizer refused a text.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A template could not be made of literals in the table.
    #[error(transparent)]
    Artifact(#[from] crate::artifact::Error),
}

/// Holes of one text: texts are long so that most of the work is tokens, and short so that threads share it.
const HOLES: usize = 64;

/// Tries everything that `tables` claim. `tried` is told the share of texts done, 0 to 1, from any thread.
///
/// # Errors
/// [`CertificateError`] with the first text, in the order of trying, that does not hold.
pub fn certify(
    tables: &Arc<Tables>,
    tokenizer: &Tokenizer,
    tried: &(dyn Fn(f64) + Sync),
) -> Result<Certificate, CertificateError> {
    same_tokenizer(tables, tokenizer)?;
    let format: NumberFormat = tables.header.number_format.parse()?;
    let language = NumberLanguage::new(&format)?;
    let numbers: Vec<String> = language.texts().collect();
    let number_paths = count_paths(tables, numbers.len() as u64)?;

    let prover = Prover { tables, tokenizer, oracle: Oracle::new(tokenizer, &tables.header) };
    let mut texts = prover.literal_texts(&representatives(&numbers));
    texts.extend(prover.number_texts(numbers.len()));
    let done = AtomicU64::new(0);
    let prove = |text: &Text<'_>| {
        prover.prove(text, &numbers)?;
        tried((done.fetch_add(1, Ordering::Relaxed) + 1) as f64 / texts.len() as f64);
        Ok(())
    };
    // Any of several faults could come first from many threads; a person expects the first of the texts.
    let proven: Vec<Result<(), CertificateError>> = texts.par_iter().map(prove).collect();
    proven.into_iter().collect::<Result<(), _>>()?;
    let literals: u64 = tables.literals.iter().map(|literals| literals.len() as u64).sum();
    let last = tables.literals[LiteralPlace::Last as usize].len() as u64;
    Ok(Certificate {
        numbers: numbers.len() as u64,
        number_paths,
        literals: 0,
        openings: language.openings.len() as u64,
        literal_paths: 0,
    }
    .of_literals(literals - last, last))
}

/// Checks that tables were built for this tokenizer.
///
/// # Errors
/// [`CertificateError::OtherTokenizer`] if not.
pub fn same_tokenizer(tables: &Tables, tokenizer: &Tokenizer) -> Result<(), CertificateError> {
    let (built, given) = (tables.fingerprint(), tokenizer.fingerprint());
    if built == given {
        return Ok(());
    }
    Err(CertificateError::OtherTokenizer {
        built_name: tables.header.tokenizer.clone(),
        built: built.short(),
        given_name: tokenizer.name().to_owned(),
        given: given.short(),
    })
}

/// Counts paths: behind each opening as many as numbers begin so, and through each literal one for each opening.
fn count_paths(tables: &Tables, numbers: u64) -> Result<u64, CertificateError> {
    let automaton = &tables.automaton;
    let mut paths = vec![0u64; automaton.len()];
    for index in 0..automaton.len() {
        let state = StateId(index as u32);
        let onward = |sum: u64, (_, target): (TokenId, crate::artifact::Target)| {
            sum.saturating_add(paths[target.state.index()])
        };
        let ended = u64::from(automaton.ends_number(state) || state == Automaton::DONE);
        paths[index] = automaton.edges(state).iter().fold(ended, onward);
    }
    // Every literal leads on to all numbers, so its paths are those of all openings together.
    for (place, literals) in LiteralPlace::ALL.into_iter().zip(&tables.literals) {
        let texts = if place == LiteralPlace::Last { 1 } else { numbers };
        for (literal, root) in literals.iter() {
            if paths[root.index()] != texts {
                let what = format!("the literal {literal:?} and the number behind it");
                return Err(CertificateError::Paths { what, paths: paths[root.index()], texts });
            }
        }
    }
    let separator = paths[tables.separator.index()];
    if separator != numbers {
        let what = "the separator and the number behind it".to_owned();
        return Err(CertificateError::Paths { what, paths: separator, texts: numbers });
    }
    Ok(separator)
}

/// The first numbers that begin or end as none before them: an opening and a digit, a point or none and a digit.
fn representatives(numbers: &[String]) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let mut new = |number: &String| {
        let first = number.find(|c: char| c.is_ascii_digit()).map_or(0, |at| at + 1);
        let last = number.len().saturating_sub(1);
        let begins = seen.insert((true, number[..first].to_owned()));
        let point = if number.contains('.') { "." } else { "" };
        seen.insert((false, format!("{point}{}", &number[last..]))) || begins
    };
    numbers.iter().enumerate().filter(|(_, number)| new(number)).map(|(index, _)| index).collect()
}

/// A text to try: literals, and the three numbers of each hole as indices.
struct Text<'a> {
    literals: Vec<&'a str>,
    holes: Vec<[usize; 3]>,
}

/// Tries texts.
struct Prover<'a> {
    tables: &'a Arc<Tables>,
    tokenizer: &'a Tokenizer,
    oracle: Oracle<'a>,
}

impl<'a> Prover<'a> {
    /// Literal `index` of a place, around and around.
    fn literal(&self, place: LiteralPlace, index: usize) -> Option<&'a str> {
        let literals = &self.tables.literals[place as usize];
        literals.text(index % literals.len().max(1))
    }

    /// Texts in which each literal stands before and behind each of these numbers.
    fn literal_texts(&self, numbers: &[usize]) -> Vec<Text<'a>> {
        let mut texts = Vec::new();
        let around = |inner: Vec<&'a str>, first: usize, last: usize| {
            let first = self.literal(LiteralPlace::First, first)?;
            let last = self.literal(LiteralPlace::Last, last)?;
            Some(std::iter::once(first).chain(inner).chain([last]).collect())
        };
        for (literal, _) in self.tables.literals[LiteralPlace::Inner as usize].iter() {
            let holes: Vec<[usize; 3]> = numbers.iter().map(|&number| [number; 3]).collect();
            let literals = around(vec![literal; holes.len().saturating_sub(1)], 0, 0);
            texts.extend(literals.map(|literals| Text { literals, holes }));
        }
        let [first, _, last] = [0, 1, 2].map(|place: usize| self.tables.literals[place].len());
        for index in 0..first.max(last) {
            for &number in numbers {
                let literals = around(Vec::new(), index, index);
                texts.extend(literals.map(|literals| Text { literals, holes: vec![[number; 3]] }));
            }
        }
        texts
    }

    /// Texts in which each of `count` numbers is once x, once y and once z, between literals of every kind by turns.
    fn number_texts(&self, count: usize) -> impl Iterator<Item = Text<'a>> {
        let inner = self.tables.literals[LiteralPlace::Inner as usize].len();
        let size = if inner == 0 { 1 } else { HOLES };
        (0..count).step_by(size).filter_map(move |start| {
            let range = start..count.min(start + size);
            let text = start / size;
            let mut literals = vec![self.literal(LiteralPlace::First, text)?];
            literals.extend(range.clone().skip(1).filter_map(|hole| self.literal(LiteralPlace::Inner, hole)));
            literals.push(self.literal(LiteralPlace::Last, text)?);
            let other = |number: usize, thirds: usize| (number + count * thirds / 3) % count;
            let holes = range.map(|number| [number, other(number, 1), other(number, 2)]).collect();
            Some(Text { literals, holes })
        })
    }

    /// Leads the tokenizer's ids of a text through the automaton.
    fn prove(&self, text: &Text<'a>, numbers: &[String]) -> Result<(), CertificateError> {
        let mut written = String::new();
        for (literal, hole) in text.literals.iter().zip(&text.holes) {
            written.push_str(literal);
            for (axis, &number) in hole.iter().enumerate() {
                written.push_str(if axis == 0 { "" } else { "," });
                written.push_str(&numbers[number]);
            }
        }
        written.push_str(text.literals.last().copied().unwrap_or_default());
        let ids = self.oracle.encode(&written)?;
        let mut matcher = Matcher::new(Template::of_literals(self.tables, text.literals.iter().copied())?);
        for (position, &id) in ids.iter().enumerate() {
            if matcher.advance(id).is_err() {
                return Err(self.refused(written, position, Some(id), &matcher));
            }
        }
        match matcher.is_finished() {
            true => Ok(()),
            false => Err(self.refused(written, ids.len(), None, &matcher)),
        }
    }

    fn refused(
        &self,
        text: String,
        position: usize,
        real: Option<TokenId>,
        matcher: &Matcher,
    ) -> CertificateError {
        let name = |id: TokenId| format!("{:?}", self.tokenizer.token(id).unwrap_or_default());
        let mut allowed: Vec<String> = matcher.mask_row().iter().take(5).map(name).collect();
        if matcher.mask_row().len() > allowed.len() {
            allowed.push("…".to_owned());
        }
        CertificateError::Refused {
            text,
            position,
            real: real.map_or_else(|| "its end".to_owned(), name),
            allowed: allowed.join(" "),
        }
    }
}
