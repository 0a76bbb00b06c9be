//! The bytes that each token stands for.

use super::hf::HfTokenizer;
use crate::primitives::TokenId;

/// How a model writes bytes in the texts of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteForm {
    /// One printable character for each byte (GPT-2 and most after it).
    ByteLevel,
    /// U+2581 for a space, `<0xNN>` for a byte (SentencePiece).
    SentencePiece,
    /// As they are.
    Plain,
}

/// The bytes of every token, and which tokens are added or special.
#[derive(Debug)]
pub struct Vocabulary {
    form: ByteForm,
    bytes: Vec<u8>,
    /// In the order of the ids.
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u32,
    start: u32,
    end: u32,
    added: bool,
    special: bool,
}

impl Vocabulary {
    pub(super) fn of(tokenizer: &HfTokenizer) -> Self {
        let names = tokenizer.step_names();
        let uses = |step: &str| names.iter().any(|name| name == step);
        let form = match () {
            () if uses("ByteLevel") => ByteForm::ByteLevel,
            () if uses("ByteFallback") || uses("Metaspace") => ByteForm::SentencePiece,
            () => ByteForm::Plain,
        };
        let alphabet = ByteAlphabet::new();
        let mut tokens: Vec<(u32, Vec<u8>, bool, bool)> = Vec::new();
        let added = tokenizer.added();
        for (id, text) in tokenizer.vocabulary() {
            if added.binary_search_by_key(&id, |added| added.id).is_err() {
                tokens.push((id, form.bytes(&text, &alphabet), false, false));
            }
        }
        // Added tokens are matched in the text itself, so they are written as they are.
        tokens.extend(
            added.iter().map(|a| (a.id, a.token.content.clone().into_bytes(), true, a.token.special)),
        );
        tokens.sort_unstable();
        let mut bytes = Vec::with_capacity(tokens.len() * 8);
        let entries = tokens.into_iter().map(|(id, token, added, special)| {
            let start = bytes.len() as u32;
            bytes.extend(token);
            Entry { id, start, end: bytes.len() as u32, added, special }
        });
        let entries = entries.collect();
        Self { form, bytes, entries }
    }

    /// How the model writes bytes.
    #[must_use]
    pub fn form(&self) -> ByteForm {
        self.form
    }

    /// The number of tokens. Ids need not be dense: see [`Vocabulary::max_id`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The largest id.
    #[must_use]
    pub fn max_id(&self) -> Option<TokenId> {
        self.entries.last().map(|entry| TokenId(entry.id))
    }

    /// The bytes that `id` stands for; `None` where no token has the id. They need not be whole characters.
    #[must_use]
    pub fn bytes(&self, id: TokenId) -> Option<&[u8]> {
        self.entry(id).and_then(|entry| self.slice(entry))
    }

    /// The added token of this text.
    #[must_use]
    pub fn added(&self, text: &str) -> Option<TokenId> {
        let mut added = self.iter().filter(|&(id, _)| self.is_added(id));
        added.find(|(_, bytes)| *bytes == text.as_bytes()).map(|(id, _)| id)
    }

    /// Whether `id` is an added token.
    #[must_use]
    pub fn is_added(&self, id: TokenId) -> bool {
        self.entry(id).is_some_and(|entry| entry.added)
    }

    /// Whether `id` is a special token: an added one that decoding may skip.
    #[must_use]
    pub fn is_special(&self, id: TokenId) -> bool {
        self.entry(id).is_some_and(|entry| entry.special)
    }

    /// Every token with its bytes, in the order of the ids.
    pub fn iter(&self) -> impl Iterator<Item = (TokenId, &[u8])> {
        self.entries.iter().filter_map(|entry| Some((TokenId(entry.id), self.slice(*entry)?)))
    }

    /// The text of `id` for people: as it is where it is UTF-8, else with `\xNN` for each other byte.
    #[must_use]
    pub fn readable(&self, id: TokenId) -> Option<String> {
        let chunks = self.bytes(id)?.utf8_chunks();
        Some(chunks.fold(String::new(), |mut text, chunk| {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02X}")));
            text
        }))
    }

    fn slice(&self, entry: Entry) -> Option<&[u8]> {
        self.bytes.get(entry.start as usize..entry.end as usize)
    }

    fn entry(&self, TokenId(id): TokenId) -> Option<Entry> {
        // Ids are mostly dense: then the place is the id.
        let guess = self.entries.get(id as usize).filter(|entry| entry.id == id);
        guess.copied().or_else(|| {
            let place = self.entries.binary_search_by_key(&id, |entry| entry.id).ok()?;
            self.entries.get(place).copied()
        })
    }
}

impl ByteForm {
    /// The bytes of a token as the model writes it.
    fn bytes(self, token: &str, alphabet: &ByteAlphabet) -> Vec<u8> {
        match self {
            Self::ByteLevel => alphabet.decode(token),
            Self::SentencePiece => {
                let hex = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
                match hex.filter(|hex| hex.len() == 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                    Some(byte) => vec![byte],
                    None => token.replace('\u{2581}', " ").into_bytes(),
                }
            }
            Self::Plain => token.as_bytes().to_vec(),
        }
    }
}

/// The characters that stand for bytes in a byte-level vocabulary.
///
/// Printable bytes of Latin-1 stand for themselves; the other 68 are the characters from U+0100 on, in order.
struct ByteAlphabet {
    /// The byte of each character below U+0144.
    bytes: Vec<Option<u8>>,
}

impl ByteAlphabet {
    fn new() -> Self {
        let mut bytes = vec![None; 0x144];
        let mut next = 0x100;
        for byte in 0..=u8::MAX {
            let printable = matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
            let place = if printable { usize::from(byte) } else { next };
            next += usize::from(!printable);
            if let Some(entry) = bytes.get_mut(place) {
                *entry = Some(byte);
            }
        }
        Self { bytes }
    }

    /// The bytes of `token`; a character that stands for none is kept as it is.
    fn decode(&self, token: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(token.len());
        for c in token.chars() {
            match self.bytes.get(c as usize).copied().flatten() {
                Some(byte) => bytes.push(byte),
                None => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_alphabet_has_every_byte_once() {
        let alphabet = ByteAlphabet::new();
        let mut bytes: Vec<u8> = alphabet.bytes.iter().copied().flatten().collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(alphabet.decode("Ġ]<Ċé"), [b' ', b']', b'<', b'\n', 0xe9]);
        assert_eq!(alphabet.decode("日"), "日".as_bytes());
    }

    #[test]
    fn sentencepiece_writes_spaces_and_bytes() {
        let bytes = |token| ByteForm::SentencePiece.bytes(token, &ByteAlphabet::new());
        assert_eq!(bytes("▁a▁"), b" a ");
        assert_eq!((bytes("<0x0A>"), bytes("<0x0AB>")), (vec![10], b"<0x0AB>".to_vec()));
    }
}
