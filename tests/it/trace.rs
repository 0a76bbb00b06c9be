//! Traces: what is read, what is counted, what breaks off; the sums against a naive twin.

use std::{
    cell::Cell,
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    time::Duration,
};

use proptest::prelude::*;
use serde_json::{Value, json};
use tplc::trace::{
    Comparison, Ending, Event, Patterns, Recorder, SpanArgs, SpanKind, Summary, Tally, TraceError,
    TraceSummary, read,
};

use crate::{corpus::gzip, golden};

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/data/trace/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn summary(bytes: &[u8]) -> TraceSummary {
    TraceSummary::read(bytes, &Patterns::standard().unwrap(), None).unwrap()
}

fn tally(run: &Summary, category: &str) -> Tally {
    run.categories.iter().find(|found| found.category == category).unwrap().tally
}

fn ending(bytes: &[u8]) -> Result<(u64, Ending), TraceError> {
    read(bytes, |_| {}).map(|footer| (footer.events, footer.ending))
}

#[test]
fn both_forms_plain_and_gzip() {
    let object = fixture("with_processor.json");
    let file: Value = serde_json::from_slice(&object).unwrap();
    let array = serde_json::to_vec(&file["traceEvents"]).unwrap();
    let whole = summary(&object);
    assert_eq!((whole.events, &whole.ending, whole.runs.len()), (26, &Ending::Whole, 1));
    for other in [array.clone(), gzip(&object), gzip(&array)] {
        assert_eq!(summary(&other), whole);
    }
    // Members of a gzip file follow one another.
    let (head, tail) = object.split_at(1000);
    assert_eq!(summary(&[gzip(head), gzip(tail)].concat()), whole);
}

/// The figures of the hand-written trace, by hand.
#[test]
fn figures_of_a_step() {
    let trace = summary(&fixture("with_processor.json"));
    let run = &trace.runs[0];
    // From the template (1000) to the end of the synchronization (1700); the profiler's own window is left out.
    assert_eq!((run.spans, run.duration_us, run.devices), (19, 700.0, 1));
    assert_eq!(run.device_busy_share, Some((5.0 + 45.0 + 30.0 + 20.0) / 700.0));
    let of = |category| tally(run, category);
    let launches = of("kernel launches");
    assert_eq!((launches.count, launches.total_us, launches.average_us), (3, 16.5, 5.5));
    for (category, count, total_us) in [
        ("synchronizations", 1, 90.0),
        ("kernels", 3, 80.0),
        ("attention kernels", 1, 45.0),
        ("elementwise kernels", 1, 30.0),
        ("copy kernels", 0, 0.0),
        ("concatenation kernels", 1, 5.0),
        ("masking kernels", 1, 30.0),
        ("memory copies", 1, 20.0),
        ("memory sets", 0, 0.0),
        ("concatenations", 1, 12.5),
        ("masking operations", 1, 20.0),
        // An operation inside another of its category counts, and its time does not.
        ("sampling operations", 2, 40.0),
        ("template building", 2, 400.5),
    ] {
        assert_eq!((of(category).count, of(category).total_us), (count, total_us), "{category}");
    }
    let small: Vec<_> =
        run.small.iter().map(|small| (small.name.as_str(), small.tally.count)).take(3).collect();
    assert_eq!(small, [("aten::as_strided", 2), ("aten::slice", 2), ("cudaLaunchKernel", 2)]);
    assert_eq!(launches.count_per_token, None);

    let patterns = Patterns::standard().unwrap();
    let trace = TraceSummary::read(fixture("with_processor.json").as_slice(), &patterns, Some(4)).unwrap();
    let launches = tally(&trace.runs[0], "kernel launches");
    assert_eq!((launches.count_per_token, launches.us_per_token), (Some(0.75), Some(4.125)));
}

