//! Whether a tokenizer keeps texts apart at given borders, wherever they stand: told from its parts, not from samples.
//!
//! A *border* lies between two characters that a caller names: here a digit of a coordinate and what stands beside it. If a
//! tokenizer passes, the tokens of a text are those of its stretches between borders, put together, and each stretch
//! has the same tokens in all company:
//!
//! 1. *Normalizers* leave characters of such texts alone. What is put before a piece ([`Apart::prefixed`]) must not
//!    come behind a border in one text and not in another.
//! 2. *Added tokens* are found in the text itself: none may reach over a border, so those of a stretch are found in it.
//! 3. *Pre-tokenizers* look at single characters, or for a pattern that can never be halfway through a match at a border:
//!    the search begins anew there, so a stretch is cut in the same places always. Some cut at every border
//!    (`cut`); behind them everything happens within one stretch.
//! 4. *The model*: byte-pair merges join neighbours only. Without a token that reaches over the border no merge does, and
//!    the merges on both sides are as if alone. Other models weigh words as wholes: they need the cut.
//!
//! Whatever is not known to do this is refused by its name: see [`Tokenizer::keeps_apart`].

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Tokenizer, split_pattern::SplitPattern};

/// The pairs of characters between which a text is cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Borders {
    /// What may stand before a digit, and belongs to the text of numbers.
    pub(crate) before_digit: BTreeSet<u8>,
    /// What may stand behind a digit.
    pub(crate) behind_digit: BTreeSet<u8>,
    /// What else than digits there is between `<` and `>`.
    pub(crate) within: BTreeSet<u8>,
}

impl Borders {
    /// Whether a border lies between two bytes.
    pub(crate) fn between(&self, before: u8, behind: u8) -> bool {
        (behind.is_ascii_digit() && self.before_digit.contains(&before))
            || (before.is_ascii_digit() && self.behind_digit.contains(&behind))
    }

    /// Whether a token may reach over a border within a text. Numbers stand between `<` and `>`, so digits and signs
    /// that other text surrounds are no number.
    fn joined_by(&self, token: &[u8]) -> bool {
        (1..token.len())
            .any(|at| self.between(token[at - 1], token[at]) && self.in_hole(&token[..at], &token[at..]))
    }

    /// Whether a token may end where a border is.
    fn ended_by(&self, token: &[u8]) -> bool {
        let last = token.last().is_some_and(|last| last.is_ascii_digit() || self.before_digit.contains(last));
        last && self.in_hole(token, b"")
    }

    /// Whether the place between two parts of a token may be within a hole.
    fn in_hole(&self, before: &[u8], behind: &[u8]) -> bool {
        let number = |byte: &u8| byte.is_ascii_digit() || self.within.contains(byte);
        let opened = before.iter().rev().find(|byte| !number(byte)).is_none_or(|&byte| byte == b'<');
        let closed = behind.iter().find(|byte| !number(byte)).is_none_or(|&byte| byte == b'>');
        opened && closed
    }
}

/// The pattern that `ByteLevel` cuts at unless told not to.
const BYTE_LEVEL: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// What the steps so far do at borders.
struct Apart<'a> {
    borders: &'a Borders,
    /// Every border is cut.
    cut: bool,
    /// Some borders may be cut and others not.
    loose: bool,
    /// An added token that may end at a border.
    added: Option<String>,
}

impl Tokenizer {
    /// Whether texts have the tokens of their stretches between `borders`.
    ///
    /// # Errors
    /// What of the tokenizer is not known to keep them apart, in words.
    pub(crate) fn keeps_apart(&self, borders: &Borders) -> Result<(), String> {
        let vocabulary = self.vocabulary();
        let mut added = vocabulary.iter().filter(|&(id, _)| vocabulary.is_added(id));
        let ending = added.find(|(_, bytes)| borders.ended_by(bytes));
        let mut apart = Apart {
            borders,
            cut: false,
            loose: false,
            added: ending.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()),
        };
        let [normalizer, pre_tokenizer, model] = self.inner.steps();
        apart.normalizer(&normalizer)?;
        apart.pre_tokenizer(&pre_tokenizer)?;
        apart.model(&model)?;
        let joins = |&(id, bytes): &(_, &[u8])| {
            // Behind a cut only tokens that are found before it can reach over.
            (!apart.cut || vocabulary.is_added(id)) && borders.joined_by(bytes)
        };
        match vocabulary.iter().find(joins) {
            Some((_, token)) => Err(format!(
                "its token {:?} joins digits of a coordinate and what stands beside them",
                String::from_utf8_lossy(token)
            )),
            None => Ok(()),
        }
    }
}

