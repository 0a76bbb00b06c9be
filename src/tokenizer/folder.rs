//! Tokenizers from files: a `tokenizer.json`, and what a model folder says beside it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::TokenizerError;
use super::added::AddedToken;
use super::hf::Parts;

/// The file names a model folder may have.
pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
pub(super) const ADDED_TOKENS: &str = "added_tokens.json";
pub(super) const CONFIG: &str = "config.json";

/// Reads a tokenizer.json.
pub(super) fn read_file(path: &Path) -> Result<Parts, TokenizerError> {
    let json =
        std::fs::read(path).map_err(|source| TokenizerError::Read { path: path.to_owned(), source })?;
    parse(&json, &path.display().to_string())
}

/// Reads the text of a tokenizer.json; `origin` is named in errors.
pub(super) fn parse(json: &[u8], origin: &str) -> Result<Parts, TokenizerError> {
    Parts::from_json(json).map_err(|reason| TokenizerError::Invalid {
        origin: origin.to_owned(),
        what: TOKENIZER,
        reason,
    })
}

/// What a source tells of the model beside its tokenizer.
#[derive(Clone, Debug, Default)]
pub(super) struct ModelFacts {
    /// Rows of the embedding.
    pub(super) rows: Option<u32>,
    /// The text of the end-of-sequence token.
    pub(super) eos: Option<String>,
}

/// Reads a model folder: its tokenizer, the rows of the model's embedding where `config.json` names them, and the
/// end-of-sequence token where `tokenizer_config.json` does.
pub(super) fn read_folder(folder: &Path) -> Result<(Parts, ModelFacts), TokenizerError> {
    if !folder.join(TOKENIZER).is_file() {
        return Err(TokenizerError::NoTokenizerJson { folder: folder.to_owned() });
    }
    let mut parts = read_file(&folder.join(TOKENIZER))?;
    let config: Option<TokenizerConfig> = read_json(&folder.join(TOKENIZER_CONFIG), TOKENIZER_CONFIG)?;
    let TokenizerConfig { added_tokens_decoder: declared, eos_token } = config.unwrap_or_default();
    let declared = declared.into_iter().map(|(id, token)| AddedToken { id: Some(id), ..token });
    add_missing(&mut parts, declared);
    let older: Option<BTreeMap<String, u32>> = read_json(&folder.join(ADDED_TOKENS), ADDED_TOKENS)?;
    let older = older.unwrap_or_default().into_iter();
    add_missing(&mut parts, older.map(|(content, id)| AddedToken::new(content, Some(id))));
    let config: Option<ModelConfig> = read_json(&folder.join(CONFIG), CONFIG)?;
    let eos = eos_token.map(|eos| match eos {
        EosToken::Text(content) | EosToken::Token { content } => content,
    });
    Ok((parts, ModelFacts { rows: config.and_then(ModelConfig::rows), eos }))
}

/// Adds the tokens that `parts` does not declare with the same text and id. Declared with another id, they are
/// added too, so that loading fails and says so.
fn add_missing(parts: &mut Parts, tokens: impl Iterator<Item = AddedToken>) {
    for token in tokens {
        if !parts.added_tokens.iter().any(|known| known.content == token.content && known.id == token.id) {
            parts.added_tokens.push(token);
        }
    }
}

#[derive(Default, Deserialize)]
struct TokenizerConfig {
    #[serde(default)]
    added_tokens_decoder: BTreeMap<u32, AddedToken>,
    #[serde(default)]
    eos_token: Option<EosToken>,
}

/// Older files give the token with its flags.
#[derive(Deserialize)]
#[serde(untagged)]
enum EosToken {
    Text(String),
    Token { content: String },
}

/// The embedding's size: on top, or one level down in models that also read images.
#[derive(Deserialize)]
struct ModelConfig {
    vocab_size: Option<u32>,
    text_config: Option<Box<ModelConfig>>,
}

impl ModelConfig {
    fn rows(self) -> Option<u32> {
        self.vocab_size.or_else(|| self.text_config.and_then(|text| text.rows()))
    }
}

/// Reads a JSON file; `None` where there is none.
fn read_json<T: DeserializeOwned>(path: &Path, what: &'static str) -> Result<Option<T>, TokenizerError> {
    if !path.is_file() {
        return Ok(None);
    }
    serde_json::from_str(&read_text(path)?).map(Some).map_err(|error| TokenizerError::Invalid {
        origin: path.display().to_string(),
        what,
        reason: error.to_string(),
    })
}

/// Reads a text file.
pub(super) fn read_text(path: &Path) -> Result<String, TokenizerError> {
    std::fs::read_to_string(path).map_err(|source| TokenizerError::Read { path: path.to_owned(), source })
}
