//! What an audit says of many generations.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Judgement, JunkCount, JunkKind, Verdict};

/// Sums of judgements. Adding in the order of the input keeps the first examples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Generations that were judged.
    pub generations: u64,
    /// The same by verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Tokens of all.
    pub tokens: u64,
    /// The fewest and the most tokens of one.
    pub tokens_range: Option<(u64, u64)>,
    /// Holes of all.
    pub holes: u64,
    /// Junk tokens of all.
    pub junk_tokens: u64,
    /// Holes with junk.
    pub junk_blocks: u64,
    /// Junk by kind.
    pub junk: BTreeMap<JunkKind, JunkCount>,
    /// Holes with a number that is cut off or missing.
    pub truncated: u64,
    /// Generations whose COPY text is not the molecule's.
    pub structural_failures: u64,
    /// Generations whose ids are not those of their text.
    pub non_canonical: u64,
    /// The first generations of each verdict but valid.
    pub examples: Vec<Example>,
}

/// A generation that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Its line in the input, from 1.
    pub line: u64,
    /// What it is.
    pub verdict: Verdict,
    /// Its first fault.
    pub fault: String,
}

/// Examples that are kept of each verdict.
const EXAMPLES: usize = 3;

impl Totals {
    /// Adds the judgement of line `line`.
    pub fn add(&mut self, line: u64, judgement: &Judgement) {
        let Judgement { verdict, tokens, .. } = *judgement;
        self.generations += 1;
        *self.verdicts.entry(verdict).or_default() += 1;
        self.tokens += tokens;
        let (fewest, most) = self.tokens_range.unwrap_or((tokens, tokens));
        self.tokens_range = Some((fewest.min(tokens), most.max(tokens)));
        self.holes += judgement.holes;
        self.junk_tokens += judgement.junk_tokens;
        self.junk_blocks += judgement.junk_blocks;
        for (&kind, count) in &judgement.junk {
            let total = self.junk.entry(kind).or_default();
            total.tokens += count.tokens;
            total.blocks += count.blocks;
        }
        self.truncated += judgement.truncated;
        self.structural_failures += u64::from(judgement.structural);
        self.non_canonical += u64::from(judgement.non_canonical);
        let known = self.examples.iter().filter(|example| example.verdict == verdict).count();
        if let Some(fault) = judgement.fault.clone().filter(|_| known < EXAMPLES) {
            self.examples.push(Example { line, verdict, fault });
        }
    }

    /// How many have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> u64 {
        self.verdicts.get(&verdict).copied().unwrap_or(0)
    }

    /// Whether every generation is valid.
    #[must_use]
    pub fn all_valid(&self) -> bool {
        self.count(Verdict::Valid) == self.generations
    }
}
