//! The Qwen3 architecture, to be trained: every operation has a gradient.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::ops::rms_norm_slow;
use clap::Args;
use serde::Serialize;

use crate::{attention::attention, random::Random};

/// The model's sizes.
#[derive(Args, Clone, Debug, Serialize)]
pub(crate) struct Shape {
    /// Width of the model
    #[arg(long, default_value_t = 128)]
    pub(crate) hidden: usize,
    /// Layers
    #[arg(long, default_value_t = 6)]
    pub(crate) layers: usize,
    /// Query heads
    #[arg(long, default_value_t = 4)]
    pub(crate) heads: usize,
    /// Key and value heads
    #[arg(long, default_value_t = 2)]
    pub(crate) key_heads: usize,
    /// Width of a head
    #[arg(long, default_value_t = 32)]
    pub(crate) head_width: usize,
    /// Width inside the feed-forward layers
    #[arg(long, default_value_t = 256)]
    pub(crate) feed_forward: usize,
}

/// Base of the rotary embedding's wavelengths.
pub(crate) const ROPE_THETA: f64 = 10_000.0;
/// Keeps the norms away from division by zero.
pub(crate) const NORM_EPSILON: f64 = 1e-6;
/// Positions that the rotary tables are made for.
pub(crate) const POSITIONS: usize = 4096;

/// Weights by their names in a checkpoint; always gone through in the order of names.
type Weights = BTreeMap<String, Var>;

/// A model and its weights.
pub(crate) struct Model {
    shape: Shape,
    vocabulary: usize,
    weights: Weights,
    rotary: Rotary,
    device: Device,
}

/// Keys and values of the tokens so far, a pair a layer.
#[derive(Default)]
pub(crate) struct Cache {
    layers: Vec<(Tensor, Tensor)>,
}

impl Cache {
    /// Tokens so far.
    fn len(&self) -> Result<usize> {
        self.layers.first().map_or(Ok(0), |(k, _)| k.dim(2))
    }
}

