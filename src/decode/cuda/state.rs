//! Jobs as tensors: where each stands, what holds it, and what came of it.

use super::{
    driver::{Buffer, Driver},
    holding::{Holding, NONE},
    layout::{Guide, Kind, Rows},
};
use crate::{
    decode::{
        DecodeError,
        engine::{Job, Output, Row, Seat},
        guide::Columns,
        packed::check_tokens,
    },
    primitives::TokenId,
};

/// Everything that a run keeps on the GPU.
pub(super) struct State {
    pub(super) rows: Rows,
    pub(super) guide: Guide,
    /// Tokens that the first rows bring with their first pass.
    pub(super) first_tokens: usize,
    /// Jobs that were finished before the GPU was needed.
    finished: Vec<Output>,
    waiting: Vec<Waiting>,
    kept: Kept,
    _held: Held,
}

/// What must be known of a job to make an output of its tokens.
struct Waiting {
    row: u64,
    prompt: usize,
}

/// `enum Counter`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) finished: u32,
    pub(super) passes: u32,
    pub(super) read: u32,
    pub(super) partial: u32,
}

const COUNTERS: usize = 5;

/// `enum Ended`.
const COMPLETE: u32 = 1;
const STUCK: u32 = 3;

/// What the kernels are told of each job, one entry each but where said.
#[derive(Default)]
struct Listed {
    /// As many a job as a slot has cells.
    tokens: Vec<u32>,
    /// The same, if rows replay texts.
    script: Vec<u32>,
    script_length: Vec<u32>,
    length: Vec<u32>,
    prompt: Vec<u32>,
    longest: Vec<u32>,
    row: Vec<u64>,
    begin_state: Vec<u32>,
    begin_number: Vec<u32>,
    /// One more than jobs.
    program: Vec<u64>,
}

/// The memory behind [`Rows`], by the names that it has there.
struct Kept {
    tokens: Buffer<u32>,
    script: Option<Buffer<u32>>,
    script_length: Buffer<u32>,
    length: Buffer<u32>,
    prompt: Buffer<u32>,
    longest: Buffer<u32>,
    row: Buffer<u64>,
    begin_state: Buffer<u32>,
    begin_number: Buffer<u32>,
    program: Buffer<u64>,
    passes: Buffer<u32>,
    ended: Buffer<u32>,
    job: Buffer<i32>,
    read: Buffer<u32>,
    state: Buffer<u32>,
    number: Buffer<u32>,
    drafted: Buffer<u32>,
    wanted: Buffer<i32>,
    packed: Buffer<u32>,
    position: Buffer<u32>,
    slot: Buffer<i32>,
    counters: Buffer<u32>,
}

/// The memory behind [`Guide`], by the names that it has there.
struct Held {
    states: Buffer<u32>,
    edge_tokens: Buffer<u32>,
    edge_targets: Buffer<u32>,
    columns: Buffer<u32>,
    programs: Buffer<u32>,
    blocked: Buffer<u32>,
    lists: Buffer<u32>,
}

impl State {
    /// Lays out all jobs for `slots` rows of up to `context` tokens; a pass has room for `room`.
    pub(super) fn new(
        driver: &Driver,
        jobs: impl IntoIterator<Item = Job>,
        columns: Columns<'_>,
        vocabulary: usize,
        [slots, context, room]: [usize; 3],
    ) -> Result<Self, DecodeError> {
        let (mut listed, mut holding) = (Listed::default(), Holding::new());
        let (mut finished, mut waiting) = (Vec::new(), Vec::new());
        for job in jobs {
            match Row::of(job)? {
                Seat::Finished(output) => finished.push(output),
                Seat::Row(row) => {
                    waiting.push(Waiting { row: row.output.row, prompt: row.job.prompt.len() });
                    let (state, number) =
                        holding.add(&row.job.guide, columns, vocabulary, &mut listed.program)?;
                    listed.begin_state.push(state);
                    listed.begin_number.push(number);
                    listed.add(&row, context, vocabulary)?;
                }
            }
        }
        listed.program.push(holding.programs.len() as u64);
        // A script may go on where a position template has ended.
        holding.programs.resize(holding.programs.len() + context, 0);

        let first_tokens = listed.length.iter().take(slots).map(|&length| length as usize).sum();
        let kept = Kept::new(driver, &listed, waiting.len(), slots, room)?;
        let held = Held::new(driver, &holding)?;
        let rows = kept.rows(slots, waiting.len(), context);
        let guide = held.guide(holding.guide);
        Ok(Self { rows, guide, first_tokens, finished, waiting, kept, _held: held })
    }

    /// Jobs that go to the GPU.
    pub(super) fn jobs(&self) -> usize {
        self.waiting.len()
    }

    /// Jobs that were finished before it was needed.
    pub(super) fn finished(&self) -> usize {
        self.finished.len()
    }

    /// Whether rows read a token before it is known to be chosen, and want logits behind it too.
    pub(super) fn drafts(&self) -> bool {
        self.guide.draft != NONE
    }

    /// The threads that choose a token: many where all ids must be looked at.
    pub(super) fn threads(&self) -> usize {
        match self.guide.kind {
            Kind::Exact => 256,
            Kind::Free | Kind::Blocklist | Kind::Allowlist => 1024,
        }
    }

    /// How far all rows are, once everything before is done.
    pub(super) fn look(&self, driver: &Driver) -> Result<Counters, DecodeError> {
        let counters = driver.read(&self.kept.counters)?;
        let [_, finished, passes, read, partial] = counters[..] else { return Ok(Counters::default()) };
        Ok(Counters { finished, passes, read, partial })
    }

