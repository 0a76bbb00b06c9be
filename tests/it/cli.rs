//! The contract of the command line: standard output, standard error, exit status.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::{cli_trace::write_traces, corpus::gzip, golden};

/// Runs `tplc` in `folder` and shows what came of it.
pub(crate) fn tplc(folder: &Path, args: &[&str]) -> String {
    let run = run(folder, args, "");
    format!("$ tplc {}\n[{}]\n--- stdout\n{}--- stderr\n{}", args.join(" "), run.0, run.1, run.2)
}

/// Exit status, standard output and standard error.
pub(crate) fn run(folder: &Path, args: &[&str], stdin: &str) -> (i32, String, String) {
    let mut child = program(folder, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that fails before it reads leaves a broken pipe behind.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// `tplc` in `folder`, not started yet.
pub(crate) fn program(folder: &Path, args: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_tplc"));
    program.args(args).current_dir(folder).env_clear();
    program
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

const SMALL: [&str; 6] = ["analyze", "--corpus", "reference:g2", "--tokenizer", "qwen", "--number-format"];

#[test]
fn analyze_as_text_markdown_and_json() {
    let here = folder();
    let two = ["trimmed4", "--tokenizer", "deepseek"];
    let args: Vec<&str> = SMALL.into_iter().chain(two).collect();
    for format in ["text", "markdown", "json"] {
        let args: Vec<&str> = args.iter().copied().chain(["--format", format]).collect();
        golden::check("cli", &format!("analyze_{format}"), tplc(here.path(), &args));
    }
}

/// One row of each kind of fault among good ones, in every format.
#[test]
fn bad_rows_are_told_counted_and_kept() {
    let here = folder();
    let jsonl = [
        r#"{"smiles":"CO","conformers":[[[0,0,0],[1.5,0,0]]]}"#,
        r#"{"smiles":"C(O","conformers":[[[0,0,0],[1.5,0,0]]]}"#,
        r#"{"smiles":"CO","conformers":[[[0,0,0]]]}"#,
        r#"{"smiles":"CO","conformers":[[[0,0,0],[NaN,0,0]]]}"#,
        r#"{"smiles":"CO","conformers":[[[0,0,0],[1e400,0,0]]]}"#,
        r#"{"smiles":"CO","conformers":[[[0,0,0],[-100.5,0,0]]]}"#,
        r#"{"smiles":"CO","conformers":[[[0,0,0],[1.5,0,"0"]]]}"#,
        r#"{"canonical":"CC","enriched":"[C]<0,0,0>[O]<1.5,0,0>"}"#,
        r#"{"smiles":"CO"}"#,
        r#"{"smiles":"CO","conformers":[[[0,0,0],[1.5"#,
    ]
    .join("\n");
    fs::write(here.path().join("bad.jsonl"), jsonl + "\n").unwrap();
    let text =
        "[C]<0,0,0>=[O]<1.25,0,0>\n[C]<0,0,0>=[O]<1.25,0,0abra>\n[C]<0,0,0>=[O]\n\n[C]<0,0,0>=[O]<1.25,0\n";
    fs::write(here.path().join("bad.txt"), text).unwrap();
    let quick = ["analyze", "--tokenizer", "gpt-2", "--corpus"];
    let mut shown = String::new();
    for (corpus, rest) in [
        ("bad.jsonl", &["--strict", "--rejects", "kept.jsonl"] as &[&str]),
        ("bad.txt", &["--rejects", "kept.txt"]),
        ("bad.txt", &["--quiet", "--strict"]),
    ] {
        let args: Vec<&str> = quick.iter().copied().chain([corpus]).chain(rest.iter().copied()).collect();
        let (code, stdout, stderr) = run(here.path(), &args, "");
        let heading = stdout.lines().next().unwrap_or_default();
        shown += &format!("$ tplc {}\n[{code}] {heading}\n{stderr}\n", args.join(" "));
    }
    for kept in ["kept.jsonl", "kept.txt"] {
        shown += &format!("== {kept}\n{}", fs::read_to_string(here.path().join(kept)).unwrap());
    }
    golden::check("cli", "bad_rows", shown);
}

/// What breaks off may lack any number of rows: it is told however much else is wrong, and however little is to be said.
#[test]
fn compressed_data_that_breaks_off_is_always_told() {
    let here = folder();
    let row = |i: usize| format!("[C]<{}.5,-0.{},{i}>=[O]<1.25,0,0>\n", i % 12, i * i % 977);
    let bad = "[C]<0,0\n".repeat(12);
    let packed = gzip((bad.clone() + &(0..400).map(row).collect::<String>()).as_bytes());
    fs::write(here.path().join("cut.txt.gz"), &packed[..packed.len() / 2]).unwrap();
    fs::write(here.path().join("bad.txt"), bad + &row(1)).unwrap();
    let cut = |args: &[&str]| {
        let (code, _, stderr) = run(here.path(), &[args, &["-c", "cut.txt.gz"]].concat(), "");
        assert_eq!(code, 1, "{args:?}");
        assert_eq!(stderr.matches("the compressed data breaks off here").count(), 1, "{args:?}: {stderr}");
        stderr
    };
    let told = cut(&["analyze", "-t", "gpt-2"]);
    assert!(told.lines().count() == 13 && told.contains("\n… and 2 more\n"), "{told}");
    assert_eq!(cut(&["analyze", "-t", "gpt-2", "--quiet"]).lines().count(), 1);
    cut(&["build", "-t", "gpt-2", "--certificate", "none", "-o", "cut.tplc", "-q"]);
    assert!(here.path().join("cut.tplc").exists());

    let whole = run(here.path(), &["analyze", "-t", "gpt-2", "-c", "bad.txt"], "");
    assert_eq!(whole.0, 0);
    let end = "… and 2 more\n12 of 13 rows skipped; keep them with --rejects FILE\n";
    assert!(whole.2.lines().count() == 12 && whole.2.ends_with(end), "{}", whole.2);
}

/// A record with several faults is kept once and counted not at all, so that mending what was kept loses and doubles
/// nothing.
#[test]
fn mended_rejects_merge_to_the_whole() {
    let here = folder();
    let bad = r#"{"enriched":["[C]<0,0,0>","[C]<0,0","[O]<1,0"]}"#;
    let mended = r#"{"enriched":["[C]<0,0,0>","[C]<0,0,0>","[O]<1,0,0>"]}"#;
    let good = r#"{"enriched":["[C]<0,0,0>","[N]<0.5,0,0>"]}"#;
    let write =
        |name: &str, rows: &[&str]| fs::write(here.path().join(name), rows.join("\n") + "\n").unwrap();
    let read = |name: &str| fs::read_to_string(here.path().join(name)).unwrap();
    let analyze = |corpus: &str, partial: &str| {
        let args = ["analyze", "-t", "gpt-2", "-c", corpus, "--partial", partial, "--rejects", "kept.jsonl"];
        run(here.path(), &args, "").2
    };
    write("whole.jsonl", &[mended, good]);
    assert_eq!(analyze("whole.jsonl", "whole.json"), "");
    write("rows.jsonl", &[bad, good]);
    let told = analyze("rows.jsonl", "first.json");
    assert_eq!(
        told,
        "skipped rows.jsonl:1: text 2: at byte 3: \"<\" is never closed: the row is truncated\n\
         1 of 2 rows skipped; kept in kept.jsonl\n"
    );
    assert_eq!(read("kept.jsonl"), format!("{bad}\n"));
    write("good.jsonl", &[good]);
    write("mended.jsonl", &[mended]);
    assert_eq!(analyze("good.jsonl", "good.json") + &analyze("mended.jsonl", "mended.json"), "");
    let args = ["merge", "good.json", "mended.json", "--output", "sum.json"];
    assert_eq!(run(here.path(), &args, "").0, 0);
    assert_eq!(read("sum.json"), read("whole.json"));
    // What was skipped left nothing in the counts but that it was skipped.
    let partials = |name: &str| read(name).split_once("\"partials\"").unwrap().1.to_owned();
    assert_eq!(partials("first.json"), partials("good.json"));
}

#[test]
fn what_cannot_run_says_why_and_exits_2() {
    let here = folder();
    fs::write(here.path().join("not.json"), "{}").unwrap();
    fs::write(here.path().join("empty.jsonl"), "").unwrap();
    fs::write(here.path().join("tokens.ron"), "(name: \"x\", added_tokens: [(contents: \"\")])").unwrap();
    let mut shown = String::new();
    for args in [
        &["analyze", "--tokenizer", "qwem"] as &[&str],
        &["analyze", "--tokenizer", "no/such/tokenizer.json"],
        &["analyze", "--tokenizer", "not.json"],
        &["analyze", "--tokenizer", "Qwen/Qwen3-0.6B"],
        &["analyze", "--corpus", "missing.jsonl"],
        &["analyze", "--corpus", "*.sdf"],
        &["analyze", "--corpus", "reference:qm10"],
        &["analyze", "--number-format", "fixed44"],
        &["analyze", "--verify", "2"],
        &["analyze", "--placeholder", "0,0,0>"],
        &["analyze", "--placeholder="],
        &["analyze", "--placeholder=0,\n0,0"],
        &["analyze", "--placeholder", "hello"],
        &["analyze", "--placeholder", "0,0"],
        &["analyze", "--placeholder", "0,0,1e5"],
        &["analyze", "--batch", "0"],
        &["export", "a.tplc", "-o", "a.npz", "--placeholder=hello"],
        &["analyze", "--pass-ms", "inf"],
        &["analyze", "--sampling-ms", "nan"],
        &["analyze", "--memory-ms=-1"],
        &["merge", "a.json", "--launch-us", "1e999"],
        &["merge", "a.json", "--launches", "many"],
        &["analyze", "--tags", "mine.ron"],
        &["analyze", "--fields", "smile=s"],
        &["analyze", "--added-tokens", "tokens.ron"],
        &["analyze", "--added-tokens", "missing.ron"],
        &["analyze", "--corpus", "reference:g2", "--tokenizer", "gpt-2", "--partial", "no/such/folder.json"],
        &["analyze", "--corpus", "reference:g2", "--tokenizer", "gpt-2", "--rejects", "no/such/folder.jsonl"],
        &["merge", "missing.json"],
        &["merge", "not.json"],
        &["merge"],
        &["tokenizers", "show", "lama"],
        &["analize"],
    ] {
        let (code, stdout, stderr) = run(here.path(), args, "");
        assert_eq!(code, 2, "{args:?}");
        assert_eq!(stdout, "", "{args:?}");
        shown += &format!("$ tplc {}\n{stderr}\n", args.join(" "));
    }
    golden::check("cli", "cannot_run", shown);
}

#[test]
fn an_output_never_replaces_an_input_or_another_output() {
    let here = folder();
    let rows = "[C]<0,0,0>\n[C]<0,0\n";
    fs::write(here.path().join("rows.txt"), rows).unwrap();
    let quick = ["analyze", "--tokenizer", "gpt-2", "--corpus", "rows.txt"];
    for rest in [
        &["--rejects", "rows.txt"] as &[&str],
        &["--partial", "./rows.txt"],
        &["--corpus", ".", "--rejects", "rows.txt"],
        &["--partial", "new.json", "--rejects", "./new.json"],
    ] {
        let args: Vec<&str> = quick.iter().chain(rest).copied().collect();
        let (code, stdout, stderr) = run(here.path(), &args, "");
        assert_eq!((code, stdout.as_str()), (2, ""), "{rest:?}");
        assert!(stderr.contains("it is an input or another output"), "{stderr}");
        assert_eq!(fs::read_to_string(here.path().join("rows.txt")).unwrap(), rows);
        assert!(!here.path().join("new.json").exists());
    }
}

#[test]
fn standard_input_is_a_corpus() {
    let here = folder();
    let args = ["analyze", "--tokenizer", "gpt-2", "--corpus", "-", "--format", "json"];
    let (code, stdout, stderr) = run(here.path(), &args, "[C]<0.5,0,0>=[O]<1.25,0,0>\n");
    assert_eq!((code, stderr.as_str()), (0, ""));
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["schema"], "tplc.analyze/1");
    assert_eq!(report["tokenizers"][0]["atoms"], 2);
    assert_eq!(report["tokenizers"][0]["number_format"], "trimmed2");
}

#[test]
fn a_mixture_of_number_formats_is_reported() {
    let here = folder();
    let args = ["analyze", "--tokenizer", "gpt-2", "--corpus", "-"];
    let (_, stdout, _) = run(here.path(), &args, "[C]<0.5000,0.1234,0>\n[C]<1,2.5,-0.0>\n");
    golden::check("cli", "mixture", stdout.lines().take(4).collect::<Vec<_>>().join("\n"));
}

#[test]
fn parts_merge_to_the_bytes_of_the_whole() {
    let here = folder();
    let rows: Vec<String> =
        (0..40).map(|i| format!("[C]<{}.5,-0.{i},{i}>=[O]<1.25,0,0>\n", i % 12)).collect();
    let write = |name: &str, rows: &[String]| fs::write(here.path().join(name), rows.concat()).unwrap();
    write("all.txt", &rows);
    write("a.txt", &rows[..13]);
    write("b.txt", &rows[13..]);
    let analyze = |name: &str| {
        let (corpus, partial) = (format!("{name}.txt"), format!("{name}.json"));
        let args = [
            "analyze",
            "-t",
            "qwen",
            "-t",
            "phi-3",
            "-c",
            &corpus,
            "--partial",
            &partial,
            "--number-format",
            "fixed3",
        ];
        let (code, stdout, stderr) = run(here.path(), &args, "");
        assert_eq!((code, stderr.as_str()), (0, ""));
        stdout
    };
    let whole = analyze("all");
    analyze("a");
    analyze("b");
    for order in [["a.json", "b.json"], ["b.json", "a.json"]] {
        let args = ["merge", order[0], order[1], "--output", "sum.json"];
        assert_eq!(run(here.path(), &args, ""), (0, whole.clone(), String::new()));
        let read = |name: &str| fs::read(here.path().join(name)).unwrap();
        assert!(read("sum.json") == read("all.json"));
    }
    fs::copy(here.path().join("a.json"), here.path().join("copy.json")).unwrap();
    let (code, _, stderr) = run(here.path(), &["merge", "a.json", "b.json", "copy.json"], "");
    assert_eq!(
        (code, stderr.as_str()),
        (0, "copy.json has the same bytes as a.json: if it is a copy, its rows count twice\n")
    );
    let other = ["analyze", "-t", "qwen", "-c", "a.txt", "--partial", "other.json"];
    assert_eq!(run(here.path(), &other, "").0, 0);
    golden::check("cli", "merge_other", tplc(here.path(), &["merge", "a.json", "other.json"]));
}

/// A shard may be empty: it is no fault, and its counts merge as nothing.
#[test]
fn an_empty_shard_changes_no_byte() {
    let here = folder();
    fs::write(here.path().join("a.txt"), "[C]<0.5,0,0>=[O]<1.25,0,0>\n[C]<0,0\n").unwrap();
    fs::write(here.path().join("empty.txt"), "\n").unwrap();
    let analyze = |corpora: &[&str], partial: &str| {
        let args = ["analyze", "-t", "gpt-2", "--strict", "--partial", partial];
        let corpora = corpora.iter().flat_map(|corpus| ["-c", corpus]);
        run(here.path(), &args.into_iter().chain(corpora).collect::<Vec<_>>(), "")
    };
    let (_, whole, _) = analyze(&["a.txt", "empty.txt"], "whole.json");
    analyze(&["a.txt"], "a.json");
    let (code, _, stderr) = analyze(&["empty.txt"], "empty.json");
    assert_eq!((code, stderr.as_str()), (0, "no row was read: the input is empty\n"));
    for order in [["a.json", "empty.json"], ["empty.json", "a.json"]] {
        let args = ["merge", order[0], order[1], "--output", "sum.json"];
        assert_eq!(run(here.path(), &args, ""), (0, whole.clone(), String::new()));
        let read = |name: &str| fs::read(here.path().join(name)).unwrap();
        assert!(read("sum.json") == read("whole.json"));
    }
    let merged = run(here.path(), &["merge", "empty.json", "empty.json", "--output", "sum.json"], "");
    assert_eq!((merged.0, merged.2), (code, stderr));
    let args = ["analyze", "-t", "gpt-2", "-c", "empty.txt", "--quiet"];
    assert_eq!(run(here.path(), &args, "").2, "");
}

#[test]
fn limits_set_the_exit_status() {
    let here = folder();
    let judge = |rest: &[&str]| {
        let args: Vec<&str> = SMALL.into_iter().chain(["trimmed4"]).chain(rest.iter().copied()).collect();
        let (code, _, stderr) = run(here.path(), &args, "");
        format!("{}\n[{code}] {stderr}\n", rest.join(" "))
    };
    let shown = [
        judge(&[]),
        judge(&["--max-under", "0.99", "--max-over", "0.99"]),
        judge(&["--max-under", "0.1", "--max-over", "0.1"]),
        judge(&["--max-over", "0.1", "--placeholder=-0.0000,-0.0000,-0.0000"]),
    ];
    golden::check("cli", "limits", shown.concat());
}

/// A limit that was never tried is not kept, and a run in which every row is bad is no success.
#[test]
fn nothing_counted_passes_no_limit() {
    let here = folder();
    fs::write(here.path().join("empty.txt"), "").unwrap();
    fs::write(here.path().join("bad.txt"), "[C]<0,0\n").unwrap();
    let mut shown = String::new();
    for args in [
        &["analyze", "-c", "empty.txt"] as &[&str],
        &["analyze", "-c", "empty.txt", "--partial", "empty.json"],
        &["analyze", "-c", "empty.txt", "--max-under", "1"],
        &["analyze", "-c", "bad.txt", "--partial", "bad.json"],
        &["analyze", "-c", "bad.txt", "--max-over", "1"],
        &["analyze", "-c", "bad.txt", "-c", "empty.txt", "--quiet"],
        &["merge", "empty.json", "--max-over", "0.5"],
        &["merge", "empty.json", "bad.json"],
        &["merge", "empty.json"],
        &["build", "-t", "gpt-2", "-c", "empty.txt", "-o", "x.tplc"],
        &["build", "-t", "gpt-2", "-c", "bad.txt", "-o", "x.tplc"],
        &["build", "-t", "gpt-2", "-c", "bad.txt", "-o", "x.tplc", "--quiet"],
        &["build", "-t", "gpt-2", "-c", "empty.txt", "-o", "y.tplc", "--shard", "1/2"],
        &["build", "-t", "gpt-2", "-c", "bad.txt", "-o", "y.tplc", "--shard", "1/2"],
    ] {
        let (code, stdout, stderr) = run(here.path(), args, "");
        let wrote = here.path().join("y.tplc").exists();
        assert_eq!(stdout.is_empty(), !wrote, "{args:?}: {stdout}");
        shown += &format!("$ tplc {}\n[{code}]\n{stderr}\n", args.join(" "));
    }
    golden::check("cli", "nothing_counted", shown);
}

#[test]
fn tokenizers_list_and_show() {
    let here = folder();
    let binned = concat!(env!("CARGO_MANIFEST_DIR"), "/tokenizers/overlays/qwen3-conf-binned.json");
    fs::copy(binned, here.path().join("binned.json")).unwrap();
    let shown = [
        tplc(here.path(), &["tokenizers"]),
        tplc(here.path(), &["tokenizers", "show", "deepseek", "--text", "[C]<-1.5,0,2>"]),
        tplc(here.path(), &["tokenizers", "show", "qwen", "--text", "<0.0001>", "--format", "json"]),
        tplc(
            here.path(),
            &["tokenizers", "show", "qwen", "--added-tokens", "binned.json", "--text", "[C]<0.0000"],
        ),
    ];
    golden::check("cli", "tokenizers", shown.join("\n"));
}

#[test]
fn an_overlay_that_changes_numbers_is_told() {
    let here = folder();
    let overlay = |name: &str| format!("{}/tokenizers/overlays/{name}.json", env!("CARGO_MANIFEST_DIR"));
    for (name, silent) in [("qwen3-conf", true), ("qwen3-conf-binned", false)] {
        let args: Vec<String> =
            SMALL.into_iter().chain(["fixed4", "--added-tokens"]).map(str::to_owned).collect();
        let args: Vec<String> = args.into_iter().chain([overlay(name)]).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (code, stdout, stderr) = run(here.path(), &args, "");
        assert_eq!((code, stderr.as_str()), (0, ""));
        assert_eq!(stdout.contains("change how plain coordinates are tokenized"), !silent, "{stdout}");
        assert!(stdout.starts_with(&format!("qwen3+{name}")), "{stdout}");
    }
}

#[test]
fn help_teaches() {
    let here = folder();
    let mut shown = tplc(here.path(), &["--help"]);
    for verb in [
        "analyze",
        "audit",
        "build",
        "check",
        "export",
        "inspect",
        "merge",
        "tokenizers",
        "trace",
        "completions",
    ] {
        shown += "\n";
        shown += &tplc(here.path(), &[verb, "-h"]);
        let (code, help, _) = run(here.path(), &[verb, "--help"], "");
        assert!(code == 0 && help.contains("Examples:\n  tplc "), "{verb}");
        // Options of the program stand behind those of the verb.
        let last = help.rfind("\n\n").and_then(|end| help[..end].rfind("\nGeneral:"));
        assert!(last.is_some_and(|last| !help[..last].contains("--quiet")), "{verb}");
    }
    shown += "\n";
    shown += &tplc(here.path(), &["tokenizers", "show", "-h"]);
    golden::check("cli", "help", shown);
    for shell in ["bash", "zsh", "fish"] {
        let (code, stdout, _) = run(here.path(), &["completions", shell], "");
        assert!(code == 0 && stdout.contains("tplc"), "{shell}");
    }
}

/// What the README shows is what the program prints; `…` stands for the rest.
#[test]
fn the_readme_shows_real_output() {
    let here = folder();
    let generations = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/generations.jsonl");
    fs::create_dir_all(here.path().join("tests/data")).unwrap();
    fs::copy(generations, here.path().join("tests/data/generations.jsonl")).unwrap();
    write_traces(here.path());
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let mut checked = 0;
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let (command, shown) = block.split_once('\n').unwrap();
        let Some(command) = command.strip_prefix("$ tplc ").filter(|_| !shown.is_empty()) else { continue };
        if shown.starts_with('$') {
            continue;
        }
        let args: Vec<&str> = command.split(' ').map(|arg| arg.trim_matches('\'')).collect();
        let (code, stdout, stderr) = run(here.path(), &args, "");
        // Of these generations not all are valid.
        let expected = i32::from(command.starts_with("audit"));
        assert_eq!((code, stderr.as_str()), (expected, ""), "{command}");
        match shown.strip_suffix("…\n") {
            Some(start) => assert!(stdout.starts_with(start), "{command}:\n{stdout}"),
            None => assert_eq!(stdout.trim_end(), shown.trim_end(), "{command}"),
        }
        checked += 1;
    }
    assert_eq!(checked, 8);
}

/// A build that cannot decode says what can.
#[cfg(not(feature = "validate"))]
#[test]
fn validate_tells_which_build_it_needs() {
    let here = folder();
    let (code, stdout, stderr) = run(here.path(), &["validate", "--model", "x", "--samples", "3"], "");
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("--features validate"), "{stderr}");
}
