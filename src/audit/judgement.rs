//! What an audit says of one generation.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// Whether a generation is what its template allows, and else its worst fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The molecule, with a number of the format wherever one belongs, in the tokenizer's own tokens.
    Valid,
    /// The text is right, but its ids are not those that the tokenizer gives for it.
    NonCanonical,
    /// A number is cut off or missing.
    Truncated,
    /// Tokens in a hole belong to no number.
    Junk,
    /// The COPY text is another, does not end, or goes on behind its end.
    Structure,
}

impl Verdict {
    /// All verdicts, the best first.
    pub const ALL: [Self; 5] =
        [Self::Valid, Self::NonCanonical, Self::Truncated, Self::Junk, Self::Structure];
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::NonCanonical => "non_canonical",
            Self::Truncated => "truncated",
            Self::Junk => "junk",
            Self::Structure => "structure",
        })
    }
}

/// What junk is made of: the kind of the first byte in the token that belongs to no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JunkKind {
    /// ASCII letters, those of atoms among them.
    Letters,
    /// Punctuation and white space: commas and points where none belongs.
    Punctuation,
    /// Anything beyond ASCII, and bytes that are no character.
    Unicode,
    /// Digits past the number format.
    Digits,
    /// Added tokens: tags and control tokens.
    Tags,
}

impl fmt::Display for JunkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Letters => "letters",
            Self::Punctuation => "punctuation",
            Self::Unicode => "unicode",
            Self::Digits => "digits",
            Self::Tags => "tags",
        })
    }
}

/// Junk of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JunkCount {
    /// Junk tokens.
    pub tokens: u64,
    /// Holes with at least one.
    pub blocks: u64,
}

/// What an audit says of one generation. A generation may have several faults; the verdict names the worst, the counts
/// hold all that were found up to where the structure breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The worst fault, or that there is none.
    pub verdict: Verdict,
    /// Tokens of the generation, its end-of-sequence token included, padding behind it not.
    pub tokens: u64,
    /// Holes that were found.
    pub holes: u64,
    /// Tokens in holes that belong to no number of the format.
    pub junk_tokens: u64,
    /// Holes with at least one of them.
    pub junk_blocks: u64,
    /// The same by kind.
    pub junk: BTreeMap<JunkKind, JunkCount>,
    /// Holes in which a number is cut off or missing.
    pub truncated: u64,
    /// Whether the COPY text is another, does not end, or goes on behind its end.
    pub structural: bool,
    /// Whether the ids are not those that the tokenizer gives for the text.
    pub non_canonical: bool,
    /// The first fault in words.
    pub fault: Option<String>,
}

impl Judgement {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.verdict == Verdict::Valid
    }

    /// The verdict that the counts amount to.
    pub(super) fn worst(&self) -> Verdict {
        match self {
            Self { structural: true, .. } => Verdict::Structure,
            Self { junk_tokens: 1.., .. } => Verdict::Junk,
            Self { truncated: 1.., .. } => Verdict::Truncated,
            Self { non_canonical: true, .. } => Verdict::NonCanonical,
            _ => Verdict::Valid,
        }
    }
}
