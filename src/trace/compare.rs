//! Runs side by side: each figure of each, and its ratio to that of the first.

use serde::Serialize;

use super::{Operation, Summary, Tally};

/// What a figure measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Events, tokens.
    Count,
    /// Time, in µs.
    TimeUs,
    /// A share of time, 0 to 1.
    Share,
}

/// One figure of all runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The category or operation that it is of; empty for figures of the whole run.
    pub of: String,
    /// The figure.
    pub figure: &'static str,
    /// What it measures.
    pub measure: Measure,
    /// Its value in each run; `None` where that is not known.
    pub values: Vec<Option<f64>>,
    /// Each value over that of the first run, which is 1 itself; `None` where one is not known or the first is 0.
    pub ratios: Vec<Option<f64>>,
}

/// Several runs side by side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Figures of whole runs, then five of each category.
    pub rows: Vec<Row>,
    /// Events of each operation that is small and frequent in any run.
    pub small: Vec<Row>,
}

impl Row {
    fn new(of: &str, figure: &'static str, measure: Measure, values: Vec<Option<f64>>) -> Self {
        let first = values.first().copied().flatten().filter(|&first| first != 0.0);
        let ratios = values.iter().map(|value| Some((*value)? / first?)).collect();
        Self { of: of.to_owned(), figure, measure, values, ratios }
    }

    /// Whether there is a figure other than 0 in any run.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        self.values.iter().flatten().any(|&value| value != 0.0)
    }
}

impl Comparison {
    /// Puts runs that were summed up with the same patterns side by side.
    #[must_use]
    pub fn new(runs: &[&Summary]) -> Self {
        let all = |value: fn(&Summary) -> Option<f64>| runs.iter().map(|run| value(run)).collect();
        let per_token =
            |run: &Summary| Some(run.duration_us / run.tokens.filter(|&tokens| tokens > 0)? as f64);
        let mut rows = vec![
            Row::new("", "duration", Measure::TimeUs, all(|run| Some(run.duration_us))),
            Row::new("", "tokens", Measure::Count, all(|run| Some(run.tokens? as f64))),
            Row::new("", "time a token", Measure::TimeUs, all(per_token)),
            Row::new("", "GPU busy", Measure::Share, all(|run| run.device_busy_share)),
        ];
        let categories = runs.first().map_or(&[][..], |run| &run.categories);
        for (index, category) in categories.iter().enumerate() {
            let of = &category.category;
            let tallies: Vec<Option<Tally>> =
                runs.iter().map(|run| run.categories.get(index).map(|category| category.tally)).collect();
            rows.extend(figures(of, &tallies));
        }
        Self { rows, small: small(runs) }
    }
}

/// The figures of one category.
fn figures(of: &str, tallies: &[Option<Tally>]) -> [Row; 5] {
    let all = |value: fn(Tally) -> Option<f64>| tallies.iter().map(|tally| value((*tally)?)).collect();
    let average = |tally: Tally| (tally.count > 0).then_some(tally.average_us);
    [
        Row::new(of, "count", Measure::Count, all(|tally| Some(tally.count as f64))),
        Row::new(of, "time", Measure::TimeUs, all(|tally| Some(tally.total_us))),
        Row::new(of, "average", Measure::TimeUs, all(average)),
        Row::new(of, "count a token", Measure::Count, all(|tally| tally.count_per_token)),
        Row::new(of, "time a token", Measure::TimeUs, all(|tally| tally.us_per_token)),
    ]
}

/// The operations that are listed for any run, in the order of the first that lists them.
fn small(runs: &[&Summary]) -> Vec<Row> {
    let mut listed: Vec<&Operation> = Vec::new();
    for operation in runs.iter().flat_map(|run| &run.small) {
        if !listed.iter().any(|other| same(other, operation)) {
            listed.push(operation);
        }
    }
    let row = |operation: &&Operation| {
        let count = |run: &&Summary| {
            let found = run.operations.iter().find(|other| same(other, operation));
            Some(found.map_or(0.0, |operation| operation.tally.count as f64))
        };
        Row::new(&operation.name, "count", Measure::Count, runs.iter().map(count).collect())
    };
    listed.iter().map(row).collect()
}

fn same(one: &Operation, other: &Operation) -> bool {
    (&one.kind, &one.name) == (&other.kind, &other.name)
}
