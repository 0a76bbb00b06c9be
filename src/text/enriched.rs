//! Reading enriched SMILES: literals and holes as byte spans.

use super::{
    Skeleton, Tags, TextError, TextFault,
    tags::{Tag, TagFinder},
};
use crate::{
    corpus::{Coordinate, Position, Smiles},
    primitives::ByteSpan,
};

/// A completion as text, with the places of its holes.
///
/// Everything outside the holes is COPY text, known before decoding; the holes are FREE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrichedText<'a> {
    text: &'a str,
    /// The completion between its tags.
    body: ByteSpan,
    holes: Vec<Hole>,
}

/// One hole: the text between `<` and `>`, three numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The hole without its angle brackets.
    pub span: ByteSpan,
    /// Its three numbers.
    pub numbers: [ByteSpan; 3],
}

/// What a [`Piece`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceKind {
    /// A literal: COPY text.
    Literal,
    /// A hole: FREE text.
    Hole,
}

/// A literal or a hole, in the order of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which of the two.
    pub kind: PieceKind,
    /// Its bytes in the completion.
    pub span: ByteSpan,
}

/// Reads enriched text with a fixed set of tags; build it once for many rows.
#[derive(Clone, Debug)]
pub struct EnrichedReader {
    finder: TagFinder,
}

impl EnrichedReader {
    /// A reader that knows `tags`; text without them is read too.
    #[must_use]
    pub fn new(tags: &Tags) -> Self {
        Self { finder: tags.finder() }
    }

    /// Finds the completion in `text` and reads it. A prompt before it, anything behind its closing tag (an
    /// end-of-text token, say) and white space around it are not part of the completion.
    ///
    /// # Errors
    /// [`TextError`] with the byte of the completion where it stops being enriched SMILES.
    pub fn read<'a>(&self, text: &'a str) -> Result<EnrichedText<'a>, TextError> {
        let (completion, body) = self.completion(text)?;
        let holes = read_body(completion, body.clone())?;
        Ok(EnrichedText { text: completion, body: ByteSpan::new(body.start, body.end), holes })
    }

    /// The completion with its tags, and the part of it between the tags.
    fn completion<'a>(&self, text: &'a str) -> Result<(&'a str, std::ops::Range<usize>), TextError> {
        let mut start = 0;
        let mut body = None;
        for (tag, from, to) in self.finder.find(text) {
            match tag {
                Tag::PromptOpen => {}
                Tag::PromptClose if body.is_none() => start = to,
                Tag::CompletionOpen => {
                    start = from;
                    body = Some(to);
                }
                Tag::CompletionClose => {
                    let start = skip_white_space(text, start).min(from);
                    let body = body.unwrap_or(start);
                    return Ok((&text[start..to], body - start..from - start));
                }
                Tag::PromptClose => {}
            }
        }
        match body {
            Some(_) => Err(TextFault::OpenCompletion.at(text.len())),
            None => {
                let completion = text[start..].trim_ascii();
                Ok((completion, 0..completion.len()))
            }
        }
    }
}

impl<'a> EnrichedText<'a> {
    /// Reads text with the published tags ([`Tags::conformer`]) or none.
    ///
    /// ```
    /// use tplc::text::EnrichedText;
    /// let text = EnrichedText::parse("[C]<-1.2345,0.0432,0.1>=[O]<1,0,-2.5>")?;
    /// let holes: Vec<&str> = text.holes().iter().map(|hole| hole.span.of(text.as_str())).collect();
    /// assert_eq!(holes, ["-1.2345,0.0432,0.1", "1,0,-2.5"]);
    /// assert_eq!(text.skeleton().literals().collect::<Vec<_>>(), ["[C]<", ">=[O]<", ">"]);
    /// # Ok::<(), tplc::text::TextError>(())
    /// ```
    ///
    /// # Errors
    /// As [`EnrichedReader::read`].
    pub fn parse(text: &'a str) -> Result<Self, TextError> {
        EnrichedReader::new(&Tags::conformer()).read(text)
    }

    /// The completion, tags included.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The holes in order: one an atom.
    #[must_use]
    pub fn holes(&self) -> &[Hole] {
        &self.holes
    }

