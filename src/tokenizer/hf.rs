//! The one file that imports the `tokenizers` crate.
//!
//! A tokenizer here is the crate's own pipeline (normalizer, pre-tokenizer, added tokens, decoder) around a model
//! that is either the packed [`Bpe`] or, for every other kind of model, the crate's own.
//! Three parts of a `tokenizer.json` are left out on purpose, because they would change what a text alone
//! tokenizes to: the post-processor (adds BOS, may trim spans), truncation and padding.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::models::bpe::BpeTrainer;
use tokenizers::models::{ModelWrapper, TrainerWrapper};
use tokenizers::{
    DecoderWrapper, Model, Normalizer, NormalizerWrapper, OffsetType, PostProcessorWrapper,
    PreTokenizedString, PreTokenizer, PreTokenizerWrapper, Token, TokenizerImpl,
};

use super::added::AddedToken;
use super::assign::{Assigned, Occupied, assign};
use super::bpe::{Bpe, BpeFlags};
use super::bpe_json::BpeJson;
use super::fingerprint::ModelContent;
use super::packed::Packed;
use super::{Encoding, TokenizerError};
use crate::primitives::{ByteSpan, TokenId};

type Pipeline =
    TokenizerImpl<PlacedModel, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// The parts of a tokenizer.json that decide ids, spans and decoding; added tokens not yet placed.
#[derive(Deserialize)]
pub(super) struct Parts<M = Inner> {
    version: Option<String>,
    #[serde(default)]
    pub(super) added_tokens: Vec<AddedToken>,
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
    decoder: Option<DecoderWrapper>,
    model: M,
}

/// The model alone.
pub(super) enum Inner {
    Crate(Box<ModelWrapper>),
    Packed(Box<Bpe>),
}

impl<M> Parts<M> {
    /// The same with its model made into another, where that can be done.
    fn try_map<E>(self, make: impl FnOnce(M) -> Result<Inner, E>) -> Result<Parts, E> {
        let Self { version, added_tokens, normalizer, pre_tokenizer, decoder, model } = self;
        Ok(Parts { version, added_tokens, normalizer, pre_tokenizer, decoder, model: make(model)? })
    }
}

impl Parts {
    /// Parses a tokenizer.json.
    ///
    /// # Errors
    /// Why it is none that the crate can use.
    pub(super) fn from_json(json: &[u8]) -> Result<Self, String> {
        let packed = serde_json::from_slice::<Parts<BpeJson>>(json).ok();
        let packed = packed.and_then(|parts| {
            parts.try_map(|model| Bpe::try_from(model).map(|bpe| Inner::Packed(bpe.into()))).ok()
        });
        let parts = match packed {
            Some(parts) => Ok(parts),
            // The crate does the rest, or says what is wrong.
            None => serde_json::from_slice::<Parts<ModelWrapper>>(json)
                .and_then(|parts| parts.try_map(|model| Ok(Inner::Crate(model.into())))),
        };
        let parts = parts.map_err(|error| error.to_string())?;
        match parts.version.as_deref() {
            None | Some("1.0") => Ok(parts),
            Some(version) => Err(format!("version {version:?} is not supported, only \"1.0\" is")),
        }
    }

    /// Takes the parts from the packed form.
    ///
    /// # Errors
    /// Which part is not as it should be.
    pub(super) fn from_packed(mut packed: Packed) -> Result<Self, String> {
        let model: Map<String, Value> = part(&mut packed.header, "model")?;
        let flag = |name: &str| model.get(name).and_then(Value::as_bool).unwrap_or(false);
        let text = |name: &str| model.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let unusual =
            ["continuing_subword_prefix", "end_of_word_suffix"].into_iter().find(|name| text(name).is_some());
        if let Some(unusual) =
            unusual.or(model.get("dropout").is_some_and(|d| !d.is_null()).then_some("dropout"))
        {
            return Err(format!("the packed model cannot do {unusual}"));
        }
        let flags = BpeFlags {
            unk_token: text("unk_token").map(str::to_owned),
            fuse_unk: flag("fuse_unk"),
            byte_fallback: flag("byte_fallback"),
            ignore_merges: flag("ignore_merges"),
        };
        Ok(Self {
            version: None,
            added_tokens: part(&mut packed.header, "added_tokens")?,
            normalizer: part(&mut packed.header, "normalizer")?,
            pre_tokenizer: part(&mut packed.header, "pre_tokenizer")?,
            decoder: part(&mut packed.header, "decoder")?,
            model: Inner::Packed(Box::new(Bpe::new(packed.tokens, &packed.merges, flags))),
        })
    }

