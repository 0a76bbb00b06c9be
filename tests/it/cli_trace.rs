//! The contract of `tplc trace`.

use std::{cell::Cell, fs, path::Path, time::Duration};

use tplc::trace::{Recorder, SpanArgs, SpanKind};

use crate::{
    cli::{folder, run, tplc},
    corpus::gzip,
    golden,
    trace::fixture,
};

/// The traces of `tests/data/trace`, and one of ours of two strategies.
pub(crate) fn write_traces(folder: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    for name in ["with_processor.json", "without.json"] {
        write(name, &fixture(name));
        write(&format!("{name}.gz"), &gzip(fixture(name)));
    }
    let now = Cell::new(0);
    let mut recorder = Recorder::new(|| Duration::from_micros(now.get()));
    for (strategy, passes, tokens, steps) in [
        ("mask", 25, 25 * 32, [(SpanKind::Matcher, 4), (SpanKind::Mask, 40), (SpanKind::Forward, 7000)]),
        ("forced", 20, 25 * 32, [(SpanKind::Matcher, 5), (SpanKind::Mask, 40), (SpanKind::Forward, 7100)]),
    ] {
        recorder.strategy(strategy);
        for pass in 1..=passes {
            for (kind, micros) in steps.into_iter().chain([(SpanKind::Sample, 250), (SpanKind::Append, 3)]) {
                let start = recorder.start();
                now.set(now.get() + micros);
                recorder.end(start, kind, SpanArgs { pass, rows: 32, tokens: 32 });
            }
        }
        recorder.tokens(tokens);
    }
    let mut own = Vec::new();
    recorder.write(&mut own).unwrap();
    write("validate.json", &own);
}

#[test]
fn one_trace_and_two() {
    let here = folder();
    write_traces(here.path());
    fs::write(
        here.path().join("mine.ron"),
        r#"(categories: [(category: "views", names: ["^aten::slice$", "^aten::as_strided$"])])"#,
    )
    .unwrap();
    for format in ["text", "markdown", "json"] {
        let shown: Vec<String> = [
            &["with_processor.json.gz", "--tokens", "4"] as &[&str],
            &["with_processor.json", "without.json.gz", "--tokens", "4,4"],
        ]
        .map(|args| tplc(here.path(), &[&["trace", "--format", format], args].concat()))
        .into();
        golden::check("cli", &format!("trace_{format}"), shown.join("\n"));
    }
    let shown: Vec<String> = [
        &["validate.json"] as &[&str],
        &["validate.json", "without.json"],
        &["without.json", "--patterns", "mine.ron"],
    ]
    .map(|args| tplc(here.path(), &[&["trace"], args].concat()))
    .into();
    golden::check("cli", "trace_runs", shown.join("\n"));
}

#[test]
fn plain_and_gzip_say_the_same() {
    let here = folder();
    write_traces(here.path());
    let json = |name: &str| {
        let (code, stdout, stderr) = run(here.path(), &["trace", name, "--format", "json"], "");
        assert_eq!((code, stderr.as_str()), (0, ""));
        stdout.replace(".gz", "")
    };
    assert_eq!(json("with_processor.json"), json("with_processor.json.gz"));
}

#[test]
fn faults_of_traces() {
    let here = folder();
    write_traces(here.path());
    let write = |name: &str, bytes: &[u8]| fs::write(here.path().join(name), bytes).unwrap();
    write("cut.json", &fixture("without.json")[..600]);
    let packed = gzip(fixture("with_processor.json"));
    write("cut.json.gz", &packed[..packed.len() / 2]);
    let text = String::from_utf8(fixture("without.json")).unwrap();
    write("damaged.json", text.replacen("\"ts\": 2014", "\"ts\": NaN", 1).as_bytes());
    write("rows.jsonl", b"{\"smiles\":\"CO\"}\n");
    write("empty.json", b"");
    write("broken.ron", b"(categories: [(kinds: [])])");
    write("nothing.ron", b"(categories: [(category: \"x\", names: [\"^$\"])])");
    fs::create_dir(here.path().join("folder")).unwrap();
    let mut shown = String::new();
    for args in [
        &["cut.json"] as &[&str],
        &["cut.json.gz"],
        &["damaged.json"],
        &["damaged.json", "--quiet"],
        &["rows.jsonl"],
        &["empty.json"],
        &["missing.json"],
        &["folder"],
        &["without.json", "rows.jsonl"],
        &["without.json", "--tokens", "3,4"],
        &["without.json", "--tokens", "0"],
        &["validate.json", "--tokens", "12"],
        &["without.json", "--patterns", "missing.ron"],
        &["without.json", "--patterns", "broken.ron"],
        &["without.json", "--patterns", "nothing.ron"],
        &["without.json", "without.json", "without.json"],
        &[],
    ] {
        let (code, stdout, stderr) = run(here.path(), &[&["trace"], args].concat(), "");
        assert_eq!(code == 0, !stdout.is_empty(), "{args:?}");
        let heading = stdout.lines().next().unwrap_or_default();
        shown += &format!("$ tplc trace {}\n[{code}] {heading}\n{stderr}\n", args.join(" "));
    }
    golden::check("cli", "trace_faults", shown);
}