    /// Literals and holes by turns: a literal before each hole and one behind the last.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> {
        let end = ByteSpan::new(0, self.text.len()).end;
        let starts = std::iter::once(0).chain(self.holes.iter().map(|hole| hole.span.end));
        starts.enumerate().flat_map(move |(i, start)| {
            let hole = self.holes.get(i).map(|hole| Piece { kind: PieceKind::Hole, span: hole.span });
            let span = ByteSpan { start, end: hole.map_or(end, |hole| hole.span.start) };
            std::iter::once(Piece { kind: PieceKind::Literal, span }).chain(hole)
        })
    }

    /// The text without what is in the holes.
    #[must_use]
    pub fn skeleton(&self) -> Skeleton {
        let mut text = String::new();
        let mut ends = Vec::with_capacity(self.holes.len());
        for piece in self.pieces() {
            match piece.kind {
                PieceKind::Literal => text.push_str(piece.span.of(self.text)),
                PieceKind::Hole => ends.push(ByteSpan::new(0, text.len()).end),
            }
        }
        Skeleton::from_parts(text, ends)
    }

    /// The SMILES that the text copies: without holes and tags, every atom in brackets.
    #[must_use]
    pub fn smiles(&self) -> String {
        let body = self.body.start..self.body.end;
        let inside = |piece: &Piece| ByteSpan {
            start: piece.span.start.clamp(body.start, body.end),
            end: piece.span.end.clamp(body.start, body.end),
        };
        let literals = self.pieces().filter(|piece| piece.kind == PieceKind::Literal);
        let copied: String = literals.map(|piece| inside(&piece).of(self.text)).collect();
        copied.replace("<>", "")
    }

    /// Checks that the text copies `smiles`, bare atoms wrapped in brackets.
    ///
    /// # Errors
    /// [`TextFault::OtherSmiles`] if it copies another, [`TextFault::Smiles`] if `smiles` is malformed.
    pub fn check_smiles(&self, smiles: &str) -> Result<(), TextError> {
        let (canonical, enriched) = (Skeleton::new(smiles, None)?.as_str().replace("<>", ""), self.smiles());
        match canonical == enriched {
            true => Ok(()),
            false => Err(TextFault::OtherSmiles { enriched, canonical }.into()),
        }
    }

    /// The positions in the holes, digits past the ninth decimal cut.
    ///
    /// # Errors
    /// [`TextFault::Coordinate`] if a number is out of range for a [`Coordinate`].
    pub fn conformer(&self) -> Result<Vec<Position>, TextError> {
        let read = |span: ByteSpan| {
            Coordinate::parse(span.of(self.text))
                .map_err(|error| TextFault::from(error).at(span.start as usize))
        };
        self.holes
            .iter()
            .map(|hole| {
                let [x, y, z] = hole.numbers;
                Ok([read(x)?, read(y)?, read(z)?])
            })
            .collect()
    }
}

/// The first byte from `at` on that is no white space.
fn skip_white_space(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_ascii_start().len()
}

/// The holes of `text[body]`: an atom in brackets, a hole behind it, and SMILES between.
fn read_body(text: &str, body: std::ops::Range<usize>) -> Result<Vec<Hole>, TextError> {
    if !text.is_ascii()
        && let Some((at, odd)) = text.char_indices().find(|(_, c)| !c.is_ascii())
    {
        return Err(TextFault::NotAscii(odd).at(at));
    }
    let bytes = &text.as_bytes()[..body.end];
    let mut holes = Vec::with_capacity(body.len() / 24);
    let mut stripped = String::with_capacity(body.len() / 3);
    let (mut at, mut copied) = (body.start, body.start);
    while at < bytes.len() {
        if bytes[at] != b'[' {
            // An atom outside brackets is valid SMILES, so the reader of the stripped text would not object.
            if bytes[at].is_ascii_alphabetic() || bytes[at] == b'*' {
                return Err(TextFault::BareAtom(text[at..=at].to_owned()).at(at));
            }
            if bytes[at].is_ascii_whitespace() {
                return Err(TextFault::WhiteSpace(char::from(bytes[at])).at(at));
            }
            at += 1;
            continue;
        }
        let Some(length) = bytes[at..].iter().position(|&byte| byte == b']') else {
            return Err(TextFault::OpenBracket.at(at));
        };
        let open = at + length + 1;
        if bytes.get(open) != Some(&b'<') {
            return Err(TextFault::MissingHole(text[at..open].to_owned()).at(open));
        }
        let Some(hole) = read_hole(bytes, open + 1) else { return Err(hole_fault(&text[..body.end], open)) };
        stripped.push_str(&text[copied..open]);
        at = hole.span.end as usize + 1;
        copied = at;
        holes.push(hole);
    }
    stripped.push_str(&text[copied..body.end]);
    Smiles::parse(&stripped)?;
    Ok(holes)
}

/// The hole that starts at `start`, up to its `>`; `None` if it does not hold three decimal numbers.
///
/// A number is a sign or none, digits, and behind a point at least one more; the digits before a point may be absent.
fn read_hole(bytes: &[u8], start: usize) -> Option<Hole> {
    let digits = |at: usize| bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut numbers = [ByteSpan::default(); 3];
    let mut at = start;
    for (slot, close) in numbers.iter_mut().zip([b',', b',', b'>']) {
        let from = at;
        at += usize::from(matches!(bytes.get(at)?, b'-' | b'+'));
        let whole = digits(at);
        at += whole;
        if bytes.get(at)? == &b'.' {
            let fraction = digits(at + 1);
            at += 1 + fraction;
            if fraction == 0 {
                return None;
            }
        } else if whole == 0 {
            return None;
        }
        if bytes.get(at)? != &close {
            return None;
        }
        *slot = ByteSpan::new(from, at);
        at += 1;
    }
    Some(Hole { span: ByteSpan::new(start, at - 1), numbers })
}

/// What is wrong with the hole whose `<` stands at `open`.
fn hole_fault(text: &str, open: usize) -> TextError {
    let Some(length) = text[open..].find('>') else { return TextFault::OpenHole.at(open) };
    let inside = &text[open + 1..open + length];
    let count = if inside.is_empty() { 0 } else { inside.split(',').count() };
    if count != 3 {
        return TextFault::NumberCount(inside.to_owned(), count).at(open + 1);
    }
    let mut at = open + 1;
    for number in inside.split(',') {
        // Filled up to three, a number alone reads as the first of a hole.
        if read_hole(format!("{number},0,0>").as_bytes(), 0).is_none() {
            return TextFault::NotANumber(number.to_owned()).at(at);
        }
        at += number.len() + 1;
    }
    TextFault::OpenHole.at(open)
}
