//! The decoding loop: many rows over few slots, each at its own position.

use std::sync::Arc;

use serde::Serialize;

use super::{
    DecodeError, LanguageModel, Logits, Packed, Wanted,
    guide::{Columns, Guide},
    sampler::{Candidate, Draw, Sampler},
    watch::Watch,
};
use crate::{
    primitives::TokenId,
    trace::{SpanArgs, SpanKind},
};

/// One row to decode.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// Its number in the whole run, by which its draws are made.
    pub(super) row: u64,
    pub(super) prompt: Vec<TokenId>,
    pub(super) guide: Guide,
    /// Tokens after which it is stopped, finished or not.
    pub(super) longest: usize,
    /// What it says whatever is chosen, where all strategies are to do equal work.
    pub(super) script: Option<Arc<[TokenId]>>,
}

/// What a row said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its number in the whole run.
    pub row: u64,
    /// Its tokens, the end-of-sequence token included.
    pub tokens: Vec<TokenId>,
    /// The forward passes in which it chose a token, that of its prompt included.
    pub passes: u32,
    /// Whether it came to an end; else it was stopped.
    pub finished: bool,
}

/// What all rows said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Decoded {
    /// By row.
    pub(super) outputs: Vec<Output>,
    /// Forward passes of the model, each over all rows of its batch.
    pub(super) passes: u32,
    /// What a GPU was asked for, where it decoded by itself.
    pub(super) gpu: Option<GpuWork>,
}

/// What a GPU was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GpuWork {
    /// Kernels that ran.
    pub kernels: u64,
    /// Launches by the host: of a kernel, or of a recorded pass.
    pub launches: u64,
    /// Passes that were run, those included that had nothing left to read.
    pub passes: u64,
    /// Tokens that were read: prompts, what was said, and drafts.
    pub tokens: u64,
    /// Times that a row brought only a part of its tokens, as the pass had room for no more, so that it chose nothing.
    pub partial: u64,
}

/// A row in its slot.
pub(super) struct Row {
    pub(super) job: Job,
    pub(super) output: Output,
    /// The tokens that the model has not read yet.
    pub(super) unread: Vec<TokenId>,
    /// What is read behind them before it is known to be chosen.
    draft: Option<TokenId>,
    /// The number of tokens that it has.
    read: usize,
    /// What the last pass chose.
    chosen: Option<TokenId>,
}

/// A place for a row, and what it may choose from.
#[derive(Default)]
struct Slot {
    row: Option<Row>,
    candidates: Vec<Candidate>,
}

/// Decodes jobs.
pub(super) struct Engine<'e, 'r> {
    pub(super) model: &'e mut dyn LanguageModel,
    pub(super) columns: Columns<'e>,
    pub(super) sampler: Sampler,
    pub(super) watch: &'e mut Watch<'r>,
}

impl Engine<'_, '_> {
    /// Decodes all jobs. A row that ends leaves its slot, and the next job takes it with its prompt in the next pass.
    pub(super) fn decode(
        &mut self,
        jobs: impl IntoIterator<Item = Job>,
        mut finished: impl FnMut(),
    ) -> Result<Decoded, DecodeError> {
        let mut waiting = jobs.into_iter();
        let mut slots = Vec::new();
        slots.resize_with(self.model.slots(), Slot::default);
        let mut decoded = Decoded::default();
        let mut packed = Packed::default();
        loop {
            let begun = self.watch.begin();
            let mut ended = |output| {
                decoded.outputs.push(output);
                finished();
            };
            for slot in &mut slots {
                slot.seat(&mut waiting, &mut ended)?;
            }
            let mut due = pack(&mut slots, &mut packed);
            if due.is_empty() {
                break;
            }
            decoded.passes += 1;
            let (rows, tokens) = (packed.runs().len() as u32, packed.tokens().len() as u32);
            let args = SpanArgs { pass: decoded.passes, rows, tokens };
            self.watch.end(begun, SpanKind::Append, args);

            let begun = self.watch.begin();
            let logits = self.model.forward(&packed)?;
            let prompts = packed.runs().iter().all(|run| run.position == 0);
            self.watch.end(begun, if prompts { SpanKind::Prefill } else { SpanKind::Forward }, args);

            while !due.is_empty() {
                due = self.choose(&due, &logits, &mut slots, args, &mut ended)?;
            }
        }
        decoded.outputs.sort_by_key(|output| output.row);
        Ok(decoded)
    }

