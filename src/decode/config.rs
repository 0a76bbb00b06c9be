//! `config.json` of a checkpoint: which of the three architectures, and its sizes.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::DecodeError;

/// The file of a checkpoint that tells its architecture.
pub(super) const CONFIG: &str = "config.json";

/// An architecture. They differ in biases and in norms of queries and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Llama 2 and 3, and what shares their form.
    Llama,
    /// Qwen2 and Qwen2.5: biases on queries, keys and values.
    Qwen2,
    /// Qwen3: norms of queries and keys.
    Qwen3,
}

/// The sizes of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The architecture.
    pub family: Family,
    /// The width of the residual stream.
    pub hidden: usize,
    /// The width inside a feed-forward layer.
    pub intermediate: usize,
    /// Layers.
    pub layers: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values; query heads share them in groups.
    pub kv_heads: usize,
    /// The width of a head.
    pub head_dim: usize,
    /// Rows of the embedding, which is the width of the logits.
    pub vocabulary: usize,
    /// The most positions of a sequence.
    pub context: usize,
    /// Keeps norms from dividing by nothing.
    pub norm_eps: f64,
    /// Rotary positions.
    pub rope: Rope,
    /// Whether the output layer is the embedding.
    pub tied: bool,
    /// Whether queries, keys and values have biases.
    pub qkv_bias: bool,
    /// Whether the output of attention has a bias.
    pub output_bias: bool,
}

/// How positions turn queries and keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// The base of the frequencies.
    pub theta: f64,
    /// How the frequencies are stretched.
    pub scaling: RopeScaling,
}

/// How rotary frequencies are stretched for contexts longer than those first trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All by one factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// As Llama 3.1 does it: low frequencies by a factor, high ones not at all, smoothly between.
    Llama3 {
        /// The factor.
        factor: f64,
        /// Where stretching ends, in turns over the original context.
        low_freq_factor: f64,
        /// Where it begins to fade.
        high_freq_factor: f64,
        /// The context first trained on.
        original_context: f64,
    },
}

impl ModelConfig {
    /// A small Qwen3 for a vocabulary, to be filled with random weights.
    #[must_use]
    pub fn small(vocabulary: usize) -> Self {
        Self {
            family: Family::Qwen3,
            hidden: 32,
            intermediate: 48,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            head_dim: 16,
            vocabulary,
            context: 1 << 14,
            norm_eps: 1e-6,
            rope: Rope { theta: 10_000.0, scaling: RopeScaling::None },
            tied: true,
            qkv_bias: false,
            output_bias: false,
        }
    }

    /// Reads `config.json` of a model folder.
    ///
    /// # Errors
    /// [`DecodeError`] if there is none, it lacks a field, or asks for what the decoder does not have.
    pub fn read(folder: &Path) -> Result<Self, DecodeError> {
        let path = folder.join(CONFIG);
        let json = std::fs::read(&path).map_err(|source| DecodeError::Read { path: path.clone(), source })?;
        Self::parse(&json, &path)
    }

    /// Reads the text of a `config.json`; `path` names it in errors.
    ///
    /// # Errors
    /// As [`ModelConfig::read`].
    pub fn parse(json: &[u8], path: &Path) -> Result<Self, DecodeError> {
        let raw: Raw = serde_json::from_slice(json).map_err(|error| DecodeError::Invalid {
            path: path.to_owned(),
            what: CONFIG,
            reason: error.to_string(),
        })?;
        Reader { raw, path: path.to_owned() }.config()
    }
}

/// The fields as they are written. Older and newer files write rotary positions in different places.
#[derive(Deserialize)]
struct Raw {
    model_type: Option<String>,
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    vocab_size: Option<usize>,
    max_position_embeddings: Option<usize>,
    rms_norm_eps: Option<f64>,
    rope_theta: Option<f64>,
    rope_scaling: Option<RawRope>,
    rope_parameters: Option<RawRope>,
    tie_word_embeddings: Option<bool>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    use_sliding_window: Option<bool>,
    hidden_act: Option<String>,
    quantization_config: Option<Value>,
}

#[derive(Clone, Deserialize)]
struct RawRope {
    rope_theta: Option<f64>,
    #[serde(alias = "type")]
    rope_type: Option<String>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
}

struct Reader {
    raw: Raw,
    path: PathBuf,
}

