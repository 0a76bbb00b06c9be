//! The compact lossless form of a `tokenizer.json`, as described in `tokenizers/FORMAT.md`: reading.
//!
//! A vocabulary is not stored as text: a merged token is spelled by its merge. What is left of it is three columns
//! of numbers, which zstd then makes small.

use serde_json::{Map, Value};
use zstd::zstd_safe;

use super::bpe::{Merge, TokenTable};

/// The first bytes of the unpacked form; the digit is its version.
pub(super) const LABEL: &[u8; 8] = b"TPLCTOK1";

/// Largest unpacked size that is read, in bytes: real ones are below 4 MB.
const MAX_UNPACKED: u64 = 1 << 28;

/// Largest id that is read. Real vocabularies end far below.
pub(super) const MAX_ID: u32 = 1 << 24;

/// A tokenizer.json, unpacked.
pub(super) struct Packed {
    /// The tokenizer.json without `model.vocab` and `model.merges`.
    pub(super) header: Map<String, Value>,
    /// The vocabulary.
    pub(super) tokens: TokenTable,
    /// The merges, first ranks first.
    pub(super) merges: Vec<Merge>,
    /// Whether `merges` are pairs (`["a","b"]`) or strings (`"a b"`) in the tokenizer.json.
    pub(super) merges_as_pairs: bool,
}

/// Reads the compact form. Any bytes are safe to give it.
///
/// # Errors
/// What is wrong with the bytes.
pub(super) fn unpack(compressed: &[u8]) -> Result<Packed, String> {
    let size = zstd_safe::get_frame_content_size(compressed).ok().flatten();
    let size = size.filter(|size| *size <= MAX_UNPACKED).ok_or("no zstd frame of a sensible size")?;
    let bytes = zstd::bulk::decompress(compressed, size as usize).map_err(|error| error.to_string())?;
    let mut rest = bytes.strip_prefix(LABEL).ok_or("the label is not TPLCTOK1")?;
    let mut header: Map<String, Value> =
        serde_json::from_slice(block(&mut rest)?).map_err(|error| format!("bad header: {error}"))?;
    let packed = header.remove("packed").ok_or("the header lacks \"packed\"")?;
    let base: Vec<(u32, String)> =
        Value::deserialize_field(&packed, "base").map_err(|error| format!("bad base tokens: {error}"))?;
    let merges_as_pairs = packed.get("merges_as_pairs").and_then(Value::as_bool).unwrap_or(false);
    let merges = read_merges([block(&mut rest)?, block(&mut rest)?, block(&mut rest)?])?;
    if !rest.is_empty() {
        return Err(format!("{} bytes follow the last column", rest.len()));
    }
    let tokens = spell(&base, &merges)?;
    Ok(Packed { header, tokens, merges, merges_as_pairs })
}

/// Reads one field of a JSON object into a type.
trait DeserializeField {
    fn deserialize_field<T: serde::de::DeserializeOwned>(&self, name: &str) -> serde_json::Result<T>;
}

impl DeserializeField for Value {
    fn deserialize_field<T: serde::de::DeserializeOwned>(&self, name: &str) -> serde_json::Result<T> {
        T::deserialize(self.get(name).unwrap_or(&Value::Null))
    }
}

/// Takes one block off the front: its length in four little-endian bytes, then its bytes.
fn block<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let cut = || "the data ends early".to_owned();
    let (len, after) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
    let (block, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or_else(cut)?;
    *rest = after;
    Ok(block)
}

/// Reads the columns left, right and made (as a step from the one before).
fn read_merges(columns: [&[u8]; 3]) -> Result<Vec<Merge>, String> {
    let [mut left, mut right, mut made] = columns.map(Varints);
    let mut merges = Vec::with_capacity(columns[0].len() / 2);
    let mut last = 0_i64;
    loop {
        match (left.next(), right.next(), made.next()) {
            (Some(left), Some(right), Some(step)) => {
                let step = i64::from(step >> 1) ^ -i64::from(step & 1);
                last += step;
                let made = u32::try_from(last).map_err(|_| format!("merge makes id {last}"))?;
                merges.push(Merge { left, right, made });
            }
            (None, None, None) if left.0.is_empty() && right.0.is_empty() && made.0.is_empty() => {
                return Ok(merges);
            }
            _ => return Err(format!("the columns disagree after {} merges", merges.len())),
        }
    }
}

/// Unsigned numbers of seven bits a byte, low bits first, the high bit set where more follow.
struct Varints<'a>(&'a [u8]);

impl Iterator for Varints<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let mut number = 0_u32;
        for (place, byte) in self.0.iter().enumerate().take(5) {
            number |= u32::from(byte & 0x7f).checked_shl(7 * place as u32)?;
            if byte & 0x80 == 0 {
                self.0 = self.0.get(place + 1..).unwrap_or_default();
                return Some(number);
            }
        }
        None
    }
}