#[test]
fn ratios_are_to_the_first() {
    let (a, b) = (summary(&fixture("with_processor.json")), summary(&fixture("without.json")));
    let comparison = Comparison::new(&[&a.runs[0], &b.runs[0]]);
    let row = |of: &str, figure: &str| {
        let found = comparison.rows.iter().find(|row| row.of == of && row.figure == figure).unwrap();
        (found.values.clone(), found.ratios.clone())
    };
    assert_eq!(row("", "duration"), (vec![Some(700.0), Some(100.0)], vec![Some(1.0), Some(1.0 / 7.0)]));
    assert_eq!(
        row("kernel launches", "count"),
        (vec![Some(3.0), Some(2.0)], vec![Some(1.0), Some(2.0 / 3.0)])
    );
    assert_eq!(row("memory sets", "count"), (vec![Some(0.0), Some(0.0)], vec![None, None]));
    assert_eq!(row("memory copies", "average"), (vec![Some(20.0), None], vec![Some(1.0), None]));
    assert_eq!(row("", "tokens"), (vec![None, None], vec![None, None]));
    let strided = comparison.small.iter().find(|row| row.of == "aten::as_strided").unwrap();
    assert_eq!(strided.values, [Some(2.0), Some(1.0)]);
}

#[test]
fn begin_and_end_make_a_span() {
    let events = json!([
        {"ph": "B", "cat": "tplc", "name": "forward", "pid": 1, "tid": 1, "ts": 0},
        {"ph": "B", "cat": "tplc", "name": "mask", "pid": 1, "tid": 1, "ts": 2},
        {"ph": "E", "pid": 1, "tid": 1, "ts": 5},
        {"ph": "E", "pid": 1, "tid": 2, "ts": 6},
        {"ph": "E", "pid": 1, "tid": 1, "ts": 10},
        {"ph": "E", "pid": 1, "tid": 1, "ts": 11},
        {"ph": "B", "cat": "tplc", "name": "sample", "pid": 1, "tid": 1, "ts": 12},
    ]);
    let trace = summary(events.to_string().as_bytes());
    let run = &trace.runs[0];
    assert_eq!((trace.events, run.spans, run.duration_us), (7, 2, 10.0));
    assert_eq!(tally(run, "forward passes").total_us, 10.0);
    assert_eq!(tally(run, "masking operations").total_us, 3.0);
}

/// Fields of another type than they should have are as good as absent.
#[test]
fn odd_events_stop_nothing() {
    let events = json!([
        null, 3, -1, 0.5, true, "text", [1, [2]], {}, {"ph": 7, "name": {"a": [1]}, "ts": "1", "dur": [2]},
        {"ph": "X", "cat": null, "name": ["x"], "pid": {"a": {}}, "tid": -3, "ts": {}, "dur": false, "args": "none"},
        {"ph": "X", "cat": "kernel", "name": "k", "pid": "gpu", "tid": 0.5, "ts": -4, "dur": 6, "args": {"name": [3]}},
        {"ph": "X", "cat": "kernel", "name": "k", "pid": "gpu", "tid": 0.5, "ts": 1e300, "dur": -6, "id": {"x": "y"}},
        {"ph": "M", "name": "thread_name", "args": null},
    ]);
    let trace = summary(events.to_string().as_bytes());
    assert_eq!((trace.events, trace.runs[0].spans), (5, 2));
    assert_eq!(tally(&trace.runs[0], "kernels").total_us, 6.0);
}

#[test]
fn what_is_no_trace_says_so() {
    let shown: Vec<String> = [
        "",
        " ",
        "[]",
        "{}",
        "[",
        "{\"traceEvents\": [",
        "{\"traceEvents\": []}",
        "{\"traceEvents\": null}",
        "3",
        "\"ph\"",
        "null",
        "[{\"smiles\": \"CO\"}]",
        "[C]<0,0,0>",
        "PK\u{3}\u{4}",
        "{\"tplc\": 3}",
    ]
    .map(|text| format!("{text:?}\n{}\n", ending(text.as_bytes()).unwrap_err()))
    .into();
    golden::check("trace", "not_a_trace", shown.join("\n"));
}

