//! Jobs as tensors: where each stands, what holds it, and what came of it.

use super::{
    driver::{Buffer, Driver},
    layout::{Guide, Kind, Rows},
};
use crate::{
    artifact::{Automaton, Tables, Template},
    decode::{
        DecodeError,
        engine::{Job, Output, Row, Seat},
        guide::{self, Columns},
        packed::check_tokens,
        positions::{FreeRule, Place, Positions},
    },
    matcher::Matcher,
    primitives::{StateId, TokenId},
};

/// Everything that a run keeps on the GPU.
pub(super) struct State {
    pub(super) rows: Rows,
    pub(super) guide: Guide,
    /// Tokens that the first rows bring with their first pass.
    pub(super) first_tokens: usize,
    /// Jobs that go to the GPU.
    pub(super) jobs: usize,
    /// Jobs that were finished before it was needed.
    finished: Vec<Output>,
    waiting: Vec<Waiting>,
    tokens: Buffer<u32>,
    length: Buffer<u32>,
    passes: Buffer<u32>,
    ended: Buffer<u32>,
    pub(super) counters: Buffer<u32>,
    _words: Vec<Buffer<u32>>,
    _wide: Vec<Buffer<u64>>,
    _signed: Vec<Buffer<i32>>,
}

/// What must be known of a job to make an output of its tokens.
struct Waiting {
    row: u64,
    prompt: usize,
}

/// `enum Counter`.
pub(super) const FINISHED: usize = 1;
pub(super) const PASSES: usize = 2;
const COUNTERS: usize = 4;

/// `enum Ended`.
const COMPLETE: u32 = 1;
const STUCK: u32 = 3;

/// No column: an edge whose token is never one of several has no logit where only the others are computed. And no draft.
const NONE: u32 = u32::MAX;

/// What the rows are held by, as numbers.
#[derive(Default)]
struct Holding {
    guide: Guide,
    states: Vec<u32>,
    edge_tokens: Vec<u32>,
    edge_targets: Vec<u32>,
    columns: Vec<u32>,
    programs: Vec<u32>,
    blocked: Vec<u32>,
    lists: Vec<u32>,
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
        let mut holding = Holding::default();
        holding.guide.draft = NONE;
        let (mut finished, mut waiting) = (Vec::new(), Vec::new());
        let (mut tokens, mut scripts, mut script_length) = (Vec::new(), Vec::new(), Vec::new());
        let (mut length, mut prompt, mut longest) = (Vec::new(), Vec::new(), Vec::new());
        let (mut states, mut numbers, mut programs) = (Vec::new(), Vec::new(), Vec::new());
        let mut rows = Vec::new();
        for job in jobs {
            let row = match Row::of(job)? {
                Seat::Finished(output) => {
                    finished.push(output);
                    continue;
                }
                Seat::Row(row) => row,
            };
            let Row { job, output, unread, .. } = *row;
            let most = job.prompt.len() + job.longest;
            if most > context {
                return Err(DecodeError::TooLong { tokens: most, context });
            }
            // What has no embedding must not be looked up.
            check_tokens(&unread, vocabulary)?;
            check_tokens(job.script.as_deref().unwrap_or_default(), vocabulary)?;
            let begin = tokens.len();
            tokens.extend(unread.iter().map(|token| token.0));
            tokens.resize(begin + context, 0);
            if let Some(script) = &job.script {
                scripts.extend(script.iter().map(|token| token.0));
                scripts.resize(begin + context, 0);
                script_length.push(script.len() as u32);
            }
            length.push(unread.len() as u32);
            prompt.push(job.prompt.len() as u32);
            longest.push(job.longest as u32);
            programs.push(holding.programs.len() as u64);
            let (state, number) = holding.add(&job.guide, columns, vocabulary)?;
            states.push(state);
            numbers.push(number);
            rows.push(job.row);
            waiting.push(Waiting { row: output.row, prompt: job.prompt.len() });
        }
        programs.push(holding.programs.len() as u64);
        // A script may go on where a position template has ended.
        holding.programs.resize(holding.programs.len() + context, 0);

