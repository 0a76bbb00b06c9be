//! Strategies: exact ones show no fault whatever the model wants, and the same ids by every way; the others do what
//! they are known for.

use std::{collections::BTreeMap, path::Path, time::Duration};

use tplc::{
    corpus::Coordinate,
    decode::{
        Adversary, DecodeError, LanguageModel, Logits, Packed, Run, Sampler, Sampling, Strategy,
        StrategyReport, Subject, Watch, Wish,
    },
    matcher::Matcher,
    primitives::TokenId,
    text::{NumberFormat, Tags},
    trace::{Patterns, Recorder, TraceSummary},
};

use crate::{
    bench::{Bench, SAMPLINGS, WARM, said},
    checkpoint::decoder,
    models::golden,
};

const EXACT: [Strategy; 4] = [Strategy::Mask, Strategy::Forced, Strategy::Restricted, Strategy::Drafted];

fn assert_exact(report: &StrategyReport, what: &str) {
    let StrategyReport { junk_tokens, junk_blocks, truncated, structural_failures, .. } = report;
    let StrategyReport { non_canonical, refused, disagreements, failures, .. } = report;
    let faults =
        [junk_tokens, junk_blocks, truncated, structural_failures, non_canonical, refused, disagreements];
    assert!(faults.iter().all(|&&count| count == 0) && *failures == 0, "{what}: {report:?}");
    assert!(report.keeps_its_promise(), "{what}: {report:?}");
    match report.bound {
        Some(bound) => {
            assert!((bound.min..=bound.max).contains(&report.passes_per_atom), "{what}: {report:?}");
        }
        None => assert_eq!(report.strategy, "drafted", "{what}"),
    }
    assert_eq!(Some(report.row_passes), report.predicted_passes, "{what}");
}

/// Every adversary, every way of sampling, several tokenizers, with and without tags: no fault, and the same ids by
/// mask, forced runs and a restricted head.
#[test]
fn exact_strategies_withstand_every_model() {
    let benches = [
        Bench::tiny("trimmed4"),
        Bench::tiny("fixed4"),
        Bench::new("models/tiny/", "(integer_digits:1,decimals:2)", Tags::none()),
    ];
    for bench in &benches {
        let subjects = bench.subjects(16);
        let context = bench.runner().context(&subjects).unwrap();
        let adversary = |wish| -> Box<dyn LanguageModel> {
            Box::new(Adversary::new(wish, &bench.tokenizer, 3, 5, context))
        };
        let mut models: Vec<(&str, Box<dyn LanguageModel>)> =
            Wish::ALL.into_iter().map(|wish| (wish.name(), adversary(wish))).collect();
        models.push(("random weights", Box::new(bench.model(5, context))));
        for (name, model) in &mut models {
            for sampling in SAMPLINGS {
                let what = format!("{} {name} {sampling:?}", bench.tables.header.number_format);
                let runs = EXACT.map(|strategy| bench.run(strategy, model.as_mut(), sampling, &subjects));
                for run in &runs {
                    assert_exact(&bench.report(run, &subjects), &format!("{what} {}", run.strategy));
                    assert_eq!(said(run), said(&runs[0]), "{what} {}", run.strategy);
                }
                assert!(runs[1].passes < runs[0].passes, "{what}");
                assert!(runs[3].passes <= runs[2].passes, "{what}");
            }
        }
    }
}

/// The same with tokenizers that cut numbers otherwise and are as wide as real ones.
#[test]
fn exact_strategies_withstand_wide_vocabularies() {
    for (tokenizer, tags) in
        [("qwen3-conf", Tags::conformer()), ("llama-3.1", Tags::none()), ("phi-3", Tags::none())]
    {
        let bench = Bench::new(tokenizer, "trimmed4", tags);
        let subjects = bench.subjects(2);
        let mut model = Adversary::new(Wish::Letters, &bench.tokenizer, 1, 4, 1024);
        let runs = EXACT.map(|strategy| bench.run(strategy, &mut model, SAMPLINGS[1], &subjects));
        for run in &runs {
            assert_exact(&bench.report(run, &subjects), tokenizer);
            assert_eq!(said(run), said(&runs[0]), "{tokenizer} {}", run.strategy);
        }
    }
}

