//! The tokenizers that are compiled in. Where they come from is told in `tokenizers/README.md`.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::added::AddedTokens;
use super::hf::Parts;
use super::packed::{Packed, unpack};
use super::{TokenizerError, TokenizerSource};

/// A tokenizer that is compiled in.
#[derive(PartialEq, Eq)]
pub struct EmbeddedTokenizer {
    /// Its name.
    pub name: &'static str,
    /// Other names it answers to.
    pub aliases: &'static [&'static str],
    /// The model family.
    pub family: &'static str,
    /// The licence of its data.
    pub licence: &'static str,
    /// Where it comes from.
    pub origin: &'static str,
    /// The token that its model ends a sequence with.
    pub eos: &'static str,
    /// The packed form.
    packed: &'static [u8],
    /// Added tokens to lay over it.
    overlay: Option<&'static str>,
}

/// What `tplc tokenizers` tells of one, measured by loading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenizerEntry {
    /// Its name.
    pub name: &'static str,
    /// Other names it answers to.
    pub aliases: &'static [&'static str],
    /// The model family.
    pub family: &'static str,
    /// The number of tokens.
    pub vocabulary: usize,
    /// How numbers are cut.
    pub digits: String,
    /// The licence of its data.
    pub licence: &'static str,
    /// Where it comes from.
    pub origin: &'static str,
    /// The content hash.
    pub fingerprint: String,
}

/// The packed form of a tokenizer.
macro_rules! packed {
    ($name:literal) => {
        include_bytes!(concat!("../../tokenizers/", $name, ".tok.zst"))
    };
}

/// An overlay file.
macro_rules! overlay {
    ($name:literal) => {
        Some(include_str!(concat!("../../tokenizers/overlays/", $name, ".json")))
    };
}

static EMBEDDED: &[EmbeddedTokenizer] = &[
    EmbeddedTokenizer {
        name: "qwen3",
        aliases: &["qwen"],
        family: "Qwen3",
        licence: "Apache-2.0",
        origin: "https://huggingface.co/Qwen/Qwen3-0.6B",
        eos: "<|im_end|>",
        packed: packed!("qwen3"),
        overlay: None,
    },
    EmbeddedTokenizer {
        name: "qwen3-conf",
        aliases: &[],
        family: "Qwen3 with 4 tags for conformers",
        licence: "Apache-2.0",
        origin: "qwen3 with tokenizers/overlays/qwen3-conf.json",
        eos: "<|im_end|>",
        packed: packed!("qwen3"),
        overlay: overlay!("qwen3-conf"),
    },
    EmbeddedTokenizer {
        name: "llama-3.1",
        aliases: &["llama", "llama3", "llama-3"],
        family: "Llama 3, 3.1, 3.2",
        licence: "Llama 3.1 Community License",
        origin: "https://huggingface.co/meta-llama/Llama-3.1-8B",
        eos: "<|end_of_text|>",
        packed: packed!("llama-3.1"),
        overlay: None,
    },
    EmbeddedTokenizer {
        name: "llama3-chem",
        aliases: &[],
        family: "Llama 3.2 with 74 tags for chemistry",
        licence: "Llama 3.1 Community License",
        origin: "llama-3.1 with tokenizers/overlays/llama3-chem.json",
        eos: "<|end_of_text|>",
        packed: packed!("llama-3.1"),
        overlay: overlay!("llama3-chem"),
    },
    EmbeddedTokenizer {
        name: "deepseek-v3",
        aliases: &["deepseek"],
        family: "DeepSeek V3, R1",
        licence: "MIT",
        origin: "https://huggingface.co/deepseek-ai/DeepSeek-V3",
        eos: "<｜end▁of▁sentence｜>",
        packed: packed!("deepseek-v3"),
        overlay: None,
    },
    EmbeddedTokenizer {
        name: "gpt-4o",
        aliases: &["o200k"],
        family: "GPT-4o (o200k)",
        licence: "MIT",
        origin: "https://github.com/openai/tiktoken (o200k_base)",
        eos: "<|endoftext|>",
        packed: packed!("gpt-4o"),
        overlay: None,
    },
    EmbeddedTokenizer {
        name: "gpt-2",
        aliases: &["gpt2"],
        family: "GPT-2",
        licence: "MIT",
        origin: "https://huggingface.co/openai-community/gpt2",
        eos: "<|endoftext|>",
        packed: packed!("gpt-2"),
        overlay: None,
    },
    EmbeddedTokenizer {
        name: "phi-3",
        aliases: &["phi3"],
        family: "Phi-3; pieces of Llama 2",
        licence: "MIT",
        origin: "https://huggingface.co/microsoft/Phi-3-mini-4k-instruct",
        eos: "<|endoftext|>",
        packed: packed!("phi-3"),
        overlay: None,
    },
    EmbeddedTokenizer {
        name: "mistral-tekken",
        aliases: &["tekken"],
        family: "Mistral (tekken)",
        licence: "Apache-2.0",
        origin: "https://huggingface.co/mistralai/Mistral-Nemo-Base-2407",
        eos: "</s>",
        packed: packed!("mistral-tekken"),
        overlay: None,
    },
];