    /// Puts the parts together.
    ///
    /// # Errors
    /// If added tokens cannot have the ids they declare, or the crate refuses them.
    pub(super) fn build(self, tokenizer: &str) -> Result<HfTokenizer, TokenizerError> {
        let added = assign(tokenizer, self.added_tokens, &self.model)?;
        let invalid = |reason: String| TokenizerError::Invalid {
            origin: tokenizer.to_owned(),
            what: "tokenizer",
            reason,
        };
        let mut pipeline = Pipeline::new(PlacedModel::new(self.model, &added));
        // The normalizer goes first: added tokens that are normalized need it.
        pipeline.with_normalizer(self.normalizer).map_err(|error| invalid(error.to_string()))?;
        pipeline.with_pre_tokenizer(self.pre_tokenizer);
        pipeline.with_decoder(self.decoder);
        let tokens = added.iter().map(|added| {
            let token = &added.token;
            tokenizers::AddedToken::from(token.content.clone(), token.special)
                .single_word(token.single_word)
                .lstrip(token.lstrip)
                .rstrip(token.rstrip)
                .normalized(token.normalized())
        });
        pipeline.add_tokens(tokens).map_err(|error| invalid(error.to_string()))?;
        Ok(HfTokenizer { pipeline, added })
    }
}

/// One part of the header; `null` where it is missing.
fn part<T: serde::de::DeserializeOwned>(header: &mut Map<String, Value>, name: &str) -> Result<T, String> {
    let value = header.remove(name).unwrap_or_default();
    serde_json::from_value(value).map_err(|error| format!("bad {name}: {error}"))
}

impl Occupied for Inner {
    fn id(&self, content: &str) -> Option<u32> {
        match self {
            Self::Crate(model) => model.token_to_id(content),
            Self::Packed(bpe) => bpe.tokens().id(content),
        }
    }

    fn owner(&self, id: u32) -> Option<String> {
        match self {
            Self::Crate(model) => model.id_to_token(id),
            Self::Packed(bpe) => bpe.tokens().text(id).map(str::to_owned),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Crate(model) => model.get_vocab_size(),
            Self::Packed(bpe) => bpe.tokens().len(),
        }
    }
}

/// A model that knows the ids of the added tokens its vocabulary lacks.
///
/// The crate would number those from the vocabulary size on, whatever ids the file declares; but it asks the model
/// first, so the model answers with the declared ids.
struct PlacedModel {
    inner: Inner,
    ids: BTreeMap<String, u32>,
}

impl PlacedModel {
    fn new(inner: Inner, added: &[Assigned]) -> Self {
        let ids = added.iter().map(|added| (added.token.content.clone(), added.id)).collect();
        Self { inner, ids }
    }
}

impl Model for PlacedModel {
    type Trainer = TrainerWrapper;

    fn tokenize(&self, word: &str) -> tokenizers::Result<Vec<Token>> {
        match &self.inner {
            Inner::Crate(model) => model.tokenize(word),
            Inner::Packed(bpe) => {
                // No later step reads the text of a token, so none is made.
                let token = |(id, start, end)| Token::new(id, String::new(), (start, end));
                Ok(bpe.tokenize(word).into_iter().map(token).collect())
            }
        }
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied().or_else(|| self.inner.id(token))
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.owner(id)
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        match &self.inner {
            Inner::Crate(model) => model.get_vocab(),
            Inner::Packed(bpe) => bpe.tokens().iter().map(|(id, token)| (token.to_owned(), id)).collect(),
        }
    }

    fn get_vocab_size(&self) -> usize {
        self.inner.len()
    }

    fn save(&self, folder: &Path, prefix: Option<&str>) -> tokenizers::Result<Vec<PathBuf>> {
        match &self.inner {
            Inner::Crate(model) => model.save(folder, prefix),
            Inner::Packed(_) => Err("a packed model cannot be saved".into()),
        }
    }

    fn get_trainer(&self) -> TrainerWrapper {
        TrainerWrapper::BpeTrainer(BpeTrainer::default())
    }
}