/// Replayed, every strategy says the coordinates that its subjects came with, a model that wants letters or not, and exact
/// ones take the passes that the automaton foretells. Subjects without coordinates are an error.
#[test]
fn replayed_strategies_do_equal_work() {
    let bench = Bench::tiny("trimmed4");
    let mut subjects = bench.subjects(9);
    let runner = bench.runner().replaying();
    let context = runner.context(&subjects).unwrap();
    let mut model = Adversary::new(Wish::Letters, &bench.tokenizer, 3, 4, context + 64);
    let sampler = Sampler::new(WARM, 1).unwrap();
    let mut run = |strategy, subjects: &[Subject]| {
        runner.run(strategy, &mut model, sampler, subjects, &mut Watch::new(Recorder::off()), || ())
    };
    let error = run(Strategy::Mask, &subjects).unwrap_err();
    assert!(matches!(error, DecodeError::Replay { .. }), "{error}");
    let format: NumberFormat = "trimmed4".parse().unwrap();
    let texts: Vec<String> = subjects
        .iter_mut()
        .map(|subject| {
            let at = |n: u64| {
                Coordinate::from_nanos((subject.row * 77 + n * 13) as i64 * 123_400_000 % 9_999_900_000)
            };
            let atoms = 0..subject.skeleton.atoms() as u64;
            let conformer: Vec<_> = atoms.map(|atom| [0, 1, 2].map(|axis| at(atom * 3 + axis))).collect();
            let text = subject.skeleton.render(&conformer, &format).unwrap();
            subject.conformer = Some(conformer);
            text
        })
        .collect();
    for strategy in Strategy::ALL {
        let run = run(strategy, &subjects).unwrap();
        for (output, text) in run.outputs.iter().zip(&texts) {
            assert_eq!(bench.tokenizer.decode(&output.tokens, true).unwrap(), *text, "{strategy}");
            assert!(output.finished, "{strategy}");
        }
        let report = bench.report(&run, &subjects);
        assert_eq!(report.failures, 0, "{strategy}: {report:?}");
        if strategy.is_exact() {
            assert_exact(&report, strategy.name());
        }
    }
}

/// A draft that comes true saves a pass, one that does not costs none: the points of one-digit integers, not of two-digit
/// ones.
#[test]
fn drafts_save_the_passes_of_points() {
    let bench = Bench::tiny("fixed4");
    let mut subjects = bench.subjects(4);
    for (nanos, saved) in [(1_234_500_000, 1), (-12_345_600_000, 0)] {
        let runner = bench.runner().replaying();
        let mut numbers = 0;
        for subject in &mut subjects {
            let position = [Coordinate::from_nanos(nanos); 3];
            subject.conformer = Some(vec![position; subject.skeleton.atoms()]);
            numbers += 3 * subject.skeleton.atoms() as u32;
        }
        let mut model = bench.model(3, runner.context(&subjects).unwrap());
        let mut passes = |strategy| -> u32 {
            let (sampler, mut watch) = (Sampler::new(WARM, 1).unwrap(), Watch::new(Recorder::off()));
            let run = runner.run(strategy, &mut model, sampler, &subjects, &mut watch, || ()).unwrap();
            assert!(bench.report(&run, &subjects).keeps_its_promise(), "{strategy}");
            run.outputs.iter().map(|output| output.passes).sum()
        };
        assert_eq!(passes(Strategy::Restricted) - passes(Strategy::Drafted), saved * numbers);
    }
}

/// The run of median time, and none of none.
#[test]
fn the_median_is_told() {
    let bench = Bench::tiny("trimmed4");
    let subjects = bench.subjects(1);
    let mut model = Adversary::new(Wish::Anything, &bench.tokenizer, 3, 1, 1024);
    let run = bench.run(Strategy::Mask, &mut model, WARM, &subjects);
    let timed = |seconds| Run { time: Duration::from_secs(seconds), ..run.clone() };
    let median = |seconds: &[u64]| Run::median(seconds.iter().copied().map(timed).collect());
    assert_eq!(median(&[9, 1, 5]).map(|run| run.time.as_secs()), Some(5));
    assert_eq!(median(&[4, 2]).map(|run| run.time.as_secs()), Some(4));
    assert_eq!(median(&[]), None);
}

