//! The audit: junk by kind, and two ways of judging that must agree.

use std::{
    fmt::Write,
    io::{BufRead, BufReader, Write as _},
    process::Stdio,
};

use proptest::prelude::*;
use tplc::{
    artifact::Template,
    audit::{Auditor, Judgement, Verdict},
    matcher::Matcher,
    primitives::TokenId,
    template::{Oracle, TemplateOptions},
    text::{NumberFormat, Skeleton, TagPair, Tags},
    tokenizer::Tokenizer,
};

use crate::{
    cli::{folder, program, run, tplc},
    golden,
    template::{Case, PEPTIDE, artifact_of, case, random_conformer},
    tokenizer_support::load,
};

/// Generations as the processors in use leave them, and others; all of formaldehyde or acetaldehyde.
const GENERATIONS: [(&str, &str); 16] = [
    ("valid", "[C]<5.799,-0.2748,-0.9587>=[O]<1,0,-2.5>"),
    ("junk letters", "[C]<5.799,-0.2748,-0.9587abra>=[O]<1,0,-2.5>"),
    ("trailing comma", "[C]<5.799,-0.2748,-0.9587,>=[O]<1,0,-2.5>"),
    ("missing comma", "[C]<5.799-0.2748,-0.9587>=[O]<1,0,-2.5>"),
    ("atom letters", "[C]<5.799,C-0.2748,-0.9587>=[O]<1,0,-2.5>"),
    ("digits past the format", "[C]<5.79912,-0.2748,-0.9587>=[O]<1,0,-2.5>"),
    ("trailing zeros", "[C]<5.7990,-0.2748,-0.9587>=[O]<1,0,-2.5>"),
    ("unicode", "[C]<5.799,-0.2748,-0.9587é>=[O]<1,0,-2.5>"),
    ("a tag", "[C]<5.799,-0.2748,-0.9587<|im_start|>>=[O]<1,0,-2.5>"),
    ("closed early", "[C]<5.799,-0.2748,->=[O]<1,0,-2.5>"),
    ("a number missing", "[C]<5.799,-0.2748>=[O]<1,0,-2.5>"),
    ("another atom", "[C]<5.799,-0.2748,-0.9587>=[N]<1,0,-2.5>"),
    ("not ended", "[C]<5.799,-0.2748,-0.9587>=[O]<1,0"),
    ("text behind", "[C]<5.799,-0.2748,-0.9587>=[O]<1,0,-2.5>C"),
    ("nothing", ""),
    ("prose", "The molecule is flat."),
];

fn auditor_options(tokenizer: &Tokenizer, format: NumberFormat) -> TemplateOptions {
    TemplateOptions { format, eos: tokenizer.eos(), ..TemplateOptions::default() }
}

#[test]
fn junk_comes_out_by_kind() {
    let skeleton = Skeleton::new("C=O", None).unwrap();
    let mut shown = String::new();
    for name in ["qwen3", "llama-3.1", "phi-3"] {
        let tokenizer = load(name);
        let auditor = Auditor::new(&tokenizer, &auditor_options(&tokenizer, NumberFormat::trimmed(4)));
        writeln!(shown, "== {name} trimmed4").unwrap();
        for (what, text) in GENERATIONS {
            let judgement = auditor.judge_text(Some(&skeleton), text);
            let Judgement { verdict, junk_tokens, junk_blocks, truncated, fault, .. } = &judgement;
            let kinds: Vec<String> =
                judgement.junk.iter().map(|(kind, count)| format!("{kind} {}", count.tokens)).collect();
            writeln!(shown, "\n{what}: {text}").unwrap();
            writeln!(
                shown,
                "  {verdict}: {junk_tokens} junk tokens in {junk_blocks} holes ({}), {truncated} truncated",
                kinds.join(", ")
            )
            .unwrap();
            writeln!(shown, "  {}", fault.as_deref().unwrap_or("-")).unwrap();
        }
        shown.push('\n');
    }
    golden::check("audit", "kinds", shown);
}

