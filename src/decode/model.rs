//! The decoder: Llama, Qwen2 and Qwen3 over packed runs.

use candle_core::{D, DType, Device, Tensor};
use candle_nn::ops::{rms_norm, silu};

use super::{
    DecodeError, LanguageModel, Logits, Packed,
    attention::attend,
    cache::Cache,
    config::ModelConfig,
    packed::{Run, check_tokens},
    rotary::{Rotary, Turns},
    tensors::{LayerTensors, Projection, Tensors},
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

/// Multiplications of a product from which on it is worth more than one thread.
const WORTH_THREADS: usize = 1 << 24;

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
        let device = weights.device().clone();
        // Threads that wait for each other at every small product cost more than they bring, the more the more there are.
        gemm::set_threading_threshold(WORTH_THREADS);
        // The CPU attends in f32.
        let cells = if device.is_cpu() { DType::F32 } else { weights.dtype() };
        let Tensors { embedding, layers, norm, head } = Tensors::take(config, &mut weights)?;
        let layer = |tensors| {
            let cache = Cache::new(config, slots, context, cells, &device)?;
            Layer::new(tensors, cache)
        };
        let layers = layers.into_iter().map(layer).collect::<Result<_, _>>()?;
        Ok(Self {
            config: config.clone(),
            embedding,
            layers,
            norm,
            head: Linear::new(&head, None)?,
            head_rows: head,
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
        packed.check(&self.held, self.context, self.config.vocabulary)?;
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
                check_tokens(ids, self.config.vocabulary)?;
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
    fn new(tensors: LayerTensors, cache: Cache) -> Result<Self, DecodeError> {
        let linear = |Projection { weight, bias }: Projection| Linear::new(&weight, bias);
        Ok(Self {
            attention_norm: tensors.attention_norm,
            qkv: linear(tensors.qkv)?,
            head_norms: tensors.head_norms,
            output: linear(tensors.output)?,
            feed_norm: tensors.feed_norm,
            gate_up: linear(tensors.gate_up)?,
            down: linear(tensors.down)?,
            cache,
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