/// A row alone, in batches of 2 and 32, and in another order: the same ids under every strategy.
#[test]
fn rows_do_not_depend_on_their_batch() {
    let bench = Bench::tiny("trimmed4");
    let subjects = bench.subjects(12);
    let context = bench.runner().context(&subjects).unwrap();
    let mut turned = subjects.clone();
    turned.reverse();
    turned.swap(0, 5);
    for strategy in Strategy::ALL {
        for sampling in [SAMPLINGS[0], SAMPLINGS[1]] {
            let run = |slots, subjects: &[_]| {
                said(&bench.run(strategy, &mut bench.model(slots, context), sampling, subjects))
            };
            let whole = run(32, &subjects);
            assert_eq!(whole.len(), 12);
            assert_eq!(run(2, &turned), whole, "{strategy}");
            let alone: Vec<_> = subjects.chunks(1).flat_map(|one| run(1, one)).collect();
            assert_eq!(alone, whole, "{strategy}");
        }
    }
}

/// Where a model that is not held happens to write what it should, holding it changes nothing.
#[test]
fn a_mask_changes_nothing_that_is_valid() {
    let bench = Bench::tiny("(integer_digits:1,decimals:1)");
    let subjects = bench.subjects(48);
    for sampling in [SAMPLINGS[0], WARM] {
        // A model that nearly always writes what the mask lets through, for it repeats what a masked run said.
        let held = bench.run(
            Strategy::Mask,
            &mut Adversary::new(Wish::Anything, &bench.tokenizer, 9, 6, 512),
            sampling,
            &subjects,
        );
        let mut model = Parrot::new(&bench, &subjects, &held, 12.0);
        let none = bench.run(Strategy::None, &mut model, sampling, &subjects);
        let mask = bench.run(Strategy::Mask, &mut model, sampling, &subjects);
        let report = bench.report(&none, &subjects);
        let valid = report.samples - report.failures;
        assert!(valid > 0, "{report:?}");
        let mut equal = 0;
        for (none, mask) in none.outputs.iter().zip(&mask.outputs) {
            let subject = &subjects[none.row as usize];
            let finding = bench.runner().judge(subject, none).unwrap();
            if finding.reads_well() && finding.replays() {
                assert_eq!(none.tokens, mask.tokens);
                equal += 1;
            }
        }
        assert_eq!(equal, valid);
    }
}

/// Prefers to say what another run said behind the same tokens.
struct Parrot {
    inner: Adversary,
    /// By all tokens before it, what comes next.
    next: BTreeMap<Vec<TokenId>, TokenId>,
    /// What each slot holds.
    held: Vec<Vec<TokenId>>,
    strength: f32,
}

impl Parrot {
    fn new(bench: &Bench, subjects: &[Subject], run: &Run, strength: f32) -> Self {
        let mut next = BTreeMap::new();
        for output in &run.outputs {
            let prompt = bench.runner().prompt(&subjects[output.row as usize]).unwrap();
            let said: Vec<TokenId> = prompt.iter().chain(&output.tokens).copied().collect();
            for place in prompt.len()..said.len() {
                next.insert(said[..place].to_vec(), said[place]);
            }
        }
        let inner = Adversary::new(Wish::Anything, &bench.tokenizer, 9, 6, 512);
        Self { inner, next, held: vec![Vec::new(); 6], strength }
    }
}

impl LanguageModel for Parrot {
    fn vocabulary(&self) -> usize {
        self.inner.vocabulary()
    }

    fn slots(&self) -> usize {
        self.inner.slots()
    }

    fn context(&self) -> usize {
        self.inner.context()
    }

    fn restrict(&mut self, ids: Option<&[TokenId]>) -> Result<(), DecodeError> {
        assert!(ids.is_none(), "the parrot has one head");
        self.inner.restrict(ids)
    }

    fn forward(&mut self, packed: &Packed) -> Result<Logits, DecodeError> {
        let logits = self.inner.forward(packed)?;
        let mut values: Vec<f32> = Vec::new();
        for (run, logits) in packed.runs().iter().zip(logits.rows()) {
            let held = &mut self.held[run.slot];
            held.truncate(run.position);
            held.extend(&packed.tokens()[run.tokens.clone()]);
            let mut row = logits.to_vec();
            if let Some(next) = self.next.get(held) {
                row[next.0 as usize] += self.strength;
            }
            values.extend(row);
        }
        Ok(Logits::new(values, self.inner.vocabulary()))
    }
}