    /// What all rows said, by row.
    pub(super) fn outputs(self, driver: &Driver) -> Result<Vec<Output>, DecodeError> {
        let (tokens, length) = (driver.read(&self.kept.tokens)?, driver.read(&self.kept.length)?);
        let (passes, ended) = (driver.read(&self.kept.passes)?, driver.read(&self.kept.ended)?);
        let stride = self.rows.context as usize;
        let mut outputs = self.finished;
        for (job, waiting) in self.waiting.iter().enumerate() {
            let said = job * stride + waiting.prompt..job * stride + length[job] as usize;
            if ended[job] == STUCK {
                return Err(DecodeError::NoCandidate { row: waiting.row, place: said.len() as u64 });
            }
            outputs.push(Output {
                row: waiting.row,
                tokens: tokens[said].iter().map(|&token| TokenId(token)).collect(),
                passes: passes[job],
                finished: ended[job] == COMPLETE,
            });
        }
        outputs.sort_by_key(|output| output.row);
        Ok(outputs)
    }
}

impl Listed {
    /// Adds a row behind what forced tokens it begins with.
    fn add(&mut self, row: &Row, context: usize, vocabulary: usize) -> Result<(), DecodeError> {
        let Row { job, unread, .. } = row;
        let most = job.prompt.len() + job.longest.max(1);
        if most > context {
            return Err(DecodeError::TooLong { tokens: most, context });
        }
        // What has no embedding must not be looked up.
        check_tokens(unread, vocabulary)?;
        check_tokens(job.script.as_deref().unwrap_or_default(), vocabulary)?;
        let begin = self.tokens.len();
        self.tokens.extend(unread.iter().map(|token| token.0));
        self.tokens.resize(begin + context, 0);
        if let Some(script) = &job.script {
            self.script.extend(script.iter().map(|token| token.0));
            self.script.resize(begin + context, 0);
            self.script_length.push(script.len() as u32);
        }
        self.length.push(unread.len() as u32);
        self.prompt.push(job.prompt.len() as u32);
        self.longest.push(job.longest as u32);
        self.row.push(job.row);
        Ok(())
    }
}

impl Kept {
    fn new(
        driver: &Driver,
        listed: &Listed,
        jobs: usize,
        slots: usize,
        room: usize,
    ) -> Result<Self, DecodeError> {
        let upload = |values| driver.upload_padded::<u32>(values);
        Ok(Self {
            tokens: upload(&listed.tokens)?,
            script: if listed.script.is_empty() { None } else { Some(upload(&listed.script)?) },
            script_length: upload(&listed.script_length)?,
            length: upload(&listed.length)?,
            prompt: upload(&listed.prompt)?,
            longest: upload(&listed.longest)?,
            row: driver.upload_padded(&listed.row)?,
            begin_state: upload(&listed.begin_state)?,
            begin_number: upload(&listed.begin_number)?,
            program: driver.upload_padded(&listed.program)?,
            passes: driver.zeros(jobs)?,
            ended: driver.zeros(jobs)?,
            job: driver.upload(&vec![-1; slots])?,
            read: driver.zeros(slots)?,
            state: driver.zeros(slots)?,
            number: driver.zeros(slots)?,
            drafted: driver.zeros(slots)?,
            wanted: driver.upload(&vec![-1; 2 * slots])?,
            packed: driver.zeros(room)?,
            position: driver.zeros(room)?,
            slot: driver.upload(&vec![-1; room])?,
            counters: driver.zeros(COUNTERS)?,
        })
    }

    fn rows(&self, slots: usize, jobs: usize, context: usize) -> Rows {
        Rows {
            tokens: self.tokens.pointer(),
            script: self.script.as_ref().map_or(0, Buffer::pointer),
            script_length: self.script_length.pointer(),
            length: self.length.pointer(),
            prompt: self.prompt.pointer(),
            longest: self.longest.pointer(),
            row: self.row.pointer(),
            begin_state: self.begin_state.pointer(),
            begin_number: self.begin_number.pointer(),
            program: self.program.pointer(),
            passes: self.passes.pointer(),
            ended: self.ended.pointer(),
            job: self.job.pointer(),
            read: self.read.pointer(),
            state: self.state.pointer(),
            number: self.number.pointer(),
            drafted: self.drafted.pointer(),
            wanted: self.wanted.pointer(),
            packed: self.packed.pointer(),
            position: self.position.pointer(),
            slot: self.slot.pointer(),
            counters: self.counters.pointer(),
            slots: slots as i32,
            jobs: jobs as i32,
            context: context as i32,
        }
    }
}

impl Held {
    fn new(driver: &Driver, holding: &Holding) -> Result<Self, DecodeError> {
        let upload = |values| driver.upload_padded::<u32>(values);
        Ok(Self {
            states: upload(&holding.states)?,
            edge_tokens: upload(&holding.edge_tokens)?,
            edge_targets: upload(&holding.edge_targets)?,
            columns: upload(&holding.columns)?,
            programs: upload(&holding.programs)?,
            blocked: upload(&holding.blocked)?,
            lists: upload(&holding.lists)?,
        })
    }

    fn guide(&self, guide: Guide) -> Guide {
        Guide {
            states: self.states.pointer(),
            edge_tokens: self.edge_tokens.pointer(),
            edge_targets: self.edge_targets.pointer(),
            columns: self.columns.pointer(),
            programs: self.programs.pointer(),
            blocked: self.blocked.pointer(),
            lists: self.lists.pointer(),
            ..guide
        }
    }
}
