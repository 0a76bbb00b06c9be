//! Position templates as the processors in use hold them: they count tokens, whatever was generated.

use crate::{
    drift::{allowlist, blocklist},
    primitives::{ByteSpan, TokenId},
    template::Oracle,
    text::Skeleton,
    tokenizer::{Tokenizer, TokenizerError, Vocabulary},
};

/// The tokens of a molecule with a placeholder in every hole.
#[derive(Clone, Debug)]
pub(super) struct Positions {
    tokens: Vec<TokenId>,
    places: Vec<Place>,
}

/// What a position of the template is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// COPY text: the token is given.
    Copy,
    /// The first token of a hole.
    First,
    /// A token of a hole.
    Inner,
    /// One of the last two of a hole.
    Last,
}

impl Positions {
    /// The template of a molecule. A token is FREE if it lies wholly inside a hole.
    pub(super) fn new(
        oracle: &Oracle<'_>,
        skeleton: &Skeleton,
        placeholder: &str,
    ) -> Result<Self, TokenizerError> {
        let mut text = String::new();
        let mut holes = Vec::with_capacity(skeleton.atoms());
        for (index, literal) in skeleton.literals().enumerate() {
            text.push_str(literal);
            if index < skeleton.atoms() {
                let start = text.len();
                text.push_str(placeholder);
                holes.push(ByteSpan::new(start, text.len()));
            }
        }
        let encoding = oracle.encode_spans(&text)?;
        // Tokens and holes both go through the text in order.
        let mut hole = 0;
        let of_hole = encoding.spans.iter().map(|span| {
            while holes.get(hole).is_some_and(|hole| hole.end <= span.start) {
                hole += 1;
            }
            holes.get(hole).is_some_and(|hole| hole.contains(*span)).then_some(hole)
        });
        let of_hole: Vec<Option<usize>> = of_hole.collect();
        let place = |index: usize| match of_hole[index] {
            None => Place::Copy,
            hole if of_hole.get(index + 1) != Some(&hole) || of_hole.get(index + 2) != Some(&hole) => {
                Place::Last
            }
            hole if index.checked_sub(1).is_none_or(|before| of_hole[before] != hole) => Place::First,
            _ => Place::Inner,
        };
        let places = (0..of_hole.len()).map(place).collect();
        Ok(Self { tokens: encoding.ids, places })
    }

    /// The token and the place at a position; none behind the end.
    pub(super) fn at(&self, position: usize) -> Option<(TokenId, Place)> {
        Some((*self.tokens.get(position)?, *self.places.get(position)?))
    }

    /// The number of positions.
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }
}

/// What a processor lets through at FREE positions.
#[derive(Clone, Debug)]
pub(super) enum FreeRule {
    /// All but these, as one bit an id.
    Blocked(Vec<u32>),
    /// Only these: at the first position of a hole, inside it, and at its last two.
    Allowed { first: Vec<TokenId>, inner: Vec<TokenId>, last: Vec<TokenId> },
}

impl FreeRule {
    /// The rule of the blocklist processor: no bracket, no added token.
    pub(super) fn blocklist(vocabulary: &Vocabulary) -> Self {
        let ids = blocklist(vocabulary);
        let words = ids.last().map_or(0, |last| last.0 as usize / 32 + 1);
        let mut bits = vec![0_u32; words];
        for id in ids {
            bits[id.0 as usize / 32] |= 1 << (id.0 % 32);
        }
        Self::Blocked(bits)
    }

    /// The rule of the allowlist processor: digits and some punctuation; no comma first, neither comma nor minus among
    /// the last two.
    pub(super) fn allowlist(tokenizer: &Tokenizer) -> Self {
        let vocabulary = tokenizer.vocabulary();
        let inner = allowlist(vocabulary);
        let without = |banned: &[u8]| {
            let clean = |id: &&TokenId| {
                vocabulary.bytes(**id).is_some_and(|bytes| !bytes.iter().any(|byte| banned.contains(byte)))
            };
            inner.iter().filter(clean).copied().collect()
        };
        Self::Allowed { first: without(b","), last: without(b",-"), inner }
    }
}
