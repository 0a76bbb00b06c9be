//! The tags around prompt and completion.

use aho_corasick::{AhoCorasick, MatchKind};
use serde::{Deserialize, Serialize};

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
/// [`Tags::conformer`] are those of published models; a RON text gives any other:
/// `(prompt: Some((open: "<smi>", close: "</smi>")), completion: None)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tags {
    /// Around the SMILES that the model reads.
    pub prompt: Option<TagPair>,
    /// Around the enriched SMILES that it writes.
    pub completion: Option<TagPair>,
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