/// Spells every token: the base tokens are given, any other by the first merge whose parts are already spelled.
fn spell(base: &[(u32, String)], merges: &[Merge]) -> Result<TokenTable, String> {
    let ids = base.iter().map(|(id, _)| *id).chain(merges.iter().map(|merge| merge.made));
    let max = ids.max().unwrap_or(0);
    if max > MAX_ID {
        return Err(format!("id {max} is larger than {MAX_ID}"));
    }
    let mut spans: Vec<Option<(u32, u32)>> = vec![None; max as usize + 1];
    let mut text = String::with_capacity(merges.len() * 8);
    let end = |text: &String| u32::try_from(text.len()).map_err(|_| "the vocabulary is too long".to_owned());
    for (id, token) in base {
        let start = end(&text)?;
        text.push_str(token);
        if let Some(span) = spans.get_mut(*id as usize) {
            *span = Some((start, end(&text)?));
        }
    }
    for merge in merges {
        let span_of = |id: u32| spans.get(id as usize).copied().flatten();
        let (None, Some(left), Some(right)) =
            (span_of(merge.made), span_of(merge.left), span_of(merge.right))
        else {
            continue;
        };
        let start = end(&text)?;
        for (from, to) in [left, right] {
            text.extend_from_within(from as usize..to as usize);
        }
        if u64::from(end(&text)?) > MAX_UNPACKED {
            return Err("the vocabulary is too long".to_owned());
        }
        if let Some(span) = spans.get_mut(merge.made as usize) {
            *span = Some((start, end(&text)?));
        }
    }
    let spelled = |id: u32| spans.get(id as usize).is_some_and(Option::is_some);
    match merges.iter().find(|merge| ![merge.left, merge.right, merge.made].into_iter().all(spelled)) {
        Some(merge) => Err(format!("{merge:?} uses a token that nothing spells")),
        None => Ok(TokenTable::new(text, spans)),
    }
}

impl Packed {
    /// The tokenizer.json, value for value.
    pub(super) fn into_json(mut self) -> Value {
        let vocab = self.tokens.iter().map(|(id, token)| (token.to_owned(), Value::from(id))).collect();
        let text = |id: u32| self.tokens.text(id).unwrap_or_default();
        let merge = |merge: &Merge| {
            let (left, right) = (text(merge.left), text(merge.right));
            if self.merges_as_pairs {
                Value::from(vec![left, right])
            } else {
                Value::from(format!("{left} {right}"))
            }
        };
        let merges = self.merges.iter().map(merge).collect();
        if let Some(Value::Object(model)) = self.header.get_mut("model") {
            model.insert("vocab".to_owned(), Value::Object(vocab));
            model.insert("merges".to_owned(), Value::Array(merges));
        }
        Value::Object(self.header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_end_cleanly_or_not_at_all() {
        assert_eq!(Varints(&[5, 0x80, 1, 0xff, 0x7f]).collect::<Vec<_>>(), [5, 128, 16383]);
        let mut cut = Varints(&[0x80]);
        assert_eq!((cut.next(), cut.0.len()), (None, 1));
    }

    #[test]
    fn a_merge_of_unknown_parts_is_refused() {
        let merge = Merge { left: 0, right: 7, made: 1 };
        assert!(spell(&[(0, "a".to_owned())], &[merge]).err().unwrap().contains("nothing spells"));
        assert!(spell(&[(MAX_ID + 1, "a".to_owned())], &[]).err().unwrap().contains("larger than"));
    }

    #[test]
    fn lengths_do_not_explode() {
        // Each merge doubles the token: forty of them would be a terabyte.
        let merges: Vec<_> = (0..40).map(|id| Merge { left: id, right: id, made: id + 1 }).collect();
        assert!(spell(&[(0, "ab".to_owned())], &merges).err().unwrap().contains("too long"));
    }

    /// A small tokenizer in the packed form, and the same before it was compressed.
    fn small() -> (Vec<u8>, Vec<u8>) {
        let json = serde_json::json!({
            "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "decoder": null,
            "model": { "type": "BPE", "vocab": { "a": 0, "b": 1, "ab": 300, "abab": 5 },
                       "merges": [["a", "b"], ["ab", "ab"]] }
        });
        let packed = super::super::pack(&json).unwrap();
        let bytes = zstd::decode_all(packed.as_slice()).unwrap();
        (packed, bytes)
    }

    #[test]
    fn damaged_bytes_are_an_error_or_another_tokenizer_but_never_a_panic() {
        let (packed, bytes) = small();
        assert!(unpack(&packed).is_ok());
        for end in 0..packed.len() {
            assert!(unpack(&packed[..end]).is_err(), "cut at {end}");
        }
        for at in 0..packed.len() {
            let mut flipped = packed.clone();
            flipped[at] ^= 0x41;
            let _ = unpack(&flipped);
        }
        // Below the checksum: each byte of the contents in turn, and each end.
        let again = |bytes: &[u8]| unpack(&zstd::bulk::compress(bytes, 1).unwrap());
        for at in 0..bytes.len() {
            for flip in [0x01, 0x41, 0x80, 0xff] {
                let mut flipped = bytes.clone();
                flipped[at] ^= flip;
                if let Ok(packed) = again(&flipped) {
                    let _ = packed.into_json();
                }
            }
            assert!(again(&bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(again(&[bytes.as_slice(), b"x"].concat()).is_err());
    }
}