/// All numbers of a short hole, each with its probability by the model's own logits, renormalized over what is allowed
/// token by token; and how often each is drawn.
#[test]
fn the_constrained_distribution_is_the_renormalized_model() {
    let bench = Bench::new("models/tiny/", "(integer_digits:1,decimals:0)", Tags::none());
    // Water: one atom, one hole, 19 × 19 × 19 texts.
    let mut subject = bench.subjects(6).pop().unwrap();
    assert_eq!(subject.smiles, "O");
    subject.row = 0;
    let mut model = bench.model(64, 32);
    let prompt = bench.runner().prompt(&subject).unwrap();
    let mut shares: BTreeMap<Vec<TokenId>, f64> = BTreeMap::new();
    let template = bench.runner().template(&subject).unwrap();
    let mut open: Vec<(Matcher, Vec<TokenId>, f64)> = vec![(Matcher::new(template), Vec::new(), 1.0)];
    while let Some((matcher, said, share)) = open.pop() {
        if matcher.is_finished() {
            shares.insert(said, share);
            continue;
        }
        let allowed: Vec<TokenId> = matcher.mask_row().iter().collect();
        let weights: Vec<f64> = match allowed.len() {
            1 => vec![1.0],
            _ => {
                let text = [prompt.as_slice(), &said].concat();
                let logits = crate::checkpoint::one_shot(&mut model, 0, &text).pop().unwrap();
                let weights: Vec<f64> =
                    allowed.iter().map(|id| f64::from(logits[id.0 as usize]).exp()).collect();
                let total: f64 = weights.iter().sum();
                weights.iter().map(|weight| weight / total).collect()
            }
        };
        for (&token, weight) in allowed.iter().zip(weights) {
            let mut next = matcher.clone();
            next.advance(token).unwrap();
            open.push((next, [said.as_slice(), &[token]].concat(), share * weight));
        }
    }
    assert_eq!(shares.len(), 19 * 19 * 19);
    assert!((shares.values().sum::<f64>() - 1.0).abs() < 1e-9);

    let rows = 6000;
    let subjects: Vec<_> = (0..rows).map(|row| Subject { row, ..subject.clone() }).collect();
    let run = bench.run(Strategy::Restricted, &mut model, WARM, &subjects);
    let mut drawn: BTreeMap<&[TokenId], f64> = BTreeMap::new();
    for output in &run.outputs {
        assert!(shares.contains_key(&output.tokens));
        *drawn.entry(&output.tokens).or_default() += 1.0;
    }
    // Pearson's test: texts that are expected five times or more one by one, all others together.
    let (mut chi_square, mut bins) = (0.0, 0);
    let (mut rest_expected, mut rest_drawn) = (0.0, 0.0);
    for (text, share) in &shares {
        let (expected, drawn) = (share * rows as f64, drawn.get(text.as_slice()).copied().unwrap_or(0.0));
        if expected < 5.0 {
            rest_expected += expected;
            rest_drawn += drawn;
        } else {
            chi_square += (drawn - expected) * (drawn - expected) / expected;
            bins += 1;
        }
    }
    chi_square += (rest_drawn - rest_expected) * (rest_drawn - rest_expected) / rest_expected.max(5.0);
    let freedom = f64::from(bins);
    assert!(bins > 10, "{bins}");
    // Five standard deviations over what is expected; the seed is fixed, so that this says the same every time.
    assert!(chi_square < freedom + 5.0 * (2.0 * freedom).sqrt(), "{chi_square} over {bins}");
}

