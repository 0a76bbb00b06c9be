//! What a trace says in few figures: how long, how often, how long on average, and each of these a token.

use std::{collections::BTreeMap, io::Read};

use serde::Serialize;

use super::{
    Patterns, TraceError,
    chrome::{self, Ending, Footer},
    coverage::{Coverage, Stretch},
    event::Event,
    names::{NameId, Names},
    tracks::{TrackId, Tracks},
};

/// The kind of our own events, of which each thread is a run of its own.
pub(super) const OWN_KIND: &str = "tplc";
/// Our runs that are told apart; spans of all further ones count as of none.
const RUNS: usize = 256;

/// A trace summed up.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSummary {
    /// Events of any kind in the file.
    pub events: u64,
    /// How the file ended.
    pub ending: Ending,
    /// One run, or in a trace of `tplc validate` one a strategy, in the order of the file.
    pub runs: Vec<Summary>,
}

/// The figures of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The strategy, in a trace of ours.
    pub strategy: Option<String>,
    /// Tokens that were generated, where known.
    pub tokens: Option<u64>,
    /// Spans that were counted.
    pub spans: u64,
    /// From the start of the first span to the end of the last, in µs.
    pub duration_us: f64,
    /// GPUs that anything ran on.
    pub devices: u64,
    /// The share of the duration in which a GPU was busy; a mean over GPUs, `None` without one.
    pub device_busy_share: Option<f64>,
    /// All categories, in the order of the table.
    pub categories: Vec<CategorySummary>,
    /// The most frequent operations that take little time each.
    pub small: Vec<Operation>,
    /// Every name that was kept, most frequent first.
    #[serde(skip)]
    pub operations: Vec<Operation>,
    /// Spans whose names were too many to be kept; they count everywhere else.
    pub unnamed: u64,
}

/// The events of one category.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CategorySummary {
    /// The category.
    pub category: String,
    /// How many events, and how long.
    #[serde(flatten)]
    pub tally: Tally,
}

/// The events of one name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Operation {
    /// The kind of event.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// How many events, and how long.
    #[serde(flatten)]
    pub tally: Tally,
}

/// How many events, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tally {
    /// Events.
    pub count: u64,
    /// Their time, in µs. Of a category, each moment of a thread counts once.
    pub total_us: f64,
    /// Time of one event, in µs; 0 without any.
    pub average_us: f64,
    /// Events a token, where tokens are known.
    pub count_per_token: Option<f64>,
    /// Time a token, in µs.
    pub us_per_token: Option<f64>,
}

impl Tally {
    fn new(count: u64, nanos: u64, tokens: Option<u64>) -> Self {
        let total_us = nanos as f64 / 1000.0;
        let per_token = |value: f64| tokens.filter(|&tokens| tokens > 0).map(|tokens| value / tokens as f64);
        Self {
            count,
            total_us,
            average_us: total_us / count.max(1) as f64,
            count_per_token: per_token(count as f64),
            us_per_token: per_token(total_us),
        }
    }
}

impl TraceSummary {
    /// Reads a trace to its end, in memory that does not grow with it. `tokens` are those that it generated, if it does not
    /// tell them itself.
    ///
    /// # Errors
    /// See [`read`](super::read).
    pub fn read(reader: impl Read, patterns: &Patterns, tokens: Option<u64>) -> Result<Self, TraceError> {
        let mut summing =
            Summing { patterns, names: Names::default(), tracks: Tracks::default(), runs: Runs::default() };
        let footer = chrome::read(reader, |event| summing.add(event))?;
        Ok(summing.finish(footer, tokens))
    }
}

/// The state of summing up.
struct Summing<'a> {
    patterns: &'a Patterns,
    names: Names,
    tracks: Tracks,
    runs: Runs,
}

/// What is not ours, then our strategies by thread.
#[derive(Default)]
struct Runs {
    other: Run,
    own: BTreeMap<TrackId, Run>,
}

impl Runs {
    /// What is on a thread of ours is ours, whatever its kind: kernels come behind the span that they ran in.
    fn of(&mut self, kind: &str, track: TrackId) -> &mut Run {
        let known = self.own.contains_key(&track);
        let opens = kind == OWN_KIND && self.own.len() < RUNS;
        if known || opens { self.own.entry(track).or_default() } else { &mut self.other }
    }
}

/// The sums of one run.
#[derive(Default)]
struct Run {
    spans: u64,
    unnamed: u64,
    reach: Option<Stretch>,
    devices: BTreeMap<String, Coverage>,
    /// By category.
    categories: Vec<Category>,
    /// Events and ns, by name.
    names: Vec<(u64, u64)>,
}

