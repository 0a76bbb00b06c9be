//! Mergeable counts: what an analysis keeps of a corpus.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Candidates, DriftError, allowlist, blocklist};
use crate::{
    corpus::InputCounts,
    primitives::{ByteSpan, TokenId},
    text::{NumberFormat, NumberSurvey, Tags},
    tokenizer::{ChangedNumber, Tokenizer, TokenizerError},
};

/// The counts of one tokenizer and one number format. All are exact integers; merging adds them, so any split of a
/// corpus and any order give the same counts and the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partial {
    /// The tokenizer that counted.
    pub tokenizer: TokenizerFacts,
    /// The number format that was asked for; `None` where text was taken as it is (and coordinates as `fixed4`).
    #[serde(with = "as_text")]
    pub number_format: Option<NumberFormat>,
    /// The tags that were written around rendered text.
    pub tags: Tags,
    /// The placeholders that were compared.
    pub placeholders: Vec<PlaceholderFacts>,
    /// Those of which the adaptive one is chosen.
    pub candidates: Vec<Candidates>,
    /// Texts: one a conformer.
    pub conformers: u64,
    /// Atoms, which is holes.
    pub atoms: u64,
    /// Bytes of text.
    pub bytes: u64,
    /// Texts that the tables could not vouch for and that were encoded whole.
    pub encoded: u64,
    /// Texts whose table tokens were compared with real encoding.
    pub verified: u64,
    /// All tokens, special tokens not among them: copy + free + border.
    pub tokens: u64,
    /// Tokens wholly in COPY text.
    pub copy_tokens: u64,
    /// Tokens wholly in a hole.
    pub free_tokens: u64,
    /// Tokens that straddle COPY and FREE, by id.
    pub borders: BTreeMap<u32, BorderCount>,
    /// Holes by kind.
    #[serde(with = "as_rows")]
    pub holes: BTreeMap<HoleCount, u64>,
    /// Literals by text.
    pub literals: BTreeMap<String, LiteralCount>,
    /// How the numbers are written.
    pub survey: NumberSurvey,
}

/// What is known of a tokenizer without the corpus.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerFacts {
    /// Its name.
    pub name: String,
    /// Its content fingerprint, 64 hexadecimal digits.
    pub fingerprint: String,
    /// Entries of the vocabulary.
    pub vocabulary: u64,
    /// Rows of the output layer, where known.
    pub logits_width: Option<u32>,
    /// Digit handling as measured: `one`, `up to 3`, `free`.
    pub digits: String,
    /// Examples of plain coordinates that its added tokens cut differently than it would without them.
    pub changed_numbers: Vec<ChangedNumber>,
    /// Ids that the blocklist processor forbids at FREE positions.
    pub blocked: u64,
    /// Ids that the allowlist processor allows at FREE positions.
    pub allowed: u64,
}

/// A placeholder, measured in the two example texts of the position-template literature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceholderFacts {
    /// The text that stands in each hole.
    pub text: String,
    /// Tokens of `<P>`.
    pub block_tokens: u64,
    /// Of these, wholly inside the brackets.
    pub block_free: u64,
    /// Tokens of `[C]<P>=[O]<P>`.
    pub pair_tokens: u64,
    /// Of these, wholly inside the holes.
    pub pair_free: u64,
    /// Of these, outside the holes.
    pub pair_copy: u64,
}

/// A kind of hole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoleCount {
    /// Tokens of each placeholder behind this hole's literal, in the order of [`Partial::placeholders`].
    pub placeholder_tokens: Vec<u32>,
    /// Bit 0, 1, 2: x, y, z is negative.
    pub negative: u8,
    /// Digits before the points, x, y and z together.
    pub integer_digits: u8,
    /// Decimals without trailing zeros, x, y and z together.
    pub significant_decimals: u8,
    /// Tokens wholly inside the hole.
    pub tokens: u32,
}

/// One literal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiteralCount {
    /// Occurrences by what the hole behind it starts with: nothing but a digit (`""`), or a sign.
    pub openings: BTreeMap<String, u64>,
    /// Its pieces where a digit follows, a straddling one whole.
    pub before_digit: Vec<String>,
    /// Its pieces where a minus follows; empty for the literal that ends a text.
    pub before_minus: Vec<String>,
}

