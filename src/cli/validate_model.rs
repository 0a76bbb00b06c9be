//! The model that `tplc validate` decodes with, and its tokenizer.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use tempfile::TempDir;

use super::corpus::added_tokens;
use crate::{
    decode::{
        Adversary, DecodeError, DeviceName, LanguageModel, ModelConfig, NumberType, Weights, Wish, load,
    },
    primitives::TokenId,
    template::eos_token,
    text::NumberFormat,
    tokenizer::{HubConfig, Tokenizer, TokenizerSource},
};

/// Which model, where, and in which numbers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(super) struct ModelArgs {
    /// A model folder (config.json, safetensors, tokenizer.json), `hf:ORG/NAME[@REV]` for one of the hub, `tiny` for the
    /// one that is compiled in, `random` for random weights, or an adversary: anything, brackets, letters, endless, end.
    #[arg(long, value_name = "FOLDER|hf:ORG/NAME|NAME", default_value = "tiny")]
    model: String,
    /// The tokenizer, where it is not the model folder's own; `random` and adversaries take qwen3 without one.
    #[arg(long, short, value_name = "NAME|PATH|hf:ORG/NAME")]
    tokenizer: Option<TokenizerSource>,
    /// Added tokens to lay over the tokenizer, RON or JSON; repeatable.
    #[arg(long, value_name = "FILE")]
    added_tokens: Vec<PathBuf>,
    /// The token that ends a sequence, by its text; `auto` takes the tokenizer's own.
    #[arg(long, value_name = "TEXT|auto", default_value = "auto")]
    eos: String,
    /// Where to run: cpu or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceName::Cpu)]
    pub(super) device: DeviceName,
    /// The numbers of the model: f32, f16, bf16.
    #[arg(long, value_name = "TYPE", default_value_t = NumberType::F32)]
    pub(super) dtype: NumberType,
}

/// A model that can be loaded, and the tokenizer that goes with it.
pub(super) struct ModelSource<'a> {
    args: &'a ModelArgs,
    pub(super) name: String,
    pub(super) tokenizer: Tokenizer,
    /// The number format that it was trained in, where that is known.
    pub(super) number_format: Option<NumberFormat>,
    kind: Kind,
}

enum Kind {
    Folder { folder: PathBuf, config: ModelConfig, _unpacked: Option<TempDir> },
    Random,
    Adversary(Wish),
}

/// The name of the model that is compiled in.
const TINY: &str = "tiny";

/// Its folder, as any other model's.
const TINY_FILES: [(&str, &[u8]); 4] = [
    ("config.json", include_bytes!("../../models/tiny/config.json")),
    ("model.safetensors", include_bytes!("../../models/tiny/model.safetensors")),
    ("tokenizer.json", include_bytes!("../../models/tiny/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../../models/tiny/tokenizer_config.json")),
];

/// Puts the model that is compiled in where a folder can be read, for as long as it is needed.
fn unpack_tiny() -> Result<TempDir> {
    let unpacked = tempfile::tempdir().context("cannot unpack the model that is compiled in")?;
    let folder = unpacked.path().join(TINY);
    std::fs::create_dir(&folder)?;
    for (name, bytes) in TINY_FILES {
        std::fs::write(folder.join(name), bytes)?;
    }
    Ok(unpacked)
}

/// Decides random weights and the dice of adversaries.
const SEED: u64 = 0;

