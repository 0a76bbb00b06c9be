//! Counting the tokens of texts, by tables where they vouch for the result and by encoding where they do not.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{
    DriftError,
    learner::Learner,
    partial::{HoleCount, LiteralCount, Partial},
    runs::RunTable,
};
use crate::{
    primitives::{ByteSpan, TokenId},
    text::{EnrichedText, Hole, NumberFormat, NumberShape, NumberSurvey, Tags},
    tokenizer::{Encoding, TokenizerError},
};

/// Counts the texts of one tokenizer; one worker thread has one counter.
pub(super) struct Counter<'t> {
    learner: Arc<Learner<'t>>,
    runs: RunTable<'t>,
    /// Literals by their text and the sign that follows.
    known: FxHashMap<Box<str>, usize>,
    literals: Vec<Literal>,
    /// Distinct rows of placeholder token counts, one count for each placeholder.
    classes: Vec<Vec<u32>>,
    /// Whether every text is encoded whole.
    exact: bool,
    tallies: Vec<Tally>,
    /// The holes of the text at hand: literal before it and packed key.
    holes: Vec<(usize, u64)>,
    /// The literal that ends it.
    last: usize,
    /// The numbers of each hole of the text at hand.
    shapes: Vec<[NumberShape; 3]>,
}

/// A literal followed by one kind of opening: nothing, or the sign of x.
struct Literal {
    text: Box<str>,
    opening: Box<str>,
    first: bool,
    /// Which row of `Counter::classes` the placeholders have behind it.
    class: usize,
    /// Tokens by place; `None` if a run of it is not clean.
    tokens: Option<Placed>,
}

/// Tokens by where they lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Placed {
    /// Tokens wholly in COPY text.
    copy: u32,
    /// Tokens wholly in the hole.
    free: u32,
    /// Tokens that lie in both.
    border: Vec<TokenId>,
}

/// The counts of one number format.
#[derive(Default)]
struct Tally {
    texts: u64,
    bytes: u64,
    encoded: u64,
    verified: u64,
    tokens: u64,
    copy: u64,
    free: u64,
    holes: FxHashMap<u64, u64>,
    /// For each literal: occurrences, and how many of them were counted by tables.
    literals: Vec<[u64; 2]>,
    /// Border tokens of texts that were encoded.
    borders: FxHashMap<TokenId, u64>,
    survey: NumberSurvey,
}

impl<'t> Counter<'t> {
    /// A counter with `formats` separate tallies. With `exact`, every text is encoded whole.
    pub(super) fn new(learner: Arc<Learner<'t>>, formats: usize, exact: bool) -> Self {
        Self {
            runs: RunTable::new(Arc::clone(&learner)),
            learner,
            known: FxHashMap::default(),
            literals: Vec::new(),
            classes: Vec::new(),
            exact,
            tallies: std::iter::repeat_with(Tally::default).take(formats).collect(),
            holes: Vec::new(),
            last: 0,
            shapes: Vec::new(),
        }
    }

    /// Adds one text to tally number `format`.
    ///
    /// # Errors
    /// [`DriftError::Tokenizer`] if the tokenizer refuses the text.
    pub(super) fn count(&mut self, text: &EnrichedText<'_>, format: usize) -> Result<(), DriftError> {
        self.shapes.clear();
        let shape = |number: ByteSpan| NumberShape::of(number.of(text.as_str()));
        self.shapes.extend(text.holes().iter().map(|hole| hole.numbers.map(shape)));
        let counted = !self.exact && self.count_by_tables(text, format)?;
        if !counted {
            self.count_by_encoding(text, format)?;
        }
        let tally = &mut self.tallies[format];
        tally.texts += 1;
        tally.bytes += text.as_str().len() as u64;
        self.shapes.iter().flatten().for_each(|shape| tally.survey.add(shape));
        Ok(())
    }

