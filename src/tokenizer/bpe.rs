//! Byte pair encoding over packed arrays: what makes a tokenizer ready in milliseconds.
//!
//! The `tokenizers` crate keeps every token and both parts of every merge as a `String` of its own while it
//! loads: for a vocabulary of 128,000 tokens and 280,000 merges that is close to a million allocations and as many
//! string hashes, and takes most of the time to load. Here all token texts share one buffer, merges are pairs of
//! ids, and both tables are flat arrays. The rest (normalizer, pre-tokenizer, added tokens, decoder) stays the
//! crate's, and the tests prove that ids, offsets and decoding equal those of the crate's own model.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::Hasher;

use rustc_hash::FxHasher;

/// Marks an empty slot and an id without a token.
const NONE: u32 = u32::MAX;

/// Token texts by id, and ids by text.
pub(super) struct TokenTable {
    text: String,
    /// `start, end` in `text` of each id; `NONE, NONE` where no token has the id.
    spans: Vec<(u32, u32)>,
    /// Ids by hash of their text, open addressing; the length is a power of two.
    slots: Vec<u32>,
    len: usize,
}

impl TokenTable {
    /// Builds the table over `text`, where `spans[id]` is the text of `id`. The first of equal texts wins.
    pub(super) fn new(text: String, spans: Vec<Option<(u32, u32)>>) -> Self {
        let capacity = (spans.len() * 2).next_power_of_two().max(16);
        let mut table = Self {
            text,
            spans: spans.into_iter().map(|span| span.unwrap_or((NONE, NONE))).collect(),
            slots: vec![NONE; capacity],
            len: 0,
        };
        for id in 0..table.spans.len() as u32 {
            if let Some(text) = table.text(id) {
                let slot = table.slot_of(text);
                table.len += 1;
                if let Some(entry) = table.slots.get_mut(slot).filter(|entry| **entry == NONE) {
                    *entry = id;
                }
            }
        }
        table
    }

    /// The text of `id`.
    pub(super) fn text(&self, id: u32) -> Option<&str> {
        let &(start, end) = self.spans.get(id as usize)?;
        self.text.get(start as usize..end as usize)
    }

    /// The id of `text`.
    pub(super) fn id(&self, text: &str) -> Option<u32> {
        self.slots.get(self.slot_of(text)).copied().filter(|id| *id != NONE)
    }

    /// The number of tokens.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Every `(id, text)`, in the order of the ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        (0..self.spans.len() as u32).filter_map(|id| Some((id, self.text(id)?)))
    }

    /// The slot that holds `text`, or the empty one where it belongs.
    fn slot_of(&self, text: &str) -> usize {
        let mut hasher = FxHasher::default();
        hasher.write(text.as_bytes());
        let mask = self.slots.len() - 1;
        let mut slot = hasher.finish() as usize & mask;
        while let Some(&id) = self.slots.get(slot) {
            if id == NONE || self.text(id) == Some(text) {
                break;
            }
            slot = (slot + 1) & mask;
        }
        slot
    }
}

/// One merge: tokens `left` and `right`, side by side, become `made`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Merge {
    pub(super) left: u32,
    pub(super) right: u32,
    pub(super) made: u32,
}

/// The rank of each merge, by its pair.
struct MergeTable {
    /// Merges with their ranks, open addressing; an empty slot has the rank `NONE`.
    slots: Vec<(Merge, u32)>,
}

impl MergeTable {
    fn new(merges: &[Merge]) -> Self {
        let capacity = (merges.len() * 4 / 3 + 1).next_power_of_two();
        let empty = (Merge { left: 0, right: 0, made: 0 }, NONE);
        let mut table = Self { slots: vec![empty; capacity] };
        for (rank, merge) in merges.iter().enumerate() {
            let slot = table.slot_of(merge.left, merge.right);
            // A pair that comes twice takes its last rank, as in the crate.
            if let Some(entry) = table.slots.get_mut(slot) {
                *entry = (*merge, rank as u32);
            }
        }
        table
    }

    /// `(rank, made)` of the pair.
    fn get(&self, left: u32, right: u32) -> Option<(u32, u32)> {
        let (merge, rank) = self.slots.get(self.slot_of(left, right))?;
        (*rank != NONE).then_some((*rank, merge.made))
    }

