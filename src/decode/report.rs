//! What strategies did, side by side.

use std::{collections::BTreeMap, time::Duration};

use rayon::prelude::*;
use serde::Serialize;

use super::{DecodeError, Finding, GpuWork, Labels, Output, Run, Runner, Stages, Strategy, Subject};
use crate::artifact::Bounds;

/// One strategy over all rows.
#[derive(Clone, Debug, Serialize)]
pub struct StrategyReport {
    /// The strategy.
    pub strategy: &'static str,
    /// Whether it must show no fault.
    pub exact: bool,
    /// The placeholder whose positions it counts.
    pub placeholder: Option<String>,
    /// From the first template to the last token.
    pub seconds: f64,
    /// How many times faster than `none`; `null` where that did not run.
    pub speed: Option<f64>,
    /// Forward passes of the model, each over all rows of its batch.
    pub passes: u64,
    /// Tokens that were generated, end-of-sequence tokens included.
    pub tokens: u64,
    /// Milliseconds of a forward pass.
    pub ms_per_pass: f64,
    /// Forward passes that each row took part in, over all rows.
    pub row_passes: u64,
    /// The same for each atom.
    pub passes_per_atom: f64,
    /// The passes that the automaton foretells for these texts: places with a choice, tokens under `mask`, less what
    /// drafts save under `drafted`. `null` for strategies that are not exact.
    pub predicted_passes: Option<u64>,
    /// The fewest and the most passes an atom that the automaton allows for any texts of these molecules; `null` for
    /// `drafted` and what is not exact.
    pub bound: Option<Range>,
    /// Rows.
    pub samples: u64,
    /// Atoms of all rows.
    pub atoms: u64,
    /// Coordinate blocks that were written.
    pub blocks: u64,
    /// Tokens inside blocks that belong to no number of the format.
    pub junk_tokens: u64,
    /// Blocks with such tokens.
    pub junk_blocks: u64,
    /// Blocks that lack a digit or a number.
    pub truncated: u64,
    /// Rows whose COPY text differs, or that are unfinished, or go on behind their end.
    pub structural_failures: u64,
    /// Rows whose ids are not those that the tokenizer gives for their text.
    pub non_canonical: u64,
    /// Rows whose ids the matcher refuses.
    pub refused: u64,
    /// Rows that matcher and text disagree about.
    pub disagreements: u64,
    /// Rows with any fault.
    pub failures: u64,
    /// Tokens that the matcher takes, by what they were.
    pub labels: Labels,
    /// Where the time went, in seconds.
    pub time: Times,
    /// What a GPU was asked for, where it decoded by itself; else `null`.
    pub gpu: Option<GpuWork>,
    /// The first fault, in words.
    pub first_fault: Option<String>,
}

/// The fewest and the most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// The fewest.
    pub min: f64,
    /// The most.
    pub max: f64,
}

/// Seconds by kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    /// Building templates.
    pub build: f64,
    /// Forward passes that bring prompts alone.
    pub prefill: f64,
    /// All other forward passes.
    pub forward: f64,
    /// Laying masks over logits.
    pub mask: f64,
    /// Choosing tokens.
    pub sample: f64,
    /// Moving matchers on.
    pub matcher: f64,
    /// Appending tokens to rows.
    pub append: f64,
}

impl From<Stages> for Times {
    fn from(stages: Stages) -> Self {
        let Stages { build, prefill, forward, matcher, mask, sample, append } = stages;
        let [build, prefill, forward, mask, sample, matcher, append] =
            [build, prefill, forward, mask, sample, matcher, append].map(|time| time.as_secs_f64());
        Self { build, prefill, forward, mask, sample, matcher, append }
    }
}

impl StrategyReport {
    /// Whether the strategy kept what it promises: nothing, unless it is exact.
    #[must_use]
    pub fn keeps_its_promise(&self) -> bool {
        let forces = self.predicted_passes.is_none_or(|predicted| predicted == self.row_passes);
        !self.exact || (self.failures == 0 && forces)
    }