/// One id that straddles COPY and FREE.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BorderCount {
    /// The token's text.
    pub text: String,
    /// Occurrences.
    pub count: u64,
}

/// What `--partial` writes: one object for people and pipelines to keep, `tplc merge` to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartialFile {
    schema: String,
    /// Rows of input.
    pub input: InputCounts,
    /// One entry for each tokenizer and number format.
    pub partials: Vec<Partial>,
}

impl Partial {
    /// Adds the counts of another part of the corpus.
    ///
    /// # Errors
    /// [`DriftError`] if the other was counted with another tokenizer or with other options, or the counts of one of them
    /// do not add up; then nothing is added.
    pub fn merge(&mut self, other: Self) -> Result<(), DriftError> {
        self.check_merge(&other)?;
        self.add(other);
        Ok(())
    }

    /// Whether the other can be added.
    fn check_merge(&self, other: &Self) -> Result<(), DriftError> {
        if self.tokenizer.fingerprint != other.tokenizer.fingerprint {
            return Err(DriftError::OtherTokenizer {
                name: self.tokenizer.name.clone(),
                left: self.tokenizer.fingerprint.clone(),
                right: other.tokenizer.fingerprint.clone(),
            });
        }
        for (same, option) in [
            (self.tokenizer == other.tokenizer, "tokenizers"),
            (self.number_format == other.number_format, "number formats"),
            (self.placeholders == other.placeholders, "placeholders"),
            (self.candidates == other.candidates, "placeholder candidates"),
            (self.tags == other.tags, "tags"),
        ] {
            if !same {
                return Err(DriftError::OtherOptions(option));
            }
        }
        self.check_sum(other)
    }

    /// Adds counts that [`Partial::check_merge`] lets pass.
    fn add(&mut self, other: Self) {
        for (mine, theirs) in [
            (&mut self.conformers, other.conformers),
            (&mut self.atoms, other.atoms),
            (&mut self.bytes, other.bytes),
            (&mut self.encoded, other.encoded),
            (&mut self.verified, other.verified),
            (&mut self.tokens, other.tokens),
            (&mut self.copy_tokens, other.copy_tokens),
            (&mut self.free_tokens, other.free_tokens),
        ] {
            *mine += theirs;
        }
        for (hole, count) in other.holes {
            *self.holes.entry(hole).or_default() += count;
        }
        for (id, border) in other.borders {
            self.add_border(TokenId(id), &border.text, border.count);
        }
        for (text, theirs) in other.literals {
            let LiteralCount { openings, before_digit, before_minus } = theirs;
            let mine = self.literals.entry(text).or_insert_with(|| LiteralCount {
                before_digit,
                before_minus,
                ..LiteralCount::default()
            });
            for (opening, count) in openings {
                *mine.openings.entry(opening).or_default() += count;
            }
        }
        self.survey.merge(&other.survey);
    }

    pub(super) fn add_border(&mut self, id: TokenId, text: &str, count: u64) {
        if count > 0 {
            let border = self.borders.entry(id.0).or_default();
            text.clone_into(&mut border.text);
            border.count += count;
        }
    }
}

impl TokenizerFacts {
    pub(super) fn of(tokenizer: &Tokenizer) -> Self {
        Self {
            name: tokenizer.name().to_owned(),
            fingerprint: tokenizer.fingerprint().to_string(),
            vocabulary: tokenizer.vocab_size() as u64,
            logits_width: tokenizer.logits_width(),
            digits: tokenizer.digit_handling().to_string(),
            changed_numbers: tokenizer.changed_numbers(),
            blocked: blocklist(tokenizer.vocabulary()).len() as u64,
            allowed: allowlist(tokenizer.vocabulary()).len() as u64,
        }
    }
}

impl PlaceholderFacts {
    pub(super) fn all(tokenizer: &Tokenizer, placeholders: &[String]) -> Result<Vec<Self>, TokenizerError> {
        placeholders.iter().map(|text| Self::measure(tokenizer, text)).collect()
    }