    fn slot_of(&self, left: u32, right: u32) -> usize {
        let pair = u64::from(left) << 32 | u64::from(right);
        let mask = self.slots.len() - 1;
        // The multiplier is 2^64 over the golden ratio: its high bits spread neighbouring ids.
        let mut slot = (pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
        while let Some((merge, rank)) = self.slots.get(slot) {
            if *rank == NONE || (merge.left == left && merge.right == right) {
                break;
            }
            slot = (slot + 1) & mask;
        }
        slot
    }
}

/// The flags of a BPE model that change its ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BpeFlags {
    pub(super) unk_token: Option<String>,
    pub(super) fuse_unk: bool,
    pub(super) byte_fallback: bool,
    pub(super) ignore_merges: bool,
}

/// A byte pair encoding model.
pub(super) struct Bpe {
    tokens: TokenTable,
    merges: MergeTable,
    flags: BpeFlags,
    unk: Option<u32>,
    /// The ids of `<0x00>` to `<0xFF>`.
    byte_ids: Vec<Option<u32>>,
}

/// A piece of a word while it is being merged.
#[derive(Clone, Copy)]
struct Symbol {
    id: u32,
    /// Bytes of the word; 0 once it became part of its left neighbour.
    len: u32,
    prev: u32,
    next: u32,
}

impl Bpe {
    pub(super) fn new(tokens: TokenTable, merges: &[Merge], flags: BpeFlags) -> Self {
        let unk = flags.unk_token.as_deref().and_then(|unk| tokens.id(unk));
        let byte_ids = (0..=u8::MAX).map(|byte| tokens.id(&format!("<0x{byte:02X}>"))).collect();
        Self { tokens, merges: MergeTable::new(merges), flags, unk, byte_ids }
    }

    pub(super) fn tokens(&self) -> &TokenTable {
        &self.tokens
    }

    pub(super) fn flags(&self) -> &BpeFlags {
        &self.flags
    }

    /// The pairs of the merges, first ranks first.
    pub(super) fn ranked_pairs(&self) -> Vec<(u32, u32)> {
        let mut taken: Vec<_> = self.merges.slots.iter().filter(|(_, rank)| *rank != NONE).collect();
        taken.sort_unstable_by_key(|(_, rank)| *rank);
        taken.into_iter().map(|(merge, _)| (merge.left, merge.right)).collect()
    }

    /// The tokens of `word`: `(id, start, end)`, the ends in bytes of `word`.
    pub(super) fn tokenize(&self, word: &str) -> Vec<(u32, usize, usize)> {
        if self.flags.ignore_merges
            && let Some(id) = self.tokens.id(word)
        {
            return vec![(id, 0, word.len())];
        }
        let mut symbols = self.symbols(word);
        self.merge(&mut symbols);
        let mut end = 0;
        let kept = symbols.iter().filter(|symbol| symbol.len > 0);
        kept.map(|symbol| {
            let start = end;
            end += symbol.len as usize;
            (symbol.id, start, end)
        })
        .collect()
    }

    /// One symbol for each character; bytes or the unknown token stand for what the vocabulary lacks.
    fn symbols(&self, word: &str) -> Vec<Symbol> {
        let mut symbols = Vec::with_capacity(word.len());
        let mut push = |id: u32, len: usize| {
            let at = symbols.len() as u32;
            symbols.push(Symbol { id, len: len as u32, prev: at.wrapping_sub(1), next: at + 1 });
        };
        let mut unknown = 0;
        for (start, c) in word.char_indices() {
            let text = &word[start..start + c.len_utf8()];
            if let Some(id) = self.tokens.id(text) {
                if let (Some(unk), 1..) = (self.unk, unknown) {
                    push(unk, unknown);
                    unknown = 0;
                }
                push(id, text.len());
            } else if let Some(bytes) = self.fallback(text) {
                // As in the crate, an unknown token that waits to be fused comes after these bytes.
                bytes.into_iter().for_each(|id| push(id, 1));
            } else if let Some(unk) = self.unk {
                if unknown > 0 && !self.flags.fuse_unk {
                    push(unk, unknown);
                    unknown = 0;
                }
                unknown += text.len();
            }
        }
        if let (Some(unk), 1..) = (self.unk, unknown) {
            push(unk, unknown);
        }
        if let Some(last) = symbols.last_mut() {
            last.next = NONE;
        }
        symbols
    }

    /// The byte tokens of `text`, where the model falls back to bytes and has all of them.
    fn fallback(&self, text: &str) -> Option<Vec<u32>> {
        let byte_id = |byte: u8| self.byte_ids.get(usize::from(byte)).copied().flatten();
        self.flags.byte_fallback.then(|| text.bytes().map(byte_id).collect())?
    }

