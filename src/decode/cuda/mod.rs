//! Decoding on an NVIDIA GPU, where everything stays: weights, cells, rows, templates, chance.
//!
//! A pass is a fixed sequence of kernels. `plan` (`plan.cu`) packs the tokens that the model has not read, `trunk.cu` and
//! cuBLAS read them, `choose` (`choose.cu`) draws a token for each row that has read all of its own, moves the row on and
//! appends what is forced. So a pass needs nothing of the host: it is recorded once, as a CUDA graph, and replayed; every
//! few passes the host reads how many rows are done. `common.cu` tells how the rows lie in memory.

mod driver;
mod holding;
mod layout;
mod state;
mod trunk;

pub(super) use driver::keep_to_one_stream;

use self::{
    driver::{Buffer, Kernel},
    layout::{Rows, Sampling},
    state::{Counters, State},
    trunk::{Head, Trunk},
};
use super::{
    DecodeError, LanguageModel, Logits, ModelConfig, Packed, Weights,
    engine::{Decoded, GpuWork, Job},
    guide::Columns,
    packed::{self, Run as PackedRun},
    sampler::Sampler,
    watch::Watch,
};
use crate::{
    primitives::TokenId,
    trace::{SpanArgs, SpanKind},
};

/// A model on a GPU.
pub struct CudaDecoder {
    trunk: Trunk,
    whole: Head,
    restricted: Option<Head>,
    plan: Kernel,
    choose: Kernel,
    slots: usize,
    /// The most tokens of a pass.
    room: usize,
    /// The tokens that each slot holds, where the host gives them.
    held: Vec<usize>,
}

/// Tokens of the passes that bring prompts: enough to be worth a product's while.
const PROMPT_ROOM: usize = 4096;
/// The threads of a block, each of which plans for a row.
const MOST_SLOTS: usize = 1024;
/// Passes between two looks at how many rows are done.
const PASSES_A_LOOK: usize = 8;
/// Places of a pass beyond one a row at least.
const SPARE: usize = 16;

impl CudaDecoder {
    /// A model with `slots` rows of up to `context` tokens.
    ///
    /// # Errors
    /// [`DecodeError`] if a tensor is missing or has another shape, the model has fewer positions, or the GPU fails.
    pub fn new(
        config: &ModelConfig,
        weights: Weights,
        slots: usize,
        context: usize,
    ) -> Result<Self, DecodeError> {
        Self::check(config, slots, context)?;
        let room = PROMPT_ROOM.max(3 * slots + SPARE);
        let trunk = Trunk::new(config, weights, slots, context, room)?;
        let (plan, choose) = (trunk.driver.kernel("plan")?, trunk.driver.kernel("choose")?);
        let whole = trunk.whole_head(slots)?;
        Ok(Self { trunk, whole, restricted: None, plan, choose, slots, room, held: vec![0; slots] })
    }

    /// Whether such a model can be decoded with `slots` rows of up to `context` tokens, which is told before weights are read.
    ///
    /// # Errors
    /// [`DecodeError`] if not.
    pub fn check(config: &ModelConfig, slots: usize, context: usize) -> Result<(), DecodeError> {
        if context > config.context {
            return Err(DecodeError::TooLong { tokens: context, context: config.context });
        }
        if slots > MOST_SLOTS {
            return Err(DecodeError::TooMany { rows: slots, most: MOST_SLOTS });
        }
        trunk::check(config)
    }

    /// Decodes all jobs, of one strategy.
    pub(super) fn decode(
        &mut self,
        jobs: Vec<Job>,
        columns: Columns<'_>,
        sampler: &Sampler,
        watch: &mut Watch<'_>,
        mut finished: impl FnMut(),
    ) -> Result<Decoded, DecodeError> {
        // Cells are written over from their start.
        self.held.fill(0);
        let begun = watch.begin();
        let sizes = [self.slots, self.trunk.context, self.room];
        let state = State::new(&self.trunk.driver, jobs, columns, self.whole.width, sizes)?;
        watch.end(begun, SpanKind::Build, SpanArgs::default());
        (0..state.finished()).for_each(|_| finished());
        let (passes, gpu) = match state.jobs() {
            0 => (0, None),
            _ => self.run(&state, &device_sampling(sampler), watch, finished)?,
        };
        Ok(Decoded { outputs: state.outputs(&self.trunk.driver)?, passes, gpu })
    }

