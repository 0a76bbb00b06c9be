//! Where the time goes.

use std::time::{Duration, Instant};

use crate::trace::{Recorder, SpanArgs, SpanKind, SpanStart};

/// Adds up the time of each kind of work, and records its spans.
pub struct Watch<'a> {
    totals: Stages,
    recorder: Recorder<'a>,
}

/// The time that each kind of work took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    /// Building templates.
    pub build: Duration,
    /// Forward passes that bring prompts alone.
    pub prefill: Duration,
    /// All other forward passes.
    pub forward: Duration,
    /// Moving matchers on, asking them for forced runs.
    pub matcher: Duration,
    /// Laying masks over logits.
    pub mask: Duration,
    /// Choosing tokens.
    pub sample: Duration,
    /// Appending tokens to the rows.
    pub append: Duration,
}

/// Work that has begun.
#[must_use = "work is counted when it ends"]
pub(super) struct Begun(Instant, SpanStart);

impl<'a> Watch<'a> {
    /// A watch that also records spans.
    #[must_use]
    pub fn new(recorder: Recorder<'a>) -> Self {
        Self { totals: Stages::default(), recorder }
    }

    /// The time so far; counting begins anew.
    pub fn take(&mut self) -> Stages {
        std::mem::take(&mut self.totals)
    }

    /// What was recorded.
    pub fn recorder(&mut self) -> &mut Recorder<'a> {
        &mut self.recorder
    }

    pub(super) fn begin(&self) -> Begun {
        Begun(Instant::now(), self.recorder.start())
    }

    /// As [`Watch::end`], with the kernels that a GPU ran meanwhile: begin and end of each since that of the first.
    #[cfg(feature = "cuda")]
    pub(super) fn end_with(
        &mut self,
        begun: Begun,
        kind: SpanKind,
        args: SpanArgs,
        kernels: &[(&'static str, Duration, Duration)],
    ) {
        let start = begun.1;
        self.end(begun, kind, args);
        for &(name, from, to) in kernels {
            self.recorder.kernel(start, name, from, to);
        }
    }

    pub(super) fn end(&mut self, Begun(begun, start): Begun, kind: SpanKind, args: SpanArgs) {
        let total = match kind {
            SpanKind::Build => &mut self.totals.build,
            SpanKind::Prefill => &mut self.totals.prefill,
            SpanKind::Forward => &mut self.totals.forward,
            SpanKind::Matcher => &mut self.totals.matcher,
            SpanKind::Mask => &mut self.totals.mask,
            SpanKind::Sample => &mut self.totals.sample,
            SpanKind::Append => &mut self.totals.append,
        };
        *total += begun.elapsed();
        self.recorder.end(start, kind, args);
    }
}