/// The processors in use, with a model that writes numbers of the format and nothing else: junk where the placeholder is
/// too long, cut digits where it is too short.
#[test]
fn positions_drift() {
    let bench = Bench::tiny("trimmed4");
    let subjects = bench.subjects(16);
    let mut model = bench.model(8, bench.runner().context(&subjects).unwrap());
    let report = |strategy, model: &mut dyn LanguageModel| {
        let run = bench.run(strategy, model, SAMPLINGS[1], &subjects);
        assert!(run.outputs.iter().all(|output| output.finished), "{strategy}");
        bench.report(&run, &subjects)
    };
    for strategy in [Strategy::Blocklist, Strategy::Allowlist, Strategy::Adaptive] {
        let report = report(strategy, &mut model);
        // COPY text is forced, so that what is wrong is in the holes.
        assert_eq!(report.blocks, report.atoms, "{report:?}");
        assert!(report.junk_blocks > 0 && report.truncated > 0, "{report:?}");
        assert_eq!((report.structural_failures, report.disagreements), (0, 0), "{report:?}");
        assert_eq!(report.tokens, report.row_passes, "{report:?}");
    }
    // At the first position of a hole the allowlist processor lets no comma through, at its last two no minus either.
    let run = bench.run(Strategy::Allowlist, &mut model, WARM, &subjects);
    for output in &run.outputs {
        let text = bench.tokenizer.decode(&output.tokens, false).unwrap();
        let text = text.split_once("[/CONFORMER]").unwrap().0.to_owned() + ">";
        for hole in text.split('<').skip(1).filter_map(|part| part.split_once('>')).map(|(hole, _)| hole) {
            assert!(hole.bytes().all(|byte| b"0123456789.,-".contains(&byte)), "{text}");
            assert!(!hole.starts_with(',') && !hole.ends_with([',', '-']), "{text}");
        }
    }
}

/// A model that is not held and never ends is stopped.
#[test]
fn a_row_that_never_ends_is_stopped() {
    let bench = Bench::tiny("fixed4");
    let subjects = bench.subjects(4);
    let mut model = Adversary::new(Wish::Endless, &bench.tokenizer, 1, 2, 400);
    let run = bench.run(Strategy::None, &mut model, SAMPLINGS[0], &subjects);
    assert!(run.outputs.iter().all(|output| !output.finished && output.tokens.len() > 32));
    let report = bench.report(&run, &subjects);
    assert_eq!((report.structural_failures, report.failures), (4, 4));
    let mut short = Adversary::new(Wish::Endless, &bench.tokenizer, 1, 2, 40);
    let run = bench.run(Strategy::None, &mut short, SAMPLINGS[0], &subjects);
    assert!(run.outputs.iter().all(|output| !output.finished && output.tokens.len() < 40));
}

/// What the judges say of texts that are nearly right.
#[test]
fn judges_tell_faults() {
    let bench = Bench::tiny("fixed4");
    let subject = bench.subjects(1).pop().unwrap();
    let mut shown = Vec::new();
    let good = "[CONFORMER][C]<5.7990,-0.2748,-0.9587>[C]<0.0000,1.0000,-2.0000>=[O]<1.0000,0.0000,0.0000>[/CONFORMER]";
    for (from, to) in [
        ("", ""),
        ("-0.9587", "-0.9587abra"),
        ("-0.9587", "-0.95871"),
        ("5.7990", "5.799"),
        ("-0.9587", "-0.9"),
        ("5.7990", "5.79.90"),
        ("-0.2748,", ""),
        ("-0.2748,", "-0.2748"),
        ("-0.9587", "-0.9587,"),
        ("-0.9587", "-"),
        ("5.7990,-0.2748,-0.9587", ""),
        ("5.7990", "C.7990"),
        ("0.0000", "-0.0000"),
        ("=[O]", "#[O]"),
        ("[/CONFORMER]", ""),
        ("[/CONFORMER]", "[/CONFORMER]x"),
    ] {
        let text = good.replacen(from, to, 1);
        let mut tokens = bench.tokenizer.encode(&text).unwrap().ids;
        tokens.extend(bench.tables.header.eos);
        let output = tplc::decode::Output { row: 0, tokens, passes: 1, finished: true };
        let finding = bench.runner().judge(&subject, &output).unwrap();
        assert_eq!(finding.reads_well(), finding.replays(), "{text} {finding:?}");
        shown.push(format!(
            "{text}\n  junk {} in {}, truncated {}, structural {}, non-canonical {}: {}",
            finding.judgement.junk_tokens,
            finding.judgement.junk_blocks,
            finding.judgement.truncated,
            finding.judgement.structural,
            finding.judgement.non_canonical,
            finding.judgement.fault.as_deref().unwrap_or("good")
        ));
    }
    // The right text, cut otherwise than the tokenizer cuts it; and without its end.
    let ids = bench.tokenizer.encode(good).unwrap().ids;
    let apart = |text: &str| bench.tokenizer.encode(text).unwrap().ids;
    let place = ids.iter().position(|&id| Some(id) == apart(",-").first().copied()).unwrap();
    let split = [&ids[..place], &apart(","), &apart("-"), &ids[place + 1..]].concat();
    for (what, mut tokens, end) in [("split", split, true), ("unended", ids, false)] {
        tokens.extend(bench.tables.header.eos.filter(|_| end));
        let output = tplc::decode::Output { row: 0, tokens, passes: 1, finished: true };
        let finding = bench.runner().judge(&subject, &output).unwrap();
        assert!(!finding.reads_well() && !finding.replays());
        shown.push(format!("{what}: {}", finding.judgement.fault.as_deref().unwrap_or("good")));
    }
    golden("judged", &shown.join("\n"));
}

