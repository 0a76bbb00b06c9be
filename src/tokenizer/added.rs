//! Added tokens: those a tokenizer.json declares, and those a file lays over a tokenizer.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::TokenizerError;
use super::folder::read_text;

/// One added token: matched in the text before the model's own pieces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedToken {
    /// Its id; without one, the first id after the vocabulary that is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// Its text.
    pub content: String,
    /// Whether it matches only where no word character is next to it.
    #[serde(default)]
    pub single_word: bool,
    /// Whether it takes the white space on its left.
    #[serde(default)]
    pub lstrip: bool,
    /// Whether it takes the white space on its right.
    #[serde(default)]
    pub rstrip: bool,
    /// Whether it is matched in the normalized text; if not said, a special token is not and any other is.
    #[serde(default)]
    pub normalized: Option<bool>,
    /// Whether decoding may skip it.
    #[serde(default)]
    pub special: bool,
}

impl AddedToken {
    /// An ordinary added token of this text and id.
    #[must_use]
    pub fn new(content: impl Into<String>, id: Option<u32>) -> Self {
        Self {
            id,
            content: content.into(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: None,
            special: false,
        }
    }

    /// Whether it is matched in the normalized text.
    #[must_use]
    pub fn normalized(&self) -> bool {
        self.normalized.unwrap_or(!self.special)
    }
}

/// A file of added tokens to lay over a tokenizer, in RON or JSON.
///
/// ```
/// use tplc::tokenizer::AddedTokens;
/// let ron = r#"(name: "tags", added_tokens: [(content: "[SMILES]", id: 151669)])"#;
/// assert_eq!(AddedTokens::parse(ron, "tags.ron").unwrap().added_tokens.len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddedTokens {
    /// What the tokens are called: becomes part of the tokenizer's name.
    pub name: String,
    /// The embedded tokenizer they are made for. Over any other embedded one they are refused.
    #[serde(default)]
    pub base: Option<String>,
    /// Rows of the model's embedding, which may be more than there are ids.
    #[serde(default)]
    pub embedding_rows: Option<u32>,
    /// The tokens.
    pub added_tokens: Vec<AddedToken>,
}

impl AddedTokens {
    /// Reads an overlay: JSON where it starts like a JSON object, else RON. `origin` is named in errors.
    ///
    /// # Errors
    /// [`TokenizerError::Invalid`] with the place, if it is neither.
    pub fn parse(text: &str, origin: &str) -> Result<Self, TokenizerError> {
        let invalid = |reason: String| TokenizerError::Invalid {
            origin: origin.to_owned(),
            what: "file of added tokens (RON or JSON)",
            reason,
        };
        if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| invalid(error.to_string()))
        } else {
            let ron =
                ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
            ron.from_str(text).map_err(|error| invalid(error.to_string()))
        }
    }

    /// Reads an overlay from a file.
    ///
    /// # Errors
    /// [`TokenizerError::Read`] or [`TokenizerError::Invalid`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let path = path.as_ref();
        Self::parse(&read_text(path)?, &path.display().to_string())
    }
}