/// The steps of a sequence, or the step itself; none for null.
fn steps<'v>(step: &'v Value, list: &str) -> Vec<&'v Value> {
    match step.get(list).and_then(Value::as_array) {
        Some(steps) => steps.iter().flat_map(|inner| self::steps(inner, list)).collect(),
        None if step.is_null() => Vec::new(),
        None => vec![step],
    }
}

fn kind(step: &Value) -> &str {
    step.get("type").and_then(Value::as_str).unwrap_or("without a type")
}

fn flag(step: &Value, name: &str) -> bool {
    step.get(name).and_then(Value::as_bool).unwrap_or(false)
}

impl Apart<'_> {
    fn normalizer(&mut self, normalizer: &Value) -> Result<(), String> {
        for step in steps(normalizer, "normalizers") {
            match kind(step) {
                // ASCII is normal in every form, and these change what is not ASCII, or white space at the ends.
                "NFC" | "NFD" | "NFKC" | "NFKD" | "Nmt" | "StripAccents" | "Strip" | "ByteLevel" => {}
                "Prepend" => self.prefixed("normalizer Prepend")?,
                "Replace" if pattern(step)?.is_idle() => {}
                other => return Err(format!("its normalizer {other} may change the text")),
            }
        }
        Ok(())
    }

    fn pre_tokenizer(&mut self, pre_tokenizer: &Value) -> Result<(), String> {
        for step in steps(pre_tokenizer, "pretokenizers") {
            // What comes behind a cut happens within one stretch.
            if self.cut {
                continue;
            }
            match kind(step) {
                "ByteLevel" => {
                    if flag(step, "add_prefix_space") {
                        self.prefixed("pre-tokenizer ByteLevel")?;
                    }
                    if step.get("use_regex").and_then(Value::as_bool).unwrap_or(true) {
                        self.split(&SplitPattern::new(BYTE_LEVEL)?, "Isolated", false)?;
                    }
                }
                "Metaspace" => {
                    if step.get("prepend_scheme").and_then(Value::as_str) == Some("always") {
                        self.prefixed("pre-tokenizer Metaspace")?;
                    }
                }
                "Split" => {
                    let behavior = step.get("behavior").and_then(Value::as_str).unwrap_or_default();
                    self.split(&pattern(step)?, behavior, flag(step, "invert"))?;
                }
                // One side of a border is a digit, the other is punctuation.
                "Digits" | "Whitespace" | "BertPreTokenizer" => self.cut = true,
                "Punctuation" => match step.get("behavior").and_then(Value::as_str).unwrap_or("Isolated") {
                    "Isolated" | "Contiguous" => self.cut = true,
                    "Removed" => return Err("its pre-tokenizer Punctuation removes characters".to_owned()),
                    _ => self.loose = true,
                },
                "WhitespaceSplit" => {}
                other => {
                    return Err(format!("its pre-tokenizer {other} may cut texts by what stands beside"));
                }
            }
        }
        Ok(())
    }

    /// Cuts around the matches of a pattern.
    fn split(&mut self, pattern: &SplitPattern, behavior: &str, invert: bool) -> Result<(), String> {
        if pattern.is_idle() && !invert {
            return Ok(());
        }
        if let Some((before, behind)) = pattern.crosses(self.borders) {
            return Err(format!(
                "the pattern of its pre-tokenizer may match over the border between {:?} and {:?}: {pattern}",
                char::from(before),
                char::from(behind)
            ));
        }
        let kept = invert && pattern.matches_each(b'!'..=b'~');
        match behavior {
            "Removed" if !kept => {
                return Err(format!(
                    "its pre-tokenizer removes characters that its pattern tells: {pattern}"
                ));
            }
            "Isolated" | "Removed" if pattern.matches_each(b'0'..=b'9') => self.cut = true,
            _ => self.loose = true,
        }
        Ok(())
    }

    /// Something is put before every piece: no piece may begin at a border in one text and not in another.
    fn prefixed(&self, step: &str) -> Result<(), String> {
        match &self.added {
            Some(token) => {
                Err(format!("its {step} marks what follows the added token {token:?} as the start of a word"))
            }
            None if self.loose => Err(format!("its {step} marks where earlier steps may cut or not")),
            None => Ok(()),
        }
    }

    fn model(&self, model: &Value) -> Result<(), String> {
        let given = |name| model.get(name).is_some_and(|value| !value.is_null() && value != "");
        if given("dropout") {
            return Err("its model drops merges at random".to_owned());
        }
        let marks = given("continuing_subword_prefix") || given("end_of_word_suffix");
        let merges = kind(model) == "BPE" && !flag(model, "ignore_merges") && !marks;
        if merges || self.cut {
            return Ok(());
        }
        Err(format!(
            "its model ({}) looks at whole words, and its pre-tokenizer does not cut at every border",
            kind(model)
        ))
    }
}

