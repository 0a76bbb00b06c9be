//! `--version`: the version, and what this program was built with.

use std::sync::LazyLock;

/// The optional features, and whether they are in this program.
const FEATURES: [(&str, bool); 4] = [
    ("hub", cfg!(feature = "hub")),
    ("parquet", cfg!(feature = "parquet")),
    ("validate", cfg!(feature = "validate")),
    ("cuda", cfg!(feature = "cuda")),
];

/// The version, and a line of the features with and one of those without.
pub(super) static LONG: LazyLock<String> = LazyLock::new(|| {
    let listed = |there: bool| {
        let names: Vec<&str> =
            FEATURES.iter().filter(|(_, is)| *is == there).map(|(name, _)| *name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    format!("{}\nfeatures: {}\nnot built in: {}", env!("CARGO_PKG_VERSION"), listed(true), listed(false))
});