#[derive(Clone, Default)]
struct Category {
    count: u64,
    time: BTreeMap<TrackId, Coverage>,
}

impl Summing<'_> {
    fn add(&mut self, event: &Event) {
        let Self { patterns, names, tracks, runs } = self;
        let track = tracks.of(event);
        tracks.span(track, event, |kind, name, span| {
            let (class, id) = names.classify(patterns, kind, name);
            if class.left_out {
                return;
            }
            let run = runs.of(kind, track);
            run.count(id, span);
            if class.device {
                run.cover_device(&event.process, span);
            }
            for &category in &class.categories {
                let sums = at(&mut run.categories, usize::from(category.0));
                sums.count += 1;
                sums.time.entry(track).or_default().add(span);
            }
        });
    }

    fn finish(self, footer: Footer, tokens: Option<u64>) -> TraceSummary {
        let Self { patterns, names, tracks, runs } = self;
        let mut summaries = Vec::new();
        if runs.other.spans > 0 || runs.own.is_empty() {
            summaries.push(runs.other.finish(patterns, &names, None, tokens));
        }
        for (track, run) in runs.own {
            let strategy = tracks.name(track).to_owned();
            let told = footer.strategies.iter().find(|totals| totals.strategy == strategy);
            let tokens = told.map(|totals| totals.tokens).or(tokens);
            summaries.push(run.finish(patterns, &names, Some(strategy), tokens));
        }
        TraceSummary { events: footer.events, ending: footer.ending, runs: summaries }
    }
}

/// Devices that are told apart.
const DEVICES: usize = 256;

impl Run {
    fn count(&mut self, name: Option<NameId>, span: Stretch) {
        self.spans += 1;
        let reach = self.reach.get_or_insert(span);
        *reach = Stretch { start: reach.start.min(span.start), end: reach.end.max(span.end) };
        match name {
            None => self.unnamed += 1,
            Some(id) => {
                let (count, nanos) = at(&mut self.names, id.index());
                *count += 1;
                *nanos = nanos.saturating_add(span.length());
            }
        }
    }

    fn cover_device(&mut self, device: &str, span: Stretch) {
        if let Some(coverage) = self.devices.get_mut(device) {
            coverage.add(span);
        } else if self.devices.len() < DEVICES {
            self.devices.entry(device.to_owned()).or_default().add(span);
        }
    }

    fn finish(
        mut self,
        patterns: &Patterns,
        names: &Names,
        strategy: Option<String>,
        tokens: Option<u64>,
    ) -> Summary {
        let duration = self.reach.map_or(0, Stretch::length);
        let busy = self.devices.values_mut().fold(0.0, |sum, coverage| sum + coverage.total() as f64);
        let devices = self.devices.len() as u64;
        let all = duration as f64 * devices as f64;
        self.categories.resize(patterns.categories().len(), Category::default());
        let categories = patterns.categories().iter().zip(&mut self.categories).map(|(category, sums)| {
            let nanos = sums.time.values_mut().fold(0, |sum: u64, time| sum.saturating_add(time.total()));
            CategorySummary { category: category.clone(), tally: Tally::new(sums.count, nanos, tokens) }
        });
        let categories = categories.collect();
        let mut operations = Vec::new();
        let mut small = Vec::new();
        for ((kind, name, class), &(count, nanos)) in
            names.iter().zip(&self.names).filter(|(_, sums)| sums.0 > 0)
        {
            let tally = Tally::new(count, nanos, tokens);
            let operation = Operation { kind: kind.to_owned(), name: name.to_owned(), tally };
            if class.listed && tally.average_us < patterns.small().below_us {
                small.push(operation.clone());
            }
            operations.push(operation);
        }
        for list in [&mut operations, &mut small] {
            list.sort_by(|a, b| {
                b.tally.count.cmp(&a.tally.count).then_with(|| (&a.kind, &a.name).cmp(&(&b.kind, &b.name)))
            });
        }
        small.truncate(patterns.small().listed);
        Summary {
            strategy,
            tokens,
            spans: self.spans,
            duration_us: duration as f64 / 1000.0,
            devices,
            device_busy_share: (all > 0.0).then(|| busy / all),
            categories,
            small,
            operations,
            unnamed: self.unnamed,
        }
    }
}

/// The entry of this index, made if it is not there yet.
fn at<T: Clone + Default>(entries: &mut Vec<T>, index: usize) -> &mut T {
    if entries.len() <= index {
        entries.resize(index + 1, T::default());
    }
    &mut entries[index]
}
