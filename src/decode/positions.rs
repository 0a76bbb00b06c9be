//! Position templates as the processors in use hold them: they count tokens, whatever was generated.

use crate::{
    drift::{allowlist, blocklist},
    primitives::TokenId,
    template::{Oracle, PositionTemplate},
    text::Skeleton,
    tokenizer::{Tokenizer, TokenizerError, Vocabulary},
};

/// The position template of a molecule, its end-of-sequence token included.
#[derive(Clone, Debug)]
pub(super) struct Positions(PositionTemplate);

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
    pub(super) fn new(
        oracle: &Oracle<'_>,
        skeleton: &Skeleton,
        placeholder: &str,
    ) -> Result<Self, TokenizerError> {
        PositionTemplate::new(oracle, skeleton.literals(), placeholder).map(Self)
    }

    /// The token and the place at a position; none behind the end.
    pub(super) fn at(&self, position: usize) -> Option<(TokenId, Place)> {
        let PositionTemplate { ref_ids, is_free, first, last_two } = &self.0;
        let place = match (is_free.get(position)?, last_two[position], first[position]) {
            (false, ..) => Place::Copy,
            (true, true, _) => Place::Last,
            (true, false, true) => Place::First,
            (true, false, false) => Place::Inner,
        };
        Some((ref_ids[position], place))
    }

    /// The number of positions.
    pub(super) fn len(&self) -> usize {
        self.0.ref_ids.len()
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