/// A file cut at any byte gives the events before that byte and says that it is cut off.
#[test]
fn cut_off_at_any_byte() {
    let bytes = fixture("without.json");
    let whole = ending(&bytes).unwrap();
    assert_eq!(whole, (7, Ending::Whole));
    let mut last = 0;
    for end in 0..bytes.trim_ascii_end().len() {
        let Ok((events, ending)) = ending(&bytes[..end]) else {
            assert_eq!(last, 0, "at byte {end}");
            continue;
        };
        assert_eq!(ending, Ending::CutOff, "at byte {end}");
        // A closing brace is the end of an event.
        let closed = bytes[..end].windows(2).filter(|pair| pair == b"}}").count() as u64;
        assert_eq!(events, closed, "at byte {end}");
        last = events;
    }
    assert_eq!(last, 7);
    let packed = gzip(fixture("with_processor.json"));
    for end in 0..packed.len() {
        if let Ok((_, found)) = ending(&packed[..end]) {
            assert_eq!(found, Ending::CutOff, "at byte {end}");
        }
    }
    assert!(matches!(ending(&packed[..packed.len() - 9]), Ok((25.., Ending::CutOff))));
}

#[test]
fn damage_is_told_with_its_place() {
    let text = String::from_utf8(fixture("without.json")).unwrap();
    let broken = text.replacen("\"ts\": 2014", "\"ts\": 20x4", 1);
    let more = text.clone() + "[]";
    let (head, tail) = text.split_once("Synchronize").unwrap();
    let not_utf8 = [head.as_bytes(), b"\xff", tail.as_bytes()].concat();
    let mut gzipped = gzip(&text);
    let middle = gzipped.len() / 2;
    gzipped[middle..middle + 20].fill(0xaa);
    let shown: Vec<String> = [broken.as_bytes(), more.as_bytes(), &not_utf8]
        .into_iter()
        .map(|bytes| format!("{:?}", ending(bytes).unwrap()))
        .collect();
    golden::check("trace", "damaged", shown.join("\n"));
    assert!(!matches!(ending(&gzipped), Ok((_, Ending::Whole))));
}

/// A reader that fails is no cut-off file.
#[test]
fn a_failing_reader_is_an_error() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let text = fixture("without.json");
    for head in [&text[..0], &text[..900]] {
        let error = read(head.chain(Failing), |_| {}).unwrap_err();
        assert_eq!(error.to_string(), "reading stopped: the disk is gone");
    }
}

/// Makes events as they are asked for, and knows how many it made.
struct Endless<'a> {
    made: &'a Cell<usize>,
    of: usize,
    piece: Vec<u8>,
    given: usize,
}

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.given == self.piece.len() {
            let made = self.made.get();
            self.given = 0;
            self.piece.clear();
            match made {
                _ if made > self.of => return Ok(0),
                _ if made == self.of => self.piece.push(b']'),
                _ => write!(
                    self.piece,
                    "{}{{\"ph\":\"X\",\"cat\":\"kernel\",\"name\":\"k{made}\",\"pid\":0,\"tid\":7,\"ts\":{},\"dur\":1.5,\
                     \"args\":{{\"grid\":[{made},1,1],\"text\":\"{}\"}}}}",
                    if made == 0 { '[' } else { ',' },
                    made * 2,
                    "x".repeat(200)
                )?,
            }
            self.made.set(made + 1);
        }
        let read = (&self.piece[self.given..]).read(buffer)?;
        self.given += read;
        Ok(read)
    }
}

/// Reading never runs further ahead of the events it has given than its buffer.
#[test]
fn reading_streams() {
    const EVENTS: usize = 100_000;
    let (made, given) = (Cell::new(0), Cell::new(0));
    let ahead = Cell::new(0);
    let endless = || Endless { made: &made, of: EVENTS, piece: Vec::new(), given: 0 };
    let each = |event: &Event| {
        assert_eq!(event.name, format!("k{}", given.get()));
        given.set(given.get() + 1);
        ahead.set(ahead.get().max(made.get() - given.get()));
    };
    let footer = read(endless(), each).unwrap();
    assert_eq!((footer.events, footer.ending), (EVENTS as u64, Ending::Whole));
    assert!(ahead.get() * 300 < 600 * 1024, "{} events ahead", ahead.get());

    // As many names as events, and as many gaps: more than are kept of either, and every figure is right.
    made.set(0);
    let trace = TraceSummary::read(endless(), &Patterns::standard().unwrap(), None).unwrap();
    let run = &trace.runs[0];
    assert_eq!((run.spans, tally(run, "kernels").count), (EVENTS as u64, EVENTS as u64));
    assert_eq!(tally(run, "kernels").total_us, 1.5 * EVENTS as f64);
    assert!(run.unnamed > 0 && run.operations.len() as u64 + run.unnamed == EVENTS as u64);
}

