//! The reference corpora that travel inside the program: `reference:drugs`, `reference:qm9`, `reference:g2`.
//!
//! Where they come from and what was checked: `corpora/README.md`.

use super::CorpusError;

/// What an input starts with that names an embedded corpus.
pub(super) const PREFIX: &str = "reference:";

const NAMES: &str = "drugs, qm9 and g2";

/// The zstd-compressed JSON lines of the corpus of that name.
pub(super) fn find(name: &str) -> Result<&'static [u8], CorpusError> {
    match name {
        "drugs" => Ok(include_bytes!("../../corpora/drugs.heavy.jsonl.zst")),
        "qm9" => Ok(include_bytes!("../../corpora/qm9.heavy.jsonl.zst")),
        "g2" => Ok(include_bytes!("../../corpora/g2.heavy.jsonl.zst")),
        _ => Err(CorpusError::UnknownReference { name: name.to_owned(), known: NAMES }),
    }
}