    /// Tokens wholly inside a hole behind a literal that ends in an atom, as nearly all do: without one before it, `<` may
    /// merge with a sign.
    pub(super) fn hole_free(&self) -> u64 {
        self.pair_free / 2
    }

    pub(super) fn measure(tokenizer: &Tokenizer, text: &str) -> Result<Self, TokenizerError> {
        // Each example with the bytes where its holes start.
        let count = |example: &str, starts: &[usize]| -> Result<(u64, u64), TokenizerError> {
            let encoding = tokenizer.encode(example)?;
            let holes = || starts.iter().map(|&start| ByteSpan::new(start, start + text.len()));
            let within = |token: ByteSpan| !token.is_empty() && holes().any(|hole| hole.contains(token));
            let free = encoding.spans.iter().filter(|&&token| within(token)).count();
            Ok((encoding.ids.len() as u64, free as u64))
        };
        let (first, second) = ("[C]<", ">=[O]<");
        let (block_tokens, block_free) = count(&format!("<{text}>"), &[1])?;
        let starts = [first.len(), first.len() + text.len() + second.len()];
        let (pair_tokens, pair_free) = count(&format!("{first}{text}{second}{text}>"), &starts)?;
        let pair_copy = pair_tokens - pair_free;
        Ok(Self { text: text.to_owned(), block_tokens, block_free, pair_tokens, pair_free, pair_copy })
    }
}

impl PartialFile {
    /// The schema of the file.
    pub const SCHEMA: &str = "tplc.partial/1";

    /// A file of these counts.
    #[must_use]
    pub fn new(input: InputCounts, partials: Vec<Partial>) -> Self {
        Self { schema: Self::SCHEMA.to_owned(), input, partials }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`DriftError::Malformed`] if the text is no partial file of this schema, [`DriftError::DoNotAddUp`] if its counts are
    /// none that an analysis makes.
    pub fn from_json(text: &str) -> Result<Self, DriftError> {
        let malformed = |reason: String| DriftError::Malformed { expected: Self::SCHEMA, reason };
        let file: Self = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        if file.schema != Self::SCHEMA {
            return Err(malformed(format!("its schema is {:?}", file.schema)));
        }
        if file.input.skipped > file.input.rows {
            return Err(malformed("more rows are skipped than read".to_owned()));
        }
        file.partials.iter().try_for_each(Partial::check)?;
        Ok(file)
    }

    /// The file as JSON, ending in a newline: same counts, same bytes.
    ///
    /// # Errors
    /// [`DriftError::Malformed`] if the counts cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, DriftError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| DriftError::Malformed { expected: Self::SCHEMA, reason: error.to_string() })?;
        Ok(text + "\n")
    }

    /// Adds the counts of another file, entry by entry.
    ///
    /// # Errors
    /// [`DriftError`] if the files were not made with the same tokenizers and options, or counts do not add up; then
    /// nothing is added.
    pub fn merge(&mut self, other: Self) -> Result<(), DriftError> {
        if self.partials.len() != other.partials.len() {
            return Err(DriftError::OtherOptions("tokenizers or number formats"));
        }
        let input = self.input.checked_add(&other.input).ok_or(DriftError::TooManyRows)?;
        self.partials.iter().zip(&other.partials).try_for_each(|(mine, theirs)| mine.check_merge(theirs))?;
        self.input = input;
        self.partials.iter_mut().zip(other.partials).for_each(|(mine, theirs)| mine.add(theirs));
        Ok(())
    }
}

/// A number format as its name.
mod as_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use crate::text::NumberFormat;

    pub(super) fn serialize<S: Serializer>(
        format: &Option<NumberFormat>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        format.map(|format| format.to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<NumberFormat>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

/// A map whose keys are no strings, as a list of pairs.
mod as_rows {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::HoleCount;

    pub(super) fn serialize<S: Serializer>(
        holes: &BTreeMap<HoleCount, u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        holes.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<HoleCount, u64>, D::Error> {
        Ok(Vec::<(HoleCount, u64)>::deserialize(deserializer)?.into_iter().collect())
    }
}
