//! What the two position-template processors in use forbid and allow at FREE positions.

use aho_corasick::AhoCorasick;

use crate::{primitives::TokenId, tokenizer::Vocabulary};

/// The ids that the *blocklist* processor forbids at FREE positions: every token that contains `<` or `>`, and every
/// added token (special tags and control tokens).
#[must_use]
pub fn blocklist(vocabulary: &Vocabulary) -> Vec<TokenId> {
    let brackets = AhoCorasick::new(["<", ">"]).ok();
    let has_bracket = |bytes: &[u8]| brackets.as_ref().is_some_and(|finder| finder.is_match(bytes));
    let blocked = |&(id, bytes): &(TokenId, &[u8])| vocabulary.is_added(id) || has_bracket(bytes);
    vocabulary.iter().filter(blocked).map(|(id, _)| id).collect()
}

/// The ids that the *allowlist* processor allows at FREE positions: tokens made of `0-9 . , -` alone in which no
/// punctuation stands beside other punctuation, `,-` excepted.
#[must_use]
pub fn allowlist(vocabulary: &Vocabulary) -> Vec<TokenId> {
    let plain = |&(id, bytes): &(TokenId, &[u8])| {
        let numeric = bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b',' | b'-'));
        let pairs = bytes.windows(2).all(|pair| pair == b",-" || pair.iter().any(u8::is_ascii_digit));
        !bytes.is_empty() && numeric && pairs && !vocabulary.is_added(id)
    };
    vocabulary.iter().filter(plain).map(|(id, _)| id).collect()
}
