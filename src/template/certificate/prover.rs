//! Nothing is missing: the tokenizer's ids of whole texts, led through the tables.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use super::CertificateError;
use crate::{
    artifact::{LiteralPlace, Tables, Template, Tokenization},
    matcher::Matcher,
    primitives::{StateId, TokenId},
    template::{NumberLanguage, Opening, Oracle, numbers::Numbers},
    tokenizer::Tokenizer,
};

/// Holes of one text: texts are long so that most of the work is tokens, and short so that threads share it.
const HOLES: usize = 64;

/// The first numbers that begin or end as none before them: an opening and a digit, a point or none and a digit.
pub(super) fn representatives(numbers: &Numbers<'_>) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let mut number = String::new();
    let mut new = |&index: &usize| {
        number.clear();
        numbers.push(&mut number, index);
        let first = number.find(|c: char| c.is_ascii_digit()).map_or(0, |at| at + 1);
        let last = number.len().saturating_sub(1);
        let mut new = |kind: &str| !seen.contains(kind) && seen.insert(kind.to_owned());
        let begins = new(&number[..first]);
        let point = if number.contains('.') { "…." } else { "…" };
        new(&format!("{point}{}", &number[last..])) || begins
    };
    (0..numbers.count()).filter(&mut new).collect()
}

/// A text to try: literals, and the three numbers of each hole as indices.
pub(super) struct Text<'a> {
    literals: Vec<&'a str>,
    holes: Vec<[usize; 3]>,
}

/// Where numbers stand: `size` holes a text; hole `h` has the numbers from `h * step` on, each `apart` from the one before.
struct Layout {
    count: usize,
    holes: usize,
    size: usize,
    step: usize,
    apart: usize,
}

/// What may follow in a state, and where it leads.
type Edges = Vec<(TokenId, StateId)>;

/// Tries texts.
pub(super) struct Prover<'a> {
    pub(super) tables: &'a Arc<Tables>,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) oracle: Oracle<'a>,
}