    /// Applies the merges, lowest rank first and leftmost first among equals.
    fn merge(&self, symbols: &mut [Symbol]) {
        let candidate = |symbols: &[Symbol], at: u32| {
            let left = symbols.get(at as usize)?;
            let right = symbols.get(left.next as usize)?;
            let (rank, made) = self.merges.get(left.id, right.id)?;
            Some(Reverse((rank, at, made)))
        };
        let mut queue: BinaryHeap<_> =
            (0..symbols.len() as u32).filter_map(|at| candidate(symbols, at)).collect();
        while let Some(Reverse((_, at, made))) = queue.pop() {
            // An entry is stale once its symbols have merged with others.
            let alive = symbols.get(at as usize).is_some_and(|symbol| symbol.len > 0);
            let current = candidate(symbols, at).filter(|Reverse((_, _, now))| *now == made);
            if !alive || current.is_none() {
                continue;
            }
            let Some(&Symbol { prev, next: taken, .. }) = symbols.get(at as usize) else { continue };
            let Some(right) = symbols.get_mut(taken as usize) else { continue };
            let (len, next) = (right.len, right.next);
            right.len = 0;
            if let Some(after) = symbols.get_mut(next as usize) {
                after.prev = at;
            }
            if let Some(left) = symbols.get_mut(at as usize) {
                *left = Symbol { id: made, len: left.len + len, prev, next };
            }
            queue.extend(candidate(symbols, prev));
            queue.extend(candidate(symbols, at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(texts: &[&str]) -> TokenTable {
        let mut text = String::new();
        let spans = texts.iter().map(|token| {
            let start = text.len() as u32;
            text.push_str(token);
            Some((start, text.len() as u32))
        });
        let spans = spans.collect();
        TokenTable::new(text, spans)
    }

    fn merges(tokens: &TokenTable, pairs: &[(&str, &str)]) -> Vec<Merge> {
        let id = |text: &str| tokens.id(text).unwrap();
        pairs.iter().map(|(l, r)| Merge { left: id(l), right: id(r), made: id(&format!("{l}{r}")) }).collect()
    }

    fn pieces(bpe: &Bpe, word: &str) -> Vec<String> {
        let tokens = bpe.tokenize(word).into_iter();
        tokens.map(|(id, s, e)| format!("{}:{}", bpe.tokens().text(id).unwrap_or("?"), &word[s..e])).collect()
    }

    #[test]
    fn merges_apply_by_rank_then_from_the_left() {
        let tokens = table(&["a", "b", "ab", "aa", "aab"]);
        let merges = merges(&tokens, &[("a", "a"), ("aa", "b"), ("a", "b")]);
        let bpe = Bpe::new(tokens, &merges, BpeFlags::default());
        assert_eq!(pieces(&bpe, "aaab"), ["aa:aa", "ab:ab"]);
        assert_eq!(pieces(&bpe, "aabab"), ["aab:aab", "ab:ab"]);
        assert_eq!(bpe.ranked_pairs(), [(0, 0), (3, 1), (0, 1)]);
    }

    #[test]
    fn a_whole_word_is_taken_only_where_merges_are_ignored() {
        let whole = |ignore_merges| {
            let flags = BpeFlags { ignore_merges, ..BpeFlags::default() };
            pieces(&Bpe::new(table(&["a", "b", "ab"]), &[], flags), "ab")
        };
        assert_eq!(whole(false), ["a:a", "b:b"]);
        assert_eq!(whole(true), ["ab:ab"]);
    }

    #[test]
    fn unknown_characters_fall_back_to_bytes_or_fuse() {
        let unk = |fuse_unk| BpeFlags { unk_token: Some("?".to_owned()), fuse_unk, ..BpeFlags::default() };
        assert_eq!(pieces(&Bpe::new(table(&["a", "?"]), &[], unk(true)), "xyaz"), ["?:xy", "a:a", "?:z"]);
        assert_eq!(pieces(&Bpe::new(table(&["a", "?"]), &[], unk(false)), "xya"), ["?:x", "?:y", "a:a"]);
        let bytes = BpeFlags { byte_fallback: true, ..unk(true) };
        let tokens = table(&["a", "?", "<0xC3>", "<0xA9>"]);
        assert_eq!(Bpe::new(tokens, &[], bytes).tokenize("é"), [(2, 0, 1), (3, 1, 2)]);
    }

    #[test]
    fn ids_need_not_be_dense() {
        let tokens = TokenTable::new("ab".to_owned(), vec![None, Some((0, 1)), None, None, Some((1, 2))]);
        assert_eq!(
            (tokens.len(), tokens.id("b"), tokens.text(4), tokens.text(2)),
            (2, Some(4), Some("b"), None)
        );
        assert_eq!(tokens.iter().collect::<Vec<_>>(), [(1, "a"), (4, "b")]);
        assert_eq!(tokens.text(u32::MAX), None);
    }
}