/// Spans of every kind, pass by pass, which `tplc trace` reads.
#[test]
fn a_run_is_traced() {
    let bench = Bench::tiny("fixed4");
    let subjects = bench.subjects(6);
    let clock = std::cell::Cell::new(0);
    let mut watch = Watch::new(Recorder::new(|| {
        clock.set(clock.get() + 1);
        std::time::Duration::from_micros(clock.get())
    }));
    let mut model = bench.model(4, bench.runner().context(&subjects).unwrap());
    let mut ended = 0;
    for strategy in [Strategy::None, Strategy::Forced] {
        let sampler = Sampler::new(Sampling::default(), 1).unwrap();
        bench.runner().run(strategy, &mut model, sampler, &subjects, &mut watch, || ended += 1).unwrap();
    }
    assert_eq!(ended, 12);
    let mut file = Vec::new();
    watch.recorder().write(&mut file).unwrap();
    let trace = TraceSummary::read(file.as_slice(), &Patterns::standard().unwrap(), None).unwrap();
    let names: Vec<_> = trace.runs.iter().map(|run| run.strategy.clone().unwrap()).collect();
    assert_eq!(names, ["none", "forced"]);
    assert!(trace.runs.iter().all(|run| run.tokens.unwrap() > 100));
    let text = String::from_utf8(file).unwrap();
    for kind in ["build", "prefill", "forward", "matcher", "mask", "sample", "append"] {
        assert!(text.contains(&format!("\"name\":\"{kind}\"")), "{kind}");
    }
}

/// The exit status hangs on this: any fault of an exact strategy, and any pass too many, breaks its promise.
#[test]
fn a_promise_can_be_broken() {
    let bench = Bench::tiny("fixed4");
    let subjects = bench.subjects(3);
    let mut model = Adversary::new(Wish::Anything, &bench.tokenizer, 1, 3, 512);
    let run = bench.run(Strategy::Forced, &mut model, WARM, &subjects);
    assert!(bench.report(&run, &subjects).keeps_its_promise());
    let broken = |change: fn(&mut Run)| {
        let mut run = run.clone();
        change(&mut run);
        !bench.report(&run, &subjects).keeps_its_promise()
    };
    assert!(broken(|run| run.outputs[1].passes += 1));
    assert!(broken(|run| run.outputs[0].tokens.truncate(9)));
    assert!(broken(|run| run.outputs[2].tokens.swap(5, 6)));
    assert!(!broken(|run| run.outputs.swap(0, 1)));
    let mut lost = run.clone();
    lost.outputs.pop();
    assert!(matches!(bench.runner().report(&lost, &subjects), Err(DecodeError::Lost { row: 2 })));
}

/// What the tiny model says of each molecule, greedy and held: the tests of the Python package read the same snapshot.
#[test]
fn greedy_texts_of_the_tiny_model() {
    let bench = Bench::tiny("trimmed4");
    let subjects = bench.subjects(8);
    let context = bench.runner().context(&subjects).unwrap();
    let mut model = decoder(Path::new("models/tiny"), 8, context);
    let run = bench.run(Strategy::Restricted, &mut model, SAMPLINGS[0], &subjects);
    let line = |(row, ids): (u64, Vec<u32>)| {
        let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
        format!("{}\t{}", subjects[row as usize].smiles, ids.join(" "))
    };
    golden("greedy", &said(&run).into_iter().map(line).collect::<Vec<_>>().join("\n"));
}