    /// Lets slots choose by the logits at their places, and moves their rows on. Tells which choose again: those that have read
    /// what they chose, a draft, with the place behind it.
    fn choose(
        &mut self,
        due: &[(usize, usize)],
        logits: &Logits,
        slots: &mut [Slot],
        args: SpanArgs,
        mut ended: impl FnMut(Output),
    ) -> Result<Vec<(usize, usize)>, DecodeError> {
        let args = SpanArgs { rows: due.len() as u32, ..args };
        let begun = self.watch.begin();
        for &(slot, place) in due {
            let Slot { row, candidates } = &mut slots[slot];
            if let Some(row) = row {
                row.job.guide.allow(logits.row(place), self.columns, candidates);
            }
        }
        self.watch.end(begun, SpanKind::Mask, args);

        let begun = self.watch.begin();
        for &(slot, _) in due {
            let Slot { row, candidates } = &mut slots[slot];
            if let Some(row) = row {
                row.chosen = self.sampler.choose(candidates, row.draw());
            }
        }
        self.watch.end(begun, SpanKind::Sample, args);

        let begun = self.watch.begin();
        let mut again = Vec::new();
        for &(slot, place) in due {
            let Some(row) = &mut slots[slot].row else { continue };
            match row.take_chosen()? {
                Step::Reads => {}
                Step::Chooses => again.push((slot, place + 1)),
                Step::Ends => slots[slot].row.take().into_iter().for_each(|row| ended(row.output)),
            }
        }
        self.watch.end(begun, SpanKind::Matcher, args);
        Ok(again)
    }
}

impl Slot {
    /// Takes the next job that needs the model, if it is empty: a text without any choice is finished before it has a slot.
    fn seat(
        &mut self,
        waiting: &mut impl Iterator<Item = Job>,
        mut ended: impl FnMut(Output),
    ) -> Result<(), DecodeError> {
        while self.row.is_none() {
            let Some(job) = waiting.next() else { break };
            match Row::of(job)? {
                Seat::Row(row) => self.row = Some(*row),
                Seat::Finished(output) => ended(output),
            }
        }
        Ok(())
    }
}

/// Packs what the rows have not read, drafts behind it. Tells the slots that choose, each with the place of its logits.
fn pack(slots: &mut [Slot], packed: &mut Packed) -> Vec<(usize, usize)> {
    packed.clear();
    let (mut due, mut place) = (Vec::new(), 0);
    for (slot, Slot { row, .. }) in slots.iter_mut().enumerate() {
        let Some(row) = row else { continue };
        let wanted = 1 + row.draft.into_iter().len();
        row.unread.extend(row.draft);
        packed.push(slot, row.read, &row.unread, Wanted::Last(wanted));
        due.push((slot, place));
        place += wanted;
    }
    due
}

/// What a row does next.
enum Step {
    /// Reads what it has said.
    Reads,
    /// Chooses again: it has read what it said before it said it.
    Chooses,
    /// Leaves its slot.
    Ends,
}

/// What a job begins as.
pub(super) enum Seat {
    Row(Box<Row>),
    Finished(Output),
}

impl Row {
    /// The row of a job, its first forced tokens behind its prompt; or its output, if they are all there is.
    pub(super) fn of(job: Job) -> Result<Seat, DecodeError> {
        let output = Output { row: job.row, tokens: Vec::new(), passes: 0, finished: false };
        let unread = job.prompt.clone();
        let mut row = Self { unread, draft: None, job, output, read: 0, chosen: None };
        Ok(if row.take_forced()? { Seat::Finished(row.output) } else { Seat::Row(Box::new(row)) })
    }

    /// Where its next token is chosen.
    fn draw(&self) -> Draw {
        Draw { row: self.job.row, place: self.output.tokens.len() as u64 }
    }

    /// Takes the token that was chosen, and what must follow it.
    fn take_chosen(&mut self) -> Result<Step, DecodeError> {
        // A row that chooses for the second time in a pass has nothing unread.
        self.output.passes += u32::from(!self.unread.is_empty());
        self.read += self.unread.len();
        self.unread.clear();
        let Draw { row, place } = self.draw();
        let chosen = match (&self.job.script, self.chosen.take()) {
            (Some(script), _) => script.get(place as usize).copied(),
            (None, chosen) => chosen,
        };
        let chosen = chosen.ok_or(DecodeError::NoCandidate { row, place })?;
        let draft = self.draft.take();
        let ends = self.say(chosen)?;
        match draft {
            Some(draft) if draft == chosen => self.unread.clear(),
            Some(_) => self.read -= 1,
            None => {}
        }
        if ends || self.take_forced()? || self.output.tokens.len() >= self.job.longest {
            return Ok(Step::Ends);
        }
        if self.unread.is_empty() {
            return Ok(Step::Chooses);
        }
        self.draft = self.job.guide.draft();
        Ok(Step::Reads)
    }

    fn take_forced(&mut self) -> Result<bool, DecodeError> {
        let mut forced = Vec::new();
        self.job.guide.forced(&mut forced);
        for token in forced {
            if self.say(token)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn say(&mut self, token: TokenId) -> Result<bool, DecodeError> {
        let ends = self.job.guide.take(token)?;
        self.output.tokens.push(token);
        self.output.finished = match &self.job.script {
            Some(script) => self.output.tokens.len() == script.len(),
            None => ends,
        };
        self.unread.push(token);
        Ok(self.output.finished)
    }
}
