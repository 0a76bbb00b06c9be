//! `tplc validate`: what it prints, and its exit status.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::{checkpoint, models::golden};

/// Exit status, standard output and standard error.
fn validate(args: &[&str]) -> (i32, String, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_tplc")).arg("validate").args(args).env_clear().output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

const SMALL: [&str; 14] = [
    "--model",
    "random",
    "--tokenizer",
    "models/tiny",
    "--corpus",
    "reference:g2",
    "--number-format",
    "(integer_digits:1,decimals:1)",
    "--samples",
    "6",
    "--batch",
    "4",
    "--placeholder",
    "0.0,0.0,0.0",
];

/// Puts 0 in the place of every time.
fn without_times(value: &mut Value) {
    if let Value::Object(fields) = value {
        for (name, value) in fields {
            match name.as_str() {
                "seconds" | "speed" | "ms_per_pass" | "tables_seconds" => *value = 0.into(),
                "time" => value.as_object_mut().unwrap().values_mut().for_each(|time| *time = 0.into()),
                _ => without_times(value),
            }
        }
    } else if let Value::Array(values) = value {
        values.iter_mut().for_each(without_times);
    }
}

#[test]
fn as_json_text_and_markdown() {
    let (code, stdout, stderr) = validate(&[&SMALL[..], &["--format", "json"]].concat());
    assert_eq!((code, stderr.as_str()), (0, ""));
    let mut json: Value = serde_json::from_str(&stdout).unwrap();
    without_times(&mut json);
    golden("validate_json", &serde_json::to_string_pretty(&json).unwrap());
    for strategy in json["strategies"].as_array().unwrap() {
        let zero = |field: &str| strategy[field] == 0;
        let faultless =
            ["junk_tokens", "truncated", "structural_failures", "non_canonical"].into_iter().all(zero);
        assert_eq!(faultless, strategy["exact"].as_bool().unwrap(), "{strategy}");
    }
    for format in ["text", "markdown"] {
        let (code, stdout, _) = validate(&[&SMALL[..], &["--format", format]].concat());
        assert_eq!(code, 0);
        // Times differ from run to run; what is wrong does not.
        let faults: Vec<&str> = stdout.split("\n\n").filter(|part| part.contains("junk blocks")).collect();
        let words = stdout.lines().rev().take_while(|line| !line.contains("drafted"));
        let words: Vec<&str> = words.collect::<Vec<_>>().into_iter().rev().collect();
        golden(&format!("validate_{format}"), &format!("{}\n{}", faults.join("\n\n"), words.join("\n")));
    }
}

/// Replayed, all strategies say as many tokens, and nothing is said of faults.
#[test]
fn replayed_texts_are_no_proof() {
    let small = ["--model", "letters", "--tokenizer", "models/tiny", "--number-format", "trimmed4"];
    let args = ["--samples", "3", "--replay", "--repeat", "2", "--strategy", "none,blocklist,mask,forced"];
    let (code, stdout, stderr) = validate(&[&small[..], &args].concat());
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("· replayed · median of 2 ·"), "{stdout}");
    assert!(!stdout.contains("Faults") && stdout.contains("tells nothing of faults"), "{stdout}");
    let (_, json, _) = validate(&[&small[..], &args, &["--format", "json"]].concat());
    let value: Value = serde_json::from_str(&json).unwrap();
    let tokens: Vec<_> = value["strategies"].as_array().unwrap().iter().map(|row| &row["tokens"]).collect();
    assert!(tokens.iter().all(|count| *count == tokens[0]) && tokens[0].as_u64() > Some(100), "{tokens:?}");
}

#[test]
fn help_teaches() {
    golden("validate_help", &validate(&["--help"]).1);
}

/// What cannot run: exit status 2, and why.
#[test]
fn faults_are_told_before_long_work() {
    let here = tempfile::tempdir().unwrap();
    let folder = here.path().display().to_string();
    checkpoint::write(here.path(), "qwen2");
    let with = |more: &[&str]| validate(&[&SMALL[..], more].concat());
    let model = |model: &str, more: &[&str]| validate(&[&["--model", model], &SMALL[2..], more].concat());
    let runs = [
        with(&["--temperature", "-1"]),
        with(&["--top-p", "0"]),
        with(&["--strategy", "mask,magic"]),
        with(&["--device", "tpu"]),
        with(&["--dtype", "bf16"]),
        validate(&["--samples", "0"]),
        validate(&["--batch", "5000"]),
        with(&["--eos", "<none such>"]),
        with(&["--bos", "<none such>"]),
        with(&["--tags", "nowhere.ron"]),
        with(&["--trace", "nowhere/run.json"]),
        model("nowhere", &[]),
        model(&folder, &[]),
    ];
    let shown: Vec<String> = runs
        .iter()
        .map(|(code, stdout, stderr)| {
            format!("[{code}] {stdout}{}", stderr.replace(&folder, "FOLDER").trim_end())
        })
        .collect();
    assert!(runs.iter().all(|run| run.0 == 2), "{shown:?}");
    golden("validate_faults", &shown.join("\n\n"));
    if cfg!(not(feature = "cuda")) {
        let (code, _, stderr) = with(&["--device", "cuda:0"]);
        assert_eq!(code, 2);
        assert!(stderr.contains("--features cuda"), "{stderr}");
    }
}

/// A checkpoint in a folder with its own tokenizer; tables from an artifact; a trace.
#[test]
fn a_checkpoint_an_artifact_and_a_trace() {
    let here = tempfile::tempdir().unwrap();
    let path = |name: &str| here.path().join(name).display().to_string();
    let config = checkpoint::config("qwen3")
        .replace("\"vocab_size\": 61", "\"vocab_size\": 306")
        .replace("128", "2048");
    std::fs::write(path("config.json"), &config).unwrap();
    let parsed = tplc::decode::ModelConfig::parse(config.as_bytes(), Path::new("config.json")).unwrap();
    checkpoint::save(checkpoint::tensors(&parsed), &here.path().join("model.safetensors"));
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(Path::new("models/tiny").join(file), path(file)).unwrap();
    }
    let build = |tags: &str| {
        let (folder, artifact) = (path(""), path("g2.tplc"));
        let args = ["build", "-t", &folder, "--number-format", SMALL[7], "--corpus", "reference:g2"];
        let more = ["--tags", tags, "--certificate", "none", "-o", &artifact, "-q"];
        let built = Command::new(env!("CARGO_BIN_EXE_tplc")).args(args).args(more).output().unwrap();
        assert!(built.status.success());
    };
    let run = || {
        let (folder, artifact, trace) = (path(""), path("g2.tplc"), path("run.json"));
        let args =
            ["--model", &folder, "--corpus", "reference:g2", "--samples", "5", "--strategy", "none,forced"];
        let more = ["--artifact", &artifact, "--trace", &trace, "--format", "json"];
        validate(&args.into_iter().chain(more).collect::<Vec<_>>())
    };
    build("conformer");
    let (code, stdout, stderr) = run();
    assert_eq!((code, stderr.as_str()), (0, ""));
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(json["strategies"][1]["failures"], 0);
    assert_eq!(json["strategies"][1]["predicted_passes"], json["strategies"][1]["row_passes"]);
    let trace: Value = serde_json::from_slice(&std::fs::read(path("run.json")).unwrap()).unwrap();
    assert_eq!(trace["tplc"]["strategies"][1]["tokens"], json["strategies"][1]["tokens"]);
    build("none");
    let (code, _, stderr) = run();
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("--tags"), "{stderr}");
}
