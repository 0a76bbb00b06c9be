//! Tokenizers from files and folders, overlays, and the pitfalls of each.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use tplc::primitives::TokenId;
use tplc::tokenizer::{AddedTokens, DigitHandling, HubConfig, Tokenizer, TokenizerError};

use crate::golden;
use crate::tokenizer_support::{UNICODE, assert_same, embedded, enriched, ids, load, try_load};

/// A byte pair tokenizer of a few letters, with `merges` in either form.
fn letters() -> Value {
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": { "type": "Fuse" },
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": { "a": 0, "b": 1, "c": 2, "ab": 3, "abc": 7 },
            "merges": ["a b", "ab c"]
        }
    })
}

fn added(id: u32, content: &str) -> Value {
    json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": false })
}

/// Writes `tokenizer.json` and other files into a folder.
fn folder(files: &[(&str, &Value)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, value) in files {
        fs::write(folder.path().join(name), value.to_string()).unwrap();
    }
    folder
}

fn path(folder: &TempDir, file: &str) -> String {
    folder.path().join(file).to_str().unwrap().to_owned()
}

fn overlay(name: &str) -> AddedTokens {
    let overlays = Path::new(env!("CARGO_MANIFEST_DIR")).join("tokenizers/overlays");
    AddedTokens::read(overlays.join(format!("{name}.json"))).unwrap()
}

/// An error's text, without the temporary folder.
fn message(error: &TokenizerError, folder: &TempDir) -> String {
    error.to_string().replace(folder.path().to_str().unwrap(), "[TMP]").replace('\\', "/")
}

/// One test for each tokenizer, so that they run side by side.
macro_rules! file_equals_embedded {
    ($($test:ident: $name:literal,)*) => {$(
        #[test]
        fn $test() {
            file_equals_embedded($name);
        }
    )*};
}

file_equals_embedded! {
    tokenizer_file_of_qwen3_equals_the_embedded_one: "qwen3",
    tokenizer_file_of_llama_equals_the_embedded_one: "llama-3.1",
    tokenizer_file_of_deepseek_equals_the_embedded_one: "deepseek-v3",
    tokenizer_file_of_gpt_4o_equals_the_embedded_one: "gpt-4o",
    tokenizer_file_of_gpt_2_equals_the_embedded_one: "gpt-2",
    tokenizer_file_of_phi_3_equals_the_embedded_one: "phi-3",
    tokenizer_file_of_tekken_equals_the_embedded_one: "mistral-tekken",
}

fn file_equals_embedded(name: &str) {
    let json = embedded(name).tokenizer_json().unwrap();
    let folder = folder(&[("copy.json", &json)]);
    let (file, embedded) = (load(&path(&folder, "copy.json")), load(name));
    assert_eq!(file.name(), "copy");
    assert_eq!(file.fingerprint(), embedded.fingerprint());
    assert_eq!(file.vocab_size(), embedded.vocab_size());
    for text in enriched().iter().take(5).map(String::as_str).chain(UNICODE.iter().copied()) {
        assert_eq!(file.encode(text).unwrap(), embedded.encode(text).unwrap(), "{text:?}");
    }
    let (ours, theirs) = (embedded.vocabulary(), file.vocabulary());
    assert!(ours.iter().eq(theirs.iter()));
    assert!(ours.iter().all(|(id, _)| ours.is_special(id) == theirs.is_special(id)));
}

#[test]
fn tokenizer_fingerprint_is_of_the_content_alone() {
    let fingerprint = |json: &Value, pretty: bool| {
        let folder = TempDir::new().unwrap();
        let text = if pretty { format!("{json:#}") } else { json.to_string() };
        fs::write(folder.path().join("tokenizer.json"), text).unwrap();
        load(&path(&folder, "tokenizer.json")).fingerprint()
    };
    let original = letters();
    let expected = fingerprint(&original, false);
    assert_eq!(fingerprint(&original, true), expected);

    let mut pairs = original.clone();
    pairs["model"]["merges"] = json!([["a", "b"], ["ab", "c"]]);
    pairs["model"]["continuing_subword_prefix"] = json!("");
    pairs["model"].as_object_mut().unwrap().remove("ignore_merges");
    assert_eq!(fingerprint(&pairs, false), expected);
    // What only surrounds the text does not count.
    pairs["truncation"] =
        json!({ "max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right" });
    assert_eq!(fingerprint(&pairs, false), expected);

    let changes: [(&str, Value); 7] = [
        ("/model/end_of_word_suffix", json!("</w>")),
        ("/model/vocab", json!({ "a": 0, "b": 1, "c": 2, "ab": 3, "abc": 8 })),
        ("/model/merges", json!(["ab c", "a b"])),
        ("/model/ignore_merges", json!(true)),
        ("/added_tokens", json!([added(9, "x")])),
        ("/normalizer", json!({ "type": "NFC" })),
        ("/pre_tokenizer", json!({ "type": "Whitespace" })),
    ];
    for (pointer, value) in changes {
        let mut changed = original.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        assert_ne!(fingerprint(&changed, false), expected, "{pointer}");
    }
}

