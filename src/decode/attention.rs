//! Attention of packed tokens, each over the cells of its own row up to itself.

use candle_core::{CpuStorage, CustomOp3, DType, Device, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{DecodeError, cache::Cache, packed::Run};

/// The heads' outputs of each token, `(tokens, heads × width)`, from queries `(tokens, heads, width)`.
pub(super) fn attend(
    queries: &Tensor,
    cache: &Cache,
    runs: &[Run],
) -> std::result::Result<Tensor, DecodeError> {
    match queries.device() {
        Device::Cpu => {
            let dtype = queries.dtype();
            let queries = queries.to_dtype(DType::F32)?.contiguous()?;
            let attended = queries.apply_op3_no_bwd(cache.keys(), cache.values(), &InPlace { runs })?;
            Ok(attended.to_dtype(dtype)?)
        }
        _ => by_rows(queries, cache, runs),
    }
}

/// One row after the other, in operations that every device has. The slow twin of [`InPlace`].
fn by_rows(queries: &Tensor, cache: &Cache, runs: &[Run]) -> std::result::Result<Tensor, DecodeError> {
    let (_, heads, width) = queries.dims3()?;
    let kv_heads = cache.keys().dim(1)?;
    let mut rows = Vec::with_capacity(runs.len());
    for run in runs {
        let (count, end) = (run.tokens.len(), run.end());
        let of_row = |cells: &Tensor| -> Result<Tensor> {
            cells.narrow(0, run.slot, 1)?.squeeze(0)?.narrow(1, 0, end)?.contiguous()
        };
        let (keys, values) = (of_row(cache.keys())?, of_row(cache.values())?);
        let queries = queries.narrow(0, run.tokens.start, count)?.transpose(0, 1)?.contiguous()?;
        let group = heads / kv_heads * count;
        let queries = queries.reshape((kv_heads, group, width))?.to_dtype(keys.dtype())?;
        let scores = (queries.matmul(&keys.t()?)? * (1.0 / (width as f64).sqrt()))?.to_dtype(DType::F32)?;
        let scores = scores.reshape((heads, count, end))?.broadcast_add(&unseen(run, queries.device())?)?;
        let weights = candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(values.dtype())?;
        let attended = weights.reshape((kv_heads, group, end))?.matmul(&values)?;
        let attended = attended.reshape((heads, count, width))?.transpose(0, 1)?;
        rows.push(attended.reshape((count, heads * width))?);
    }
    Ok(Tensor::cat(&rows, 0)?)
}

/// Minus infinity where a token of the run would see what comes behind it.
fn unseen(run: &Run, device: &Device) -> Result<Tensor> {
    let (count, end) = (run.tokens.len(), run.end());
    let cell = |token: usize, cell: usize| if cell > run.position + token { f32::NEG_INFINITY } else { 0.0 };
    let cells: Vec<f32> = (0..count).flat_map(|token| (0..end).map(move |at| cell(token, at))).collect();
    Tensor::from_vec(cells, (1, count, end), device)
}

/// Reads the cells where they lie. Each token's sums go over its own cells in their order and over nothing else, so that
/// the other rows of a pass do not change a bit of them.
struct InPlace<'r> {
    runs: &'r [Run],
}

/// The cells of all slots as they lie in memory.
struct Cells<'c> {
    keys: &'c [f32],
    values: &'c [f32],
    context: usize,
    width: usize,
}

impl CustomOp3 for InPlace<'_> {
    fn name(&self) -> &'static str {
        "packed-attention"
    }

    fn cpu_fwd(
        &self,
        queries: &CpuStorage,
        queries_layout: &Layout,
        keys: &CpuStorage,
        keys_layout: &Layout,
        values: &CpuStorage,
        values_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (tokens, heads, width) = queries_layout.shape().dims3()?;
        let (_, kv_heads, context, _) = keys_layout.shape().dims4()?;
        let queries = lying(queries, queries_layout)?;
        let (keys, values) = (lying(keys, keys_layout)?, lying(values, values_layout)?);
        let cells = Cells { keys, values, context, width };
        let places: Vec<(usize, usize)> =
            self.runs.iter().flat_map(|run| (run.position..run.end()).map(|at| (run.slot, at + 1))).collect();
        let mut attended = vec![0.0; tokens * heads * width];
        attended
            .par_chunks_exact_mut(heads * width)
            .zip(queries.par_chunks_exact(heads * width))
            .zip(places)
            .for_each(|((attended, queries), (slot, seen))| {
                let mut scores = Vec::with_capacity(seen);
                let heads = attended.chunks_exact_mut(width).zip(queries.chunks_exact(width));
                for (head, (attended, query)) in heads.enumerate() {
                    let kv_head = head * kv_heads * width / queries.len();
                    cells.attend(slot * kv_heads + kv_head, seen, query, &mut scores, attended);
                }
            });
        Ok((CpuStorage::F32(attended), Shape::from((tokens, heads * width))))
    }
}