impl<'a> Prover<'a> {
    /// Literal `index` of a place, around and around.
    fn literal(&self, place: LiteralPlace, index: usize) -> Option<&'a str> {
        let literals = &self.tables.literals[place as usize];
        literals.text(index % literals.len().max(1))
    }

    /// Texts in which each literal stands before and behind each of these numbers.
    pub(super) fn literal_texts(&self, numbers: &[usize]) -> Vec<Text<'a>> {
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

    /// How `count` numbers are laid out: what is canonical of a number is so in all its places, so each stands once; where
    /// every spelling is accepted, each is once x, once y and once z.
    fn layout(&self, count: usize) -> Layout {
        let inner = self.tables.literals[LiteralPlace::Inner as usize].len();
        let size = if inner == 0 { 1 } else { HOLES };
        let canonical = self.tables.header.tokenization == Tokenization::Canonical;
        let (holes, step, apart) = if canonical { (count.div_ceil(3), 3, 1) } else { (count, 1, count / 3) };
        Layout { count, holes, size, step, apart }
    }

    /// How many texts there are in which `count` numbers stand.
    pub(super) fn number_texts(&self, count: usize) -> usize {
        let Layout { holes, size, .. } = self.layout(count);
        holes.div_ceil(size)
    }

    /// One of the texts in which `count` numbers stand, between literals of every kind by turns.
    pub(super) fn number_text(&self, index: usize, count: usize) -> Option<Text<'a>> {
        let Layout { count, holes, size, step, apart } = self.layout(count);
        let range = index * size..holes.min((index + 1) * size);
        let mut literals = vec![self.literal(LiteralPlace::First, index)?];
        literals.extend(range.clone().skip(1).filter_map(|hole| self.literal(LiteralPlace::Inner, hole)));
        literals.push(self.literal(LiteralPlace::Last, index)?);
        let holes = range.map(|hole| [0, 1, 2].map(|axis| (hole * step + axis * apart) % count)).collect();
        Some(Text { literals, holes })
    }

    /// Leads the tokenizer's ids of a text through the automaton.
    pub(super) fn prove(&self, text: &Text<'a>, numbers: &Numbers<'_>) -> Result<(), CertificateError> {
        let mut written = String::new();
        for (literal, hole) in text.literals.iter().zip(&text.holes) {
            written.push_str(literal);
            for (axis, &number) in hole.iter().enumerate() {
                written.push_str(if axis == 0 { "" } else { "," });
                numbers.push(&mut written, number);
            }
        }
        written.push_str(text.literals.last().copied().unwrap_or_default());
        let ids = self.oracle.encode(&written)?;
        self.spelled(&written, &ids)?;
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

    /// Checks that ids stand for their text, but for the spaces that SentencePiece marks the starts of words with.
    fn spelled(&self, text: &str, ids: &[TokenId]) -> Result<(), CertificateError> {
        let vocabulary = self.tokenizer.vocabulary();
        let body = ids.strip_suffix(self.tables.header.eos.as_slice()).unwrap_or(ids);
        let spelled = body.iter().filter_map(|&id| vocabulary.bytes(id)).flatten().copied();
        let visible = |byte: &u8| *byte != b' ';
        if spelled.clone().filter(visible).eq(text.bytes().filter(visible)) {
            return Ok(());
        }
        Err(CertificateError::NotSpelled {
            text: text.to_owned(),
            spelled: String::from_utf8_lossy(&spelled.collect::<Vec<u8>>()).into_owned(),
            tokenizer: self.tokenizer.name().to_owned(),
        })
    }

    /// Checks that each opening leads to the same digits behind the separator and behind every literal that a number follows.
    pub(super) fn prove_entries(&self, language: &NumberLanguage) -> Result<(), CertificateError> {
        let first = self.literal(LiteralPlace::First, 0).unwrap_or_default();
        let follow = |before: &str, literal: &str, root| -> Result<Vec<Edges>, CertificateError> {
            let entry = |opening: &Opening| {
                let mut text = format!("{before}{literal}{}", opening.text);
                if let Some(start) = opening.starts.first() {
                    start.push(&mut text, &language.decimals[start.decimals], 0);
                }
                let stretch = before.len()..before.len() + literal.len() + opening.text.len();
                self.behind(&text, stretch, root)?.ok_or_else(|| CertificateError::OtherEntry {
                    literal: literal.to_owned(),
                    opening: opening.text.clone(),
                })
            };
            language.openings.iter().map(entry).collect()
        };
        let Some(number) = language.texts().next() else { return Ok(()) };
        let entries = follow(&format!("{first}{number}"), ",", self.tables.separator)?;
        let hole = format!("{first}{number},{number},{number}");
        let [firsts, inner, _] = &self.tables.literals;
        let all = firsts.iter().map(|(literal, root)| ("", literal, root));
        let all = all.chain(inner.iter().map(|(literal, root)| (hole.as_str(), literal, root)));
        for (before, literal, root) in all {
            let reached = follow(before, literal, root)?;
            let other = language.openings.iter().zip(entries.iter().zip(&reached)).find(|(_, (a, b))| a != b);
            if let Some((opening, _)) = other {
                let (literal, opening) = (literal.to_owned(), opening.text.clone());
                return Err(CertificateError::OtherEntry { literal, opening });
            }
        }
        Ok(())
    }

    /// The digits that may follow a stretch of a text, from the state before it, if the tokenizer's ids lead through it. Signs
    /// may follow a literal as well: they are in a longer stretch.
    fn behind(
        &self,
        text: &str,
        stretch: Range<usize>,
        root: StateId,
    ) -> Result<Option<Edges>, CertificateError> {
        let encoding = self.oracle.encode_spans(text)?;
        let (start, end) = (stretch.start as u32, stretch.end as u32);
        let within = encoding.ids.iter().zip(&encoding.spans);
        let within = within.filter(|(_, span)| span.end > start && span.start < end);
        let mut state = Some(root);
        let mut reached = start;
        for (&id, span) in within {
            let whole = span.start >= start && span.end <= end;
            let edges = state.filter(|_| whole).map(|state| self.tables.automaton.edges(state));
            state = edges.and_then(|edges| edges.target(id)).map(|target| target.state);
            reached = span.end;
        }
        let digit = |id| {
            self.tokenizer.vocabulary().bytes(id).is_some_and(|b| b.first().is_some_and(u8::is_ascii_digit))
        };
        let digits = |state| {
            let edges = self.tables.automaton.edges(state).iter().filter(|&(id, _)| digit(id));
            edges.map(|(id, target)| (id, target.state)).collect()
        };
        Ok(state.filter(|_| reached == end).map(digits))
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
