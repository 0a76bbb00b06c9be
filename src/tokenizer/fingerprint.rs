//! The content hash of a tokenizer.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::assign::Assigned;
use super::bpe::BpeFlags;
use super::hf::HfTokenizer;
use crate::primitives::Fingerprint;

/// Ids and texts, by id.
type Tokens = Vec<(u32, String)>;

/// Ids of the merged pairs, first ranks first.
type Pairs = Vec<(u32, u32)>;

/// What a model's ids depend on, in one form for every way it was loaded.
pub(super) struct ModelContent {
    flags: Value,
    vocabulary: Tokens,
    merges: Pairs,
}

impl ModelContent {
    pub(super) fn of_bpe(flags: &BpeFlags, vocabulary: Tokens, merges: Pairs) -> Self {
        let flags = json!({
            "type": "BPE",
            "unk_token": flags.unk_token,
            "fuse_unk": flags.fuse_unk,
            "byte_fallback": flags.byte_fallback,
            "ignore_merges": flags.ignore_merges,
        });
        Self { flags, vocabulary, merges }
    }

    /// From a model as the crate writes it: all fields count as flags.
    pub(super) fn of_json(mut model: Value) -> Self {
        if let Value::Object(fields) = &mut model {
            // Null and empty settings do nothing: they are as good as missing.
            fields.retain(|_, value| !(value.is_null() || value.as_str().is_some_and(str::is_empty)));
        }
        Self { flags: model, vocabulary: Vec::new(), merges: Vec::new() }
    }

    /// The model's settings.
    pub(super) fn into_flags(self) -> Value {
        self.flags
    }
}

/// Hashes all that ids and spans depend on. The version in the label changes with the definition.
pub(super) fn fingerprint(tokenizer: &HfTokenizer) -> Fingerprint {
    let content = tokenizer.model_content();
    let mut hash = Hash(blake3::Hasher::new());
    hash.bytes(b"tplc tokenizer fingerprint 1");
    hash.json(&content.flags);
    hash.number(content.vocabulary.len());
    for (id, token) in &content.vocabulary {
        hash.number(*id as usize);
        hash.bytes(token.as_bytes());
    }
    hash.number(content.merges.len());
    for (left, right) in &content.merges {
        hash.number(*left as usize);
        hash.number(*right as usize);
    }
    hash.number(tokenizer.added().len());
    for Assigned { id, token } in tokenizer.added() {
        hash.number(*id as usize);
        hash.bytes(token.content.as_bytes());
        let flags = [token.single_word, token.lstrip, token.rstrip, token.normalized(), token.special];
        hash.bytes(&flags.map(u8::from));
    }
    hash.json(&tokenizer.normalizer());
    hash.json(&tokenizer.pre_tokenizer());
    Fingerprint(*hash.0.finalize().as_bytes())
}

/// Hashes values so that none can run into the next.
struct Hash(blake3::Hasher);

impl Hash {
    fn number(&mut self, number: usize) {
        self.0.update(&(number as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.update(bytes);
    }

    fn json(&mut self, value: &Value) {
        self.bytes(canonical(value).as_bytes());
    }
}

/// Compact JSON with sorted keys, whatever order the map keeps.
fn canonical(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            let field = |(name, value)| format!("{}:{}", Value::from(String::clone(name)), canonical(value));
            format!("{{{}}}", sorted.into_iter().map(field).collect::<Vec<_>>().join(","))
        }
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_is_sorted_and_compact() {
        let value = json!({ "b": [1, null, { "z": "ü\n", "y": true }], "a": {} });
        assert_eq!(canonical(&value), r#"{"a":{},"b":[1,null,{"y":true,"z":"ü\n"}]}"#);
    }

    #[test]
    fn settings_that_do_nothing_do_not_count() {
        let bpe = |extra: Value| {
            let mut model = json!({ "type": "BPE", "vocab": { "a": 0 }, "merges": [] });
            model.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            canonical(&ModelContent::of_json(model).flags)
        };
        assert_eq!(bpe(json!({ "dropout": null, "end_of_word_suffix": "" })), bpe(json!({})));
        assert_ne!(bpe(json!({ "end_of_word_suffix": "</w>" })), bpe(json!({})));
    }
}
