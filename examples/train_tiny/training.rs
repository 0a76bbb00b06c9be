//! The training loop.

use std::{sync::mpsc::sync_channel, thread, time::Instant};

use anyhow::{Context, Result};
use candle_core::{D, Tensor, Var, backprop::GradStore};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, ops::log_softmax};
use clap::Args;
use serde::Serialize;

use crate::{
    batches::{Batch, Batches},
    generate::causal,
    model::{Model, one_hot},
};

/// How to train.
#[derive(Args, Clone, Debug, Serialize)]
pub(crate) struct Plan {
    /// Train for so many minutes; the learning rate and the length of the texts follow the clock
    #[arg(long, default_value_t = 7.0)]
    pub(crate) minutes: f64,
    /// Train for so many steps instead: the same weights each time on the same device
    #[arg(long)]
    pub(crate) steps: Option<u64>,
    /// Tokens of a batch
    #[arg(long, default_value_t = 16_384)]
    pub(crate) tokens: usize,
    /// Leave out texts with more tokens than this
    #[arg(long, default_value_t = 1024)]
    pub(crate) longest: usize,
    /// The highest learning rate
    #[arg(long, default_value_t = 3e-3)]
    pub(crate) learning_rate: f64,
    /// How much a token of COPY text counts in the loss, where a token of a coordinate counts 1
    #[arg(long, default_value_t = 3.0)]
    pub(crate) copy_weight: f32,
    /// Print the loss after so many steps
    #[arg(long, default_value_t = 100)]
    pub(crate) print_every: u64,
}

/// Share of the training in which the learning rate rises.
const WARM_UP: f64 = 0.02;
/// The last learning rate, as a share of the highest.
const LAST_RATE: f64 = 0.01;
/// Gradients longer than this are shortened to it.
const LONGEST_GRADIENT: f64 = 1.0;
/// Batches that are made ahead.
const AHEAD: usize = 8;

impl Plan {
    /// The share of the training that is over.
    fn progress(&self, started: Instant, step: u64) -> f64 {
        let progress = match self.steps {
            Some(steps) => step as f64 / steps as f64,
            None => started.elapsed().as_secs_f64() / (60.0 * self.minutes),
        };
        progress.min(1.0)
    }

    fn rate(&self, progress: f64) -> f64 {
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        let rate = (progress / WARM_UP).min(1.0) * (LAST_RATE + (1.0 - LAST_RATE) * cosine);
        self.learning_rate * rate
    }
}

/// What the training came to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Trained {
    pub(crate) steps: u64,
    pub(crate) tokens: u64,
    pub(crate) seconds: f64,
    /// The last printed losses, in nats a token.
    pub(crate) loss: Losses,
}

/// Mean losses by kind of token, in nats.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Losses {
    pub(crate) copy: f64,
    pub(crate) free: f64,
}

/// Trains the model.
pub(crate) fn train(
    model: &Model,
    batches: &Batches<'_>,
    plan: &Plan,
    print: impl Fn(&str),
) -> Result<Trained> {
    let variables = model.variables();
    let parameters = ParamsAdamW { lr: 0.0, beta1: 0.9, beta2: 0.98, eps: 1e-9, weight_decay: 0.01 };
    let mut optimizer = AdamW::new(variables.clone(), parameters)?;
    let started = Instant::now();
    let mut trained = Trained { steps: 0, tokens: 0, seconds: 0.0, loss: Losses::default() };
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        scope.spawn(move || {
            for index in 0.. {
                // Nobody receives when the training is over.
                if sender.send(batches.batch(index, plan.progress(started, index))).is_err() {
                    break;
                }
            }
        });
        loop {
            let progress = plan.progress(started, trained.steps);
            if progress >= 1.0 {
                break;
            }
            let batch = receiver.recv().context("no more batches")??;
            optimizer.set_learning_rate(plan.rate(progress));
            let nats = step(model, &batch, &variables, &mut optimizer)?;
            trained.steps += 1;
            trained.tokens += batch.tokens() as u64;
            if trained.steps.is_multiple_of(plan.print_every) || trained.steps == 1 {
                trained.loss = losses(&nats.to_vec1()?, batch.weights(), plan.copy_weight);
                trained.seconds = started.elapsed().as_secs_f64();
                print(&line(&trained, progress, plan.rate(progress), batch.width()));
            }
        }
        drop(receiver);
        trained.seconds = started.elapsed().as_secs_f64();
        Ok(trained)
    })
}

fn line(trained: &Trained, progress: f64, rate: f64, width: usize) -> String {
    let Trained { steps, tokens, seconds, loss } = trained;
    let speed = *tokens as f64 / seconds / 1e3;
    format!(
        "step {steps:>6}  {:5.1}%  rate {rate:.5}  copy {:.4}  free {:.4}  width {width:>4}  {speed:.0}k tokens/s",
        progress * 100.0,
        loss.copy,
        loss.free
    )
}

/// One step; the loss of each token, in nats.
fn step(model: &Model, batch: &Batch, variables: &[Var], optimizer: &mut AdamW) -> Result<Tensor> {
    let [ids, targets, weights] = batch.tensors(model.device())?;
    let logits = model.logits(&ids, &causal(batch.width(), model.device())?, None)?;
    let likely = (log_softmax(&logits, D::Minus1)? * one_hot(&targets, model.vocabulary())?)?;
    let nats = likely.sum(D::Minus1)?.neg()?;
    let total: f64 = batch.weights().iter().map(|&weight| f64::from(weight)).sum();
    let loss = ((&nats * &weights)?.sum_all()? / total)?;
    let mut gradients = loss.backward()?;
    shorten(&mut gradients, variables)?;
    optimizer.step(&gradients)?;
    Ok(nats.detach())
}

/// Shortens the gradient, taken as one long vector, without waiting for the device.
fn shorten(gradients: &mut GradStore, variables: &[Var]) -> Result<()> {
    let of = |variable: &Var| gradients.get(variable).map(|gradient| gradient.sqr()?.sum_all());
    let squares: Vec<Tensor> = variables.iter().filter_map(of).collect::<candle_core::Result<_>>()?;
    let length = Tensor::stack(&squares, 0)?.sum_all()?.sqrt()?;
    let scale = (length.recip()? * LONGEST_GRADIENT)?.minimum(1.0)?;
    for variable in variables {
        if let Some(gradient) = gradients.remove(variable) {
            gradients.insert(variable, gradient.broadcast_mul(&scale)?);
        }
    }
    Ok(())
}

fn losses(nats: &[f32], weights: &[f32], copy_weight: f32) -> Losses {
    let mean = |weight: f32| {
        let of: Vec<f64> = nats
            .iter()
            .zip(weights)
            .filter(|(_, given)| **given == weight)
            .map(|(&nats, _)| nats.into())
            .collect();
        of.iter().sum::<f64>() / of.len().max(1) as f64
    };
    Losses { copy: mean(copy_weight), free: mean(1.0) }
}