impl ModelArgs {
    /// Reads everything but the weights.
    pub(super) fn open(&self) -> Result<ModelSource<'_>> {
        // A device or type that is not there is told before anything long.
        self.dtype.on(&self.device.open()?)?;
        let wish = Wish::ALL.into_iter().find(|wish| wish.name() == self.model);
        let hub = self.model.starts_with("hf:").then(|| self.model.parse::<TokenizerSource>()).transpose()?;
        let kind = match (self.model.as_str(), wish) {
            (_, Some(wish)) => Kind::Adversary(wish),
            ("random", _) => Kind::Random,
            (name, _) => {
                let unpacked = (name == TINY).then(unpack_tiny).transpose()?;
                let fetched = match &hub {
                    Some(hub) => hub.model_folder(&HubConfig::from_env())?,
                    None => None,
                };
                let unpacked_folder = unpacked.as_ref().map(|tiny| tiny.path().join(TINY));
                let folder = unpacked_folder.or(fetched).unwrap_or_else(|| PathBuf::from(name));
                ensure!(folder.is_dir(), "there is no model folder {}{}", folder.display(), instead(name));
                let config = ModelConfig::read(&folder)?;
                Kind::Folder { folder, config, _unpacked: unpacked }
            }
        };
        let overlays = added_tokens(&self.added_tokens)?;
        let source = match (self.tokenizer.as_ref().or(hub.as_ref()), &kind) {
            (Some(source), _) => source.clone(),
            (None, Kind::Folder { folder, .. }) => TokenizerSource::Folder(folder.clone()),
            (None, _) => "qwen3".parse()?,
        };
        let tokenizer = source.load(&overlays)?;
        if let Kind::Folder { config, .. } = &kind {
            let fit =
                || format!("the model {} and the tokenizer {} do not fit", self.model, tokenizer.name());
            check_rows(&tokenizer, config).with_context(fit)?;
        }
        let number_format = if self.model == TINY { Some(NumberFormat::trimmed(4)) } else { None };
        Ok(ModelSource { args: self, name: self.model.clone(), tokenizer, number_format, kind })
    }
}

impl ModelSource<'_> {
    /// The token that ends a sequence.
    pub(super) fn eos(&self) -> Result<Option<TokenId>> {
        Ok(eos_token(&self.tokenizer, &self.args.eos)?)
    }

    /// Where it runs: adversaries compute nothing.
    pub(super) fn device(&self) -> DeviceName {
        match self.kind {
            Kind::Adversary(_) => DeviceName::Cpu,
            Kind::Random | Kind::Folder { .. } => self.args.device,
        }
    }

    /// Loads the model with room for `slots` rows of up to `context` tokens.
    pub(super) fn load(&self, slots: usize, context: usize) -> Result<Box<dyn LanguageModel>> {
        let device = self.args.device.open()?;
        let dtype = self.args.dtype.on(&device)?;
        Ok(match &self.kind {
            Kind::Adversary(wish) => Box::new(Adversary::new(*wish, &self.tokenizer, SEED, slots, context)),
            Kind::Random => {
                let config = ModelConfig::small(rows(&self.tokenizer));
                load(&config, &device, slots, context, || Ok(Weights::random(SEED, &device, dtype)))?
            }
            Kind::Folder { folder, config, .. } => {
                load(config, &device, slots, context, || Weights::read(folder, &device, dtype))?
            }
        })
    }
}

/// What may have been meant by a name that is no folder.
fn instead(name: &str) -> String {
    let hub = name.contains('/') && format!("hf:{name}").parse::<TokenizerSource>().is_ok();
    if hub {
        return format!("; for the repository of the hub, write hf:{name}");
    }
    let names: Vec<&str> = [TINY, "random"].into_iter().chain(Wish::ALL.map(Wish::name)).collect();
    format!("; models without a folder are {}", names.join(", "))
}

/// The rows that an embedding for the tokenizer needs.
fn rows(tokenizer: &Tokenizer) -> usize {
    let largest = tokenizer.vocabulary().max_id().map_or(0, |id| id.0 + 1);
    tokenizer.logits_width().unwrap_or(largest) as usize
}

/// Every token must have an embedding; a tokenizer of another model often has more than there are.
fn check_rows(tokenizer: &Tokenizer, config: &ModelConfig) -> Result<(), DecodeError> {
    match tokenizer.vocabulary().max_id() {
        Some(token) if token.0 as usize >= config.vocabulary => {
            Err(DecodeError::UnknownToken { token, rows: config.vocabulary })
        }
        _ => Ok(()),
    }
}
