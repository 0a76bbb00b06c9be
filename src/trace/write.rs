//! Our own traces: what `tplc validate --trace` writes, for Perfetto, `chrome://tracing` and `tplc trace`.

use std::{
    fmt,
    io::{self, Write},
    time::Duration,
};

use serde::Serialize;

use super::{
    chrome::{Own, SCHEMA, StrategyTotals},
    summary::OWN_KIND,
};

/// What a decoder does in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    /// Building templates.
    Build,
    /// The forward pass over a prompt.
    Prefill,
    /// A forward pass that decides tokens.
    Forward,
    /// Moving matchers on, asking them for forced runs.
    Matcher,
    /// Writing masks and laying them over logits.
    Mask,
    /// Choosing tokens.
    Sample,
    /// Appending tokens to the rows.
    Append,
}

/// What is worth knowing of a span; 0 is not written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SpanArgs {
    /// The forward pass, from 1.
    #[serde(skip_serializing_if = "is_zero")]
    pub pass: u32,
    /// Rows of the batch that took part.
    #[serde(skip_serializing_if = "is_zero")]
    pub rows: u32,
    /// Tokens of all rows, packed.
    #[serde(skip_serializing_if = "is_zero")]
    pub tokens: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// The start of a span, to be given back at its end.
#[derive(Clone, Copy, Debug)]
#[must_use = "a span is recorded when it ends"]
pub struct SpanStart(Duration);

struct Span {
    strategy: u32,
    what: What,
    start: Duration,
    end: Duration,
    args: SpanArgs,
}

/// What took the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum What {
    Kind(SpanKind),
    /// A kernel on a GPU.
    Kernel(&'static str),
}

/// Records spans: one small struct pushed for each, or one branch taken if it is off.
///
/// ```
/// use std::{cell::Cell, time::Duration};
/// use tplc::trace::{Patterns, Recorder, SpanArgs, SpanKind, TraceSummary};
///
/// let now = Cell::new(0);
/// let mut recorder = Recorder::new(|| Duration::from_micros(now.get()));
/// recorder.strategy("forced");
/// let start = recorder.start();
/// now.set(1500);
/// recorder.end(start, SpanKind::Forward, SpanArgs { pass: 1, rows: 32, tokens: 70 });
/// recorder.tokens(70);
///
/// let mut file = Vec::new();
/// recorder.write(&mut file)?;
/// let trace = TraceSummary::read(file.as_slice(), &Patterns::standard()?, None)?;
/// assert_eq!(trace.runs[0].strategy.as_deref(), Some("forced"));
/// assert_eq!(trace.runs[0].tokens, Some(70));
/// assert_eq!(trace.runs[0].duration_us, 1500.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Recorder<'a> {
    clock: Option<Box<dyn Fn() -> Duration + 'a>>,
    strategies: Vec<StrategyTotals>,
    spans: Vec<Span>,
}

impl fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clock, strategies, spans } = self;
        write!(
            f,
            "Recorder {{ on: {}, strategies: {strategies:?}, spans: {} }}",
            clock.is_some(),
            spans.len()
        )
    }
}

impl<'a> Recorder<'a> {
    /// A recorder that asks this clock, which tells the time since some moment before the first span.
    pub fn new(clock: impl Fn() -> Duration + 'a) -> Self {
        Self { clock: Some(Box::new(clock)), strategies: Vec::new(), spans: Vec::new() }
    }

    /// A recorder that records nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Whether it records.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.clock.is_some()
    }

    /// The spans that follow are those of this strategy.
    pub fn strategy(&mut self, name: &str) {
        if self.is_on() {
            self.strategies.push(StrategyTotals { strategy: name.to_owned(), tokens: 0 });
        }
    }

    /// The strategy at hand generated so many more tokens.
    pub fn tokens(&mut self, tokens: u64) {
        if let Some(totals) = self.strategies.last_mut() {
            totals.tokens += tokens;
        }
    }

    /// A span begins.
    pub fn start(&self) -> SpanStart {
        SpanStart(self.clock.as_ref().map_or(Duration::ZERO, |clock| clock()))
    }

    /// A span ends. One outside of any strategy is of a nameless one.
    pub fn end(&mut self, start: SpanStart, kind: SpanKind, args: SpanArgs) {
        let Some(clock) = &self.clock else { return };
        let end = clock();
        self.push(What::Kind(kind), start.0, end, args);
    }

    /// A kernel ran on a GPU, from and to such a time behind the start of a span.
    pub fn kernel(&mut self, start: SpanStart, name: &'static str, from: Duration, to: Duration) {
        if self.is_on() {
            self.push(What::Kernel(name), start.0 + from, start.0 + to, SpanArgs::default());
        }
    }

    fn push(&mut self, what: What, start: Duration, end: Duration, args: SpanArgs) {
        if self.strategies.is_empty() {
            self.strategies.push(StrategyTotals { strategy: String::new(), tokens: 0 });
        }
        self.spans.push(Span { strategy: self.strategies.len() as u32, what, start, end, args });
    }

    /// Writes all of it as JSON. Totals come last, so that a file that was cut off has none instead of wrong ones.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        out.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n")?;
        let mut event = |event: Event<'_>, first: bool| -> io::Result<()> {
            out.write_all(if first { b"" } else { b",\n" })?;
            Ok(serde_json::to_writer(&mut out, &event)?)
        };
        event(Event::metadata("process_name", 0, Args::Name("tplc validate")), true)?;
        for (thread, totals) in (1..).zip(&self.strategies) {
            event(Event::metadata("thread_name", thread, Args::Name(&totals.strategy)), false)?;
            event(Event::metadata("thread_sort_index", thread, Args::Order(thread)), false)?;
        }
        for span in &self.spans {
            event(Event::span(span), false)?;
        }
        let own = Own { schema: SCHEMA.to_owned(), strategies: self.strategies.clone() };
        out.write_all(b"\n],\"tplc\":")?;
        serde_json::to_writer(&mut out, &own)?;
        out.write_all(b"}\n")
    }
}

/// An event of the trace event format.
#[derive(Serialize)]
struct Event<'a> {
    ph: char,
    pid: u32,
    tid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'static str>,
    name: Name,
    #[serde(flatten)]
    time: Option<Time>,
    args: Args<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Name {
    Metadata(&'static str),
    Span(What),
}

/// In µs.
#[derive(Serialize)]
struct Time {
    ts: f64,
    dur: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Args<'a> {
    Name(&'a str),
    #[serde(rename = "sort_index")]
    Order(u32),
    #[serde(untagged)]
    Span(SpanArgs),
}

/// As PyTorch's profiler calls what runs on a GPU.
const KERNEL: &str = "kernel";

/// The process that all threads are of; viewers take a thread of the same number for its main one.
const PROCESS: u32 = 1000;

impl<'a> Event<'a> {
    fn metadata(name: &'static str, tid: u32, args: Args<'a>) -> Self {
        Self { ph: 'M', pid: PROCESS, tid, cat: None, name: Name::Metadata(name), time: None, args }
    }

    fn span(span: &Span) -> Self {
        let micros = |time: Duration| time.as_nanos() as f64 / 1000.0;
        Self {
            ph: 'X',
            pid: PROCESS,
            tid: span.strategy,
            cat: Some(match span.what {
                What::Kind(_) => OWN_KIND,
                What::Kernel(_) => KERNEL,
            }),
            name: Name::Span(span.what),
            time: Some(Time { ts: micros(span.start), dur: micros(span.end.saturating_sub(span.start)) }),
            args: Args::Span(span.args),
        }
    }
}
