//! What cannot be compiled, written, merged or read off: each refused in its own words, or text and no more.

use tplc::{
    corpus::InputCounts,
    template::Manifest,
    text::{NumberFormat, Tags},
};

use crate::{template::artifact, tokenizer_support::load};

/// Manifests may say anything: rows that cannot be added are no panic.
#[test]
fn rows_beyond_counting_are_refused() {
    let artifact = artifact(&load("qwen3"), NumberFormat::fixed(1), &Tags::none(), &["C"]);
    let manifest = |rows| Manifest::new(&artifact, InputCounts { rows, skipped: 0 }, None);
    let merged = Manifest::of_merged(&artifact, Some(&[manifest(3), manifest(4)])).unwrap();
    assert_eq!(merged.input.rows, 7);
    assert!(Manifest::of_merged(&artifact, Some(&[manifest(u64::MAX), manifest(1)])).is_err());
}