/// A model that runs away in a hole writes as much junk as it writes tokens, and each counts once.
#[test]
fn junk_of_any_length_is_counted() {
    let skeleton = Skeleton::new("C", None).unwrap();
    let tokenizer = load("qwen3");
    let auditor = Auditor::new(&tokenizer, &auditor_options(&tokenizer, NumberFormat::trimmed(4)));
    for fields in [4u64, 50, 30_000] {
        let hole = vec!["0"; fields as usize].join(",");
        let judgement = auditor.judge_text(Some(&skeleton), &format!("[C]<{hole}>"));
        // A comma and a digit for each number past the third.
        assert_eq!((judgement.junk_tokens, judgement.junk_blocks), (2 * (fields - 3), 1));
        let tokens: Vec<u64> = judgement.junk.values().map(|count| count.tokens).collect();
        assert_eq!(tokens.iter().sum::<u64>(), judgement.junk_tokens);
    }
}

/// What the text copies is the molecule, unless one is expected.
#[test]
fn the_molecule_is_the_texts_own_or_the_expected() {
    let tokenizer = load("qwen3-conf");
    let options =
        TemplateOptions { tags: Tags::conformer(), ..auditor_options(&tokenizer, NumberFormat::trimmed(4)) };
    let auditor = Auditor::new(&tokenizer, &options);
    let text = "[SMILES]C=O[/SMILES][CONFORMER][C]<1,2,3>=[O]<1,0,x>[/CONFORMER]<|im_end|>";
    let judgement = auditor.judge_text(None, text);
    assert_eq!((judgement.verdict, judgement.junk_tokens, judgement.truncated), (Verdict::Junk, 1, 1));
    let skeleton = |smiles| Skeleton::new(smiles, options.tags.completion.as_ref()).unwrap();
    assert_eq!(auditor.judge_text(Some(&skeleton("C=O")), text), judgement);
    assert_eq!(auditor.judge_text(Some(&skeleton("C=N")), text).verdict, Verdict::Structure);
    let tag = "[CONFORMER][C]<1,2,3<|im_start|>>=[O]<1,0,1>[/CONFORMER]";
    assert_eq!(auditor.judge_text(None, tag).verdict, Verdict::Junk);
    let untagged = auditor.judge_text(None, "[C]<1,2,3>=[O]<1,0,1>");
    assert_eq!(untagged.verdict, Verdict::Structure, "{untagged:?}");
    // Padding behind the end is none of the generation; other tokens there are.
    let oracle = Oracle::with_options(&tokenizer, &options);
    let mut ids = oracle.encode("[CONFORMER][C]<1,2,3>=[O]<1,0,1>[/CONFORMER]").unwrap();
    let tokens = ids.len() as u64;
    ids.extend([tokenizer.vocabulary().added("<|endoftext|>").unwrap(); 3]);
    let judgement = auditor.judge_ids(None, &ids);
    assert!(judgement.is_valid() && judgement.tokens == tokens, "{judgement:?}");
    ids.push(TokenId(7));
    assert_eq!(auditor.judge_ids(None, &ids).verdict, Verdict::Structure);
}

/// The `<` of a bond opens no hole, whether the molecule is told or not.
#[test]
fn bonds_are_no_holes() {
    let tokenizer = load("qwen3");
    let auditor = Auditor::new(&tokenizer, &auditor_options(&tokenizer, NumberFormat::fixed(4)));
    let skeleton = Skeleton::new("Cl<-[Cu]", None).unwrap();
    for (text, verdict, holes) in [
        ("[Cl]<0.0000,0.0000,0.0000><-[Cu]<1.0000,0.0000,0.0000>", Verdict::Valid, 2),
        ("[Cl]<0.0000,0.0000,0.0000><-[Cu]<1.0000,0.0000,0.00x0>", Verdict::Junk, 2),
        ("[Cl]<0.0000,0.0000,0.0000>->[Cu]<1.0000,0.0000,0.0000>C", Verdict::Structure, 2),
    ] {
        let judgement = auditor.judge_text(None, text);
        assert_eq!((judgement.verdict, judgement.holes), (verdict, holes), "{text}: {judgement:?}");
        if verdict != Verdict::Structure {
            assert_eq!(auditor.judge_text(Some(&skeleton), text), judgement);
        }
    }
}