impl Model {
    /// A model with random weights: the same for the same seed, on any device.
    pub(crate) fn new(shape: &Shape, vocabulary: usize, seed: u64, device: &Device) -> Result<Self> {
        let mut maker = Maker { weights: Weights::new(), random: Random::new(seed), device };
        let Shape { hidden, layers, heads, key_heads, head_width, feed_forward } = *shape;
        maker.matrix("model.embed_tokens", vocabulary, hidden, 0.02)?;
        // Each of the 2 x layers branches adds to the stream; scaled so, the sum does not grow with their number.
        let (inner, outer) = (1.0, (2.0 * layers as f64).powf(-0.5));
        for layer in 0..layers {
            let name = |part: &str| format!("model.layers.{layer}.{part}");
            let linear = |maker: &mut Maker, part: &str, rows: usize, columns: usize, scale: f64| {
                maker.matrix(&name(part), rows, columns, scale * (columns as f64).powf(-0.5))
            };
            maker.ones(&name("input_layernorm"), hidden)?;
            linear(&mut maker, "self_attn.q_proj", heads * head_width, hidden, inner)?;
            linear(&mut maker, "self_attn.k_proj", key_heads * head_width, hidden, inner)?;
            linear(&mut maker, "self_attn.v_proj", key_heads * head_width, hidden, inner)?;
            maker.ones(&name("self_attn.q_norm"), head_width)?;
            maker.ones(&name("self_attn.k_norm"), head_width)?;
            linear(&mut maker, "self_attn.o_proj", hidden, heads * head_width, outer)?;
            maker.ones(&name("post_attention_layernorm"), hidden)?;
            linear(&mut maker, "mlp.gate_proj", feed_forward, hidden, inner)?;
            linear(&mut maker, "mlp.up_proj", feed_forward, hidden, inner)?;
            linear(&mut maker, "mlp.down_proj", hidden, feed_forward, outer)?;
        }
        maker.ones("model.norm", hidden)?;
        let weights = maker.weights;
        let rotary = Rotary::new(head_width, device)?;
        Ok(Self { shape: shape.clone(), vocabulary, weights, rotary, device: device.clone() })
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Rows of the embedding.
    pub(crate) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// What is trained.
    pub(crate) fn variables(&self) -> Vec<Var> {
        self.weights.values().cloned().collect()
    }

    /// The number of weights.
    pub(crate) fn size(&self) -> usize {
        self.weights.values().map(|weight| weight.elem_count()).sum()
    }

    /// Rounds the weights to half precision, in place, and gives them by name.
    pub(crate) fn round(&self) -> Result<HashMap<String, Tensor>> {
        let round = |(name, weight): (&String, &Var)| {
            let half = weight.to_dtype(DType::F16)?;
            weight.set(&half.to_dtype(DType::F32)?)?;
            Ok((name.clone(), half.to_device(&Device::Cpu)?))
        };
        self.weights.iter().map(round).collect()
    }

    /// The logits behind every token of `ids` (batch, tokens), as (batch x tokens, vocabulary). With a cache, `ids` follow
    /// what is in it. `bias` is added to the attention scores.
    pub(crate) fn logits(
        &self,
        ids: &Tensor,
        bias: &Tensor,
        mut cache: Option<&mut Cache>,
    ) -> Result<Tensor> {
        let (batch, tokens) = ids.dims2()?;
        let before = cache.as_ref().map_or(Ok(0), |cache| cache.len())?;
        let embedding = self.weight("model.embed_tokens")?;
        let mut x = one_hot(&ids.flatten_all()?, self.vocabulary)?.matmul(embedding)?;
        for layer in 0..self.shape.layers {
            let name = |part: &str| format!("model.layers.{layer}.{part}");
            let normed = self.norm(&x, &name("input_layernorm"))?;
            let (q, k, v) = self.heads(&normed, &name("self_attn"), batch, tokens, before)?;
            let (k, v) = match cache.as_deref_mut() {
                None => (k, v),
                Some(cache) => cache.append(layer, k, v)?,
            };
            let seen = attention(&q, &k, &v, bias)?.transpose(1, 2)?.contiguous()?;
            let seen = seen.reshape((batch * tokens, self.shape.heads * self.shape.head_width))?;
            x = (x + self.linear(&seen, &name("self_attn.o_proj"))?)?;
            let normed = self.norm(&x, &name("post_attention_layernorm"))?;
            let gate = self.linear(&normed, &name("mlp.gate_proj"))?.silu()?;
            let inner = (gate * self.linear(&normed, &name("mlp.up_proj"))?)?;
            x = (x + self.linear(&inner, &name("mlp.down_proj"))?)?;
        }
        self.norm(&x, "model.norm")?.matmul(&embedding.t()?)
    }

    /// Queries, keys and values as (batch, heads, tokens, width), normed and turned to their positions.
    fn heads(
        &self,
        x: &Tensor,
        part: &str,
        batch: usize,
        tokens: usize,
        before: usize,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let width = self.shape.head_width;
        let split = |name: &str, heads: usize| {
            self.linear(x, &format!("{part}.{name}"))?.reshape((batch, tokens, heads, width))
        };
        let place = |x: Tensor, norm: &str| {
            let x = self.norm(&x, &format!("{part}.{norm}"))?.transpose(1, 2)?.contiguous()?;
            self.rotary.turn(&x, before)
        };
        let q = place(split("q_proj", self.shape.heads)?, "q_norm")?;
        let k = place(split("k_proj", self.shape.key_heads)?, "k_norm")?;
        let v = split("v_proj", self.shape.key_heads)?.transpose(1, 2)?.contiguous()?;
        Ok((q, k, v))
    }

    fn weight(&self, name: &str) -> Result<&Tensor> {
        let weight = self.weights.get(&format!("{name}.weight")).map(Var::as_tensor);
        weight.ok_or_else(|| candle_core::Error::Msg(format!("the model has no {name}")))
    }

    fn linear(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        x.matmul(&self.weight(name)?.t()?)
    }

    fn norm(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        rms_norm_slow(x, self.weight(name)?, NORM_EPSILON as f32)
    }
}

impl Cache {
    /// Keys and values with those of a layer before them.
    fn append(&mut self, layer: usize, k: Tensor, v: Tensor) -> Result<(Tensor, Tensor)> {
        let (k, v) = (k.detach(), v.detach());
        let all = match self.layers.get(layer) {
            None => (k, v),
            Some((old_k, old_v)) => (Tensor::cat(&[old_k, &k], 2)?, Tensor::cat(&[old_v, &v], 2)?),
        };
        match self.layers.get_mut(layer) {
            None => self.layers.push(all.clone()),
            Some(known) => known.clone_from(&all),
        }
        Ok(all)
    }
}

/// A row for each id, 1 at the id and 0 elsewhere. Products with it replace lookups, whose gradients are slow on GPUs.
pub(crate) fn one_hot(ids: &Tensor, width: usize) -> Result<Tensor> {
    let columns = Tensor::arange(0, width as u32, ids.device())?.unsqueeze(0)?;
    ids.unsqueeze(1)?.broadcast_eq(&columns)?.to_dtype(DType::F32)
}

/// Rotary positions: pairs of components, half a head apart, turned by an angle that grows with the position.
struct Rotary {
    cos: Tensor,
    sin: Tensor,
    /// Takes (a, b) to (-b, a), where a and b are the halves of a head.
    quarter_turn: Tensor,
}

impl Rotary {
    fn new(width: usize, device: &Device) -> Result<Self> {
        let half = width / 2;
        let rate = |at: usize| ROPE_THETA.powf(-((at % half) as f64) / half as f64);
        let angles =
            || (0..POSITIONS).flat_map(|position| (0..width).map(move |at| position as f64 * rate(at)));
        let cos: Vec<f32> = angles().map(|angle| angle.cos() as f32).collect();
        let sin: Vec<f32> = angles().map(|angle| angle.sin() as f32).collect();
        let mut quarter_turn = vec![0_f32; width * width];
        for at in 0..half {
            quarter_turn[(at + half) * width + at] = -1.0;
            quarter_turn[at * width + at + half] = 1.0;
        }
        Ok(Self {
            cos: Tensor::from_vec(cos, (POSITIONS, width), device)?,
            sin: Tensor::from_vec(sin, (POSITIONS, width), device)?,
            quarter_turn: Tensor::from_vec(quarter_turn, (width, width), device)?,
        })
    }

