//! Sampling from the model, all rows in step, with nothing to hold them to the grammar.

use candle_core::{DType, Device, Result, Tensor};
use rayon::prelude::*;

use crate::{
    model::{Cache, Model},
    random::Random,
};

/// How the next token is chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sampling {
    /// The likeliest.
    Greedy,
    /// By chance, from the likeliest tokens that together reach a share.
    TopP {
        /// Divides the logits.
        temperature: f64,
        /// The share.
        top_p: f64,
    },
}

/// What the model wrote behind a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generated {
    /// The tokens, without the one that ends them.
    pub(crate) ids: Vec<u32>,
    /// Whether the model ended by itself.
    pub(crate) finished: bool,
}

/// Far below every score, and still finite: a token that may look at nothing must not become NaN.
const NEVER: f32 = -1e9;

/// Each token sees itself and those before it.
pub(crate) fn causal(tokens: usize, device: &Device) -> Result<Tensor> {
    let places = Tensor::arange(0, tokens as u32, device)?;
    let later = places.unsqueeze(0)?.broadcast_gt(&places.unsqueeze(1)?)?.to_dtype(DType::F32)?;
    (later * f64::from(NEVER))?.reshape((1, 1, tokens, tokens))
}

/// Continues each prompt until `end`, or for `longest` tokens.
///
/// Prompts are filled up on the left. Rotary positions are relative, so a row does not notice where it starts.
pub(crate) fn generate(
    model: &Model,
    prompts: &[Vec<u32>],
    end: u32,
    longest: usize,
    sampling: Sampling,
    seed: u64,
) -> Result<Vec<Generated>> {
    let device = model.device();
    let (rows, width) = (prompts.len(), prompts.iter().map(Vec::len).max().unwrap_or(0));
    let filled = |prompt: &Vec<u32>| [vec![end; width - prompt.len()], prompt.clone()].concat();
    let ids = Tensor::from_vec(prompts.iter().flat_map(filled).collect(), (rows, width), device)?;
    let hidden = prompts
        .iter()
        .flat_map(|prompt| (0..width).map(move |at| if at < width - prompt.len() { NEVER } else { 0.0 }));
    let hidden = Tensor::from_vec(hidden.collect::<Vec<f32>>(), (rows, 1, 1, width), device)?;

    let mut random: Vec<Random> = (0..rows).map(|row| Random::of(seed, row as u64)).collect();
    let mut texts: Vec<Vec<u32>> = vec![Vec::new(); rows];
    let mut finished = vec![false; rows];
    let mut cache = Cache::default();
    let logits = model.logits(&ids, &hidden.broadcast_add(&causal(width, device)?)?, Some(&mut cache))?;
    let mut logits =
        logits.reshape((rows, width, model.vocabulary()))?.narrow(1, width - 1, 1)?.squeeze(1)?;
    for step in 1..=longest {
        let chosen: Vec<u32> = logits
            .to_vec2::<f32>()?
            .par_iter()
            .zip(&mut random)
            .map(|(logits, random)| choose(logits, sampling, random))
            .collect();
        for ((text, finished), &id) in texts.iter_mut().zip(&mut finished).zip(&chosen) {
            *finished |= id == end;
            if !*finished {
                text.push(id);
            }
        }
        if step == longest || finished.iter().all(|&finished| finished) {
            break;
        }
        let generated = Tensor::zeros((rows, 1, 1, step), DType::F32, device)?;
        let bias = Tensor::cat(&[&hidden, &generated], 3)?;
        logits = model.logits(&Tensor::from_vec(chosen, (rows, 1), device)?, &bias, Some(&mut cache))?;
    }
    Ok(texts.into_iter().zip(finished).map(|(ids, finished)| Generated { ids, finished }).collect())
}

fn choose(logits: &[f32], sampling: Sampling, random: &mut Random) -> u32 {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    // Equal logits in the order of ids, so that the choice is the same everywhere.
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    let Sampling::TopP { temperature, top_p } = sampling else { return order[0] as u32 };
    let weight = |id: usize| (f64::from(logits[id] - logits[order[0]]) / temperature).exp();
    let total: f64 = (0..logits.len()).map(weight).sum();
    let mut kept = 0.0;
    let reached = order.iter().position(|&id| {
        kept += weight(id);
        kept >= top_p * total
    });
    let kept_ids = &order[..reached.map_or(order.len(), |last| last + 1)];
    let mut left = random.unit() * kept_ids.iter().map(|&id| weight(id)).sum::<f64>();
    let chosen = kept_ids.iter().find(|&&id| {
        left -= weight(id);
        left < 0.0
    });
    *chosen.unwrap_or(&order[0]) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::small;

    #[test]
    fn a_row_does_not_depend_on_the_rows_around_it() {
        let model = small();
        let prompts = [vec![1, 2, 3], vec![4, 5, 6, 7, 8, 9, 10], vec![11]];
        let sampling = Sampling::TopP { temperature: 1.0, top_p: 0.9 };
        for sampling in [Sampling::Greedy, sampling] {
            let together = generate(&model, &prompts, 39, 12, sampling, 5).unwrap();
            let alone = generate(&model, &prompts[..1], 39, 12, sampling, 5).unwrap();
            assert_eq!(together[0], alone[0]);
        }
    }

    #[test]
    fn the_likeliest_tokens_that_reach_the_share_are_drawn_as_often_as_they_are_likely() {
        let logits = [2_f32.ln(), 0.1_f32.ln(), 5_f32.ln(), 3_f32.ln()];
        let mut random = Random::new(4);
        let mut counts = [0_u32; 4];
        let sampling = Sampling::TopP { temperature: 1.0, top_p: 0.75 };
        for _ in 0..8000 {
            counts[choose(&logits, sampling, &mut random) as usize] += 1;
        }
        assert_eq!([counts[0], counts[1]], [0, 0]);
        assert!((f64::from(counts[2]) / 8000.0 - 5.0 / 8.0).abs() < 0.02, "{counts:?}");
        assert_eq!(choose(&logits, Sampling::Greedy, &mut random), 2);
    }
}
