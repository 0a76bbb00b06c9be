//! What the tokenizer tests share: texts, and the crate's own tokenizer as the oracle.

use std::path::Path;

use tplc::primitives::TokenId;
use tplc::tokenizer::{AddedTokens, EmbeddedTokenizer, Encoding, Tokenizer, TokenizerError, TokenizerSource};

/// The names of the embedded tokenizers without an overlay.
pub(crate) const BASES: [&str; 7] =
    ["qwen3", "llama-3.1", "deepseek-v3", "gpt-4o", "gpt-2", "phi-3", "mistral-tekken"];

pub(crate) fn embedded(name: &str) -> &'static EmbeddedTokenizer {
    EmbeddedTokenizer::find(name).unwrap()
}

pub(crate) fn load(source: &str) -> Tokenizer {
    try_load(source, &[]).unwrap()
}

pub(crate) fn try_load(source: &str, overlays: &[AddedTokens]) -> Result<Tokenizer, TokenizerError> {
    source.parse::<TokenizerSource>()?.load(overlays)
}

/// The crate's own tokenizer, parsed from the original JSON text, its overlay's tokens added to that text.
pub(crate) fn oracle(name: &str) -> tokenizers::Tokenizer {
    let mut json = embedded(name).tokenizer_json().unwrap();
    for token in embedded(name).overlay().unwrap().iter().flat_map(|overlay| &overlay.added_tokens) {
        json["added_tokens"].as_array_mut().unwrap().push(serde_json::to_value(token).unwrap());
    }
    json.to_string().parse().unwrap()
}

/// Ids and byte spans as the oracle gives them.
pub(crate) fn oracle_encode(oracle: &tokenizers::Tokenizer, text: &str) -> (Vec<u32>, Vec<(u32, u32)>) {
    let encoding = oracle.encode(text, false).unwrap();
    let spans = encoding.get_offsets().iter().map(|&(start, end)| (start as u32, end as u32));
    (encoding.get_ids().to_vec(), spans.collect())
}

/// The same of ours.
pub(crate) fn plain(encoding: &Encoding) -> (Vec<u32>, Vec<(u32, u32)>) {
    (ids(encoding), encoding.spans.iter().map(|span| (span.start, span.end)).collect())
}

pub(crate) fn ids(encoding: &Encoding) -> Vec<u32> {
    encoding.ids.iter().map(|id| id.0).collect()
}

/// Compares ids, spans and both ways of decoding.
pub(crate) fn assert_same(ours: &Tokenizer, oracle: &tokenizers::Tokenizer, text: &str) {
    let encoding = ours.encode(text).unwrap();
    assert_eq!(plain(&encoding), oracle_encode(oracle, text), "{}: {text:?}", ours.name());
    assert_same_decoding(ours, oracle, &encoding.ids);
}

pub(crate) fn assert_same_decoding(ours: &Tokenizer, oracle: &tokenizers::Tokenizer, ids: &[TokenId]) {
    let plain: Vec<u32> = ids.iter().map(|id| id.0).collect();
    for skip in [false, true] {
        assert_eq!(ours.decode(ids, skip).unwrap(), oracle.decode(&plain, skip).unwrap(), "{plain:?}");
    }
}

pub(crate) fn data(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path)).unwrap()
}

/// Lines of enriched SMILES.
pub(crate) fn enriched() -> Vec<String> {
    let text = zstd::decode_all(data("tokenizer/enriched.txt.zst").as_slice()).unwrap();
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

/// The texts of the chemical test vectors.
pub(crate) fn chem_texts() -> Vec<String> {
    serde_json::from_slice(&data("vectors/chem_texts.json")).unwrap()
}

/// The lines of a JSONL file of vectors.
pub(crate) fn vectors(name: &str) -> Vec<Vector> {
    let text = String::from_utf8(data(&format!("vectors/{name}.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[derive(serde::Deserialize)]
pub(crate) struct Vector {
    #[serde(default)]
    pub(crate) text: String,
    pub(crate) ids: Vec<u32>,
}

/// Text of many scripts, spaces, controls and things that normalizers change.
pub(crate) const UNICODE: &[&str] = &[
    "",
    " ",
    "  leading and trailing  ",
    "a\tb\r\n\r\nc\u{0b}\u{0c}\u{85}d",
    "café cafe\u{301} \u{212b} \u{fb01} ½ ²³ Ⅷ",
    "日本語テキスト、中文字符。한국어 텍스트",
    "Здравствуй, мир! Γειά σου Κόσμε שלום עולם مرحبا بالعالم नमस्ते",
    "👩‍👩‍👧‍👦 🏳️‍🌈 e\u{0}e\u{7f}e\u{200b}e\u{feff}e\u{ad}",
    "I'm you'll WE'VE it'S 'd 'D ''s",
    "1 12 123 1234 12345 123456 1.5e-07 ٣٤٥ ५६",
    "\u{10ffff}\u{e000}\u{fffd}",
    "▁▁ ▁a <0x0A> <unk> <s></s>",
    "<|endoftext|><|im_start|>user\n<|im_end|> <|begin_of_text|>x<|eot_id|>[INST] [/INST]<｜begin▁of▁sentence｜>",
    "[SMILES]CC=O[/SMILES][CONFORMER][C]<0.0000,-0.1,2>[/CONFORMER]",
    "[C@@H]<-0.0001,0.0000,-10.0000>\\C=C\\%10.[Na+].[13CH3]<12.3456,-123.4567,0.1000>",
];
