//! No allocation for any token: counted by the allocator, for each thread apart, so that other tests do not disturb.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
};

use tplc::{
    matcher::{Matcher, MatcherBatch, mask_words},
    primitives::TokenId,
};

use crate::template::{PEPTIDE, case};

/// The system's allocator, which counts what it gives.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static GIVEN: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends may allocate when its counter is gone.
    let _ = GIVEN.try_with(|given| given.set(given.get() + 1));
}

#[allow(unsafe_code, reason = "allocators are; each call is handed on as it came")]
// SAFETY: the system's allocator keeps the contract, and counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        unsafe { System.dealloc(old, layout) }
    }
}

/// Allocations of this thread while `run` runs.
fn allocations(run: impl FnOnce()) -> usize {
    let before = GIVEN.get();
    run();
    GIVEN.get() - before
}

#[test]
fn allocations_are_counted() {
    assert_eq!(allocations(|| ()), 0);
    assert_eq!(allocations(|| drop(black_box(vec![0u8; 100]))), 1);
    let mut grown = Vec::with_capacity(1);
    assert_eq!(allocations(|| grown.extend(black_box([1u8, 2, 3]))), 1);
}

/// A matcher of [`PEPTIDE`], and room for one mask.
fn matcher() -> (Matcher, Vec<u32>) {
    let artifact = &case(0, false).artifact;
    let matcher = Matcher::new(artifact.template(PEPTIDE).unwrap());
    (matcher, vec![0; mask_words(artifact.tables().header.logits_width)])
}

/// Takes the forced run; says how many tokens it has.
fn take_forced_run(matcher: &mut Matcher) -> usize {
    let start = matcher.len();
    loop {
        let Some(id) = matcher.forced_run().next() else { return matcher.len() - start };
        matcher.advance(id).unwrap();
    }
}

/// Goes to the end of the text with all that a decoding loop asks for, some tokens twice.
fn decode(matcher: &mut Matcher, words: &mut [u32]) {
    for turn in 0.. {
        let forced = take_forced_run(matcher);
        matcher.rollback(forced);
        assert_eq!(take_forced_run(matcher), forced);
        if !matcher.fill_mask(words).unwrap() {
            return;
        }
        let row = matcher.mask_row();
        let id = row.iter().nth(turn % row.len()).unwrap();
        assert!(matcher.allows(id) && matcher.validate(&[id, id]) > 0);
        black_box((matcher.tokens_left(), matcher.passes_left()));
        matcher.advance(id).unwrap();
    }
}

#[test]
fn no_token_of_a_matcher_allocates() {
    let (mut matcher, mut words) = matcher();
    assert_eq!(allocations(|| decode(&mut matcher, &mut words)), 0);
    assert!(matcher.is_finished() && matcher.len() > 100);
    assert_eq!(allocations(|| matcher.reset()), 0);
    assert_eq!(allocations(|| decode(&mut matcher, &mut words)), 0);
}

/// A clone has the room that its original has, wherever that was.
#[test]
fn no_token_of_a_clone_allocates() {
    let (mut matcher, mut words) = matcher();
    let mut fresh = matcher.clone();
    assert_eq!(allocations(|| decode(&mut fresh, &mut words)), 0);
    for _ in 0..20 {
        let id = matcher.mask_row().iter().next().unwrap();
        matcher.advance(id).unwrap();
    }
    let mut later = matcher.clone();
    assert_eq!(later.len(), 20);
    assert_eq!(allocations(|| decode(&mut later, &mut words)), 0);
    assert!(fresh.is_finished() && later.is_finished() && matcher.len() == 20);
}

#[test]
fn no_step_of_a_batch_allocates() {
    let (matcher, mask) = matcher();
    let mut batch = MatcherBatch::new(vec![matcher; 8]).clone();
    let mut words = vec![0; mask.len() * batch.len()];
    let (mut runs, mut ends) = (Vec::with_capacity(1_000), Vec::with_capacity(8));
    let (mut ids, ones) = (Vec::with_capacity(8), [1; 8]);
    let given = allocations(|| {
        for turn in 0.. {
            batch.take_forced_runs(&mut runs, &mut ends);
            if batch.fill_masks(&mut words, mask.len()).unwrap() == 0 {
                break;
            }
            ids.clear();
            ids.extend(batch.rows().iter().enumerate().map(|(index, row)| {
                let row = row.mask_row();
                row.iter().nth((turn + index) % row.len().max(1)).unwrap_or(TokenId(0))
            }));
            let finished = batch.rows().iter().any(Matcher::is_finished);
            batch.advance(&ids).unwrap();
            if !finished {
                batch.rollback(&ones).unwrap();
                batch.advance(&ids).unwrap();
            }
        }
    });
    assert_eq!(given, 0);
    assert!(batch.is_finished());
}
