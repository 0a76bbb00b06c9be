//! Every output is judged twice: its ids by the matcher, and its bytes by reading them as text and tokenizing that again.

use super::{DecodeError, Output, Runner, Subject};
use crate::{
    matcher::{Label, Matcher},
    primitives::TokenId,
    template::Oracle,
    text::NumberFormat,
    tokenizer::{ByteForm, Vocabulary},
};

/// What two judges found in one output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// The row.
    pub row: u64,
    /// Holes that were written.
    pub holes: u64,
    /// Tokens inside holes that belong to no number of the format.
    pub junk_tokens: u64,
    /// Holes with such tokens.
    pub junk_blocks: u64,
    /// Holes that lack a digit or a number.
    pub truncated: u64,
    /// The COPY text differs, the text is unfinished, or goes on behind its end.
    pub structural: bool,
    /// The ids are not those that the tokenizer gives for the text.
    pub non_canonical: bool,
    /// Where the matcher refuses the ids, or that it is not finished behind the last.
    pub refused_at: Option<usize>,
    /// Places with a choice, among the tokens that the matcher takes.
    pub decisions: u64,
    /// Tokens by label, among those that the matcher takes.
    pub labels: Labels,
    /// The first fault, in words.
    pub fault: Option<String>,
}

/// Tokens by what they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Labels {
    /// COPY text.
    pub copy: u64,
    /// FREE text without an alternative.
    pub forced: u64,
    /// FREE text that was chosen.
    pub decided: u64,
}

impl Finding {
    /// Whether the text is as it should be, by its bytes and by tokenizing them again.
    #[must_use]
    pub fn reads_well(&self) -> bool {
        self.junk_blocks == 0 && self.truncated == 0 && !self.structural && !self.non_canonical
    }

    /// Whether the matcher takes all ids and is finished behind them.
    #[must_use]
    pub fn replays(&self) -> bool {
        self.refused_at.is_none()
    }
}

impl Runner<'_> {
    /// Judges one output of a molecule.
    ///
    /// # Errors
    /// [`DecodeError`] if the tables lack a literal or the tokenizer refuses a text.
    pub fn judge(&self, subject: &Subject, output: &Output) -> Result<Finding, DecodeError> {
        let mut finding = Finding { row: output.row, ..Finding::default() };
        self.replay(subject, &output.tokens, &mut finding)?;
        self.read(subject, &output.tokens, &mut finding)?;
        Ok(finding)
    }

    fn replay(
        &self,
        subject: &Subject,
        tokens: &[TokenId],
        finding: &mut Finding,
    ) -> Result<(), DecodeError> {
        let mut matcher = Matcher::new(self.template(subject)?);
        for (place, &token) in tokens.iter().enumerate() {
            finding.decisions += u64::from(matcher.mask_row().len() > 1);
            match matcher.advance(token) {
                Ok(Label::Copy) => finding.labels.copy += 1,
                Ok(Label::Forced) => finding.labels.forced += 1,
                Ok(Label::Decided) => finding.labels.decided += 1,
                Err(_) => {
                    finding.refused_at = Some(place);
                    return Ok(());
                }
            }
        }
        finding.refused_at = (!matcher.is_finished()).then_some(tokens.len());
        Ok(())
    }

    fn read(&self, subject: &Subject, tokens: &[TokenId], finding: &mut Finding) -> Result<(), DecodeError> {
        let (tokens, ended) = match tokens.split_last() {
            Some((&last, before)) if Some(last) == self.end => (before, true),
            _ => (tokens, false),
        };
        let text = Said::new(self.tokenizer.vocabulary(), tokens);
        Reading { text: &text, format: &self.format, at: 0, finding: &mut *finding }.read(subject, ended);
        let oracle = Oracle::new(self.tokenizer, &self.tables.header);
        let again = match std::str::from_utf8(&text.bytes) {
            Ok(text) => oracle.encode_spans(text)?.ids,
            Err(_) => Vec::new(),
        };
        if again != tokens {
            finding.non_canonical = true;
            let same = again.iter().zip(tokens).take_while(|(again, said)| again == said).count();
            finding.fault(|| format!("token {same} is not the tokenizer's for this text"));
        }
        Ok(())
    }
}

impl Finding {
    fn fault(&mut self, words: impl FnOnce() -> String) {
        if self.fault.is_none() {
            self.fault = Some(words());
        }
    }
}