    /// Compares what was just counted of a text by tables with the tokenizer: ids and spans, and the counts made of
    /// them. A text that was encoded whole has nothing to compare.
    ///
    /// # Errors
    /// [`DriftError::TablesDisagree`] with the first different token, [`DriftError::CountsDisagree`] if the tokens are
    /// the same and the counts are not.
    pub(super) fn verify(&mut self, text: &EnrichedText<'_>, format: usize) -> Result<(), DriftError> {
        let spans: Vec<ByteSpan> = text.holes().iter().map(|hole| hole.span).collect();
        let text = text.as_str();
        let Some(table) = self.runs.encode(text, true, true)? else { return Ok(()) };
        let real = self.learner.tokenizer.encode(text)?;
        self.tallies[format].verified += 1;
        if table == real {
            let mut per_hole = vec![0; spans.len()];
            let placed = place(&real, &spans, &mut per_hole);
            let counts = (per_hole, placed.copy, placed.border);
            return if self.counted() == counts {
                Ok(())
            } else {
                Err(DriftError::CountsDisagree {
                    tokenizer: self.learner.tokenizer.name().to_owned(),
                    text: text.to_owned(),
                })
            };
        }
        let pairs = |encoding: &Encoding| -> Vec<(TokenId, ByteSpan)> {
            encoding.ids.iter().copied().zip(encoding.spans.iter().copied()).collect()
        };
        let (table, real) = (pairs(&table), pairs(&real));
        let at = table.iter().zip(&real).take_while(|(mine, theirs)| mine == theirs).count();
        let show = |tokens: &[(TokenId, ByteSpan)]| match tokens.get(at) {
            Some((id, span)) => format!("id {id} {:?}", span.of(text)),
            None => "the end".to_owned(),
        };
        Err(DriftError::TablesDisagree {
            tokenizer: self.learner.tokenizer.name().to_owned(),
            text: text.to_owned(),
            at,
            table: show(&table),
            real: show(&real),
        })
    }

    /// What was counted by tables of the text at hand: tokens of each hole, COPY tokens, border tokens.
    fn counted(&self) -> (Vec<u32>, u32, Vec<TokenId>) {
        let per_hole =
            self.holes.iter().map(|&(_, key)| HoleCount::unpack(key, &self.classes).tokens).collect();
        let literals = self.holes.iter().map(|&(index, _)| index).chain([self.last]);
        let placed: Vec<&Placed> =
            literals.filter_map(|index| self.literals[index].tokens.as_ref()).collect();
        let border = placed.iter().flat_map(|placed| placed.border.iter().copied()).collect();
        (per_hole, placed.iter().map(|placed| placed.copy).sum(), border)
    }

    /// Counts a text by tables; `false`, and nothing counted, if a run of it is not clean.
    fn count_by_tables(&mut self, text: &EnrichedText<'_>, format: usize) -> Result<bool, DriftError> {
        let source = text.as_str();
        self.holes.clear();
        let mut start = 0;
        let mut free = 0;
        for (number, hole) in text.holes().iter().enumerate() {
            let opening = opening(source, hole);
            let index = self.literal(source, ByteSpan { start, end: hole.span.start }, opening, false)?;
            let Some(placed) = &self.literals[index].tokens else { return Ok(false) };
            let mut tokens = placed.free;
            let inside = ByteSpan { start: hole.span.start + opening, end: hole.span.end }.of(source);
            let Some(count) = self.runs.count(inside.as_bytes())? else { return Ok(false) };
            tokens += count;
            self.holes.push((index, hole_key(&self.shapes[number], tokens, self.literals[index].class)));
            free += u64::from(tokens);
            start = hole.span.end;
        }
        let end = ByteSpan { start, end: ByteSpan::new(0, source.len()).end };
        let last = self.literal(source, end, 0, true)?;
        self.last = last;
        if self.literals[last].tokens.is_none() {
            return Ok(false);
        }
        let tally = &mut self.tallies[format];
        tally.literals.resize(self.literals.len(), [0; 2]);
        for &(index, key) in &self.holes {
            *tally.holes.entry(key).or_default() += 1;
            tally.count_literal(index, self.literals[index].tokens.as_ref());
        }
        tally.count_literal(last, self.literals[last].tokens.as_ref());
        tally.free += free;
        tally.tokens += free;
        Ok(true)
    }

