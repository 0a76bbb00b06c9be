//! The certificate: tables accept exactly what the tokenizer gives, shown by trying everything.
//!
//! 1. *Nothing is missing.* Every number of the format, as x, as y and as z, between literals of the table, and every
//!    literal before and behind numbers of every kind: the tokenizer's ids lead through the automaton to its end.
//! 2. *Nothing is too much.* An accepted path spells one text, and texts differ where paths do unless a text has two
//!    paths. So the automaton has as many paths as there are texts, which is counted; where every spelling is accepted, as
//!    many as the vocabulary has spellings of all texts.
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

use super::{
    NumberLanguage, Opening, Oracle, TemplateError,
    spelling::{Words, prefix},
};
use crate::{
    artifact::{Automaton, LiteralPlace, Tables, Template, Tokenization},
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
    /// Paths of the automaton through numbers: as many, or as many as their spellings where every one is accepted.
    pub number_paths: u64,
    /// Literals: each was tried before and behind numbers of every kind.
    pub literals: u64,
    /// Ways in which a number may begin: what stands before its first digit.
    pub openings: u64,
}

/// What does not hold.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The tables were built for another tokenizer.
    #[error(
        "the artifact was built for tokenizer {built_name} ({built}), and {given_name} is {given}: use that tokenizer, or build again\n  {difference}"
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
        /// What differs among the tokens that the artifact uses.
        difference: String,
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
    /// Another number of paths than there are texts, or spellings of texts where every one is accepted.
    #[error("the automaton has {paths} paths through {what}, and there should be {texts}")]
    Paths {
        /// Numbers or literals.
        what: String,
        /// Paths.
        paths: u64,
        /// Texts, or their spellings.
        texts: u64,
    },
    /// More spellings than can be counted, where every one is accepted.
    #[error(
        "{what} has more spellings in tokens than can be counted: build canonical templates, which have one"
    )]
    Uncounted {
        /// Numbers or literals.
        what: String,
    },
    /// A literal leads to other numbers than the separator does, behind which all are tried.
    #[error("the literal {literal:?} leads to other numbers than those behind a separator")]
    OtherNumbers {
        /// The literal.
        literal: String,
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
    let number_paths = count_paths(tables, &language, tokenizer)?;

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
    Ok(Certificate {
        numbers: numbers.len() as u64,
        number_paths,
        literals: tables.literals.iter().map(|literals| literals.len() as u64).sum(),
        openings: language.openings.len() as u64,
    })
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
        difference: difference(tables, tokenizer),
    })
}

/// The tokens of the tables that the tokenizer writes otherwise, for people.
fn difference(tables: &Tables, tokenizer: &Tokenizer) -> String {
    let ids = tables.tokens.ids();
    let others = ids.iter().filter_map(|&id| {
        let (built, given) = (tables.tokens.text(id), tokenizer.token(id));
        (built != given.as_deref()).then(|| {
            let given = given.map_or_else(|| "not there".to_owned(), |given| format!("{given:?}"));
            format!("{id} was {:?} and is {given}", built.unwrap_or_default())
        })
    });
    let others: Vec<String> = others.collect();
    match others.as_slice() {
        [] => format!("its {} tokens are the same: merges, added tokens or normalization differ", ids.len()),
        some => format!(
            "of its {} tokens {} are others: {}{}",
            ids.len(),
            some.len(),
            some[..some.len().min(3)].join(", "),
            if some.len() > 3 { ", …" } else { "" }
        ),
    }
}

/// Counts the paths through each literal, and through the separator, with the number behind it; returns the latter.
fn count_paths(
    tables: &Tables,
    language: &NumberLanguage,
    tokenizer: &Tokenizer,
) -> Result<u64, CertificateError> {
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
    let words = match tables.header.tokenization {
        Tokenization::Canonical => None,
        Tokenization::Any => Some(Words::new(tokenizer.vocabulary())),
    };
    let ways = |text: &[u8]| words.as_ref().map_or(1, |words| words.spellings(text));
    let behind = |opening: &Opening| -> u64 {
        let numbers: Vec<String> = language.texts_behind(opening).collect();
        numbers.par_iter().map(|number| ways(number.as_bytes())).sum()
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
