//! The embedded tokenizers are lossless, and equal to what the `tokenizers` crate makes of the original files.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sha2::{Digest, Sha256};
use tplc::primitives::TokenId;
use tplc::tokenizer::{AddedTokens, TokenizerSource};

use crate::golden;
use crate::tokenizer_support::{
    BASES, UNICODE, assert_same, assert_same_decoding, chem_texts, embedded, enriched, ids, load, oracle,
    vectors,
};

/// SHA-256 of the canonical original (keys sorted, compact, UTF-8), computed in Python from the original files:
/// `tokenizers/README.md` has the command.
const CANONICAL: [(&str, &str); 7] = [
    ("qwen3", "91a5d4d92157b8d3cdb2599dca8ff445ecec6fdaeab57904c229ece438493bca"),
    ("llama-3.1", "bcee3bb5a4e26d11a0058a1780fafe33288deebddaaeb0e2a986a7883db69f52"),
    ("deepseek-v3", "78e1df6622e6a8657a1fb9597c24bd4388c27bc327ac191ea94f5a0d3bd17f29"),
    ("gpt-4o", "ed2f6aa1f38125134d5899f93b0d626f27f1f4a147f150c8203515bbe78cdef5"),
    ("gpt-2", "dc432e3d5c8385d637d940c5f63a7c2b4ecea75cb53af7c5f1f0459f0ea19fad"),
    ("phi-3", "80eaa9b524493a2aab9a7c1ca1c18d768e1fcac23b8cb0c151bf901b71f5c746"),
    ("mistral-tekken", "afd74bc4063503cf4461822d9c88b026205e79169a7d0ad9670ad2e3a24cca52"),
];

#[test]
fn tokenizer_embedded_is_the_original_value_for_value() {
    for (name, expected) in CANONICAL {
        // Compact and sorted: the canonical form.
        let mut json = embedded(name).tokenizer_json().unwrap();
        json.sort_all_objects();
        let hash: String =
            Sha256::digest(json.to_string().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, expected, "{name}");
    }
}