/// What the recorder writes: the file is one that a person can read.
#[test]
fn our_own_traces() {
    let now = Cell::new(0);
    let mut recorder = Recorder::new(|| Duration::from_nanos(now.get()));
    let span = |recorder: &mut Recorder<'_>, kind, nanos: u64, args| {
        let start = recorder.start();
        now.set(now.get() + nanos);
        recorder.end(start, kind, args);
        now.set(now.get() + 250);
    };
    for (strategy, tokens) in [("blocklist \"b\"", 40), ("forced", 30)] {
        recorder.strategy(strategy);
        span(&mut recorder, SpanKind::Build, 1_500_000, SpanArgs::default());
        span(&mut recorder, SpanKind::Prefill, 9_000_001, SpanArgs { rows: 4, tokens: 60, pass: 0 });
        for pass in 1..=2 {
            span(&mut recorder, SpanKind::Matcher, 900, SpanArgs { pass, rows: 4, tokens: 0 });
            span(&mut recorder, SpanKind::Forward, 7_000_000, SpanArgs { pass, rows: 4, tokens: 9 });
            span(&mut recorder, SpanKind::Mask, 40_000, SpanArgs { pass, rows: 4, tokens: 0 });
            span(&mut recorder, SpanKind::Sample, 300_000, SpanArgs { pass, rows: 4, tokens: 0 });
            span(&mut recorder, SpanKind::Append, 750, SpanArgs { pass, rows: 4, tokens: 9 });
        }
        recorder.tokens(tokens / 2);
        recorder.tokens(tokens / 2);
    }
    let mut file = Vec::new();
    recorder.write(&mut file).unwrap();
    golden::check("trace", "own", String::from_utf8(file.clone()).unwrap());

    let trace = summary(&file);
    let runs: Vec<_> =
        trace.runs.iter().map(|run| (run.strategy.as_deref(), run.tokens, run.spans)).collect();
    assert_eq!(runs, [(Some("blocklist \"b\""), Some(40), 12), (Some("forced"), Some(30), 12)]);
    for run in &trace.runs {
        for (category, count, total_us) in [
            ("template building", 1, 1500.0),
            ("forward passes", 3, 23_000.001),
            ("matcher", 2, 1.8),
            ("masking operations", 2, 80.0),
            ("sampling operations", 2, 600.0),
            ("appends", 2, 1.5),
        ] {
            assert_eq!(
                (tally(run, category).count, tally(run, category).total_us),
                (count, total_us),
                "{category}"
            );
        }
    }
    // Totals of a whole run would be wrong beside half of its spans.
    let cut = summary(&file[..file.len() - 10]);
    assert_eq!((cut.ending, cut.runs[0].tokens), (Ending::CutOff, None));
}

#[test]
fn a_recorder_that_is_off_records_nothing() {
    let mut recorder = Recorder::off();
    recorder.strategy("forced");
    let start = recorder.start();
    recorder.end(start, SpanKind::Forward, SpanArgs::default());
    recorder.tokens(3);
    assert!(!recorder.is_on());
    let mut file = Vec::new();
    recorder.write(&mut file).unwrap();
    assert!(!String::from_utf8(file).unwrap().contains("forward"));
}

/// A span of a generated trace: kind, name, thread, start and length.
type Span = (usize, usize, u8, u16, u16);

const KINDS: [&str; 5] = ["kernel", "cuda_runtime", "cpu_op", "gpu_memcpy", "other"];
const NAMES: [&str; 6] =
    ["cudaLaunchKernel", "flash_fwd_attention", "aten::sort", "aten::slice", "x_copy_kernel", "template"];

fn trace_of(spans: &[Span]) -> String {
    let event = |&(kind, name, thread, start, length): &Span| {
        json!({
            "ph": "X", "cat": KINDS[kind], "name": NAMES[name], "pid": kind % 2, "tid": thread,
            "ts": f64::from(start) / 8.0, "dur": f64::from(length) / 8.0,
        })
    };
    Value::Array(spans.iter().map(event).collect()).to_string()
}

