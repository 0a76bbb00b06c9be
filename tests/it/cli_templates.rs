//! The contract of `build`, `check`, `inspect` and of merging artifacts.

use std::{fs, process::Stdio};

use tplc::{artifact::Artifact, template::Manifest};

use crate::{
    cli::{folder, program, run, tplc},
    golden,
};

/// A format of few numbers, so that everything is proven in a moment.
const FORMAT: &str = "(integer_digits:1,decimals:1)";

fn build<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let args = ["build", "--tokenizer", "qwen", "--number-format", FORMAT];
    args.into_iter().chain(more.iter().copied()).collect()
}

#[test]
fn build_check_and_inspect() {
    let here = folder();
    let small = build(&["--corpus", "reference:g2", "--output", "g2.tplc"]);
    let mut shown = vec![tplc(here.path(), &small), fs::read_to_string(here.path().join("g2.ron")).unwrap()];
    for args in [
        &["check", "g2.tplc"][..],
        &["check", "g2.tplc", "--tokenizer", "qwen", "--exhaustive"],
        &["check", "g2.tplc", "--tokenizer", "llama"],
        &["check", "g2.tplc", "--format", "json"],
        &["check", "g2.tplc", "--integrity"],
        &["inspect", "g2.tplc"],
        &["inspect", "g2.tplc", "--show", "automaton"],
        &["inspect", "g2.tplc", "--show", "alphabet"],
        &["inspect", "g2.tplc", "--show", "dot"],
        &["inspect", "g2.tplc", "--smiles", "CC=O"],
        &["inspect", "g2.tplc", "--smiles", "[U]"],
        &["inspect", "g2.tplc", "--smiles", "C1CC"],
        &["inspect", "g2.tplc", "--molecule", "0", "--format", "json"],
        &["inspect", "g2.tplc", "--molecule", "1000"],
        &["check", "nothing.tplc"],
    ] {
        shown.push(tplc(here.path(), args));
    }
    let mut bytes = fs::read(here.path().join("g2.tplc")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(here.path().join("damaged.tplc"), bytes).unwrap();
    shown.push(tplc(here.path(), &["check", "damaged.tplc"]));
    shown.push(tplc(here.path(), &["check", "damaged.tplc", "--integrity"]));
    shown.push(tplc(here.path(), &["inspect", "damaged.tplc"]));
    golden::check("cli", "build_check_inspect", shown.join("\n"));
}

/// Any number of threads and any shards: the same artifact and the same manifest.
#[test]
fn same_bytes_by_any_way() {
    let here = folder();
    let corpus = ["--corpus", "reference:g2", "--corpus", "reference:qm9"];
    let made = |more: &[&str]| {
        let args = build(&[&corpus, more].concat());
        let (code, _, stderr) = run(here.path(), &args, "");
        assert_eq!(code, 0, "{stderr}");
    };
    let read = |name: &str| {
        let read = |extension: &str| fs::read(here.path().join(format!("{name}.{extension}"))).unwrap();
        (read("tplc"), String::from_utf8(read("ron")).unwrap())
    };
    made(&["--threads", "1", "--output", "one.tplc"]);
    made(&["--threads", "5", "--output", "five.tplc"]);
    for shard in 1..=3 {
        made(&["--shard", &format!("{shard}/3"), "--output", &format!("shard{shard}.tplc")]);
    }
    let (code, stdout, stderr) = run(
        here.path(),
        &["merge", "shard3.tplc", "shard1.tplc", "shard2.tplc", "--output", "merged.tplc"],
        "",
    );
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("merged.tplc"), "{stdout}");
    assert!(read("one") == read("five"));
    assert_eq!(read("one").1, read("merged").1);
    assert!(read("one") == read("merged"));
    let others = ["trimmed1", "fixed1"].map(|format| {
        let output = format!("{format}.tplc");
        let args = ["build", "-t", "qwen", "--number-format", format, "--certificate", "none", "-o", &output];
        assert_eq!(run(here.path(), &args, "").0, 0);
        output
    });
    let faults = [
        tplc(here.path(), &["merge", &others[0], &others[1], "--output", "x.tplc"]),
        tplc(here.path(), &["merge", "one.tplc"]),
        tplc(here.path(), &["merge", "one.tplc", "counts.json"]),
    ];
    golden::check("cli", "merge_artifacts_faults", faults.join("\n"));
}