/// The embedded tokenizers.
///
/// ```
/// assert!(tplc::tokenizer::embedded().any(|tokenizer| tokenizer.name == "qwen3"));
/// ```
pub fn embedded() -> impl Iterator<Item = &'static EmbeddedTokenizer> {
    EMBEDDED.iter()
}

/// By name: nobody wants to read the packed bytes.
impl fmt::Debug for EmbeddedTokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EmbeddedTokenizer").field(&self.name).finish()
    }
}

impl EmbeddedTokenizer {
    /// The embedded tokenizer of this name or alias.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        EMBEDDED.iter().find(|known| known.name == name || known.aliases.contains(&name))
    }

    /// What it is, measured by loading it.
    ///
    /// # Errors
    /// [`TokenizerError::Invalid`] if the compiled-in data is damaged.
    pub fn entry(&'static self) -> Result<TokenizerEntry, TokenizerError> {
        let tokenizer = TokenizerSource::Embedded(self).load(&[])?;
        Ok(TokenizerEntry {
            name: self.name,
            aliases: self.aliases,
            family: self.family,
            vocabulary: tokenizer.vocab_size(),
            digits: tokenizer.digit_handling().to_string(),
            licence: self.licence,
            origin: self.origin,
            fingerprint: tokenizer.fingerprint().to_string(),
        })
    }

    /// The added tokens that make it out of another, where it is made so.
    ///
    /// # Errors
    /// [`TokenizerError::Invalid`] if the compiled-in data is damaged.
    pub fn overlay(&self) -> Result<Option<AddedTokens>, TokenizerError> {
        self.overlay.map(|text| AddedTokens::parse(text, self.name)).transpose()
    }

    /// The original `tokenizer.json`, value for value; of a tokenizer with an overlay, that of its base.
    ///
    /// # Errors
    /// [`TokenizerError::Invalid`] if the compiled-in data is damaged.
    pub fn tokenizer_json(&self) -> Result<Value, TokenizerError> {
        Ok(self.unpack()?.into_json())
    }

    /// The parts of the tokenizer, its overlay among the added tokens.
    pub(super) fn parts(&self) -> Result<Parts, TokenizerError> {
        let mut parts = Parts::from_packed(self.unpack()?).map_err(|reason| self.damaged(reason))?;
        parts.added_tokens.extend(self.overlay()?.into_iter().flat_map(|overlay| overlay.added_tokens));
        Ok(parts)
    }

    /// The bytes of the packed form.
    #[must_use]
    pub fn packed_len(&self) -> usize {
        self.packed.len()
    }

    fn unpack(&self) -> Result<Packed, TokenizerError> {
        unpack(self.packed).map_err(|reason| self.damaged(reason))
    }

    fn damaged(&self, reason: String) -> TokenizerError {
        TokenizerError::Invalid { origin: self.name.to_owned(), what: "embedded tokenizer", reason }
    }
}