    /// The slow, obvious way: encode the text and look where each token lies.
    fn count_by_encoding(&mut self, text: &EnrichedText<'_>, format: usize) -> Result<(), DriftError> {
        let source = text.as_str();
        let encoding = self.learner.tokenizer.encode(source)?;
        let spans: Vec<ByteSpan> = text.holes().iter().map(|hole| hole.span).collect();
        let mut per_hole = vec![0; spans.len()];
        let placed = place(&encoding, &spans, &mut per_hole);
        let mut start = 0;
        let mut occurrences = Vec::with_capacity(spans.len() + 1);
        for (number, (hole, &tokens)) in text.holes().iter().zip(&per_hole).enumerate() {
            let literal = ByteSpan { start, end: hole.span.start };
            let index = self.literal(source, literal, opening(source, hole), false)?;
            let key = hole_key(&self.shapes[number], tokens, self.literals[index].class);
            *self.tallies[format].holes.entry(key).or_default() += 1;
            occurrences.push(index);
            start = hole.span.end;
        }
        occurrences.push(self.literal(
            source,
            ByteSpan { start, end: ByteSpan::new(0, source.len()).end },
            0,
            true,
        )?);
        let tally = &mut self.tallies[format];
        tally.encoded += 1;
        tally.tokens += encoding.ids.len() as u64;
        tally.copy += u64::from(placed.copy);
        tally.free += u64::from(placed.free);
        tally.literals.resize(self.literals.len(), [0; 2]);
        occurrences.iter().for_each(|&index| tally.literals[index][0] += 1);
        placed.border.iter().for_each(|&id| *tally.borders.entry(id).or_default() += 1);
        Ok(())
    }

    /// The literal at `span`, followed by `opening` bytes of its hole that are no digits.
    fn literal(
        &mut self,
        source: &str,
        span: ByteSpan,
        opening: u32,
        last: bool,
    ) -> Result<usize, TokenizerError> {
        let whole = ByteSpan { start: span.start, end: span.end + opening }.of(source);
        if let Some(&index) = self.known.get(whole) {
            return Ok(index);
        }
        let first = span.start == 0;
        let literal = span.of(source);
        let hole = ByteSpan::new(literal.len(), whole.len());
        let tokens =
            self.runs.encode(whole, first, last)?.map(|encoding| place(&encoding, &[hole], &mut [0]));
        let row = self.learner.literal(literal, first)?.placeholder_tokens;
        let class = self.classes.iter().position(|known| *known == row).unwrap_or_else(|| {
            self.classes.push(row);
            self.classes.len() - 1
        });
        let index = self.literals.len();
        self.literals.push(Literal {
            text: literal.into(),
            opening: hole.of(whole).into(),
            first,
            class,
            tokens,
        });
        self.known.insert(whole.into(), index);
        Ok(index)
    }

    /// The counts of each tally, ready to be merged and written.
    ///
    /// # Errors
    /// [`DriftError::Tokenizer`] if the tokenizer refuses a literal.
    pub(super) fn finish(
        mut self,
        formats: &[Option<NumberFormat>],
        tags: &Tags,
    ) -> Result<Vec<Partial>, DriftError> {
        let (tokenizer, placeholders) = self.learner.facts()?;
        std::mem::take(&mut self.tallies)
            .into_iter()
            .zip(formats)
            .map(|(tally, &number_format)| {
                let mut partial = Partial {
                    tokenizer: tokenizer.clone(),
                    number_format,
                    tags: tags.clone(),
                    placeholders: placeholders.clone(),
                    candidates: self.learner.candidates(number_format)?,
                    ..Partial::default()
                };
                self.fill(tally, &mut partial)?;
                Ok(partial)
            })
            .collect()
    }

    fn fill(&self, tally: Tally, partial: &mut Partial) -> Result<(), DriftError> {
        partial.conformers = tally.texts;
        partial.bytes = tally.bytes;
        partial.encoded = tally.encoded;
        partial.verified = tally.verified;
        partial.tokens = tally.tokens;
        partial.copy_tokens = tally.copy;
        partial.free_tokens = tally.free;
        partial.survey = tally.survey;
        // Hash order ends here: the partial keeps ordered maps.
        #[allow(clippy::iter_over_hash_type)]
        for (key, count) in tally.holes {
            let hole = HoleCount::unpack(key, &self.classes);
            *partial.holes.entry(hole).or_default() += count;
            partial.atoms += count;
        }
        #[allow(clippy::iter_over_hash_type)]
        for (id, count) in tally.borders {
            partial.add_border(id, &self.token_text(id), count);
        }
        for (literal, [count, by_table]) in self.literals.iter().zip(tally.literals) {
            for &id in literal.tokens.iter().flat_map(|tokens| &tokens.border) {
                partial.add_border(id, &self.token_text(id), by_table);
            }
            if count > 0 {
                let facts = self.learner.literal(&literal.text, literal.first)?;
                let counts =
                    partial.literals.entry(literal.text.to_string()).or_insert_with(|| LiteralCount {
                        before_digit: facts.before_digit,
                        before_minus: facts.before_minus,
                        ..LiteralCount::default()
                    });
                *counts.openings.entry(literal.opening.to_string()).or_default() += count;
            }
        }
        Ok(())
    }

