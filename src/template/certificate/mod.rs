//! The certificate: tables accept exactly what the tokenizer gives, shown by trying everything.
//!
//! A text is literals and numbers by turns, without end: not texts are tried, but what they are made of. This is why that
//! is everything, for canonical templates:
//!
//! 1. *Texts fall apart.* The tokenizer has a border on both sides of every stretch of digits of a number, wherever it
//!    stands: told from its normalizer, pre-tokenizer, added tokens, vocabulary and model, or refused with what is in the
//!    way (`tokenizer/apart.rs`). So the ids of a text are the ids of its stretches: a literal with the opening of the number
//!    behind it (`>=[O]<-`), a separator with one (`,-`), integer digits, the point, decimals.
//! 2. *Nothing is missing.* Behind every literal and behind the separator each opening leads to one state, the same for
//!    all. Every number leads from there through the automaton to its end, and every literal stands before and behind
//!    numbers of every kind: each stretch is tried, against the tokenizer's ids of whole texts, which must spell the text.
//! 3. *Nothing is too much.* An accepted path spells one text, and every text has its path by 2. So where the automaton has
//!    as many paths as there are texts, which is counted, it has no other.
//!
//! Where every spelling is accepted, borders do not matter: there are as many paths as the vocabulary has spellings of all
//! texts, and every number is tried as x, as y and as z.

mod error;
mod paths;
mod prover;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use error::CertificateError;
use paths::count_paths;
use prover::{Prover, representatives};

use super::{NumberLanguage, Oracle};
use crate::{
    artifact::{Tables, Tokenization},
    text::NumberFormat,
    tokenizer::{Borders, Tokenizer},
};

/// What was tried, and held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Numbers of the format: each was tried.
    pub numbers: u64,
    /// Paths of the automaton through numbers: as many, or as many as their spellings where every one is accepted.
    pub number_paths: u64,
    /// Literals: each was tried before and behind numbers of every kind.
    pub literals: u64,
    /// Ways in which a number may begin: what stands before its first digit.
    pub openings: u64,
}

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
    let numbers = language.numbers();
    if tables.header.tokenization == Tokenization::Canonical {
        keeps_apart(&language, tokenizer)?;
    }
    let number_paths = count_paths(tables, &language, tokenizer)?;

    let prover = Prover { tables, tokenizer, oracle: Oracle::new(tokenizer, &tables.header) };
    let literal_texts = prover.literal_texts(&representatives(&numbers));
    let texts = literal_texts.len() + prover.number_texts(numbers.count());
    let done = AtomicU64::new(0);
    let fault = |index: usize| {
        let number_text = |index| prover.number_text(index, numbers.count());
        let proven = match index.checked_sub(literal_texts.len()) {
            Some(index) => number_text(index).map_or(Ok(()), |text| prover.prove(&text, &numbers)),
            None => prover.prove(&literal_texts[index], &numbers),
        };
        tried((done.fetch_add(1, Ordering::Relaxed) + 1) as f64 / texts as f64);
        proven.err()
    };
    // Any of several faults could come first from many threads; a person expects the first of the texts.
    if let Some(fault) = (0..texts).into_par_iter().find_map_first(fault) {
        return Err(fault);
    }
    if tables.header.tokenization == Tokenization::Canonical {
        prover.prove_entries(&language)?;
    }
    Ok(Certificate {
        numbers: numbers.count() as u64,
        number_paths,
        literals: tables.literals.iter().map(|literals| literals.len() as u64).sum(),
        openings: language.openings.len() as u64,
    })
}

/// Checks that the tokenizer has a border on both sides of the digits of every number, wherever they stand.
fn keeps_apart(language: &NumberLanguage, tokenizer: &Tokenizer) -> Result<(), CertificateError> {
    let apart = tokenizer.keeps_apart(&borders(language));
    apart.map_err(|reason| CertificateError::NotApart { tokenizer: tokenizer.name().to_owned(), reason })
}

/// Where numbers of the language have digits beside something else, and what that is.
fn borders(language: &NumberLanguage) -> Borders {
    let openings = || language.openings.iter().map(|opening| opening.text.as_bytes());
    let points = language.decimals.iter().any(|set| !set.digits.is_empty()).then_some(b'.');
    let first = openings().filter_map(|opening| opening.last().copied());
    Borders {
        before_digit: first.chain(*b"<,").chain(points).collect(),
        behind_digit: points.into_iter().chain(*b",>").collect(),
        within: openings().flatten().copied().chain(points).chain([b',']).collect(),
    }
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