        let jobs = waiting.len();
        let first_tokens = length.iter().take(slots).map(|&length| length as usize).sum();
        let scripted = !scripts.is_empty();
        let upload = |values: &[u32]| driver.upload(if values.is_empty() { &[0] } else { values });
        let words = [scripts, script_length, prompt, longest, states, numbers];
        let words = words.iter().map(|values| upload(values)).collect::<Result<Vec<_>, _>>()?;
        let (wide_rows, wide_programs) = (driver.upload(&padded(rows))?, driver.upload(&programs)?);
        let held = [
            &holding.states,
            &holding.edge_tokens,
            &holding.edge_targets,
            &holding.columns,
            &holding.programs,
            &holding.blocked,
            &holding.lists,
        ];
        let held = held.into_iter().map(|values| upload(values)).collect::<Result<Vec<_>, _>>()?;
        let slot_words = (0..4).map(|_| driver.zeros(slots)).collect::<Result<Vec<Buffer<u32>>, _>>()?;
        let packed_words = (0..2).map(|_| driver.zeros(room)).collect::<Result<Vec<Buffer<u32>>, _>>()?;
        let signed = vec![
            driver.upload(&vec![-1_i32; slots])?,
            driver.upload(&vec![-1_i32; 2 * slots])?,
            driver.upload(&vec![-1_i32; room])?,
        ];
        let (tokens, length) = (upload(&tokens)?, upload(&length)?);
        let (passes, ended) = (driver.zeros(jobs)?, driver.zeros(jobs)?);
        let counters = driver.zeros(COUNTERS)?;
        let rows = Rows {
            tokens: tokens.pointer(),
            script: if scripted { words[0].pointer() } else { 0 },
            script_length: words[1].pointer(),
            length: length.pointer(),
            prompt: words[2].pointer(),
            longest: words[3].pointer(),
            row: wide_rows.pointer(),
            begin_state: words[4].pointer(),
            begin_number: words[5].pointer(),
            program: wide_programs.pointer(),
            passes: passes.pointer(),
            ended: ended.pointer(),
            job: signed[0].pointer(),
            read: slot_words[0].pointer(),
            state: slot_words[1].pointer(),
            number: slot_words[2].pointer(),
            drafted: slot_words[3].pointer(),
            wanted: signed[1].pointer(),
            packed: packed_words[0].pointer(),
            position: packed_words[1].pointer(),
            slot: signed[2].pointer(),
            counters: counters.pointer(),
            slots: slots as i32,
            jobs: jobs as i32,
            context: context as i32,
        };
        let guide = Guide {
            states: held[0].pointer(),
            edge_tokens: held[1].pointer(),
            edge_targets: held[2].pointer(),
            columns: held[3].pointer(),
            programs: held[4].pointer(),
            blocked: held[5].pointer(),
            lists: held[6].pointer(),
            ..holding.guide
        };
        Ok(Self {
            rows,
            guide,
            first_tokens,
            jobs,
            finished,
            waiting,
            tokens,
            length,
            passes,
            ended,
            counters,
            _words: words.into_iter().chain(held).chain(slot_words).chain(packed_words).collect(),
            _wide: vec![wide_rows, wide_programs],
            _signed: signed,
        })
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