    /// Turns (batch, heads, tokens, width) to positions from `first` on.
    fn turn(&self, x: &Tensor, first: usize) -> Result<Tensor> {
        let (batch, heads, tokens, width) = x.dims4()?;
        let turned = x.reshape((batch * heads * tokens, width))?.matmul(&self.quarter_turn)?;
        let turned = turned.reshape(x.shape())?.broadcast_mul(&self.sin.narrow(0, first, tokens)?)?;
        x.broadcast_mul(&self.cos.narrow(0, first, tokens)?)? + turned
    }
}

/// Makes the first weights.
struct Maker<'a> {
    weights: Weights,
    random: Random,
    device: &'a Device,
}

impl Maker<'_> {
    fn matrix(&mut self, name: &str, rows: usize, columns: usize, deviation: f64) -> Result<()> {
        let drawn = (0..rows * columns).map(|_| (self.random.normal() * deviation) as f32).collect();
        self.put(name, Tensor::from_vec(drawn, (rows, columns), self.device)?)
    }

    fn ones(&mut self, name: &str, width: usize) -> Result<()> {
        self.put(name, Tensor::ones(width, DType::F32, self.device)?)
    }

    fn put(&mut self, name: &str, weight: Tensor) -> Result<()> {
        self.weights.insert(format!("{name}.weight"), Var::from_tensor(&weight)?);
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::generate::causal;

    pub(crate) fn small() -> Model {
        let shape = Shape { hidden: 16, layers: 2, heads: 4, key_heads: 2, head_width: 8, feed_forward: 24 };
        Model::new(&shape, 40, 3, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_warm_cache_gives_the_logits_of_the_whole_text() {
        let model = small();
        let ids: Vec<u32> = (0..22).map(|at| at * 7 % 40).collect();
        let ids = Tensor::from_vec(ids, (2, 11), &Device::Cpu).unwrap();
        let whole = model.logits(&ids, &causal(11, &Device::Cpu).unwrap(), None).unwrap();
        let whole = whole.reshape((2, 11, 40)).unwrap();
        let mut cache = Cache::default();
        let first = ids.narrow(1, 0, 8).unwrap();
        model.logits(&first, &causal(8, &Device::Cpu).unwrap(), Some(&mut cache)).unwrap();
        for at in 8..11 {
            let bias = Tensor::zeros((1, 1, 1, at + 1), DType::F32, &Device::Cpu).unwrap();
            let step = model.logits(&ids.narrow(1, at, 1).unwrap(), &bias, Some(&mut cache)).unwrap();
            let difference = (step - whole.narrow(1, at, 1).unwrap().squeeze(1).unwrap()).unwrap();
            let largest: f32 = difference.abs().unwrap().max_all().unwrap().to_scalar().unwrap();
            assert!(largest < 1e-4, "{at}: {largest}");
        }
    }
}