/// A manifest tells of drift that was measured of the same tokenizer and number format; shards and threads change nothing.
#[test]
fn manifests_tell_of_drift() {
    let here = folder();
    let analyze = |corpus: &str, format: &str, counts: &str| {
        let args = ["analyze", "-t", "qwen", "-t", "phi-3", "--number-format", format, "-c", corpus];
        assert_eq!(run(here.path(), &[&args[..], &["--partial", counts]].concat(), "").0, 0);
    };
    analyze("reference:g2", "trimmed2", "counts.json");
    analyze("reference:qm9", "trimmed2", "others.json");
    let built = |more: &[&str]| {
        let args = ["build", "-t", "qwen", "--number-format", "trimmed2", "--certificate", "none"];
        let args = [&args[..], &["--corpus", "reference:g2"], more].concat();
        let (code, _, stderr) = run(here.path(), &args, "");
        assert_eq!((code, stderr.as_str()), (0, ""));
    };
    let drift = ["--drift", "counts.json"];
    built(&[&drift[..], &["-o", "one.tplc", "--threads", "1"]].concat());
    built(&[&drift[..], &["-o", "two.tplc", "--threads", "3"]].concat());
    built(&[&drift[..], &["-o", "shard1.tplc", "--shard", "1/2"]].concat());
    built(&[&drift[..], &["-o", "shard2.tplc", "--shard", "2/2"]].concat());
    built(&["-o", "without.tplc"]);
    built(&["-o", "other.tplc", "--drift", "others.json"]);
    assert_eq!(run(here.path(), &["merge", "shard2.tplc", "shard1.tplc", "-o", "merged.tplc"], "").0, 0);
    let read = |name: &str| fs::read_to_string(here.path().join(name)).unwrap();
    assert_eq!(read("one.ron"), read("two.ron"));
    assert_eq!(read("one.ron"), read("merged.ron"));
    let told = |name: &str| Manifest::from_ron(&read(name)).unwrap().drift;
    assert!(told("without.ron").is_none() && told("other.ron") != told("one.ron"));
    // A manifest of before there was drift to tell of.
    let before = read("without.ron").replace("    drift: None,\n", "");
    assert_ne!(before, read("without.ron"));
    assert_eq!(Manifest::from_ron(&before).unwrap(), Manifest::from_ron(&read("without.ron")).unwrap());

    // The summary is what the report says.
    let report = run(here.path(), &["merge", "counts.json", "--format", "json"], "").1;
    let report = &serde_json::from_str::<serde_json::Value>(&report).unwrap()["tokenizers"][0];
    let drift = told("one.ron").unwrap();
    assert_eq!(report["name"], "qwen3");
    assert_eq!(report["atoms"], drift.holes);
    assert_eq!(report["hole_distribution"]["mean"], drift.hole_tokens.mean);
    assert_eq!(drift.placeholders.len(), 2);
    for (index, placeholder) in drift.placeholders.iter().enumerate() {
        assert_eq!(report["placeholders"][index]["text"], placeholder.text);
        assert_eq!(report["placeholders"][index]["under"]["share"], placeholder.under);
        assert_eq!(report["placeholders"][index]["over"]["share"], placeholder.over);
    }
    let ron = read("one.ron");
    let mut shown = vec![ron[ron.find("    drift:").unwrap()..].to_owned()];
    let other =
        |args: &[&str]| tplc(here.path(), &[&["build", "-c", "reference:g2", "-o", "x.tplc"], args].concat());
    shown.push(other(&["-t", "llama", "--number-format", "trimmed2", "--drift", "counts.json"]));
    shown.push(other(&["-t", "qwen", "--number-format", "trimmed3", "--drift", "counts.json"]));
    shown.push(other(&["-t", "qwen", "--drift", "one.ron"]));
    shown.push(other(&["-t", "qwen", "--drift", "nothing.json"]));
    for with in ["without.tplc", "other.tplc"] {
        shown.push(tplc(here.path(), &["merge", "one.tplc", with, "-o", "x.tplc"]));
    }
    assert!(!here.path().join("x.tplc").exists());
    golden::check("cli", "build_drift", shown.join("\n"));
}

/// A manifest replaces nothing but a manifest, and an artifact is called as one.
#[test]
fn own_files_are_not_replaced() {
    let here = folder();
    fs::write(here.path().join("tags.ron"), "(prompt: None, completion: None)").unwrap();
    let one = build(&["--corpus", "reference:g2", "--output", "one.tplc"]);
    assert_eq!(run(here.path(), &one, "").0, 0);
    let shown = [
        tplc(here.path(), &build(&["--tags", "tags.ron", "--output", "tags.tplc"])),
        tplc(here.path(), &["merge", "one.tplc", "one.tplc", "--output", "out.ron"]),
        tplc(here.path(), &["merge", "one.tplc", "one.tplc", "--output", "tags.tplc"]),
        tplc(
            here.path(),
            &build(&["--corpus", "reference:g2", "--shard", "900/1000", "--output", "none.tplc"]),
        ),
        tplc(here.path(), &["check", "none.tplc", "--exhaustive"]),
        tplc(here.path(), &["merge", "one.tplc", "one.tplc", "none.tplc", "none.tplc", "-o", "x.tplc"]),
    ];
    assert_eq!(fs::read_to_string(here.path().join("tags.ron")).unwrap(), "(prompt: None, completion: None)");
    golden::check("cli", "own_files", shown.join("\n"));
}

