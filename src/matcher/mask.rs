//! Allowed ids, as two short lists and as bits.

use crate::primitives::TokenId;

/// The ids that may come next: at most two ascending lists without a common id.
///
/// A row belongs to a state, not to a molecule: all molecules of an artifact share the few there are.
#[derive(Clone, Copy, Debug)]
pub struct MaskRow<'a> {
    own: &'a [TokenId],
    next: &'a [TokenId],
}

impl<'a> MaskRow<'a> {
    pub(super) fn new(own: &'a [TokenId], next: &'a [TokenId]) -> Self {
        Self { own, next }
    }

    /// The number of ids.
    #[must_use]
    pub fn len(&self) -> usize {
        self.own.len() + self.next.len()
    }

    /// Whether no id may come: the text is finished.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids: those that go on with a number, then those that begin a literal, each ascending.
    pub fn iter(&self) -> impl Iterator<Item = TokenId> + 'a {
        self.own.iter().chain(self.next).copied()
    }
}

/// Words of a mask for logits of this width.
#[must_use]
pub fn mask_words(logits_width: u32) -> usize {
    logits_width.div_ceil(32) as usize
}

/// Writes a row as bits, least significant first, and clears all others.
pub fn fill_words(row: MaskRow<'_>, words: &mut [u32]) {
    words.fill(0);
    for id in row.iter() {
        if let Some(word) = words.get_mut(id.0 as usize / 32) {
            *word |= 1 << (id.0 % 32);
        }
    }
}