#[test]
fn tokenizer_packing_again_gives_the_same_bytes() {
    for name in ["gpt-2", "phi-3"] {
        let packed = tplc::tokenizer::pack(&embedded(name).tokenizer_json().unwrap()).unwrap();
        let path = format!("{}/tokenizers/{name}.tok.zst", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(packed, std::fs::read(path).unwrap(), "{name}");
    }
}

/// One test for each tokenizer, so that they run side by side.
macro_rules! equal_to_the_crate {
    ($($test:ident: $name:literal,)*) => {$(
        #[test]
        fn $test() {
            equal_to_the_crate($name);
        }
    )*};
}

equal_to_the_crate! {
    tokenizer_qwen3_equals_the_crate: "qwen3",
    tokenizer_llama_equals_the_crate: "llama-3.1",
    tokenizer_deepseek_equals_the_crate: "deepseek-v3",
    tokenizer_gpt_4o_equals_the_crate: "gpt-4o",
    tokenizer_gpt_2_equals_the_crate: "gpt-2",
    tokenizer_phi_3_equals_the_crate: "phi-3",
    tokenizer_tekken_equals_the_crate: "mistral-tekken",
}

fn equal_to_the_crate(name: &str) {
    let (ours, oracle) = (load(name), oracle(name));
    assert_eq!(ours.vocab_size(), oracle.get_vocab_size(true), "{name}");
    let texts = enriched();
    for text in texts.iter().chain(&chem_texts()).map(String::as_str).chain(UNICODE.iter().copied()) {
        assert_same(&ours, &oracle, text);
    }
    // One long text: a single word of 100 kB for a tokenizer that does not split.
    assert_same(&ours, &oracle, &texts.concat());

    let mut runner = TestRunner::new_with_rng(
        Config { cases: 128, failure_persistence: None, ..Config::default() },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    let bytes = bytes.prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let chemistry = "[\\[\\]<>(),.=#%/\\\\@+0-9A-Za-z \\-]{0,60}";
    let texts = prop_oneof![bytes, any::<String>(), chemistry];
    runner
        .run(&texts, |text| {
            assert_same(&ours, &oracle, &text);
            Ok(())
        })
        .unwrap();
    let ids = prop::collection::vec(0..oracle.get_vocab_size(true) as u32 + 50, 0..40);
    runner
        .run(&ids, |ids| {
            let ids: Vec<TokenId> = ids.into_iter().map(TokenId).collect();
            assert_same_decoding(&ours, &oracle, &ids);
            Ok(())
        })
        .unwrap();
}

#[test]
fn tokenizer_ids_equal_the_vectors_of_other_implementations() {
    for (name, file) in [("gpt-2", "gpt-2"), ("llama-3.1", "llama-3"), ("phi-3", "phi-3")] {
        let tokenizer = load(name);
        for vector in vectors(&format!("{file}.llamacpp")) {
            assert_eq!(
                ids(&tokenizer.encode(&vector.text).unwrap()),
                vector.ids,
                "{name}: {:?}",
                vector.text
            );
        }
    }
    let texts = chem_texts();
    for name in BASES {
        let tokenizer = load(name);
        let expected = vectors(&format!("{name}.chem"));
        assert_eq!(expected.len(), texts.len());
        for (text, vector) in texts.iter().zip(expected) {
            assert_eq!(ids(&tokenizer.encode(text).unwrap()), vector.ids, "{name}: {text:?}");
        }
    }
}

#[test]
fn tokenizer_batches_equal_single_texts() {
    let tokenizer = load("llama-3.1");
    let texts = enriched();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let single: Vec<_> = texts.iter().map(|text| tokenizer.encode(text).unwrap()).collect();
    assert_eq!(tokenizer.encode_batch(&texts).unwrap(), single);
}

#[test]
fn tokenizer_overlays_equal_the_crate() {
    for name in ["qwen3-conf", "llama3-chem"] {
        let ours = load(name);
        let overlay = embedded(name).overlay().unwrap().unwrap();
        let oracle = oracle(name);
        for text in enriched().iter().map(String::as_str).chain(UNICODE.iter().copied()) {
            assert_same(&ours, &oracle, text);
        }
        for token in &overlay.added_tokens {
            assert_eq!(ids(&ours.encode(&token.content).unwrap()), [token.id.unwrap()]);
        }
    }
}

#[test]
fn tokenizer_overlay_over_its_base_is_the_embedded_one() {
    for (base, name, rows) in [("qwen", "qwen3-conf", Some(151_936)), ("llama", "llama3-chem", None)] {
        let path = format!("{}/tokenizers/overlays/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let overlay = AddedTokens::read(path).unwrap();
        let overlaid = base.parse::<TokenizerSource>().unwrap().load(&[overlay]).unwrap();
        assert_eq!(overlaid.name(), format!("{}+{name}", embedded(base).name));
        assert_eq!(overlaid.fingerprint(), load(name).fingerprint());
        assert_eq!((overlaid.logits_width(), load(name).logits_width()), (rows, rows));
    }
    assert_eq!(load("qwen3").logits_width(), None);
}

#[test]
fn tokenizer_vocabulary_bytes_spell_the_text() {
    for name in BASES {
        let tokenizer = load(name);
        let vocabulary = tokenizer.vocabulary();
        assert_eq!(vocabulary.len(), tokenizer.vocab_size());
        for text in enriched().iter().take(40).map(String::as_str).chain(UNICODE.iter().copied()) {
            let ids = tokenizer.encode(text).unwrap().ids;
            let bytes: Vec<u8> = ids.iter().flat_map(|id| vocabulary.bytes(*id).unwrap()).copied().collect();
            // SentencePiece puts a space first, and also after each added token; NFC changes letters.
            let squeeze = |text: &str| text.replace([' ', '\u{2581}'], "");
            let (given, spelled) = (squeeze(text), squeeze(&String::from_utf8_lossy(&bytes)));
            if name != "qwen3" || text.is_ascii() {
                assert_eq!(spelled, given, "{name}: {text:?}");
            }
        }
    }
}

#[test]
fn tokenizer_registry() {
    let mut table = format!(
        "{:15} {:>7} {:>7} {:>6} {:8} {:12} {}\n",
        "name", "size", "max id", "added", "digits", "fingerprint", "licence"
    );
    for known in tplc::tokenizer::embedded() {
        let tokenizer = load(known.name);
        let vocabulary = tokenizer.vocabulary();
        let added = vocabulary.iter().filter(|(id, _)| vocabulary.is_added(*id)).count();
        table += &format!(
            "{:15} {:>7} {:>7} {added:>6} {:8} {:12} {}\n",
            known.name,
            tokenizer.vocab_size(),
            vocabulary.max_id().unwrap(),
            tokenizer.digit_handling().to_string(),
            tokenizer.fingerprint().short(),
            known.licence
        );
    }
    golden::check("tokenizer", "registry", table);
}

#[test]
fn tokenizer_names_and_aliases_are_distinct() {
    let mut names: Vec<&str> = tplc::tokenizer::embedded()
        .flat_map(|known| std::iter::once(&known.name).chain(known.aliases))
        .copied()
        .collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert_eq!(load("gpt2").name(), "gpt-2");
}