/// A build that is killed leaves whole files. The manifest is put in its place first, so what is there is the old pair, the
/// new one, or the new manifest beside the old artifact; never an old manifest beside a new artifact.
#[test]
fn killed_builds_leave_whole_files() {
    let here = folder();
    let path = here.path().join("one.tplc");
    assert_eq!(run(here.path(), &build(&["--corpus", "reference:g2", "--output", "one.tplc"]), "").0, 0);
    let before = fs::read(&path).unwrap();
    for wait in [5, 50, 200, 400] {
        let mut child = program(here.path(), &["build", "-t", "qwen", "-o", "one.tplc"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        child.kill().unwrap();
        let finished = child.wait().unwrap().success();
        let artifact = Artifact::open(&path).unwrap();
        let manifest = fs::read_to_string(here.path().join("one.ron")).unwrap();
        let manifest = Manifest::from_ron(&manifest).unwrap();
        let old = [manifest.is_of(&before), artifact.bytes() == before];
        assert_ne!(old, [true, false]);
        assert!(old != [false, true] || manifest.source.number_format == "fixed4");
        assert!(old != [false, false] || manifest.is_of(artifact.bytes()));
        assert!(!finished || old == [false, false]);
        if old != [true, true] {
            return;
        }
    }
}

/// The new manifest beside the old artifact, as a build leaves them that is killed between the two.
#[test]
fn a_manifest_of_another_artifact_is_told() {
    let here = folder();
    for (format, name) in [(FORMAT, "one"), ("trimmed1", "two")] {
        let output = format!("{name}.tplc");
        let args = ["--number-format", format, "--certificate", "none", "-c", "reference:g2", "-o", &output];
        assert_eq!(run(here.path(), &[&["build", "-t", "qwen"], &args[..]].concat(), "").0, 0);
    }
    let [one, two] = ["one", "two"].map(|name| here.path().join(name).with_extension("ron"));
    let own = fs::read(&one).unwrap();
    fs::copy(two, &one).unwrap();
    let shown = [
        &["check", "one.tplc"] as &[&str],
        &["check", "one.tplc", "--format", "json"],
        &["inspect", "one.tplc", "--smiles", "C"],
        &["inspect", "one.tplc", "--smiles", "C", "--quiet"],
        &["merge", "one.tplc", "one.tplc", "-o", "merged.tplc"],
        &["check", "two.tplc"],
    ]
    .map(|args| tplc(here.path(), args));
    golden::check("cli", "another_manifest", shown.join("\n"));
    // Building again mends it.
    let again = build(&["--certificate", "none", "--corpus", "reference:g2", "--output", "one.tplc"]);
    assert_eq!(run(here.path(), &again, "").0, 0);
    assert!(fs::read(&one).unwrap() == own);
    assert_eq!(run(here.path(), &["check", "one.tplc"], "").0, 0);
}

#[test]
fn lists_of_smiles_and_several_tokenizers() {
    let here = folder();
    let list = "CC=O acetaldehyde\nC1CC\n\nC\nC=C[13CH3]\t7\n";
    let args =
        build(&["-t", "phi-3", "--corpus", "-", "--tags", "conformer", "-o", "out/", "--format", "json"]);
    let (code, stdout, stderr) = run(here.path(), &args, list);
    let mut files: Vec<String> = fs::read_dir(here.path().join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let refused = [
        tplc(here.path(), &build(&["-t", "phi-3", "-o", "one.tplc"])),
        tplc(here.path(), &build(&["-o", "drugs.jsonl"])),
        tplc(here.path(), &build(&["-o", "one.tplc", "--eos", "<none such>"])),
        tplc(here.path(), &build(&["-o", "one.tplc", "--shard", "4/3"])),
        tplc(here.path(), &build(&["-o", "nowhere/one.tplc"])),
        tplc(here.path(), &["build", "-t", "qwen", "--number-format", "fixed7", "-o", "one.tplc"]),
    ];
    assert!(!here.path().join("one.tplc").exists());
    let shown = format!(
        "[{code}]\n{stdout}--- stderr\n{stderr}--- out\n{}\n\n{}",
        files.join("\n"),
        refused.join("\n")
    );
    golden::check("cli", "build_lists", shown);
}