/// The pattern of a step.
fn pattern(step: &Value) -> Result<SplitPattern, String> {
    let pattern = step.get("pattern");
    let given = |form| pattern.and_then(|pattern| pattern.get(form)).and_then(Value::as_str);
    match (given("Regex"), given("String")) {
        (Some(regex), _) => SplitPattern::new(regex),
        (None, Some(text)) => {
            let escaped: String = text.chars().map(|c| format!("\\x{{{:X}}}", u32::from(c))).collect();
            SplitPattern::new(&escaped)
        }
        (None, None) => Err(format!("its step {} has no pattern", kind(step))),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Those of coordinates.
    pub(in crate::tokenizer) fn borders() -> Borders {
        let set = |bytes: &[u8]| bytes.iter().copied().collect();
        Borders { before_digit: set(b"<,.-"), behind_digit: set(b".,>"), within: set(b",.-") }
    }

    #[test]
    fn tokens_that_join_digits_and_a_border_in_a_hole() {
        let borders = borders();
        for joining in ["N]<88", "<-7", "0.", ".0", ",-1", "5>", "1,2", "5>[C", "<0.5,-1.25,3>[C]<"] {
            assert!(borders.joined_by(joining.as_bytes()), "{joining}");
        }
        for apart in ["<SPECIAL_7>", "88", "x-1", "+2]", "[O-1", ">1", "1[", "<|n_0|>", "]<-", ",-", "<0x0A>"]
        {
            assert!(!borders.joined_by(apart.as_bytes()), "{apart}");
        }
        assert!(borders.ended_by(b"000") && borders.ended_by(b"]<") && !borders.ended_by(b"<SPECIAL_7>"));
    }

    /// What is put before a piece comes where pieces begin: not at a border in one text and elsewhere in another.
    #[test]
    fn marks_of_words_must_not_depend_on_neighbours() {
        let borders = borders();
        let prepend = serde_json::json!({ "type": "Prepend", "prepend": "_" });
        let space = serde_json::json!({ "type": "Metaspace", "prepend_scheme": "always" });
        let words = serde_json::json!([{ "type": "Punctuation", "behavior": "MergedWithNext" }, space]);
        let apart = |added: Option<&str>| {
            let added = added.map(str::to_owned);
            Apart { borders: &borders, cut: false, loose: false, added }
        };
        assert_eq!(apart(None).normalizer(&prepend), Ok(()));
        assert!(apart(Some("75")).normalizer(&prepend).unwrap_err().contains("the added token \"75\""));
        assert_eq!(apart(None).pre_tokenizer(&space), Ok(()));
        let sequence = serde_json::json!({ "type": "Sequence", "pretokenizers": words });
        assert!(apart(None).pre_tokenizer(&sequence).unwrap_err().contains("may cut or not"));
    }
}