/// The ns that a set of spans covers, moment by moment; all times are multiples of 125 ns.
fn covered(spans: impl Iterator<Item = (u16, u16)>) -> u64 {
    let moments = spans.flat_map(|(start, length)| u32::from(start)..u32::from(start) + u32::from(length));
    moments.collect::<BTreeSet<u32>>().len() as u64 * 125
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    proptest::collection::vec((0..KINDS.len(), 0..NAMES.len(), 0_u8..3, 0_u16..500, 0_u16..80), 1..60)
}

/// Pieces that files are made of.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"{\"traceEvents\":".to_vec()),
        Just(b"[{\"ph\":\"X\",\"cat\":\"kernel\",\"name\":\"k\",\"ts\":1,\"dur\":2}".to_vec()),
        Just(b",{\"ph\":\"B\",\"ts\":-1e308}".to_vec()),
        Just(b",\"tplc\":{\"schema\":\"\",\"strategies\":[]}".to_vec()),
        Just(b"]".to_vec()),
        Just(b"}".to_vec()),
        Just(b"\x1f\x8b\x08\x00".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// The sums against a twin that keeps everything and looks at every moment.
    #[test]
    fn sums_are_those_of_the_naive_twin(spans in spans()) {
        let trace = summary(trace_of(&spans).as_bytes());
        let run = &trace.runs[0];
        let start = spans.iter().map(|span| span.3).min().unwrap();
        let end = spans.iter().map(|span| u32::from(span.3) + u32::from(span.4)).max().unwrap();
        prop_assert_eq!(run.duration_us, f64::from(end - u32::from(start)) / 8.0);
        for (category, kind, name) in [
            ("kernels", "kernel", None),
            ("kernel launches", "cuda_runtime", Some("cudaLaunchKernel")),
            ("attention kernels", "kernel", Some("flash_fwd_attention")),
            ("copy kernels", "kernel", Some("x_copy_kernel")),
            ("sampling operations", "cpu_op", Some("aten::sort")),
            ("template building", "cpu_op", Some("template")),
        ] {
            let takes = |span: &&Span| KINDS[span.0] == kind && name.is_none_or(|name| NAMES[span.1] == name);
            let of: Vec<&Span> = spans.iter().filter(takes).collect();
            let nanos: u64 = (0..3)
                .map(|thread| covered(of.iter().filter(|span| span.2 == thread).map(|span| (span.3, span.4))))
                .sum();
            let found = tally(run, category);
            prop_assert_eq!((found.count, found.total_us), (of.len() as u64, nanos as f64 / 1000.0), "{}", category);
        }
        // Each kind that runs on a device has a process, and so a device, of its own here.
        let devices: Vec<Vec<&Span>> =
            [0, 3].map(|kind| spans.iter().filter(|span| span.0 == kind).collect()).into();
        let used = devices.iter().filter(|spans| !spans.is_empty()).count() as u64;
        let busy: u64 = devices.iter().map(|spans| covered(spans.iter().map(|span| (span.3, span.4)))).sum();
        prop_assert_eq!(run.devices, used);
        if let Some(share) = run.device_busy_share {
            prop_assert!((share - busy as f64 / 1000.0 / run.duration_us / used as f64).abs() < 1e-9);
        }
        let operations: u64 = run.operations.iter().map(|operation| operation.tally.count).sum();
        prop_assert_eq!((operations, run.unnamed), (spans.len() as u64, 0));
    }

    /// The order of the events changes no figure.
    #[test]
    fn order_changes_nothing(spans in spans(), seed in any::<u64>()) {
        let mut other = spans.clone();
        other.sort_by_key(|span| (u64::from(span.3) + 1).wrapping_mul(seed | 1) ^ span.2 as u64);
        prop_assert_eq!(summary(trace_of(&spans).as_bytes()), summary(trace_of(&other).as_bytes()));
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in soup(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let patterns = Patterns::standard().unwrap();
        let _ = TraceSummary::read(bytes.as_slice(), &patterns, None);
        for mut good in [fixture("with_processor.json"), gzip(fixture("without.json"))] {
            let at = at.index(good.len());
            good[at] = byte;
            let _ = TraceSummary::read(good.as_slice(), &patterns, Some(1));
            good.truncate(at);
            let _ = TraceSummary::read(good.as_slice(), &patterns, None);
        }
    }
}
