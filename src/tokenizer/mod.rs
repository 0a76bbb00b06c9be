//! Tokenizers, exactly as they are shipped: compiled in, from files, or from the Hugging Face hub.
//!
//! ```
//! use tplc::tokenizer::TokenizerSource;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let qwen = "qwen3".parse::<TokenizerSource>()?.load(&[])?;
//! let encoding = qwen.encode("[C]<0.0000,0.0000,0.0000>")?;
//! assert_eq!(encoding.ids.len(), 23);
//! assert_eq!(qwen.digit_handling().to_string(), "one");
//! # Ok(())
//! # }
//! ```
//!
//! A [`Tokenizer`] encodes and decodes as the model's own does. Its [`Vocabulary`] tells the bytes of each token, for
//! whatever builds masks. Its [`fingerprint`](Tokenizer::fingerprint) names it by content.

mod added;
mod apart;
mod assign;
mod bpe;
mod bpe_json;
mod embedded;
mod error;
mod fingerprint;
mod folder;
mod hf;
mod hub;
mod numbers;
mod pack;
mod packed;
mod runs;
mod source;
mod split_pattern;
mod vocabulary;

use std::fmt;
use std::sync::OnceLock;

pub use added::{AddedToken, AddedTokens};
pub(crate) use apart::Borders;
pub use embedded::{EmbeddedTokenizer, TokenizerEntry, embedded};
pub use error::TokenizerError;
pub use hub::HubConfig;
pub use numbers::{ChangedNumber, DigitHandling};
pub use pack::pack;
pub(crate) use runs::{LONGEST_IN_BLOCK, Place, RunTokens, Runs, lock, runs};
pub use source::TokenizerSource;
pub use vocabulary::{ByteForm, Vocabulary};

use crate::primitives::{ByteSpan, Fingerprint, TokenId};

/// A tokenizer as shipped. Loaded by [`TokenizerSource::load`]; share it by reference between threads.
pub struct Tokenizer {
    name: String,
    origin: String,
    licence: Option<&'static str>,
    facts: folder::ModelFacts,
    inner: hf::HfTokenizer,
    vocabulary: OnceLock<Vocabulary>,
    fingerprint: OnceLock<Fingerprint>,
    digits: OnceLock<DigitHandling>,
}

/// The tokens of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// The ids.
    pub ids: Vec<TokenId>,
    /// For each id the bytes of the text that it covers.
    ///
    /// Spans may overlap: tokens that share one character all span that character, and the space that
    /// SentencePiece puts first, where it is a token of its own, spans the character after it.
    pub spans: Vec<ByteSpan>,
}

impl Tokenizer {
    fn new(
        name: String,
        origin: String,
        licence: Option<&'static str>,
        facts: folder::ModelFacts,
        inner: hf::HfTokenizer,
    ) -> Self {
        let (vocabulary, fingerprint, digits) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { name, origin, licence, facts, inner, vocabulary, fingerprint, digits }
    }

    /// What it is called: `qwen3`, a file's or folder's name, `ORG/NAME`; with `+NAME` for each overlay.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it comes from: an address, a path or `hf:ORG/NAME`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The licence of an embedded tokenizer.
    #[must_use]
    pub fn licence(&self) -> Option<&'static str> {
        self.licence
    }

    /// Tokenizes `text` alone: nothing is put before or after it (no BOS), nothing is cut off. Added tokens,
    /// special ones too, are found in the text.
    ///
    /// # Errors
    /// [`TokenizerError::Run`], if the model has no token for some part and no unknown token either.
    pub fn encode(&self, text: &str) -> Result<Encoding, TokenizerError> {
        self.inner.encode(text).map_err(|error| self.failed("encode the text", &error))
    }

    /// Tokenizes many texts on all cores, by the `tokenizers` crate's own means.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_batch(&self, texts: &[&str]) -> Result<Vec<Encoding>, TokenizerError> {
        self.inner.encode_batch(texts).map_err(|error| self.failed("encode the texts", &error))
    }

    /// The text of `ids`, as the model's own tokenizer writes it. Ids that no token has are skipped.
    ///
    /// # Errors
    /// [`TokenizerError::Run`], if the decoder refuses them.
    pub fn decode(&self, ids: &[TokenId], skip_special: bool) -> Result<String, TokenizerError> {
        let ids: Vec<u32> = ids.iter().map(|id| id.0).collect();
        self.inner.decode(&ids, skip_special).map_err(|error| self.failed("decode the ids", &error))
    }

    /// The bytes of each token. Built on first use.
    pub fn vocabulary(&self) -> &Vocabulary {
        self.vocabulary.get_or_init(|| Vocabulary::of(&self.inner))
    }

    /// The number of tokens, added ones included. The largest id can be larger.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.inner.len()
    }

    /// The width of the model's logits (rows of its embedding), where the source tells it: an overlay, or the
    /// `config.json` of a folder or repository. Left out where it does not hold all ids, because the model was
    /// resized since.
    pub fn logits_width(&self) -> Option<u32> {
        let holds = |rows: &u32| self.vocabulary().max_id().is_none_or(|max| max.0 < *rows);
        self.facts.rows.filter(holds)
    }

    /// The token that the model ends a sequence with, where the source tells it: an embedded tokenizer, or the
    /// `tokenizer_config.json` of a folder or repository.
    pub fn eos(&self) -> Option<TokenId> {
        self.vocabulary().added(self.facts.eos.as_deref()?)
    }

    /// The content hash: over vocabulary, merges, added tokens, normalizer, pre-tokenizer and the model's flags.
    /// Equal for every form of the same tokenizer. Computed on first use.
    pub fn fingerprint(&self) -> Fingerprint {
        *self.fingerprint.get_or_init(|| fingerprint::fingerprint(&self.inner))
    }

    /// How numbers are cut into tokens, measured by encoding some on first use.
    pub fn digit_handling(&self) -> DigitHandling {
        *self.digits.get_or_init(|| numbers::digit_handling(self))
    }

    /// Examples of plain coordinates that added tokens cut differently than the tokenizer would without them. Empty
    /// where they leave plain numbers alone.
    #[must_use]
    pub fn changed_numbers(&self) -> Vec<ChangedNumber> {
        numbers::changed_numbers(self)
    }

    /// Whether `id` is an added token.
    pub fn is_added(&self, id: TokenId) -> bool {
        self.vocabulary().is_added(id)
    }

    /// Whether `id` is a special token.
    pub fn is_special(&self, id: TokenId) -> bool {
        self.vocabulary().is_special(id)
    }

    /// The text of one token for people: see [`Vocabulary::readable`].
    pub fn token(&self, id: TokenId) -> Option<String> {
        self.vocabulary().readable(id)
    }

    fn failed(&self, action: &'static str, error: &impl fmt::Display) -> TokenizerError {
        TokenizerError::Run { tokenizer: self.name.clone(), action, reason: error.to_string() }
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").field("name", &self.name).finish_non_exhaustive()
    }
}