    /// Runs passes until all jobs are done.
    fn run(
        &self,
        state: &State,
        sampling: &Sampling,
        watch: &mut Watch<'_>,
        mut finished: impl FnMut(),
    ) -> Result<(u32, Option<GpuWork>), DecodeError> {
        let driver = &self.trunk.driver;
        let timed = watch.recorder().is_on();
        // Forced runs ride along: up to 1.6 tokens a row on average (Llama's digits); prompts of rows that come later do too.
        let riding = if state.guide.forces == 0 { self.slots / 8 } else { self.slots };
        let room = (self.slots + riding.max(SPARE)).next_multiple_of(8);

        let begun = watch.begin();
        driver.time_kernels(timed);
        let wide = state.first_tokens.next_multiple_of(64).clamp(room, self.room);
        let first_passes = state.first_tokens.div_ceil(wide) as u64;
        for _ in 0..first_passes {
            self.pass(state, sampling, wide)?;
        }
        let kernels = driver.timed_kernels()?;
        watch.end_with(begun, SpanKind::Prefill, SpanArgs::default(), &kernels);
        let mut launched = kernels.len() as u64;

        // What was launched by hand has run before it is recorded.
        let recorded = match timed {
            true => None,
            false => Some(driver.record(|| self.pass(state, sampling, room))?),
        };
        let (mut looked, mut told, mut passes) = (Counters::default(), 0, 0);
        let mut begun = watch.begin();
        while (looked.finished as usize) < state.jobs() {
            driver.time_kernels(timed);
            for _ in 0..PASSES_A_LOOK {
                match &recorded {
                    Some(recorded) => recorded.replay()?,
                    None => self.pass(state, sampling, room)?,
                }
            }
            passes += PASSES_A_LOOK as u64;
            looked = state.look(driver)?;
            if timed {
                let kernels = driver.timed_kernels()?;
                launched += kernels.len() as u64;
                watch.end_with(begun, SpanKind::Forward, SpanArgs::default(), &kernels);
                begun = watch.begin();
            }
            (told..looked.finished).for_each(|_| finished());
            told = looked.finished;
        }
        let (kernels, launches) = match &recorded {
            Some(recorded) => {
                watch.end(begun, SpanKind::Forward, SpanArgs::default());
                // A pass that is launched by hand has about the kernels of a recorded one: cuBLAS may take others for more tokens.
                let by_hand = first_passes * recorded.kernels;
                (by_hand + passes * recorded.kernels, by_hand + passes)
            }
            None => (launched, launched),
        };
        let (tokens, partial) = (u64::from(looked.read), u64::from(looked.partial));
        let gpu = GpuWork { kernels, launches, passes: first_passes + passes, tokens, partial };
        Ok((looked.passes, Some(gpu)))
    }

    /// One pass: launched, or recorded.
    fn pass(&self, state: &State, sampling: &Sampling, room: usize) -> Result<(), DecodeError> {
        let Self { trunk, slots, .. } = self;
        let rows = state.rows;
        let head = self.head();
        let plan = trunk.driver.launch(&self.plan).with(rows).with(room as i32);
        plan.over([1, 1], slots.next_multiple_of(32))?;
        trunk.read(rows, room)?;
        let told = if state.drafts() { 2 * slots } else { *slots };
        let logits = trunk.tell(rows, told, head)?;
        let choose = trunk.driver.launch(&self.choose).with(rows).with(state.guide).with(*sampling);
        let choose = choose.with(logits).with(head.width as u32).with(head.stride as u32);
        choose.over([*slots, 1], state.threads())
    }

    fn head(&self) -> &Head {
        self.restricted.as_ref().unwrap_or(&self.whole)
    }
}

/// The sampler as the kernels take it.
fn device_sampling(sampler: &Sampler) -> Sampling {
    let settings = sampler.sampling();
    Sampling {
        temperature: settings.temperature,
        top_p: settings.top_p,
        min_p: settings.min_p,
        seed: sampler.key(),
        top_k: u32::try_from(settings.top_k).unwrap_or(u32::MAX),
        _pad: 0,
    }
}

impl LanguageModel for CudaDecoder {
    fn vocabulary(&self) -> usize {
        self.whole.width
    }

    fn slots(&self) -> usize {
        self.slots
    }

    fn context(&self) -> usize {
        self.trunk.context
    }

    fn restrict(&mut self, ids: Option<&[TokenId]>) -> Result<(), DecodeError> {
        self.restricted = match ids {
            None => None,
            Some(ids) => {
                packed::check_tokens(ids, self.whole.width)?;
                if ids.is_empty() {
                    let reason = "there is no id to compute logits of".to_owned();
                    return Err(DecodeError::Gpu { doing: "restricting the output layer", reason });
                }
                let ids: Vec<u32> = ids.iter().map(|token| token.0).collect();
                // Behind the token of each slot, and behind its draft.
                Some(self.trunk.head_of(&ids, 2 * self.slots)?)
            }
        };
        Ok(())
    }

    fn forward(&mut self, packed: &Packed) -> Result<Logits, DecodeError> {
        packed.check(&self.held, self.trunk.context, self.whole.width)?;
        let driver = &self.trunk.driver;
        let positions: Vec<u32> = packed.positions().map(|position| position as u32).collect();
        let of_run = |run: &PackedRun| std::iter::repeat_n(run.slot as i32, run.tokens.len());
        let slots: Vec<i32> = packed.runs().iter().flat_map(of_run).collect();
        let mut values = Vec::new();
        for begin in (0..positions.len()).step_by(self.room) {
            let end = (begin + self.room).min(positions.len());
            let tokens: Vec<u32> = packed.tokens()[begin..end].iter().map(|token| token.0).collect();
            let (tokens, positions) = (driver.upload(&tokens)?, driver.upload(&positions[begin..end])?);
            let slots = driver.upload(&slots[begin..end])?;
            let rows = Rows {
                packed: tokens.pointer(),
                position: positions.pointer(),
                slot: slots.pointer(),
                context: self.trunk.context as i32,
                ..Rows::default()
            };
            self.trunk.read(rows, end - begin)?;
            let wanted = packed.wanted().iter().map(|&wanted| wanted as usize);
            let wanted = wanted.filter(|wanted| (begin..end).contains(wanted));
            let wanted: Vec<i32> = wanted.map(|wanted| (wanted - begin) as i32).collect();
            for wanted in wanted.chunks(self.slots) {
                let places: Buffer<i32> = driver.upload(wanted)?;
                let rows = Rows { wanted: places.pointer(), ..rows };
                let head = self.head();
                self.trunk.tell(rows, wanted.len(), head)?;
                let logits = self.trunk.logits(head, wanted.len() * head.stride)?;
                logits.chunks_exact(head.stride).for_each(|row| values.extend(&row[..head.width]));
            }
        }
        packed.runs().iter().for_each(|run| self.held[run.slot] = run.end());
        Ok(Logits::new(values, self.head().width))
    }

    fn resident(&mut self) -> Option<&mut CudaDecoder> {
        Some(self)
    }
}
