//! Matchers and batches of them: what they take, what they say is left, and what they refuse.

use std::collections::BTreeMap;

use tplc::{
    artifact::{Bounds, Template},
    matcher::{BatchError, Matcher, MatcherBatch, TooNarrow, mask_words},
    primitives::{StateId, TokenId},
    text::{NumberFormat, Tags},
};

use crate::{template::artifact, tokenizer_support::load};

#[test]
fn batches_do_what_their_rows_do() {
    let tokenizer = load("qwen3");
    let artifact = artifact(&tokenizer, NumberFormat::fixed(4), &Tags::none(), &["CC=O", "C", "c1ccccc1"]);
    let row = |smiles| Matcher::new(artifact.template(smiles).unwrap());
    let mut batch = MatcherBatch::new(vec![row("CC=O"), row("C"), row("c1ccccc1")]);
    let stride = mask_words(artifact.tables().header.logits_width);
    let (mut words, mut one) = (vec![0; 3 * stride], vec![0; stride]);
    let (mut runs, mut ends) = (Vec::new(), Vec::new());
    let mut steps = 0;
    while !batch.is_finished() {
        batch.take_forced_runs(&mut runs, &mut ends);
        assert_eq!(ends.len(), 3);
        let unfinished = batch.fill_masks(&mut words, stride).unwrap();
        assert_eq!(unfinished, batch.rows().iter().filter(|row| !row.is_finished()).count());
        let mut tokens = Vec::new();
        for (index, row) in batch.rows().iter().enumerate() {
            if row.fill_mask(&mut one).unwrap() {
                assert_eq!(words[index * stride..][..stride], one);
            }
            tokens.push(row.mask_row().iter().last().unwrap_or_default());
        }
        let before: Vec<usize> = batch.rows().iter().map(Matcher::len).collect();
        batch.advance(&tokens).unwrap();
        let taken: Vec<usize> =
            batch.rows().iter().zip(before).map(|(row, before)| row.len() - before).collect();
        batch.rollback(&taken).unwrap();
        batch.advance(&tokens).unwrap();
        steps += 1;
    }
    assert!(steps > 40 && batch.advance(&[TokenId(0); 3]).is_ok());
    batch.rollback(&[usize::MAX; 3]).unwrap();
    let refused = batch.advance(&[TokenId(0); 3]).unwrap_err();
    assert_eq!(refused.to_string(), "row 0: token 0 (\"#0\") is not allowed as token 0 of the text");
}

/// A batch takes a token in every row or in none, and as many tokens as it has rows.
#[test]
fn a_batch_takes_all_tokens_or_none() {
    let tokenizer = load("qwen3");
    let artifact = artifact(&tokenizer, NumberFormat::fixed(1), &Tags::none(), &["CC=O", "C"]);
    let row = |smiles| Matcher::new(artifact.template(smiles).unwrap());
    let mut batch = MatcherBatch::new(vec![row("CC=O"), row("C")]);
    let first = batch.rows()[0].mask_row().iter().next().unwrap();
    let lengths = |batch: &MatcherBatch| batch.rows().iter().map(Matcher::len).collect::<Vec<_>>();
    for given in [&[first][..], &[first; 3], &[first, TokenId(0)], &[]] {
        let fault = batch.advance(given).unwrap_err();
        match fault {
            BatchError::Refused { row, .. } => assert_eq!((row, given.len()), (1, 2)),
            fault => assert_eq!(fault, BatchError::Rows { what: "tokens", given: given.len(), rows: 2 }),
        }
        assert_eq!(lengths(&batch), [0, 0], "{given:?}");
    }
    batch.advance(&[first; 2]).unwrap();
    assert!(batch.rollback(&[1]).is_err());
    assert_eq!(lengths(&batch), [1, 1]);
}

/// A mask that cannot hold the ids is no mask: nothing is written, and nothing is said to be allowed.
#[test]
fn masks_that_are_too_narrow_are_refused() {
    let tokenizer = load("qwen3");
    let artifact = artifact(&tokenizer, NumberFormat::fixed(1), &Tags::none(), &["CC=O"]);
    let matcher = Matcher::new(artifact.template("CC=O").unwrap());
    let needed = artifact.tables().tokens.ids().last().unwrap().0 as usize / 32 + 1;
    let mut words = vec![7; needed];
    assert_eq!(matcher.fill_mask(&mut words[1..]), Err(TooNarrow { words: needed - 1, needed }));
    let batch = MatcherBatch::new(vec![matcher.clone(); 2]);
    for (words, stride) in [(&mut words[..], needed), (&mut [7; 1][..], 0), (&mut [7; 64][..], 32)] {
        assert!(batch.fill_masks(words, stride).is_err());
        assert!(words.iter().all(|&word| word == 7));
    }
    assert_eq!(MatcherBatch::default().fill_masks(&mut [], 0), Ok(0));
    assert_eq!(matcher.fill_mask(&mut words), Ok(true));
    assert!(words.iter().any(|&word| word != 0 && word != 7));
}

/// The fewest and the most tokens, and decisions, from a place on: looked up in every way there is.
fn left_by_looking(
    template: &Template,
    (state, number): (StateId, usize),
    known: &mut BTreeMap<(StateId, usize), [Bounds; 2]>,
) -> [Bounds; 2] {
    if let Some(&known) = known.get(&(state, number)) {
        return known;
    }
    let automaton = &template.tables().automaton;
    let own = automaton.edges(state).iter().map(|(_, target)| (target.state, number));
    let behind = template.behind(number).filter(|_| automaton.ends_number(state));
    let behind = behind.into_iter().flat_map(|root| automaton.edges(root).iter());
    let ways: Vec<_> = own.chain(behind.map(|(_, target)| (target.state, number + 1))).collect();
    let chosen = u32::from(ways.len() > 1);
    let left: Vec<_> = ways.iter().map(|&way| left_by_looking(template, way, known)).collect();
    let bounds = |which: usize, more: u32| Bounds {
        min: left.iter().map(|left| left[which].min + more).min().unwrap_or(0),
        max: left.iter().map(|left| left[which].max + more).max().unwrap_or(0),
    };
    let left = [bounds(0, 1), bounds(1, chosen)];
    known.insert((state, number), left);
    left
}

#[test]
fn what_is_left_is_what_every_way_on_takes() {
    let mut places = 0;
    for (name, format) in [("qwen3", "trimmed1"), ("gpt-2", "fixed1"), ("deepseek-v3", "fixed0")] {
        let artifact = artifact(&load(name), format.parse().unwrap(), &Tags::none(), &["CC=O", "C"]);
        for smiles in ["CC=O", "C"] {
            let template = artifact.template(smiles).unwrap();
            let mut known = BTreeMap::new();
            left_by_looking(&template, (template.start(), 0), &mut known);
            places += known.len();
            for ((state, number), left) in known {
                let fast = [template.tokens_left(state, number), template.decisions_left(state, number)];
                assert_eq!(fast, left, "{name} {smiles}: {state:?} {number}");
            }
        }
    }
    assert!(places > 100, "{places}");
}
