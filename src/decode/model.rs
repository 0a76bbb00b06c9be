//! The decoder: Llama, Qwen2 and Qwen3 over packed runs.

use candle_core::{D, DType, Device, Tensor};
use candle_nn::ops::{rms_norm, silu};

use super::{
    DecodeError, LanguageModel, Logits, Packed,
    attention::attend,
    cache::Cache,
    config::{Family, ModelConfig},
    packed::Run,
    rotary::{Rotary, Turns},
    weights::Weights,
};
use crate::primitives::TokenId;

/// A model with the cells of its sequences.
///
/// The rows of a pass stand at different positions, bring runs of different lengths, and leave and come as they like: a
/// slot is what was written to its cells, and a run that begins at a smaller position takes the rest back.
pub struct Decoder {
    config: ModelConfig,
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: Tensor,
    /// The rows of the output layer, one an id.
    head_rows: Tensor,
    head: Linear,
    /// The part of the output layer that is asked for, where not all of it is.
    restricted: Option<Linear>,
    rotary: Rotary,
    context: usize,
    /// The tokens that each slot holds.
    held: Vec<usize>,
}

struct Layer {
    attention_norm: Tensor,
    /// Queries, keys and values in one product.
    qkv: Linear,
    head_norms: Option<[Tensor; 2]>,
    output: Linear,
    feed_norm: Tensor,
    /// Gate and up in one product.
    gate_up: Linear,
    down: Linear,
    cache: Cache,
}

struct Linear {
    /// Turned: `(inputs, outputs)`.
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Decoder {
    /// A decoder with `slots` sequences of up to `context` tokens.
    ///
    /// # Errors
    /// [`DecodeError`] if a tensor is missing or has another shape, or the model has fewer positions.
    pub fn new(
        config: &ModelConfig,
        mut weights: Weights,
        slots: usize,
        context: usize,
    ) -> Result<Self, DecodeError> {
        if context > config.context {
            return Err(DecodeError::TooLong { tokens: context, context: config.context });
        }
        let (device, hidden) = (weights.device().clone(), config.hidden);
        let embedding = weights.take("model.embed_tokens.weight", &[config.vocabulary, hidden])?;
        let layers = (0..config.layers)
            .map(|index| Layer::new(config, &mut weights, index, slots, context))
            .collect::<Result<_, _>>()?;
        let norm = weights.take("model.norm.weight", &[hidden])?;
        let head_rows = match config.tied {
            true => embedding.clone(),
            false => weights.take("lm_head.weight", &[config.vocabulary, hidden])?,
        };
        Ok(Self {
            config: config.clone(),
            embedding,
            layers,
            norm,
            head: Linear::new(&head_rows, None)?,
            head_rows,
            restricted: None,
            rotary: Rotary::new(config, context, &device)?,
            context,
            held: vec![0; slots],
        })
    }

    /// The sizes of the model.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The device that it runs on.
    #[must_use]
    pub fn device(&self) -> &Device {
        self.embedding.device()
    }

    /// The wanted logits, `(wanted, width)`, on the device and in the model's type.
    ///
    /// # Errors
    /// [`DecodeError`] if a run does not follow what its slot holds, or a tensor operation fails.
    pub fn logits(&mut self, packed: &Packed) -> Result<Tensor, DecodeError> {
        self.check(packed)?;
        let device = self.device().clone();
        let ids: Vec<u32> = packed.tokens().iter().map(|token| token.0).collect();
        let positions: Vec<u32> = packed.positions().map(|position| position as u32).collect();
        let turns = self.rotary.at(&Tensor::new(positions, &device)?)?;
        let mut stream = self.embedding.index_select(&Tensor::new(ids, &device)?, 0)?;
        for layer in &self.layers {
            stream = layer.forward(&self.config, &stream, &turns, packed.runs())?;
        }
        for run in packed.runs() {
            self.held[run.slot] = run.end();
        }
        let wanted = stream.index_select(&Tensor::new(packed.wanted(), &device)?, 0)?;
        let wanted = rms_norm(&wanted, &self.norm, self.config.norm_eps as f32)?;
        self.restricted.as_ref().unwrap_or(&self.head).forward(&wanted)
    }

    /// Every run must lie in a slot, begin where the slot holds the tokens before it, and end in the context.
    fn check(&self, packed: &Packed) -> Result<(), DecodeError> {
        for run in packed.runs() {
            let (slot, position) = (run.slot, run.position);
            let held = self.held.get(slot).copied().unwrap_or(0);
            if slot >= self.held.len() || position > held {
                return Err(DecodeError::Gap { slot, held, position });
            }
            if run.end() > self.context {
                return Err(DecodeError::TooLong { tokens: run.end(), context: self.context });
            }
        }
        packed.tokens().iter().try_for_each(|&token| self.check_token(token))
    }

    fn check_token(&self, token: TokenId) -> Result<(), DecodeError> {
        let rows = self.config.vocabulary;
        if token.0 as usize >= rows {
            return Err(DecodeError::UnknownToken { token, rows });
        }
        Ok(())
    }
}

impl LanguageModel for Decoder {
    fn vocabulary(&self) -> usize {
        self.config.vocabulary
    }

    fn slots(&self) -> usize {
        self.held.len()
    }

    fn context(&self) -> usize {
        self.context
    }

    fn restrict(&mut self, ids: Option<&[TokenId]>) -> Result<(), DecodeError> {
        self.restricted = match ids {
            None => None,
            Some(ids) => {
                ids.iter().try_for_each(|&token| self.check_token(token))?;
                let rows: Vec<u32> = ids.iter().map(|token| token.0).collect();
                let rows = self.head_rows.index_select(&Tensor::new(rows, self.device())?, 0)?;
                Some(Linear::new(&rows, None)?)
            }
        };
        Ok(())
    }