/// The bytes of tokens, and where each ends.
struct Said {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Said {
    fn new(vocabulary: &Vocabulary, tokens: &[TokenId]) -> Self {
        let mut said = Self { bytes: Vec::new(), ends: Vec::with_capacity(tokens.len()) };
        for &token in tokens {
            // An id that no token has says nothing; tokenizing the text again does not give it back.
            said.bytes.extend(vocabulary.bytes(token).unwrap_or_default());
            said.ends.push(said.bytes.len());
        }
        // SentencePiece puts a space before a text, which is none of it.
        if vocabulary.form() == ByteForm::SentencePiece && said.bytes.first() == Some(&b' ') {
            said.bytes.remove(0);
            said.ends.iter_mut().for_each(|end| *end -= 1);
        }
        said
    }

    /// The number of tokens that end behind `start` and begin before `end`.
    fn tokens(&self, start: usize, end: usize) -> u64 {
        let first = self.ends.partition_point(|&token_end| token_end <= start);
        let last = self.ends.partition_point(|&token_end| token_end < end);
        (last + 1).saturating_sub(first) as u64
    }
}

/// Reads an output from its first byte to its last.
struct Reading<'a> {
    text: &'a Said,
    format: &'a NumberFormat,
    at: usize,
    finding: &'a mut Finding,
}

impl Reading<'_> {
    fn read(&mut self, subject: &Subject, ended: bool) {
        let atoms = subject.skeleton.atoms();
        for (index, literal) in subject.skeleton.literals().enumerate() {
            let rest = &self.text.bytes[self.at..];
            if !rest.starts_with(literal.as_bytes()) {
                let at = self.at;
                self.finding.structural = true;
                self.finding.fault(|| format!("byte {at}: {literal:?} should come"));
                return;
            }
            self.at += literal.len();
            if index < atoms {
                let rest = &self.text.bytes[self.at..];
                let length = rest.iter().position(|&byte| byte == b'>').unwrap_or(rest.len());
                self.finding.holes += 1;
                self.hole(self.at + length);
            }
        }
        if self.at < self.text.bytes.len() || !ended {
            let at = self.at;
            self.finding.structural = true;
            self.finding.fault(|| format!("byte {at}: the text should end"));
        }
    }

    /// Reads a hole up to `end`: for each axis the longest number of the format, or what could begin one; whatever stands
    /// between that and the next comma, or the end behind z, is junk.
    fn hole(&mut self, end: usize) {
        let (mut junk, mut cut) = (0, false);
        for axis in 0..3 {
            let here = &self.text.bytes[self.at..end];
            let digits = |byte: &&u8| matches!(**byte, b'0'..=b'9' | b'.' | b'-' | b'+');
            let written = std::str::from_utf8(&here[..here.iter().take_while(digits).count()]).unwrap_or("");
            let number =
                (1..=written.len()).rev().find(|&length| self.format.parse(&written[..length]).is_some());
            // What begins a number and does not end it lost its digits, unless something else stands there.
            let length = number.unwrap_or_else(|| self.begun(written));
            cut |= number.is_none();
            self.at += length;
            let rest = &self.text.bytes[self.at..end];
            let border = match axis {
                2 => None,
                _ => rest.iter().position(|&byte| byte == b','),
            };
            let stop = self.at + border.unwrap_or(rest.len());
            if stop > self.at {
                junk += self.text.tokens(self.at, stop);
                let at = self.at;
                let said = String::from_utf8_lossy(&self.text.bytes[at..stop]).into_owned();
                self.finding.fault(|| format!("byte {at}: {said:?} belongs to no number"));
            } else if number.is_none() {
                let at = self.at;
                self.finding.fault(|| format!("byte {at}: a digit is missing"));
            }
            if axis < 2 && border.is_none() {
                cut = true;
                let at = stop;
                self.finding.fault(|| format!("byte {at}: a number is missing"));
                self.at = end;
                break;
            }
            self.at = if border.is_some() { stop + 1 } else { end };
        }
        self.finding.junk_tokens += junk;
        self.finding.junk_blocks += u64::from(junk > 0);
        self.finding.truncated += u64::from(cut);
    }

    /// How much of `written` could begin a number: a sign, some digits, a point, some decimals.
    fn begun(&self, written: &str) -> usize {
        let bytes = written.as_bytes();
        let sign = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
        let digits = |from: usize, most: u8| {
            let rest = bytes.get(from..).unwrap_or_default();
            rest.iter().take(usize::from(most)).take_while(|byte| byte.is_ascii_digit()).count()
        };
        let integer = sign + digits(sign, self.format.integer_digits);
        match bytes.get(integer) {
            Some(b'.') if integer > sign => integer + 1 + digits(integer + 1, self.format.decimals),
            _ => integer,
        }
    }
}