#[test]
fn tokenizer_declared_ids_hold_where_the_crate_would_number_anew() {
    let mut json = letters();
    json["added_tokens"] = json!([added(20, "<x>"), added(5, "<y>"), added(3, "ab")]);
    let oracle: tokenizers::Tokenizer = json.to_string().parse().unwrap();
    assert_eq!(oracle.encode("<x><y>", false).unwrap().get_ids(), [5, 6], "the crate numbers by itself");
    let folder = folder(&[("tokenizer.json", &json)]);
    let ours = load(&path(&folder, "tokenizer.json"));
    assert_eq!(ids(&ours.encode("a<x>abc<y>b").unwrap()), [0, 20, 3, 2, 5, 1]);
    assert_eq!(ours.decode(&[TokenId(20), TokenId(5), TokenId(7)], true).unwrap(), "<x><y>abc");
    assert_eq!((ours.vocab_size(), ours.vocabulary().max_id()), (7, Some(TokenId(20))));
    assert_eq!(ours.token(TokenId(20)).as_deref(), Some("<x>"));
    assert_eq!(ours.token(TokenId(6)), None);
    assert!(ours.is_added(TokenId(3)) && !ours.is_added(TokenId(0)) && !ours.is_special(TokenId(20)));
}

#[test]
fn tokenizer_ids_are_not_dense_in_gpt_4o() {
    let tokenizer = load("gpt-4o");
    assert_eq!((tokenizer.vocab_size(), tokenizer.vocabulary().max_id()), (200_000, Some(TokenId(200_018))));
    assert_eq!(ids(&tokenizer.encode("<|endofprompt|>").unwrap()), [200_018]);
    assert_eq!(tokenizer.vocabulary().bytes(TokenId(200_000)), None);
    assert!(tokenizer.is_special(TokenId(200_018)));
}

#[test]
fn tokenizer_ignore_merges_takes_whole_words() {
    let mut json = letters();
    json["model"]["merges"] = json!([["a", "b"]]);
    let encode = |json: &Value| {
        let folder = folder(&[("tokenizer.json", json)]);
        ids(&load(&path(&folder, "tokenizer.json")).encode("abc").unwrap())
    };
    assert_eq!(encode(&json), [3, 2]);
    json["model"]["ignore_merges"] = json!(true);
    assert_eq!(encode(&json), [7]);
}

#[test]
fn tokenizer_encode_adds_and_cuts_nothing() {
    // Both have a post-processor that puts BOS first.
    assert_eq!(load("llama-3.1").encode("a").unwrap().ids.len(), 1);
    assert_eq!(load("phi-3").encode("").unwrap().ids, []);
    let mut json = letters();
    json["truncation"] =
        json!({ "max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right" });
    json["padding"] = json!({ "strategy": { "Fixed": 9 }, "direction": "Right", "pad_to_multiple_of": null,
                              "pad_id": 0, "pad_type_id": 0, "pad_token": "a" });
    let folder = folder(&[("tokenizer.json", &json)]);
    assert_eq!(load(&path(&folder, "tokenizer.json")).encode("cccc").unwrap().ids.len(), 4);
}

