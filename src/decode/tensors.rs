//! The tensors of a decoder, taken by the names and shapes that they have in Hugging Face's checkpoints.

use candle_core::Tensor;

use super::{
    DecodeError,
    config::{Family, ModelConfig},
    weights::Weights,
};

/// All tensors of a model.
pub(super) struct Tensors {
    pub(super) embedding: Tensor,
    pub(super) layers: Vec<LayerTensors>,
    pub(super) norm: Tensor,
    /// The rows of the output layer, one an id: those of the embedding, or its own.
    pub(super) head: Tensor,
}

/// Those of one layer.
pub(super) struct LayerTensors {
    pub(super) attention_norm: Tensor,
    /// Queries, keys and values in one product.
    pub(super) qkv: Projection,
    /// Of queries and of keys.
    pub(super) head_norms: Option<[Tensor; 2]>,
    pub(super) output: Projection,
    pub(super) feed_norm: Tensor,
    /// Gate and up in one product.
    pub(super) gate_up: Projection,
    pub(super) down: Projection,
}

/// A matrix `(outputs, inputs)`, and what is added to its outputs.
pub(super) struct Projection {
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
}

impl Tensors {
    /// # Errors
    /// [`DecodeError`] if a tensor is missing or has another shape.
    pub(super) fn take(config: &ModelConfig, weights: &mut Weights) -> Result<Self, DecodeError> {
        let hidden = config.hidden;
        let embedding = weights.take("model.embed_tokens.weight", &[config.vocabulary, hidden])?;
        let layers = (0..config.layers).map(|index| LayerTensors::take(config, weights, index));
        let layers = layers.collect::<Result<_, _>>()?;
        let norm = weights.take("model.norm.weight", &[hidden])?;
        let head = match config.tied {
            true => embedding.clone(),
            false => weights.take("lm_head.weight", &[config.vocabulary, hidden])?,
        };
        Ok(Self { embedding, layers, norm, head })
    }
}

impl LayerTensors {
    fn take(config: &ModelConfig, weights: &mut Weights, index: usize) -> Result<Self, DecodeError> {
        let &ModelConfig { hidden, intermediate, heads, kv_heads, head_dim, .. } = config;
        let (queries, keys) = (heads * head_dim, kv_heads * head_dim);
        let mut take =
            |name: &str, shape: &[usize]| weights.take(&format!("model.layers.{index}.{name}"), shape);
        let mut projection = |parts: &[(&str, usize)], inputs: usize, bias: bool| {
            let mut stacked = |kind: &str, inputs: Option<usize>| -> Result<Tensor, DecodeError> {
                let shape = |outputs| std::iter::once(outputs).chain(inputs).collect::<Vec<_>>();
                let parts =
                    parts.iter().map(|&(name, outputs)| take(&format!("{name}.{kind}"), &shape(outputs)));
                Ok(Tensor::cat(&parts.collect::<Result<Vec<_>, _>>()?, 0)?)
            };
            let weight = stacked("weight", Some(inputs))?;
            let bias = bias.then(|| stacked("bias", None)).transpose()?;
            Ok::<_, DecodeError>(Projection { weight, bias })
        };
        let qkv = [("self_attn.q_proj", queries), ("self_attn.k_proj", keys), ("self_attn.v_proj", keys)];
        let qkv = projection(&qkv, hidden, config.qkv_bias)?;
        let output = projection(&[("self_attn.o_proj", hidden)], queries, config.output_bias)?;
        let gate_up = [("mlp.gate_proj", intermediate), ("mlp.up_proj", intermediate)];
        let gate_up = projection(&gate_up, hidden, false)?;
        let down = projection(&[("mlp.down_proj", hidden)], intermediate, false)?;
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
        })
    }
}