    fn token_text(&self, id: TokenId) -> String {
        self.learner.tokenizer.token(id).unwrap_or_default()
    }
}

impl Tally {
    fn count_literal(&mut self, index: usize, tokens: Option<&Placed>) {
        self.literals[index][0] += 1;
        self.literals[index][1] += 1;
        if let Some(placed) = tokens {
            self.copy += u64::from(placed.copy);
            self.tokens += u64::from(placed.copy) + placed.border.len() as u64;
        }
    }
}

/// The bytes at the start of a hole that are no digits: a sign, or the point of `.5`.
fn opening(text: &str, hole: &Hole) -> u32 {
    hole.span.of(text).bytes().take_while(|byte| !byte.is_ascii_digit()).count() as u32
}

/// Where the tokens of an encoding lie; `per_hole` gets the tokens wholly inside each hole.
fn place(encoding: &Encoding, holes: &[ByteSpan], per_hole: &mut [u32]) -> Placed {
    let mut placed = Placed::default();
    let mut next = 0;
    for (&id, &token) in encoding.ids.iter().zip(&encoding.spans) {
        while next < holes.len() && (holes[next].end <= token.start || holes[next].is_empty()) {
            next += 1;
        }
        match holes.get(next) {
            Some(hole) if hole.contains(token) && !token.is_empty() => {
                placed.free += 1;
                per_hole[next] += 1;
            }
            Some(hole) if token.end > hole.start && token.start < hole.end => placed.border.push(id),
            _ => placed.copy += 1,
        }
    }
    placed
}

/// Everything that is counted of one hole, in one word; see [`HoleCount`].
fn hole_key(shapes: &[NumberShape; 3], tokens: u32, class: usize) -> u64 {
    let (mut signs, mut integer_digits, mut significant) = (0, 0, 0);
    for (axis, shape) in shapes.iter().enumerate() {
        signs |= u64::from(shape.negative) << axis;
        integer_digits += shape.integer_digits as u64;
        significant += (shape.decimals - shape.trailing_zeros) as u64;
    }
    let narrow = |value: u64, bits: u32| value.min((1 << bits) - 1);
    narrow(u64::from(tokens), 16)
        | signs << 16
        | narrow(integer_digits, 8) << 19
        | narrow(significant, 8) << 27
        | narrow(class as u64, 28) << 35
}

impl HoleCount {
    /// Undoes [`hole_key`].
    fn unpack(key: u64, classes: &[Vec<u32>]) -> Self {
        let field = |shift: u32, bits: u32| key >> shift & ((1 << bits) - 1);
        Self {
            placeholder_tokens: classes.get(field(35, 28) as usize).cloned().unwrap_or_default(),
            negative: field(16, 3) as u8,
            integer_digits: field(19, 8) as u8,
            significant_decimals: field(27, 8) as u8,
            tokens: field(0, 16) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::TokenizerSource;

    #[test]
    fn verification_finds_a_false_table() {
        let tokenizer = "gpt-2".parse::<TokenizerSource>().unwrap().load(&[]).unwrap();
        let text = EnrichedText::parse("[C]<0.25,1,2>").unwrap();
        let mut counter = Counter::new(Arc::new(Learner::new(&tokenizer, &[])), 1, false);
        let check = |counter: &mut Counter<'_>| {
            counter.count(&text, 0).unwrap();
            counter.verify(&text, 0)
        };
        check(&mut counter).unwrap();
        counter.runs.falsify_count("25", 3);
        let error = check(&mut counter).unwrap_err();
        assert!(matches!(error, DriftError::CountsDisagree { .. }), "{error}");
        counter.runs.falsify("25", &[(TokenId(7), 1), (TokenId(8), 2)]);
        let error = check(&mut counter).unwrap_err();
        assert!(matches!(error, DriftError::TablesDisagree { at: 6, .. }), "{error}");
        assert_eq!((counter.tallies[0].encoded, counter.tallies[0].verified), (0, 3));
    }
}
