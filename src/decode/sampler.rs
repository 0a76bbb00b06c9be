//! Choosing a token: the constraint first, then the filters, then chance.
//!
//! Chance is noise added to the logits, drawn by seed, row, place in the row's output and id (the largest sum is a
//! sample of the softmax). So a draw depends neither on the batch nor on how the row came there, and where a constraint
//! leaves the winner alone it changes nothing.

use super::{
    DecodeError,
    random::{join, mix, unit},
};
use crate::primitives::TokenId;

/// How a token is chosen among those that are allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f64,
    /// Keeps the likeliest tokens until they have this share together.
    pub top_p: f64,
    /// Keeps this many of the likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps tokens of at least this share of the likeliest one's.
    pub min_p: f64,
}

/// Where a token is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The row, by its number in the whole run.
    pub row: u64,
    /// The token's place in the row's output.
    pub place: u64,
}

/// A token that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The token.
    pub token: TokenId,
    /// Its logit.
    pub logit: f32,
}

/// Chooses tokens by seed.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    sampling: Sampling,
    seed: u64,
}

impl Default for Sampling {
    /// The likeliest token.
    fn default() -> Self {
        Self { temperature: 0.0, top_p: 1.0, top_k: 0, min_p: 0.0 }
    }
}

impl Sampling {
    /// Checks that the settings choose something.
    ///
    /// # Errors
    /// [`DecodeError::Sampling`] for the first that does not.
    pub fn check(&self) -> Result<(), DecodeError> {
        let positive = self.top_p > 0.0 && self.top_p <= 1.0;
        let settings = [
            ("temperature", self.temperature, (0.0..f64::INFINITY).contains(&self.temperature), "0 or more"),
            ("top-p", self.top_p, positive, "over 0 and at most 1"),
            ("min-p", self.min_p, (0.0..=1.0).contains(&self.min_p), "from 0 to 1"),
        ];
        match settings.into_iter().find(|(_, _, good, _)| !good) {
            Some((setting, value, _, range)) => Err(DecodeError::Sampling { setting, value, range }),
            None => Ok(()),
        }
    }
}

impl Sampler {
    /// A sampler of these settings.
    ///
    /// # Errors
    /// As [`Sampling::check`].
    pub fn new(sampling: Sampling, seed: u64) -> Result<Self, DecodeError> {
        sampling.check()?;
        Ok(Self { sampling, seed })
    }

    /// The settings.
    #[cfg(feature = "cuda")]
    pub(super) fn sampling(&self) -> Sampling {
        self.sampling
    }

    /// What all draws begin with.
    pub(super) fn key(&self) -> u64 {
        mix(self.seed)
    }

    /// The chosen token, or none if the largest logit is not finite, or there is no candidate. Filters take candidates away
    /// and change their order. Of equal ones the smaller id is taken; a logit that is no number is as good as none.
    #[must_use]
    pub fn choose(&self, candidates: &mut Vec<Candidate>, draw: Draw) -> Option<TokenId> {
        for candidate in candidates.iter_mut().filter(|candidate| candidate.logit.is_nan()) {
            candidate.logit = f32::NEG_INFINITY;
        }
        let most = candidates.iter().map(|candidate| candidate.logit).fold(f32::NEG_INFINITY, f32::max);
        if !most.is_finite() {
            return None;
        }
        if self.sampling.temperature == 0.0 {
            return largest(candidates, |candidate| f64::from(candidate.logit));
        }
        self.filter(candidates);
        let key = join(join(self.key(), draw.row), draw.place);
        largest(candidates, |candidate| {
            let noise = -(-unit(join(key, u64::from(candidate.token.0))).ln()).ln();
            f64::from(candidate.logit) / self.sampling.temperature + noise
        })
    }

    /// Keeps the candidates that top-k, top-p and min-p let through, in this order.
    fn filter(&self, candidates: &mut Vec<Candidate>) {
        let Sampling { temperature, top_p, top_k, min_p } = self.sampling;
        let by_rank =
            |a: &Candidate, b: &Candidate| b.logit.total_cmp(&a.logit).then_with(|| a.token.cmp(&b.token));
        if top_k > 0 && top_k < candidates.len() {
            candidates.select_nth_unstable_by(top_k - 1, by_rank);
            candidates.truncate(top_k);
        }
        if top_p == 1.0 && min_p == 0.0 {
            return;
        }
        candidates.sort_unstable_by(by_rank);
        let Some(&first) = candidates.first() else { return };
        let share = |candidate: &Candidate| {
            ((f64::from(candidate.logit) - f64::from(first.logit)) / temperature).exp()
        };
        if top_p < 1.0 {
            let wanted = top_p * candidates.iter().map(share).sum::<f64>();
            let mut before = 0.0;
            let kept = candidates.iter().take_while(|candidate| {
                let missing = before < wanted;
                before += share(candidate);
                missing
            });
            let kept = kept.count();
            candidates.truncate(kept.max(1));
        }
        candidates.retain(|candidate| share(candidate) >= min_p);
    }
}

