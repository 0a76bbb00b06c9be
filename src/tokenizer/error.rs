//! What can go wrong with a tokenizer, and what to do about it.

use std::path::PathBuf;

use thiserror::Error;

use crate::primitives::TokenId;

/// Why a tokenizer could not be found, read or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The name is neither an embedded tokenizer nor a path.
    #[error(
        "unknown tokenizer {name:?}{}; known names: {known}; a path to a tokenizer.json or a model folder, or \
         hf:ORG/NAME, works too",
        nearest.map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default()
    )]
    UnknownName {
        /// The name as it was given.
        name: String,
        /// The known name or alias nearest to it.
        nearest: Option<&'static str>,
        /// All names, separated by commas.
        known: String,
    },
    /// A path where nothing is, of the form that repositories of the hub have.
    #[error("there is no file or folder {given:?}; for the repository of the hub, write hf:{given}")]
    MaybeHub {
        /// The text as it was given.
        given: String,
    },
    /// `hf:` without a usable repository.
    #[error("{given:?} names no repository of the hub: write hf:ORG/NAME or hf:ORG/NAME@REVISION")]
    BadHubName {
        /// The text as it was given.
        given: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A model folder has no tokenizer.json.
    #[error(
        "{} has no tokenizer.json (save one with save_pretrained from a fast tokenizer, or name the file itself)",
        folder.display()
    )]
    NoTokenizerJson {
        /// The folder.
        folder: PathBuf,
    },
    /// A file holds something else than it should.
    #[error("{origin} is no valid {what}: {reason}")]
    Invalid {
        /// The file, or the name of the embedded data.
        origin: String,
        /// What it should hold.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// An added token is declared with one id and already has another.
    #[error(
        "added token {content:?} is declared with id {declared}, but {tokenizer} already gives it id {actual}: \
         correct the id, or leave it out"
    )]
    IdMismatch {
        /// The tokenizer.
        tokenizer: String,
        /// The text of the added token.
        content: String,
        /// The id it is declared with.
        declared: TokenId,
        /// The id it has.
        actual: TokenId,
    },
    /// An added token is declared with the id of another token.
    #[error(
        "added token {content:?} is declared with id {id}, but in {tokenizer} that id belongs to {owner:?}: \
         give it a free id"
    )]
    IdTaken {
        /// The tokenizer.
        tokenizer: String,
        /// The text of the added token.
        content: String,
        /// The declared id.
        id: TokenId,
        /// The token that has the id.
        owner: String,
    },
    /// An overlay was made for another tokenizer.
    #[error("added tokens {overlay:?} are made for {base:?}, not for {tokenizer:?}: load them over {base}")]
    WrongBase {
        /// The overlay's name.
        overlay: String,
        /// The tokenizer it names as its base.
        base: String,
        /// The tokenizer it was applied to.
        tokenizer: String,
    },
    /// A text cannot be encoded, or ids cannot be decoded.
    #[error("tokenizer {tokenizer} cannot {action}: {reason}")]
    Run {
        /// The tokenizer.
        tokenizer: String,
        /// `"encode"` or `"decode"`, with the place.
        action: &'static str,
        /// What the tokenizer says.
        reason: String,
    },
    /// The hub did not give a file.
    #[error("cannot get {file} of {repo} at revision {revision}: {reason}{}", hint_line(hint))]
    Hub {
        /// The repository, `ORG/NAME`.
        repo: String,
        /// The branch, tag or commit.
        revision: String,
        /// The file.
        file: String,
        /// What went wrong.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// This build cannot reach the hub.
    #[error(
        "this build cannot fetch {repo}: build it with `--features hub`, or download the repository's \
         tokenizer.json and name the file"
    )]
    HubNotBuilt {
        /// The repository, `ORG/NAME`.
        repo: String,
    },
}

/// `hint` as the end of a message.
fn hint_line(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!(" ({hint})") }
}
