//! The tags around prompt and completion.

use std::str::FromStr;

use aho_corasick::{AhoCorasick, MatchKind};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The text before and after a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagPair {
    /// Opens the part.
    pub open: String,
    /// Closes it.
    pub close: String,
}

/// The tags of prompt and completion; either may be absent.
///
/// As text: `none`, `conformer` (those of published models), or RON, which gives any other:
/// `(prompt: Some((open: "<smi>", close: "</smi>")), completion: None)`.
///
/// ```
/// use tplc::text::Tags;
/// assert_eq!("conformer".parse(), Ok(Tags::conformer()));
/// assert!("conformers".parse::<Tags>().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tags {
    /// Around the SMILES that the model reads.
    pub prompt: Option<TagPair>,
    /// Around the enriched SMILES that it writes.
    pub completion: Option<TagPair>,
}

/// Why a text is no tags.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "unknown tags {text:?}: use none, conformer, or RON such as (prompt: None, completion: Some((open: \"<c>\", close: \
     \"</c>\"))) ({reason})"
)]
pub struct TagsError {
    /// The text.
    pub text: String,
    /// The parser's words, with the position.
    pub reason: String,
}

impl FromStr for Tags {
    type Err = TagsError;

    fn from_str(text: &str) -> Result<Self, TagsError> {
        match text {
            "none" => Ok(Self::none()),
            "conformer" => Ok(Self::conformer()),
            text => ron::from_str(text)
                .map_err(|error| TagsError { text: text.to_owned(), reason: error.to_string() }),
        }
    }
}

impl Tags {
    /// No tags: the text is the bare enriched SMILES.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// `[SMILES]…[/SMILES]` and `[CONFORMER]…[/CONFORMER]`.
    #[must_use]
    pub fn conformer() -> Self {
        let pair = |name: &str| Some(TagPair { open: format!("[{name}]"), close: format!("[/{name}]") });
        Self { prompt: pair("SMILES"), completion: pair("CONFORMER") }
    }

    /// A reader that finds these tags in text.
    pub(super) fn finder(&self) -> TagFinder {
        let parts = [&self.prompt, &self.completion];
        let words: Vec<(Tag, &str)> = parts
            .into_iter()
            .zip([[Tag::PromptOpen, Tag::PromptClose], [Tag::CompletionOpen, Tag::CompletionClose]])
            .filter_map(|(pair, tags)| Some((pair.as_ref()?, tags)))
            .flat_map(|(pair, [open, close])| [(open, pair.open.as_str()), (close, pair.close.as_str())])
            .filter(|(_, word)| !word.is_empty())
            .collect();
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(words.iter().map(|(_, word)| word))
            .ok();
        TagFinder { automaton, tags: words.iter().map(|&(tag, _)| tag).collect() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    PromptOpen,
    PromptClose,
    CompletionOpen,
    CompletionClose,
}

/// Finds tags in one pass over the text.
#[derive(Clone, Debug)]
pub(super) struct TagFinder {
    automaton: Option<AhoCorasick>,
    tags: Vec<Tag>,
}

impl TagFinder {
    /// The tags of `text` in order, each with its first byte and the byte behind it.
    pub(super) fn find<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (Tag, usize, usize)> + 'a {
        self.automaton
            .iter()
            .flat_map(move |automaton| automaton.find_iter(text))
            .map(|hit| (self.tags[hit.pattern().as_usize()], hit.start(), hit.end()))
    }
}