    /// What all rows said, by row.
    pub(super) fn outputs(self, driver: &Driver) -> Result<Vec<Output>, DecodeError> {
        let (tokens, length) = (driver.read(&self.tokens)?, driver.read(&self.length)?);
        let (passes, ended) = (driver.read(&self.passes)?, driver.read(&self.ended)?);
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

impl Holding {
    /// Adds what holds one job; tells the state and the number that it begins with.
    fn add(
        &mut self,
        guide: &guide::Guide,
        columns: Columns<'_>,
        vocabulary: usize,
    ) -> Result<(u32, u32), DecodeError> {
        Ok(match guide {
            guide::Guide::Free { end } => {
                self.guide.end = end.0;
                (0, 0)
            }
            guide::Guide::Positions { positions, rule, .. } => {
                if self.programs.is_empty() {
                    self.add_rule(rule, vocabulary);
                }
                let tokens = (0..positions.len()).filter_map(|at| positions.at(at)).map(|(token, _)| token);
                check_tokens(&tokens.collect::<Vec<_>>(), vocabulary)?;
                self.programs.extend(words_of(positions));
                (0, 0)
            }
            guide::Guide::Exact { matcher, draft } => {
                if self.states.is_empty() {
                    check_tokens(matcher.template().tables().tokens.ids(), vocabulary)?;
                    self.guide.draft = draft.map_or(NONE, |token| token.0);
                }
                self.add_exact(matcher, columns)
            }
        })
    }

    fn add_exact(&mut self, matcher: &Matcher, columns: Columns<'_>) -> (u32, u32) {
        let template = matcher.template();
        if self.states.is_empty() {
            self.add_tables(template.tables(), columns);
            self.guide.forces = u32::from(matcher.forces());
        }
        self.programs.extend(roots(template));
        let (state, number) = matcher.place();
        (state.0, number)
    }

    fn add_tables(&mut self, tables: &Tables, columns: Columns<'_>) {
        let automaton: &Automaton = &tables.automaton;
        self.guide.kind = Kind::Exact;
        self.guide.separator = tables.separator.0;
        for index in 0..automaton.len() {
            let state = StateId(index as u32);
            let edges = automaton.edges(state);
            let first = self.edge_tokens.len() as u32;
            let ends = if automaton.ends_number(state) { FLAG } else { 0 };
            let choice = edges.len() > 1 || ends > 0;
            let drafts = if choice && edges.target(TokenId(self.guide.draft)).is_some() { DRAFTS } else { 0 };
            let only = edges.iter().next().map_or([0, 0], |(token, target)| [token.0, target.state.0]);
            self.states.extend([first, edges.len() as u32 | ends | drafts]);
            self.states.extend(only);
            for (token, target) in edges.iter() {
                self.edge_tokens.push(token.0);
                self.edge_targets.push(target.state.0);
                self.columns.push(columns.of(token).map_or(NONE, |column| column as u32));
            }
        }
    }

    fn add_rule(&mut self, rule: &FreeRule, vocabulary: usize) {
        match rule {
            FreeRule::Blocked(bits) => {
                self.guide.kind = Kind::Blocklist;
                self.blocked = bits.clone();
                self.blocked.resize(bits.len().max(vocabulary.div_ceil(32)), 0);
            }
            FreeRule::Allowed { first, inner, last } => {
                self.guide.kind = Kind::Allowlist;
                for (ids, end) in [first, inner, last].into_iter().zip(0..) {
                    self.lists.extend(ids.iter().map(|id| id.0).filter(|&id| (id as usize) < vocabulary));
                    self.guide.list_ends[end] = self.lists.len() as u32;
                }
            }
        }
    }
}

const FLAG: u32 = 1 << 31;
const DRAFTS: u32 = 1 << 30;

/// The root behind each atom.
fn roots(template: &Template) -> impl Iterator<Item = u32> {
    (1..=template.atoms()).filter_map(|atom| template.behind(3 * atom - 1)).map(|root| root.0)
}

/// Each position: its token, and in the two highest bits its place.
fn words_of(positions: &Positions) -> impl Iterator<Item = u32> {
    (0..positions.len()).filter_map(|at| positions.at(at)).map(|(token, place)| {
        let place = match place {
            Place::Copy => 0,
            Place::First => 1,
            Place::Inner => 2,
            Place::Last => 3,
        };
        token.0 | place << 30
    })
}

/// At least one value, as memory of no bytes cannot be had.
fn padded(mut values: Vec<u64>) -> Vec<u64> {
    if values.is_empty() {
        values.push(0);
    }
    values
}