#[test]
fn tokenizer_prepended_space_spans_the_character_after_it() {
    let tokenizer = load("phi-3");
    let pieces = |text: &str| {
        let encoding = tokenizer.encode(text).unwrap();
        let pieces = encoding.ids.iter().zip(&encoding.spans);
        pieces.map(|(id, span)| (tokenizer.token(*id).unwrap(), span.of(text).to_owned())).collect::<Vec<_>>()
    };
    let expected = |pieces: &[(&str, &str)]| {
        pieces.iter().map(|(token, text)| ((*token).to_owned(), (*text).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(pieces("<0"), expected(&[(" <", "<"), ("0", "0")]));
    assert_eq!(pieces("0."), expected(&[(" ", "0"), ("0", "0"), (".", ".")]));
}

#[test]
fn tokenizer_folder_adds_what_tokenizer_json_lacks() {
    let mut json = letters();
    json["added_tokens"] = json!([added(10, "<x>")]);
    let mut config = json!({ "added_tokens_decoder": { "10": added(10, "<x>"), "12": added(12, "<z>") } });
    config["added_tokens_decoder"]["12"].as_object_mut().unwrap().remove("id");
    config["added_tokens_decoder"]["12"]["special"] = json!(true);
    let folder = folder(&[
        ("tokenizer.json", &json),
        ("tokenizer_config.json", &config),
        ("added_tokens.json", &json!({ "<x>": 10, "<old>": 11 })),
        ("config.json", &json!({ "text_config": { "vocab_size": 16 } })),
    ]);
    let tokenizer = load(folder.path().to_str().unwrap());
    assert_eq!(ids(&tokenizer.encode("<x><old><z>").unwrap()), [10, 11, 12]);
    assert!(tokenizer.is_special(TokenId(12)) && !tokenizer.is_special(TokenId(11)));
    assert_eq!(tokenizer.logits_width(), Some(16));
    assert_eq!(tokenizer.name(), folder.path().file_name().unwrap().to_str().unwrap());
    // The file alone knows nothing of its neighbours.
    assert_eq!(load(&path(&folder, "tokenizer.json")).vocab_size(), 6);
    // An embedding with fewer rows than ids is no width.
    fs::write(folder.path().join("config.json"), r#"{ "vocab_size": 12 }"#).unwrap();
    assert_eq!(load(folder.path().to_str().unwrap()).logits_width(), None);
}

#[test]
fn tokenizer_overlay_that_cuts_numbers_anew_is_seen() {
    let base = load("qwen3");
    let binned = try_load("qwen3", &[overlay("qwen3-conf-binned")]).unwrap();
    assert_eq!((base.digit_handling(), binned.digit_handling()), (DigitHandling::One, DigitHandling::Free));
    let changed = binned.changed_numbers();
    let lines = changed.iter().map(|number| {
        format!("{:10} {} -> {}\n", number.text, number.before.join("|"), number.after.join("|"))
    });
    golden::check("tokenizer", "changed_numbers", lines.collect::<String>());
    for plain in tplc::tokenizer::embedded() {
        assert_eq!(load(plain.name).changed_numbers(), [], "{}", plain.name);
    }
    // A tokenizer.json that declares them is told as an overlay is.
    let mut json = letters();
    let digits = "0123456789.-".chars().zip(10..).map(|(digit, id)| (digit.to_string(), id.into()));
    json["model"]["vocab"].as_object_mut().unwrap().extend(digits);
    json["added_tokens"] = json!([added(30, "12"), added(10, "0")]);
    let folder = folder(&[("tokenizer.json", &json)]);
    let changed = load(folder.path().to_str().unwrap()).changed_numbers();
    assert_eq!(changed[0].text, "2.1234");
    assert_eq!(changed[0].before, ["2", ".", "1", "2", "3", "4"].map(str::to_owned));
    let own = changed.iter().find(|number| number.text == "12.3456").unwrap();
    assert_eq!(own.after, ["12", ".", "3", "4", "5", "6"].map(str::to_owned));
}

#[test]
fn tokenizer_overlays_are_ron_or_json() {
    let ron = r#"(name: "tags", embedding_rows: 32, added_tokens: [(content: "<t>", id: 30, special: true), (content: "<u>")])"#;
    let tags = AddedTokens::parse(ron, "tags.ron").unwrap();
    let json = serde_json::to_string(&tags).unwrap();
    assert_eq!(AddedTokens::parse(&json, "tags.json").unwrap(), tags);
    let folder = folder(&[("letters.json", &letters())]);
    let tokenizer = try_load(&path(&folder, "letters.json"), std::slice::from_ref(&tags)).unwrap();
    assert_eq!(tokenizer.name(), "letters+tags");
    assert_eq!(ids(&tokenizer.encode("<u><t>").unwrap()), [31, 30]);
    assert_eq!(tokenizer.logits_width(), Some(32));
}

#[test]
fn tokenizer_other_models_work_too() {
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [added(4, "<x>")],
        "normalizer": null, "pre_tokenizer": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true },
        "post_processor": null, "decoder": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true },
        "model": { "type": "Unigram", "unk_id": 0, "byte_fallback": false,
                   "vocab": [["<unk>", 0.0], ["▁", -1.0], ["C", -2.0], ["▁C", -1.5]] }
    });
    let folder = folder(&[("tokenizer.json", &json)]);
    let ours = load(&path(&folder, "tokenizer.json"));
    let oracle: tokenizers::Tokenizer = json.to_string().parse().unwrap();
    for text in ["C C<x>C", "CO", ""] {
        assert_same(&ours, &oracle, text);
    }
    assert_eq!(ours.token(TokenId(3)).as_deref(), Some(" C"));
    assert_ne!(ours.fingerprint(), load("gpt-2").fingerprint());
}