/// A tokenizer, ready to use.
pub(super) struct HfTokenizer {
    pipeline: Pipeline,
    added: Vec<Assigned>,
}

impl HfTokenizer {
    pub(super) fn encode(&self, text: &str) -> tokenizers::Result<Encoding> {
        self.pipeline.encode(text, false).map(|encoding| convert(&encoding))
    }

    /// As if no token had been added.
    pub(super) fn encode_without_added(&self, text: &str) -> tokenizers::Result<Encoding> {
        let mut pieces = PreTokenizedString::from(text);
        if let Some(normalizer) = self.pipeline.get_normalizer() {
            pieces.normalize(|piece| normalizer.normalize(piece))?;
        }
        if let Some(pre_tokenizer) = self.pipeline.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pieces)?;
        }
        pieces.tokenize(|piece| self.pipeline.get_model().tokenize(piece.get()))?;
        pieces.into_encoding(None, 0, OffsetType::Byte).map(|encoding| convert(&encoding))
    }

    pub(super) fn encode_batch(&self, texts: &[&str]) -> tokenizers::Result<Vec<Encoding>> {
        let encodings = self.pipeline.encode_batch(texts.to_vec(), false)?;
        Ok(encodings.iter().map(convert).collect())
    }

    pub(super) fn decode(&self, ids: &[u32], skip_special: bool) -> tokenizers::Result<String> {
        self.pipeline.decode(ids, skip_special)
    }

    /// The added tokens, by id.
    pub(super) fn added(&self) -> &[Assigned] {
        &self.added
    }

    /// The number of tokens, added ones included.
    pub(super) fn len(&self) -> usize {
        let model = &self.pipeline.get_model().inner;
        model.len() + self.added.iter().filter(|added| model.owner(added.id).is_none()).count()
    }

    /// The model's own vocabulary, by id.
    pub(super) fn vocabulary(&self) -> Vec<(u32, String)> {
        let mut vocabulary: Vec<_> = match &self.pipeline.get_model().inner {
            Inner::Crate(model) => model.get_vocab().into_iter().map(|(token, id)| (id, token)).collect(),
            Inner::Packed(bpe) => bpe.tokens().iter().map(|(id, token)| (id, token.to_owned())).collect(),
        };
        vocabulary.sort_unstable();
        vocabulary
    }

    /// The names of the decoder's and the pre-tokenizer's steps, as a tokenizer.json calls them.
    pub(super) fn step_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for step in [self.decoder(), self.pre_tokenizer()] {
            collect_types(&step, &mut names);
        }
        names
    }

    pub(super) fn normalizer(&self) -> Value {
        serde_json::to_value(self.pipeline.get_normalizer()).unwrap_or_default()
    }

    pub(super) fn pre_tokenizer(&self) -> Value {
        serde_json::to_value(self.pipeline.get_pre_tokenizer()).unwrap_or_default()
    }

    fn decoder(&self) -> Value {
        serde_json::to_value(self.pipeline.get_decoder()).unwrap_or_default()
    }

    /// What stands between a text and its ids: normalizer, pre-tokenizer and the model's flags.
    pub(super) fn steps(&self) -> [Value; 3] {
        [self.normalizer(), self.pre_tokenizer(), self.model_content().into_flags()]
    }

    /// What the model's ids depend on.
    pub(super) fn model_content(&self) -> ModelContent {
        match &self.pipeline.get_model().inner {
            Inner::Packed(bpe) => ModelContent::of_bpe(bpe.flags(), self.vocabulary(), bpe.ranked_pairs()),
            Inner::Crate(model) => {
                ModelContent::of_json(serde_json::to_value(model.as_ref()).unwrap_or_default())
            }
        }
    }
}

/// Every `"type"` inside a serialized step.
fn collect_types(step: &Value, names: &mut Vec<String>) {
    match step {
        Value::Array(steps) => steps.iter().for_each(|step| collect_types(step, names)),
        Value::Object(fields) => {
            names.extend(fields.get("type").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| collect_types(field, names));
        }
        _ => {}
    }
}

fn convert(encoding: &tokenizers::Encoding) -> Encoding {
    Encoding {
        ids: encoding.get_ids().iter().copied().map(TokenId).collect(),
        spans: encoding.get_offsets().iter().map(|&(start, end)| ByteSpan::new(start, end)).collect(),
    }
}