    /// Tells the speeds relative to `none`.
    pub fn compare(reports: &mut [Self]) {
        let none =
            reports.iter().find(|report| report.strategy == Strategy::None.name()).map(|none| none.seconds);
        for report in reports {
            report.speed = none.map(|none| none / report.seconds);
        }
    }
}

impl Runner<'_> {
    /// Judges every output of a run twice, and sums up.
    ///
    /// # Errors
    /// As [`Runner::judge`].
    pub fn report(&self, run: &Run, subjects: &[Subject]) -> Result<StrategyReport, DecodeError> {
        let Run { strategy, outputs, .. } = run;
        let (mut atoms, mut bound) = (0, Bounds::default());
        for subject in subjects {
            let template = self.template(subject)?;
            atoms += template.atoms() as u64;
            bound = bound
                + match strategy.forces() {
                    true => template.decisions_left(template.start(), 0),
                    false => template.tokens_left(template.start(), 0),
                };
        }
        let by_row: BTreeMap<u64, &Output> = outputs.iter().map(|output| (output.row, output)).collect();
        let finding = |subject: &Subject| match by_row.get(&subject.row) {
            Some(output) => self.judge(subject, output),
            // An output that is not there would be a fault that nobody sees.
            None => Err(DecodeError::Lost { row: subject.row }),
        };
        let findings = subjects.par_iter().map(finding).collect::<Result<Vec<Finding>, _>>()?;
        let sum = |of: fn(&Finding) -> u64| findings.iter().map(of).sum::<u64>();
        let tokens = outputs.iter().map(|output| output.tokens.len() as u64).sum();
        let row_passes: u64 = outputs.iter().map(|output| u64::from(output.passes)).sum();
        let an_atom = |passes: f64| passes / atoms.max(1) as f64;
        let forward: Duration = run.stages.prefill + run.stages.forward;
        let labels = findings.iter().fold(Labels::default(), |sum, finding| Labels {
            copy: sum.copy + finding.labels.copy,
            forced: sum.forced + finding.labels.forced,
            decided: sum.decided + finding.labels.decided,
        });
        let faulty = findings.iter().find(|finding| !finding.reads_well() || !finding.replays());
        let first_fault = faulty.map(|finding| {
            let words = finding.judgement.fault.as_deref().unwrap_or("the matcher refuses what reads well");
            format!("row {}: {words}", finding.row)
        });
        Ok(StrategyReport {
            strategy: strategy.name(),
            exact: strategy.is_exact(),
            placeholder: self.placeholder(*strategy).map(str::to_owned),
            seconds: run.time.as_secs_f64(),
            speed: None,
            passes: u64::from(run.passes),
            tokens,
            ms_per_pass: forward.as_secs_f64() * 1000.0 / f64::from(run.passes.max(1)),
            row_passes,
            passes_per_atom: an_atom(row_passes as f64),
            predicted_passes: match strategy {
                Strategy::Mask => Some(tokens),
                Strategy::Forced | Strategy::Restricted => Some(sum(|finding| finding.decisions)),
                Strategy::Drafted => Some(sum(|finding| finding.decisions - finding.drafts)),
                _ => None,
            },
            bound: (strategy.is_exact() && !strategy.drafts())
                .then(|| Range { min: an_atom(f64::from(bound.min)), max: an_atom(f64::from(bound.max)) }),
            samples: subjects.len() as u64,
            atoms,
            blocks: sum(|finding| finding.judgement.holes),
            junk_tokens: sum(|finding| finding.judgement.junk_tokens),
            junk_blocks: sum(|finding| finding.judgement.junk_blocks),
            truncated: sum(|finding| finding.judgement.truncated),
            structural_failures: sum(|finding| u64::from(finding.judgement.structural)),
            non_canonical: sum(|finding| u64::from(finding.judgement.non_canonical)),
            refused: sum(|finding| u64::from(!finding.replays())),
            disagreements: sum(|finding| u64::from(finding.replays() != finding.reads_well())),
            failures: sum(|finding| u64::from(!finding.replays() || !finding.reads_well())),
            labels,
            time: run.stages.into(),
            gpu: run.gpu,
            first_fault,
        })
    }
}