/// A prompt's tags may have the letter of the example molecule in them.
#[test]
fn any_prompt_is_left_out() {
    let tokenizer = load("qwen3");
    for (open, close) in [("[CHEM]", "[/CHEM]"), ("<CC>", "</CC>"), ("<C|", "|C>"), ("<smi>", "</smi>")] {
        let pair = TagPair { open: open.to_owned(), close: close.to_owned() };
        let tags = Tags { prompt: Some(pair), ..Tags::conformer() };
        let options = TemplateOptions { tags, ..auditor_options(&tokenizer, NumberFormat::fixed(4)) };
        let header = artifact_of(&tokenizer, &options, &["CC=O"]).tables().header.clone();
        assert_eq!(TemplateOptions::of(&header), Ok(options));
        let auditor = Auditor::new(&tokenizer, &TemplateOptions::of(&header).unwrap());
        let number = "0.0000,0.0000,0.0000";
        let completion = format!("[CONFORMER][C]<{number}>[C]<{number}>=[O]<{number}>[/CONFORMER]");
        let judgement = auditor.judge_text(None, &format!("{open}CC=O{close}{completion}<|im_end|>"));
        assert!(judgement.is_valid(), "{judgement:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Text read and encoded again on one side, the automaton on the other: whatever the ids are, they agree on what is
    /// valid.
    #[test]
    fn the_audit_and_the_matcher_agree(
        which in 0usize..9, trimmed: bool, seed: u64, changes in prop::collection::vec((0usize..10_000, 0usize..5, any::<u32>()), 0..3),
    ) {
        let Case { name, tokenizer, format, artifact } = case(which, trimmed);
        let options = auditor_options(tokenizer, *format);
        let skeleton = Skeleton::new(PEPTIDE, None).unwrap();
        let text = skeleton.render(&random_conformer(&skeleton, seed), format).unwrap();
        let mut ids = Oracle::with_options(tokenizer, &options).encode(&text).unwrap();
        let alphabet = artifact.tables().tokens.ids().to_vec();
        for (at, change, id) in changes {
            let at = at % ids.len();
            match change {
                0 => ids[at] = alphabet[id as usize % alphabet.len()],
                1 => ids[at] = TokenId(id % (tokenizer.vocab_size() as u32 + 100)),
                2 => { ids.remove(at); }
                3 => ids.insert(at, ids[at]),
                _ => ids.truncate(at.max(1)),
            }
        }
        let judgement = Auditor::new(tokenizer, &options).judge_ids(Some(&skeleton), &ids);
        let literals: Vec<&str> = skeleton.literals().collect();
        let mut matcher = Matcher::new(Template::of_literals(artifact.tables(), literals.into_iter()).unwrap());
        let taken = ids.iter().take_while(|&&id| matcher.advance(id).is_ok()).count();
        let padding = ids[taken..].iter().all(|&id| tokenizer.is_special(id));
        prop_assert_eq!(judgement.is_valid(), matcher.is_finished() && padding, "{}: {:?}", name, judgement);
        prop_assert_eq!(judgement.is_valid(), judgement.fault.is_none());
    }

    #[test]
    fn nothing_panics(text: String, ids: Vec<u32>) {
        let tokenizer = load("phi-3");
        let auditor = Auditor::new(&tokenizer, &auditor_options(&tokenizer, NumberFormat::fixed(4)));
        let ids: Vec<TokenId> = ids.into_iter().map(|id| TokenId(id % 40_000)).collect();
        prop_assert!(!auditor.judge_ids(None, &ids).is_valid());
        prop_assert!(!auditor.judge_text(None, &text).is_valid());
    }
}

/// A generation ends with the token that `--eos` names, as for `tplc build`.
#[test]
fn the_end_is_the_token_that_is_named() {
    let here = folder();
    let qwen = load("qwen3");
    let text = "[C]<5.799,-0.2748,-0.9587>=[O]<1,0,-2.5>";
    let body: Vec<u32> = qwen.encode(text).unwrap().ids.iter().map(|id| id.0).collect();
    let ended = |eos: &str| qwen.vocabulary().added(eos).map(|id| id.0);
    let lines = [None, ended("<|im_end|>"), ended("<|endoftext|>")].map(|end| {
        let ids: Vec<u32> = body.iter().copied().chain(end).collect();
        serde_json::json!({ "ids": ids }).to_string() + "\n"
    });
    let text_lines = ["", "<|im_end|>", "<|endoftext|>"]
        .map(|end| serde_json::json!({ "text": text.to_owned() + end }).to_string() + "\n");
    std::fs::write(here.path().join("ends.jsonl"), [lines, text_lines].concat().concat()).unwrap();
    let audit = ["audit", "--number-format", "trimmed4", "-t", "qwen", "--format", "jsonl", "ends.jsonl"];
    let shown = [&[] as &[&str], &["--eos", "<|endoftext|>"], &["--eos", "none"], &["--eos", "<end>"]]
        .map(|eos| tplc(here.path(), &[&audit[..], eos].concat()));
    golden::check("cli", "audit_eos", shown.join("\n"));
}

/// As with `| head`: who reads no more wants no more judged, and hears of no failure.
#[test]
fn a_reader_that_goes_away_ends_the_audit() {
    let here = folder();
    let args = ["audit", "-t", "gpt-2", "--number-format", "trimmed1", "-", "--format", "jsonl"];
    let mut child = program(here.path(), &args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    const CHUNKS: usize = 200;
    let feed = move || {
        let chunk = "{\"text\":\"[C]<0.5,0,0>\"}\n".repeat(1000);
        (0..CHUNKS).take_while(|_| stdin.write_all(chunk.as_bytes()).is_ok()).count()
    };
    let fed = std::thread::spawn(feed);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with('{'), "{line}");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
    assert!(fed.join().unwrap() < CHUNKS, "it read to the end");
}

/// Generations as lines, judged against an artifact and against a format.
#[test]
fn audit_on_the_command_line() {
    let here = folder();
    let lines: String = GENERATIONS.iter().fold(String::new(), |lines, (_, text)| {
        lines + &serde_json::json!({ "text": text, "smiles": "C=O" }).to_string() + "\n"
    });
    std::fs::write(here.path().join("texts.jsonl"), &lines).unwrap();
    let tokenizer = load("qwen3");
    let options = auditor_options(&tokenizer, NumberFormat::trimmed(4));
    let good = Oracle::with_options(&tokenizer, &options)
        .encode("[C]<5.799,-0.2748,-0.9587>=[O]<1,0,-2.5>")
        .unwrap();
    let good_ids: Vec<u32> = good.iter().map(|id| id.0).collect();
    let mut split = good.clone();
    // `[C` as two tokens.
    split.splice(0..1, [58, 34].map(TokenId));
    let mut ids: String = [good, split].iter().fold(String::new(), |lines, ids| {
        let ids: Vec<u32> = ids.iter().map(|id| id.0).collect();
        lines + &serde_json::json!({ "ids": ids, "name": "methanal" }).to_string() + "\n"
    });
    // A valid generation, and more behind its end.
    let behind: Vec<u32> = good_ids.iter().copied().chain([15]).collect();
    ids += &(serde_json::json!({ "ids": behind }).to_string() + "\n");
    ids += "{\"ids\": [1], \"name\": \"nobody\"}\n{\"text\": 7}\n{}\n";
    std::fs::write(here.path().join("ids.jsonl"), ids).unwrap();
    std::fs::write(here.path().join("names.smi"), "C=O methanal\n").unwrap();
    let build = [
        "build",
        "-t",
        "qwen",
        "--number-format",
        "trimmed4",
        "--certificate",
        "none",
        "-c",
        "names.smi",
        "-o",
        "m.tplc",
    ];
    assert_eq!(run(here.path(), &build, "").0, 0);
    let shown = [
        &["audit", "m.tplc", "texts.jsonl"][..],
        &["audit", "m.tplc", "texts.jsonl", "--format", "json"],
        &["audit", "m.tplc", "texts.jsonl", "--format", "jsonl"],
        &["audit", "m.tplc", "ids.jsonl", "--corpus", "names.smi"],
        &["audit", "--number-format", "trimmed4", "--tokenizer", "qwen", "ids.jsonl"],
        &["audit", "m.tplc", "texts.jsonl", "--tokenizer", "llama"],
        &["audit", "texts.jsonl"],
        &["audit", "m.tplc", "nothing.jsonl"],
        &["analyze", "--format", "jsonl"],
    ]
    .map(|args| tplc(here.path(), args));
    golden::check("cli", "audit", shown.join("\n"));
}