impl Cells<'_> {
    /// One query over the first `seen` cells of one head of one slot.
    fn attend(&self, row: usize, seen: usize, query: &[f32], scores: &mut Vec<f32>, attended: &mut [f32]) {
        let cells = row * self.context * self.width..(row * self.context + seen) * self.width;
        let scale = 1.0 / (self.width as f32).sqrt();
        scores.clear();
        scores.extend(self.keys[cells.clone()].chunks_exact(self.width).map(|key| dot(query, key) * scale));
        let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut total = 0.0;
        for score in scores.iter_mut() {
            *score = (*score - largest).exp();
            total += *score;
        }
        for (weight, value) in scores.iter().zip(self.values[cells].chunks_exact(self.width)) {
            let weight = weight / total;
            attended.iter_mut().zip(value).for_each(|(sum, value)| *sum += weight * value);
        }
    }
}

/// Eight sums side by side, which the compiler keeps in one register.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum::<f32>() + rest
}

/// The values of a tensor without gaps.
fn lying<'s>(storage: &'s CpuStorage, layout: &Layout) -> Result<&'s [f32]> {
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets().and_then(|(start, end)| values.get(start..end)) {
        Some(values) => Ok(values),
        None => bail!("packed-attention takes tensors without gaps"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{
        Wanted,
        config::{Family, ModelConfig, Rope, RopeScaling},
        packed::Packed,
        random::Draws,
    };
    use crate::primitives::TokenId;

    /// Ragged runs over slots that hold different numbers of tokens: cells read in place, and row by row.
    #[test]
    fn both_ways_attend_alike() -> std::result::Result<(), DecodeError> {
        let config = ModelConfig {
            family: Family::Llama,
            hidden: 40,
            intermediate: 1,
            layers: 1,
            heads: 4,
            kv_heads: 2,
            head_dim: 10,
            vocabulary: 1,
            context: 12,
            norm_eps: 0.0,
            rope: Rope { theta: 1.0, scaling: RopeScaling::None },
            tied: true,
            qkv_bias: false,
            output_bias: false,
        };
        let mut draws = Draws::named(5, "cells");
        let mut drawn = |tokens: usize, heads: usize| {
            let values: Vec<f32> =
                (0..tokens * heads * 10).map(|_| draws.uniform() as f32 * 4.0 - 2.0).collect();
            Tensor::from_vec(values, (tokens, heads, 10), &Device::Cpu)
        };
        let cache = Cache::new(&config, 3, 12, DType::F32, &Device::Cpu)?;
        let passes = [&[(2, 0, 5), (0, 0, 1)][..], &[(0, 1, 3), (1, 0, 7), (2, 5, 1)], &[(2, 3, 4)]];
        for pass in passes {
            let mut packed = Packed::default();
            for &(slot, position, count) in pass {
                packed.push(slot, position, &vec![TokenId(0); count], Wanted::Last(1));
            }
            let tokens = packed.tokens().len();
            cache.append(packed.runs(), &drawn(tokens, 2)?, &drawn(tokens, 2)?)?;
            let queries = drawn(tokens, 4)?;
            let fast = attend(&queries, &cache, packed.runs())?.to_vec2::<f32>()?.concat();
            let slow = by_rows(&queries, &cache, packed.runs())?.to_vec2::<f32>()?.concat();
            assert!(
                fast.iter().zip(&slow).all(|(fast, slow)| (fast - slow).abs() < 1e-5),
                "{fast:?} {slow:?}"
            );
            assert!(fast.iter().any(|value| value.abs() > 0.1));
        }
        Ok(())
    }
}