    fn forward(&mut self, packed: &Packed) -> Result<Logits, DecodeError> {
        let logits = self.logits(packed)?;
        let width = logits.dim(D::Minus1)?;
        Ok(Logits::new(logits.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?, width))
    }
}

impl Layer {
    fn new(
        config: &ModelConfig,
        weights: &mut Weights,
        index: usize,
        slots: usize,
        context: usize,
    ) -> Result<Self, DecodeError> {
        let &ModelConfig { hidden, intermediate, heads, kv_heads, head_dim, .. } = config;
        let (queries, keys) = (heads * head_dim, kv_heads * head_dim);
        let device = weights.device().clone();
        // The CPU attends in f32.
        let dtype = if device.is_cpu() { DType::F32 } else { weights.dtype() };
        let mut take =
            |name: &str, shape: &[usize]| weights.take(&format!("model.layers.{index}.{name}"), shape);
        let mut linear =
            |parts: &[(&str, usize)], inputs: usize, bias: bool| -> Result<Linear, DecodeError> {
                let mut stacked = |kind: &str, inputs: Option<usize>| -> Result<Tensor, DecodeError> {
                    let shape = |outputs| std::iter::once(outputs).chain(inputs).collect::<Vec<_>>();
                    let parts =
                        parts.iter().map(|&(name, outputs)| take(&format!("{name}.{kind}"), &shape(outputs)));
                    Ok(Tensor::cat(&parts.collect::<Result<Vec<_>, _>>()?, 0)?)
                };
                let weight = stacked("weight", Some(inputs))?;
                let bias = bias.then(|| stacked("bias", None)).transpose()?;
                Linear::new(&weight, bias)
            };
        let qkv = [("self_attn.q_proj", queries), ("self_attn.k_proj", keys), ("self_attn.v_proj", keys)];
        let qkv = linear(&qkv, hidden, config.qkv_bias)?;
        let output = linear(&[("self_attn.o_proj", hidden)], queries, config.output_bias)?;
        let gate_up = [("mlp.gate_proj", intermediate), ("mlp.up_proj", intermediate)];
        let gate_up = linear(&gate_up, hidden, false)?;
        let down = linear(&[("mlp.down_proj", hidden)], intermediate, false)?;
        let head_norms = match config.family {
            Family::Qwen3 => Some([
                take("self_attn.q_norm.weight", &[head_dim])?,
                take("self_attn.k_norm.weight", &[head_dim])?,
            ]),
            Family::Llama | Family::Qwen2 => None,
        };
        Ok(Self {
            attention_norm: take("input_layernorm.weight", &[hidden])?,
            qkv,
            head_norms,
            output,
            feed_norm: take("post_attention_layernorm.weight", &[hidden])?,
            gate_up,
            down,
            cache: Cache::new(config, slots, context, dtype, &device)?,
        })
    }

    fn forward(
        &self,
        config: &ModelConfig,
        stream: &Tensor,
        turns: &Turns,
        runs: &[Run],
    ) -> Result<Tensor, DecodeError> {
        let eps = config.norm_eps as f32;
        let &ModelConfig { heads, kv_heads, head_dim, .. } = config;
        let tokens = stream.dim(0)?;
        let qkv = self.qkv.forward(&rms_norm(stream, &self.attention_norm, eps)?)?;
        let part = |first: usize, heads: usize| -> Result<Tensor, DecodeError> {
            let part = qkv.narrow(1, first * head_dim, heads * head_dim)?.contiguous()?;
            Ok(part.reshape((tokens, heads, head_dim))?)
        };
        let (mut queries, mut keys) = (part(0, heads)?, part(heads, kv_heads)?);
        let values = part(heads + kv_heads, kv_heads)?;
        if let Some([query_norm, key_norm]) = &self.head_norms {
            queries = rms_norm(&queries, query_norm, eps)?;
            keys = rms_norm(&keys, key_norm, eps)?;
        }
        self.cache.append(runs, &turns.apply(&keys)?, &values)?;
        let attended = attend(&turns.apply(&queries)?, &self.cache, runs)?;
        let stream = (stream + self.output.forward(&attended)?)?;

        let gate_up = self.gate_up.forward(&rms_norm(&stream, &self.feed_norm, eps)?)?;
        let width = config.intermediate;
        let gate = silu(&gate_up.narrow(1, 0, width)?.contiguous()?)?;
        let fed = self.down.forward(&(gate * gate_up.narrow(1, width, width)?)?)?;
        Ok((stream + fed)?)
    }
}

impl Linear {
    fn new(weight: &Tensor, bias: Option<Tensor>) -> Result<Self, DecodeError> {
        let turned = weight.t()?;
        // The CPU's product takes other ways, and sums in another order, through few rows of a weight that is merely seen
        // as turned: the last bits would depend on the batch.
        let weight = if weight.device().is_cpu() { turned.contiguous()? } else { turned };
        Ok(Self { weight, bias })
    }

    fn forward(&self, inputs: &Tensor) -> Result<Tensor, DecodeError> {
        let outputs = match inputs.dim(0)? {
            // For the same reason one row is never multiplied alone.
            1 if inputs.device().is_cpu() => {
                Tensor::cat(&[inputs, inputs], 0)?.matmul(&self.weight)?.narrow(0, 0, 1)?
            }
            _ => inputs.matmul(&self.weight)?,
        };
        Ok(match &self.bias {
            Some(bias) => outputs.broadcast_add(bias)?,
            None => outputs,
        })
    }
}
