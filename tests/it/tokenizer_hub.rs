//! Tokenizers from the hub, against a small server that answers as the hub does.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tplc::tokenizer::{HubConfig, Tokenizer, TokenizerError, TokenizerSource};

use crate::golden;
use crate::tokenizer_support::ids;

const TOKENIZER: &str = r#"{
    "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "decoder": null,
    "model": { "type": "BPE", "vocab": { "a": 0, "b": 1, "ab": 2 }, "merges": ["a b"] }
}"#;

/// What the server has: the commit of each revision, files by commit, and the token it asks for.
#[derive(Clone, Default)]
struct Repo {
    revisions: BTreeMap<&'static str, &'static str>,
    files: BTreeMap<(&'static str, &'static str), String>,
    token: Option<&'static str>,
}

/// A hub with one repository, `org/model`. It stops with the test's process.
struct Hub {
    endpoint: String,
    /// `FILE@REVISION` of each request, in order.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn serve(repo: Repo) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &repo, &log);
            }
        });
        Self { endpoint, asked }
    }

    /// The requests since the last call.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn config(&self, home: &TempDir) -> HubConfig {
        HubConfig {
            endpoint: self.endpoint.clone(),
            cache: Some(home.path().join("hub")),
            ..HubConfig::default()
        }
    }
}

/// Answers one request and closes.
fn answer(mut stream: TcpStream, repo: &Repo, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
    let request = lines.next().unwrap_or_default();
    let headers: BTreeMap<String, String> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (revision, file) =
        path.strip_prefix("/org/model/resolve/").and_then(|rest| rest.split_once('/')).unwrap();
    log.lock().unwrap().push(format!("{file}@{revision}"));

    let commit = repo
        .revisions
        .get(revision)
        .copied()
        .or_else(|| repo.revisions.values().copied().find(|c| *c == revision));
    let content = commit.and_then(|commit| repo.files.iter().find(|((c, f), _)| *c == commit && *f == file));
    let welcome =
        repo.token.is_none_or(|token| headers.get("authorization") == Some(&format!("Bearer {token}")));
    let reply = match content {
        _ if !welcome => {
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
        }
        None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
        Some(((commit, file), text)) => {
            let range = headers["range"].strip_prefix("bytes=").unwrap();
            let (first, last) = range.split_once('-').unwrap();
            let first: usize = first.parse().unwrap();
            let end = last.parse().map_or(text.len(), |last: usize| last + 1);
            format!(
                "HTTP/1.1 206 Partial Content\r\nETag: \"{commit}-{file}\"\r\nX-Repo-Commit: {commit}\r\n\
                 Content-Range: bytes {first}-{}/{}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
                end - 1,
                text.len(),
                end - first,
                &text[first..end]
            )
        }
    };
    stream.write_all(reply.as_bytes()).unwrap();
}