#[test]
fn tokenizer_bpe_with_a_suffix_is_left_to_the_crate() {
    let mut json = letters();
    json["pre_tokenizer"] = json!({ "type": "Whitespace" });
    json["model"]["end_of_word_suffix"] = json!("</w>");
    json["model"]["vocab"] = json!({ "a": 0, "b": 1, "b</w>": 2, "ab</w>": 3 });
    json["model"]["merges"] = json!(["a b</w>"]);
    let folder = folder(&[("tokenizer.json", &json)]);
    let ours = load(&path(&folder, "tokenizer.json"));
    let oracle: tokenizers::Tokenizer = json.to_string().parse().unwrap();
    assert_eq!(ids(&ours.encode("ab aab").unwrap()), [3, 0, 3]);
    assert_same(&ours, &oracle, "ab aab bab");
}

#[test]
fn tokenizer_errors_say_what_and_where() {
    let mut clash = letters();
    clash["added_tokens"] = json!([added(7, "<x>")]);
    let mut moved = letters();
    moved["added_tokens"] = json!([added(9, "abc")]);
    let mut twice = letters();
    twice["added_tokens"] = json!([added(9, "<x>"), added(9, "<y>")]);
    let mut newer = letters();
    newer["version"] = json!("2.0");
    let folder = folder(&[
        ("clash.json", &clash),
        ("moved.json", &moved),
        ("twice.json", &twice),
        ("newer.json", &newer),
        ("list.json", &json!([1, 2])),
        ("empty.json", &json!({})),
    ]);
    let at = |file: &str| path(&folder, file);
    let tags = |text: &str| AddedTokens::parse(text, "tags.ron").map(|_| ()).unwrap_err();
    let failed = |source: &str| try_load(source, &[]).unwrap_err();
    let errors = [
        failed("qwn3"),
        failed("Llama-3"),
        failed("entirely-else"),
        failed("hf:"),
        failed(&at("missing.json")),
        failed(folder.path().to_str().unwrap()),
        failed(&at("list.json")),
        failed(&at("empty.json")),
        failed(&at("newer.json")),
        failed(&at("clash.json")),
        failed(&at("moved.json")),
        failed(&at("twice.json")),
        try_load("llama", &[overlay("qwen3-conf")]).unwrap_err(),
        try_load("qwen3-conf", &[overlay("qwen3-conf-binned")]).unwrap_err(),
        tags("(name: \"x\")"),
        tags("{\"name\": \"x\", \"tokens\": []}"),
    ];
    let lines: Vec<String> = errors.iter().map(|error| message(error, &folder)).collect();
    golden::check("tokenizer", "errors", lines.join("\n"));
}

#[test]
fn tokenizer_hub_settings_come_from_the_environment() {
    let config = |vars: &[(&str, &str)]| {
        HubConfig::from_vars(|name| {
            let value = vars.iter().find(|(known, _)| *known == name);
            value.map(|(_, value)| (*value).to_owned())
        })
    };
    assert_eq!(config(&[]), HubConfig::default());
    let full = config(&[
        ("HF_HOME", "/somewhere"),
        ("HF_TOKEN", " secret\n"),
        ("HF_ENDPOINT", "https://mirror.example/"),
        ("HF_HUB_OFFLINE", "1"),
    ]);
    assert_eq!(full.endpoint, "https://mirror.example");
    assert_eq!((full.cache, full.token), (Some("/somewhere/hub".into()), Some("secret".to_owned())));
    assert!(full.offline);
    let home = TempDir::new().unwrap();
    let hf_home = home.path().join(".cache/huggingface");
    fs::create_dir_all(&hf_home).unwrap();
    fs::write(hf_home.join("token"), "saved\n").unwrap();
    let saved = config(&[("HOME", home.path().to_str().unwrap()), ("HF_HUB_OFFLINE", "0"), ("HF_TOKEN", "")]);
    assert_eq!(
        (saved.cache, saved.token, saved.offline),
        (Some(hf_home.join("hub")), Some("saved".to_owned()), false)
    );
}

#[cfg(not(feature = "hub"))]
#[test]
fn tokenizer_hub_that_is_not_built_says_how_to_get_it() {
    let error = try_load("hf:Qwen/Qwen3-0.6B", &[]).unwrap_err();
    golden::check("tokenizer", "hub_not_built", error.to_string());
}

/// The text of a `tokenizer.json` gives what the file gives, and what else is known of the model is told with it.
#[test]
fn text_that_is_at_hand_is_as_good_as_a_file() {
    let mut json = letters();
    json["added_tokens"] = json!([added(8, "<end>")]);
    let folder = folder(&[("tokenizer.json", &json)]);
    let file = load(&path(&folder, "tokenizer.json"));
    let text = json.to_string();
    let given = Tokenizer::from_json(&text, "letters", Some("<end>".to_owned()), Some(16)).unwrap();
    assert_eq!(given.fingerprint(), file.fingerprint());
    assert_eq!((given.name(), given.eos(), given.logits_width()), ("letters", Some(TokenId(8)), Some(16)));
    assert_eq!((file.eos(), file.logits_width()), (None, None));
    assert!(Tokenizer::from_json("{}", "nothing", None, None).is_err());
}