impl Reader {
    fn config(&self) -> Result<ModelConfig, DecodeError> {
        let raw = &self.raw;
        let family = match raw.model_type.as_deref() {
            Some("llama") => Family::Llama,
            Some("qwen2") => Family::Qwen2,
            Some("qwen3") => Family::Qwen3,
            other => {
                return Err(self.unsupported(
                    "model_type",
                    other.unwrap_or("missing"),
                    "llama, qwen2 and qwen3",
                ));
            }
        };
        if let Some(act) = raw.hidden_act.as_deref().filter(|act| *act != "silu") {
            return Err(self.unsupported("hidden_act", act, "silu"));
        }
        if raw.use_sliding_window == Some(true) {
            return Err(self.unsupported("use_sliding_window", "true", "false"));
        }
        if raw.mlp_bias == Some(true) {
            return Err(self.unsupported("mlp_bias", "true", "false"));
        }
        if raw.quantization_config.as_ref().is_some_and(|config| !config.is_null()) {
            return Err(self.unsupported("quantization_config", "set", "an f32, f16 or bf16 checkpoint"));
        }
        let hidden = self.size("hidden_size", raw.hidden_size)?;
        let heads = self.size("num_attention_heads", raw.num_attention_heads)?;
        let kv_heads = self.size("num_key_value_heads", raw.num_key_value_heads.or(Some(heads)))?;
        if heads % kv_heads != 0 {
            return Err(self.invalid(format!(
                "num_attention_heads {heads} is no multiple of num_key_value_heads {kv_heads}"
            )));
        }
        let head_dim = self.size("head_dim", raw.head_dim.or(Some(hidden / heads)))?;
        if head_dim % 2 != 0 {
            return Err(self.invalid(format!("head_dim {head_dim} is odd, so positions cannot turn it")));
        }
        let bias = raw.attention_bias.unwrap_or(false);
        Ok(ModelConfig {
            family,
            hidden,
            intermediate: self.size("intermediate_size", raw.intermediate_size)?,
            layers: self.size("num_hidden_layers", raw.num_hidden_layers)?,
            heads,
            kv_heads,
            head_dim,
            vocabulary: self.size("vocab_size", raw.vocab_size)?,
            context: self.size("max_position_embeddings", raw.max_position_embeddings)?,
            norm_eps: raw.rms_norm_eps.unwrap_or(1e-6),
            rope: self.rope()?,
            tied: raw.tie_word_embeddings.unwrap_or(false),
            qkv_bias: bias || family == Family::Qwen2,
            output_bias: bias && family != Family::Qwen2,
        })
    }

    fn rope(&self) -> Result<Rope, DecodeError> {
        let raw = &self.raw;
        let parameters = raw.rope_parameters.as_ref().or(raw.rope_scaling.as_ref());
        let theta = raw.rope_theta.or(parameters.and_then(|rope| rope.rope_theta)).unwrap_or(10_000.0);
        let Some(rope) = parameters else { return Ok(Rope { theta, scaling: RopeScaling::None }) };
        let scaling = match rope.rope_type.as_deref() {
            None | Some("default") => RopeScaling::None,
            Some("linear") => RopeScaling::Linear { factor: self.factor("factor", rope.factor)? },
            Some("llama3") => RopeScaling::Llama3 {
                factor: self.factor("factor", rope.factor)?,
                low_freq_factor: self.factor("low_freq_factor", rope.low_freq_factor)?,
                high_freq_factor: self.factor("high_freq_factor", rope.high_freq_factor)?,
                original_context: self
                    .factor("original_max_position_embeddings", rope.original_max_position_embeddings)?,
            },
            Some(other) => {
                return Err(self.unsupported("rope_scaling", other, "default, linear and llama3"));
            }
        };
        Ok(Rope { theta, scaling })
    }

    fn size(&self, field: &str, value: Option<usize>) -> Result<usize, DecodeError> {
        match value {
            Some(size @ 1..) => Ok(size),
            Some(_) => Err(self.invalid(format!("{field} is 0"))),
            None => Err(self.invalid(format!("it does not tell {field}"))),
        }
    }

    fn factor(&self, field: &str, value: Option<f64>) -> Result<f64, DecodeError> {
        match value {
            Some(factor) if factor > 0.0 && factor.is_finite() => Ok(factor),
            Some(factor) => Err(self.invalid(format!("{field} of the rotary positions is {factor}"))),
            None => Err(self.invalid(format!("its rotary positions do not tell {field}"))),
        }
    }

    fn invalid(&self, reason: String) -> DecodeError {
        DecodeError::Invalid { path: self.path.clone(), what: CONFIG, reason }
    }

    fn unsupported(&self, field: &'static str, found: &str, supported: &'static str) -> DecodeError {
        DecodeError::Unsupported { path: self.path.clone(), field, found: found.to_owned(), supported }
    }
}
