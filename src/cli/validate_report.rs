//! What `tplc validate` says: as JSON, and as tables.

use serde::Serialize;

use super::{
    Format,
    table::{Table, count, figure, percent},
};
use crate::decode::StrategyReport;

/// The result as JSON, schema `tplc.validate/1`.
#[derive(Serialize)]
pub(super) struct Validated<'a> {
    pub(super) schema: &'static str,
    pub(super) good: bool,
    pub(super) model: &'a str,
    pub(super) device: String,
    pub(super) dtype: String,
    pub(super) tokenizer: &'a str,
    pub(super) number_format: &'a str,
    pub(super) molecules: u64,
    pub(super) samples: u64,
    pub(super) batch: u64,
    pub(super) replay: bool,
    pub(super) repeat: u64,
    pub(super) sampling: Settings,
    pub(super) alphabet: u64,
    pub(super) tables_seconds: f64,
    pub(super) strategies: &'a [StrategyReport],
}

#[derive(Clone, Copy, Serialize)]
pub(super) struct Settings {
    pub(super) temperature: f64,
    pub(super) top_p: f64,
    pub(super) top_k: u64,
    pub(super) min_p: f64,
    pub(super) seed: u64,
}

/// As tables, and in words what they come to.
pub(super) fn render(validated: &Validated<'_>, format: Format) -> String {
    let mut text = title(validated);
    let header = ["strategy", "seconds", "speed", "passes", "ms/pass", "tokens", "passes/atom", "bound"];
    let mut work = Table::new("Work", &[0], &header);
    let header = [
        "strategy",
        "blocks",
        "junk tokens",
        "junk blocks",
        "truncated",
        "structure",
        "not canonical",
        "faulty rows",
    ];
    let mut faults = Table::new("Faults", &[0], &header);
    let header = ["strategy", "build", "prefill", "forward", "mask", "sample", "matcher", "append"];
    let mut times = Table::new("Seconds", &[0], &header);
    for report in validated.strategies {
        work.row(vec![
            report.strategy.to_owned(),
            format!("{:.2}", report.seconds),
            report.speed.map_or("-".to_owned(), |speed| format!("{speed:.2}x")),
            count(report.passes),
            figure(report.ms_per_pass),
            count(report.tokens),
            format!("{:.2}", report.passes_per_atom),
            report.bound.map_or("-".to_owned(), |bound| format!("{:.1}..{:.1}", bound.min, bound.max)),
        ]);
        let share = report.junk_blocks as f64 / report.blocks.max(1) as f64;
        faults.row(vec![
            report.strategy.to_owned(),
            count(report.blocks),
            count(report.junk_tokens),
            format!("{} ({})", count(report.junk_blocks), percent(share)),
            count(report.truncated),
            count(report.structural_failures),
            count(report.non_canonical),
            count(report.failures),
        ]);
        let time = &report.time;
        let stages =
            [time.build, time.prefill, time.forward, time.mask, time.sample, time.matcher, time.append];
        let mut row = vec![report.strategy.to_owned()];
        row.extend(stages.map(|seconds| format!("{seconds:.3}")));
        times.row(row);
    }
    text += &work.render(format);
    if !validated.replay {
        text += &faults.render(format);
    }
    text += &times.render(format);
    for report in validated.strategies.iter().filter(|report| report.first_fault.is_some()) {
        let fault = report.first_fault.as_deref().unwrap_or_default();
        text += &format!("{}: {fault}\n", report.strategy);
    }
    text += match validated.good {
        true if validated.replay => {
            "\nReplayed: every strategy said the same texts, so this tells nothing of faults.\n"
        }
        true => "\nExact strategies: no junk, nothing cut, nothing out of place; ids and texts agree.\n",
        false => "\nAn exact strategy shows a fault: this is a bug.\n",
    };
    text
}

/// What ran, in one line.
fn title(validated: &Validated<'_>) -> String {
    let Settings { temperature, top_p, top_k, min_p, seed } = validated.sampling;
    let sampling = match temperature {
        0.0 => "greedy".to_owned(),
        _ => format!("temperature {temperature}, top-p {top_p}, top-k {top_k}, min-p {min_p}, seed {seed}"),
    };
    let replayed = if validated.replay { " · replayed" } else { "" };
    let repeated = match validated.repeat {
        0 => String::new(),
        runs => format!(" · median of {runs}"),
    };
    format!(
        "{} · {} · {} · {} rows in batches of {} · {sampling}{replayed}{repeated} · {} {}\n\n",
        validated.model,
        validated.tokenizer,
        validated.number_format,
        count(validated.samples),
        validated.batch,
        validated.device,
        validated.dtype,
    )
}