fn repo() -> Repo {
    let added = r#"{ "added_tokens_decoder": { "3": { "content": "<x>", "special": true } } }"#;
    Repo {
        revisions: BTreeMap::from([("main", "c1"), ("v2", "c2")]),
        files: BTreeMap::from([
            (("c1", "tokenizer.json"), TOKENIZER.to_owned()),
            (("c1", "tokenizer_config.json"), added.to_owned()),
            (("c1", "config.json"), r#"{ "vocab_size": 64 }"#.to_owned()),
            (("c2", "tokenizer.json"), TOKENIZER.replace("\"a b\"", "")),
        ]),
        token: None,
    }
}

fn load(source: &str, config: &HubConfig) -> Result<Tokenizer, TokenizerError> {
    source.parse::<TokenizerSource>()?.load_with(&[], config)
}

#[test]
fn tokenizer_hub_files_are_asked_for_once() {
    let (hub, home) = (Hub::serve(repo()), TempDir::new().unwrap());
    let config = hub.config(&home);
    let tokenizer = load("hf:org/model", &config).unwrap();
    assert_eq!(tokenizer.name(), "org/model");
    assert_eq!(tokenizer.origin(), "hf:org/model");
    assert_eq!(ids(&tokenizer.encode("ab<x>").unwrap()), [2, 3]);
    assert_eq!(tokenizer.logits_width(), Some(64));
    // Each file is asked for twice: what it is, then its bytes. The optional ones are of the same commit.
    assert_eq!(
        hub.asked(),
        [
            "tokenizer.json@main",
            "tokenizer.json@main",
            "tokenizer_config.json@c1",
            "tokenizer_config.json@c1",
            "added_tokens.json@c1",
            "config.json@c1",
            "config.json@c1"
        ]
    );
    let again = load("hf:org/model", &config).unwrap();
    assert_eq!(again.fingerprint(), tokenizer.fingerprint());
    assert_eq!(hub.asked(), [""; 0]);
}

#[test]
fn tokenizer_hub_revisions() {
    let (hub, home) = (Hub::serve(repo()), TempDir::new().unwrap());
    let config = hub.config(&home);
    let encode = |source: &str| ids(&load(source, &config).unwrap().encode("ab").unwrap());
    assert_eq!(encode("hf:org/model@v2"), [0, 1]);
    assert_eq!(encode("hf:org/model"), [2]);
    hub.asked();
    // The commit itself is known by now.
    assert_eq!(encode("hf:org/model@c2"), [0, 1]);
    assert_eq!(hub.asked(), [""; 0]);
}

#[test]
fn tokenizer_hub_offline_uses_the_cache_alone() {
    let (hub, home) = (Hub::serve(repo()), TempDir::new().unwrap());
    let online = hub.config(&home);
    let offline = HubConfig { offline: true, ..online.clone() };
    let error = load("hf:org/model", &offline).unwrap_err();
    assert!(error.to_string().contains("not in the cache"), "{error}");
    assert_eq!(hub.asked(), [""; 0]);
    load("hf:org/model", &online).unwrap();
    hub.asked();
    assert_eq!(ids(&load("hf:org/model", &offline).unwrap().encode("ab<x>").unwrap()), [2, 3]);
    assert_eq!(hub.asked(), [""; 0]);
}

/// A model comes with its weights: one file, or the shards that an index names, of the commit that its tokenizer is of.
#[test]
fn tokenizer_hub_models_come_with_their_weights() {
    let index = |file: &str| format!(r#"{{ "weight_map": {{ "a": "one.safetensors", "b": "{file}" }} }}"#);
    let mut files = repo();
    files.files.extend([
        (("c1", "model.safetensors.index.json"), index("two.safetensors")),
        (("c1", "one.safetensors"), "first".to_owned()),
        (("c1", "two.safetensors"), "second".to_owned()),
        (("c2", "model.safetensors"), "all".to_owned()),
    ]);
    let fetch = |source: &str, config: &HubConfig| -> Result<PathBuf, TokenizerError> {
        source.parse::<TokenizerSource>()?.model_folder(config).map(Option::unwrap)
    };
    let (hub, home) = (Hub::serve(files.clone()), TempDir::new().unwrap());
    let config = hub.config(&home);
    let folder = fetch("hf:org/model", &config).unwrap();
    let read = |folder: &std::path::Path, file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    assert_eq!(
        (read(&folder, "one.safetensors"), read(&folder, "two.safetensors")),
        ("first".into(), "second".into())
    );
    let folder = fetch("hf:org/model@v2", &config).unwrap();
    assert_eq!(read(&folder, "model.safetensors"), "all");
    hub.asked();
    // Nothing is asked for again, and nothing is needed.
    let offline = HubConfig { offline: true, ..config.clone() };
    for config in [&config, &offline] {
        assert!(fetch("hf:org/model", config).is_ok() && fetch("hf:org/model@v2", config).is_ok());
    }
    assert_eq!(hub.asked(), [""; 0]);

    let fault = |files: Repo| {
        let (hub, home) = (Hub::serve(files), TempDir::new().unwrap());
        fetch("hf:org/model", &hub.config(&home)).unwrap_err().to_string()
    };
    let without = fault(repo());
    assert!(without.contains("model.safetensors") && without.contains("404"), "{without}");
    files.files.insert(("c1", "model.safetensors.index.json"), index("../two.safetensors"));
    assert!(fault(files.clone()).contains("no file of the repository"), "{}", fault(files));
    let embedded = "qwen3".parse::<TokenizerSource>().unwrap();
    assert_eq!(embedded.model_folder(&config).unwrap(), None);
}

#[test]
fn tokenizer_hub_sends_the_token() {
    let (hub, home) = (Hub::serve(Repo { token: Some("secret"), ..repo() }), TempDir::new().unwrap());
    let config = HubConfig { token: Some("secret".to_owned()), ..hub.config(&home) };
    assert!(load("hf:org/model", &config).is_ok());
}

#[test]
fn tokenizer_hub_errors() {
    let (open, home) = (Hub::serve(repo()), TempDir::new().unwrap());
    let gated = Hub::serve(Repo { token: Some("secret"), ..repo() });
    let config =
        |hub: &Hub, token: Option<&str>| HubConfig { token: token.map(str::to_owned), ..hub.config(&home) };
    let offline = HubConfig { offline: true, ..open.config(&home) };
    let homeless = HubConfig { cache: None, ..open.config(&home) };
    let cases = [
        ("no such revision", "hf:org/model@v9", config(&open, None)),
        ("without a token", "hf:org/model", config(&gated, None)),
        ("with a wrong token", "hf:org/model", config(&gated, Some("guess"))),
        ("offline", "hf:org/model", offline),
        ("without a home", "hf:org/model", homeless),
    ];
    let lines: Vec<String> = cases
        .iter()
        .map(|(case, source, config)| format!("{case}: {}", load(source, config).unwrap_err()))
        .collect();
    assert!(lines.iter().all(|line| !line.contains("guess")), "a token must not be printed");
    golden::check("tokenizer", "hub_errors", lines.join("\n"));

    // What the system says of a closed port differs, so only our part is compared.
    let closed = HubConfig { endpoint: "http://127.0.0.1:1".to_owned(), ..open.config(&home) };
    let error = load("hf:org/model", &closed).unwrap_err().to_string();
    assert!(error.contains("request error") && error.contains("check the network, HF_ENDPOINT"), "{error}");
}
