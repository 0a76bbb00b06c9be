//! The BPE model of a `tokenizer.json`, read straight into packed arrays.
//!
//! Only what [`Bpe`] does exactly as the `tokenizers` crate is taken. For anything else reading fails, and the crate's
//! own model is used, or its own error shown.

use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::bpe::{Bpe, BpeFlags, Merge, TokenTable};
use super::packed::MAX_ID;

#[derive(Deserialize)]
enum Kind {
    #[serde(rename = "BPE")]
    Bpe,
}

/// The `model` of a tokenizer.json.
#[derive(Deserialize)]
pub(super) struct BpeJson {
    #[serde(rename = "type")]
    _kind: Kind,
    dropout: Option<f32>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    fuse_unk: Option<bool>,
    byte_fallback: Option<bool>,
    ignore_merges: Option<bool>,
    vocab: VocabJson,
    merges: Vec<MergeJson>,
}

/// The entries of a vocabulary in the order of the file.
struct VocabJson(Vec<(u32, String)>);

/// A merge as a string (`"a b"`) or as a pair (`["a", "b"]`).
enum MergeJson {
    /// `#version`, as merge files have it: no merge.
    Version,
    Pair(String, String),
}

impl TryFrom<BpeJson> for Bpe {
    type Error = &'static str;

    fn try_from(json: BpeJson) -> Result<Self, &'static str> {
        let set = |affix: &Option<String>| affix.as_ref().is_some_and(|affix| !affix.is_empty());
        if json.dropout.is_some() || set(&json.continuing_subword_prefix) || set(&json.end_of_word_suffix) {
            return Err("dropout, prefixes and suffixes are the crate's");
        }
        let tokens = table(json.vocab.0)?;
        if json.unk_token.as_ref().is_some_and(|unk| tokens.id(unk).is_none()) {
            return Err("the unknown token is not in the vocabulary");
        }
        let mut joined = String::new();
        let mut merges = Vec::with_capacity(json.merges.len());
        for merge in &json.merges {
            let MergeJson::Pair(left, right) = merge else { continue };
            joined.clear();
            joined.extend([left.as_str(), right.as_str()]);
            let id = |text: &str| tokens.id(text).ok_or("a merge is not in the vocabulary");
            merges.push(Merge { left: id(left)?, right: id(right)?, made: id(&joined)? });
        }
        let flags = BpeFlags {
            unk_token: json.unk_token,
            fuse_unk: json.fuse_unk.unwrap_or(false),
            byte_fallback: json.byte_fallback.unwrap_or(false),
            ignore_merges: json.ignore_merges.unwrap_or(false),
        };
        Ok(Self::new(tokens, &merges, flags))
    }
}

/// Builds the table of a vocabulary whose texts and ids are all different.
fn table(vocab: Vec<(u32, String)>) -> Result<TokenTable, &'static str> {
    let max = vocab.iter().map(|(id, _)| *id).max().unwrap_or(0);
    if max > MAX_ID || vocab.iter().map(|(_, token)| token.len()).sum::<usize>() > MAX_ID as usize {
        return Err("the vocabulary is too large");
    }
    let mut text = String::new();
    let mut spans = vec![None; max as usize + 1];
    for (id, token) in vocab {
        let start = text.len() as u32;
        text.push_str(&token);
        let span = spans.get_mut(id as usize).ok_or("an id is too large")?;
        if span.replace((start, text.len() as u32)).is_some() {
            return Err("two tokens share an id");
        }
    }
    let tokens = TokenTable::new(text, spans);
    let same = tokens.iter().all(|(id, token)| tokens.id(token) == Some(id));
    if same { Ok(tokens) } else { Err("a token is listed twice") }
}

impl<'de> Deserialize<'de> for VocabJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = VocabJson;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a vocabulary")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<VocabJson, A::Error> {
                let mut entries = Vec::new();
                while let Some((token, id)) = map.next_entry()? {
                    entries.push((id, token));
                }
                Ok(VocabJson(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl<'de> Deserialize<'de> for MergeJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = MergeJson;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a merge of two tokens")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<MergeJson, E> {
                if text.starts_with("#version") {
                    return Ok(MergeJson::Version);
                }
                match text.split_once(' ') {
                    Some((left, right)) if !right.contains(' ') => {
                        Ok(MergeJson::Pair(left.to_owned(), right.to_owned()))
                    }
                    _ => Err(E::custom("a merge is not two tokens")),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<MergeJson, A::Error> {
                match (seq.next_element()?, seq.next_element()?, seq.next_element::<String>()?) {
                    (Some(left), Some(right), None) => Ok(MergeJson::Pair(left, right)),
                    _ => Err(A::Error::custom("a merge is not two tokens")),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(change: impl FnOnce(&mut Value)) -> Result<Bpe, String> {
        let mut model = json!({ "type": "BPE", "vocab": { "a": 0, "b": 4, "ab": 2 }, "merges": ["#version: 0.2", "a b"] });
        change(&mut model);
        let json: BpeJson = serde_json::from_str(&model.to_string()).map_err(|error| error.to_string())?;
        Bpe::try_from(json).map_err(str::to_owned)
    }

    #[test]
    fn merges_come_as_strings_or_pairs() {
        assert_eq!(read(|_| ()).unwrap().tokenize("abb"), [(2, 0, 2), (4, 2, 3)]);
        let pairs = read(|model| model["merges"] = json!([["a", "b"]])).unwrap();
        assert_eq!(pairs.ranked_pairs(), read(|_| ()).unwrap().ranked_pairs());
    }

    #[test]
    fn what_only_the_crate_does_is_left_to_it() {
        let refused: [fn(&mut Value); 10] = [
            |model| model["type"] = json!("Unigram"),
            |model| model["dropout"] = json!(0.1),
            |model| model["end_of_word_suffix"] = json!("</w>"),
            |model| model["continuing_subword_prefix"] = json!("##"),
            |model| model["unk_token"] = json!("?"),
            |model| model["vocab"]["b"] = json!(2),
            |model| model["vocab"]["c"] = json!(MAX_ID + 1),
            |model| model["merges"] = json!(["a b c"]),
            |model| model["merges"] = json!([["a", "b", "c"]]),
            |model| model["merges"] = json!(["b a"]),
        ];
        for (case, change) in refused.into_iter().enumerate() {
            assert!(read(change).is_err(), "case {case}");
        }
    }
}