/// The token of the largest value; of equal ones the smallest id.
fn largest(candidates: &[Candidate], value: impl Fn(&Candidate) -> f64) -> Option<TokenId> {
    let valued = candidates.iter().map(|candidate| (value(candidate), candidate.token));
    let best =
        valued.reduce(|best, next| match next.0.total_cmp(&best.0).then_with(|| best.1.cmp(&next.1)) {
            std::cmp::Ordering::Greater => next,
            _ => best,
        });
    best.map(|(_, token)| token)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn candidates(logits: &[f32]) -> Vec<Candidate> {
        let ids = (0..).map(TokenId);
        ids.zip(logits).map(|(token, &logit)| Candidate { token, logit }).collect()
    }

    fn kept(sampling: Sampling, logits: &[f32]) -> Result<Vec<u32>, DecodeError> {
        let mut all = candidates(logits);
        Sampler::new(sampling, 0)?.filter(&mut all);
        let mut ids: Vec<u32> = all.iter().map(|candidate| candidate.token.0).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Shares of many draws.
    fn shares(sampling: Sampling, logits: &[f32]) -> Result<BTreeMap<u32, f64>, DecodeError> {
        let sampler = Sampler::new(sampling, 11)?;
        let mut shares = BTreeMap::new();
        for place in 0..40_000 {
            let drawn = sampler.choose(&mut candidates(logits), Draw { row: place % 7, place });
            *shares.entry(drawn.map_or(u32::MAX, |token| token.0)).or_insert(0.0) += 1.0 / 40_000.0;
        }
        Ok(shares)
    }

    #[test]
    fn the_likeliest_and_of_equals_the_first() -> Result<(), DecodeError> {
        let greedy = Sampler::new(Sampling::default(), 3)?;
        let draw = Draw { row: 0, place: 0 };
        let choose = |logits: &[f32]| greedy.choose(&mut candidates(logits), draw).map(|token| token.0);
        assert_eq!(choose(&[1.0, 5.0, 5.0, -2.0]), Some(1));
        assert_eq!(choose(&[f32::NAN, -5.0]), Some(1));
        for none in [&[][..], &[f32::NEG_INFINITY, f32::NAN], &[f32::NAN], &[f32::INFINITY, 0.0]] {
            assert_eq!(choose(none), None, "{none:?}");
        }
        let mut turned: Vec<Candidate> = candidates(&[5.0, 5.0]);
        turned.reverse();
        assert_eq!(greedy.choose(&mut turned, draw), Some(TokenId(0)));
        Ok(())
    }

    #[test]
    fn filters_keep_what_they_say() -> Result<(), DecodeError> {
        // Shares 0.5, 0.25, 0.125, 0.125 at temperature 1.
        let logits: Vec<f32> = [0.125_f32, 0.5, 0.125, 0.25].iter().map(|share| share.ln()).collect();
        let warm = Sampling { temperature: 1.0, ..Sampling::default() };
        assert_eq!(kept(warm, &logits)?, [0, 1, 2, 3]);
        assert_eq!(kept(Sampling { top_k: 3, ..warm }, &logits)?, [0, 1, 3]);
        assert_eq!(kept(Sampling { top_p: 0.49, ..warm }, &logits)?, [1]);
        assert_eq!(kept(Sampling { top_p: 0.51, ..warm }, &logits)?, [1, 3]);
        assert_eq!(kept(Sampling { top_p: 0.8, ..warm }, &logits)?, [0, 1, 3]);
        assert_eq!(kept(Sampling { min_p: 0.4, ..warm }, &logits)?, [1, 3]);
        // Of the two that top-k leaves, the first has two thirds.
        assert_eq!(kept(Sampling { top_k: 2, top_p: 0.6, ..warm }, &logits)?, [1]);
        // A higher temperature makes shares more alike.
        assert_eq!(kept(Sampling { temperature: 2.0, top_p: 0.49, ..warm }, &logits)?, [1, 3]);
        assert_eq!(kept(Sampling { top_p: 0.5, min_p: 1.0, ..warm }, &[f32::MIN; 3])?.len(), 2);
        Ok(())
    }

    #[test]
    fn draws_follow_the_softmax() -> Result<(), DecodeError> {
        let weights = [0.05_f32, 0.6, 0.15, 0.2];
        let logits = weights.map(f32::ln);
        let warm = shares(Sampling { temperature: 1.0, ..Sampling::default() }, &logits)?;
        for (id, weight) in (0..).zip(weights) {
            let share = warm.get(&id).copied().unwrap_or(0.0);
            assert!((share - f64::from(weight)).abs() < 0.01, "{id}: {share}");
        }
        // Halving the temperature squares the shares.
        let cool = shares(Sampling { temperature: 0.5, ..Sampling::default() }, &logits)?;
        assert!((cool[&1] - 0.36 / (0.0025 + 0.36 + 0.0225 + 0.04)).abs() < 0.01, "{cool:?}");
        Ok(())
    }

    /// What was not chosen may be forbidden without a change: the same draw wins.
    #[test]
    fn a_constraint_that_leaves_the_winner_changes_nothing() -> Result<(), DecodeError> {
        let sampler = Sampler::new(Sampling { temperature: 1.3, ..Sampling::default() }, 5)?;
        let logits = [0.3, -1.0, 2.0, 0.0, 1.2];
        for place in 0..500 {
            let draw = Draw { row: 3, place };
            let free = sampler.choose(&mut candidates(&logits), draw);
            let mut allowed = candidates(&logits);
            allowed.retain(|candidate| Some(candidate.token) == free || candidate.token.0 % 2 == 0);
            allowed.reverse();
            assert_eq!(sampler.choose(&mut allowed, draw), free);
        }
        Ok(())
    }

    #[test]
    fn settings_that_choose_nothing_are_refused() {
        let warm = Sampling { temperature: 1.0, ..Sampling::default() };
        for bad in [
            Sampling { temperature: -1.0, ..warm },
            Sampling { temperature: f64::NAN, ..warm },
            Sampling { top_p: 0.0, ..warm },
            Sampling { top_p: 1.5, ..warm },
            Sampling { min_p: -0.1, ..warm },
        ] {
            assert!(matches!(Sampler::new(bad, 0), Err(DecodeError::Sampling { .. })), "{bad:?}");
        }
    }
}
