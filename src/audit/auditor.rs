//! Judging one generation.

use std::{collections::BTreeSet, ops::Range};

use super::{Judgement, JunkKind, Verdict, hole::HoleReader};
use crate::{
    artifact::Tokenization,
    primitives::TokenId,
    template::{Oracle, TemplateOptions},
    text::{EnrichedReader, Skeleton},
    tokenizer::{ByteForm, Tokenizer},
};

/// Judges generations of one tokenizer, number format and set of tags.
#[derive(Clone, Debug)]
pub struct Auditor<'t> {
    tokenizer: &'t Tokenizer,
    options: TemplateOptions,
    oracle: Oracle<'t>,
    reader: EnrichedReader,
    holes: HoleReader,
}

/// A generation as bytes, each token with its place in them.
struct Generation {
    bytes: Vec<u8>,
    /// The same with nothing where added tokens stand: an angle bracket of `<|im_end|>` opens and closes no hole.
    plain: Vec<u8>,
    tokens: Vec<(TokenId, Range<usize>)>,
}

/// Stands for an id that the vocabulary does not have.
const UNKNOWN: &str = "\u{fffd}";

impl<'t> Auditor<'t> {
    /// An auditor of what templates with these options allow.
    #[must_use]
    pub fn new(tokenizer: &'t Tokenizer, options: &TemplateOptions) -> Self {
        Self {
            tokenizer,
            oracle: Oracle::with_options(tokenizer, options),
            reader: EnrichedReader::new(&options.tags),
            holes: HoleReader::new(options.format),
            options: options.clone(),
        }
    }

    /// Judges the ids of a completion, whatever they are. `expected` is the molecule that it should have written; without it,
    /// the one that its own text copies. Special tokens behind the end-of-sequence token are padding.
    #[must_use]
    pub fn judge_ids(&self, expected: Option<&Skeleton>, ids: &[TokenId]) -> Judgement {
        let end = self.options.eos.and_then(|eos| ids.iter().position(|&id| id == eos));
        let (body, behind) = ids.split_at(end.unwrap_or(ids.len()));
        let ended = self.options.eos.is_none() || end.is_some();
        let padded = behind.iter().all(|&id| self.is_padding(id));
        let tokens = body.len() + usize::from(end.is_some());

        let mut judgement = self.judge(expected, &self.generation(body), ended);
        judgement.tokens = tokens as u64;
        if !padded {
            judgement.break_off("tokens stand behind the end of the sequence".to_owned());
        }
        // What does not end cannot be compared with a whole text, and need not be: it has a fault already.
        if ended && self.options.tokenization == Tokenization::Canonical {
            self.compare(&ids[..tokens], &mut judgement);
        }
        judgement.verdict = judgement.worst();
        judgement
    }

    /// Whether a token may stand behind the end of a sequence.
    #[must_use]
    pub fn is_padding(&self, id: TokenId) -> bool {
        self.tokenizer.is_special(id) || Some(id) == self.options.eos
    }

    /// The molecule that the ids of a completion copy, whatever stands in its holes; `None` if they copy none.
    #[must_use]
    pub fn molecule(&self, ids: &[TokenId]) -> Option<Skeleton> {
        let end = self.options.eos.and_then(|eos| ids.iter().position(|&id| id == eos));
        self.skeleton_of(&self.generation(&ids[..end.unwrap_or(ids.len())])).ok()
    }

    /// Judges the text of a completion; a prompt before it and an end-of-sequence token behind it are left out. Its tokens
    /// are those that the tokenizer gives for it.
    #[must_use]
    pub fn judge_text(&self, expected: Option<&Skeleton>, text: &str) -> Judgement {
        let prompt = self.options.tags.prompt.as_ref().map(|tags| tags.close.as_str());
        let text = match prompt.and_then(|close| text.split_once(close)) {
            Some((_, completion)) => completion,
            None => text,
        };
        let eos = self.options.eos.and_then(|eos| self.tokenizer.token(eos));
        let text = eos.and_then(|eos| text.strip_suffix(&eos)).unwrap_or(text);
        let ids = self.oracle.encode(text).unwrap_or_else(|_| {
            // Text that no completion begins with, such as one more digit of the prompt.
            let ids = self.tokenizer.encode(text).map(|encoding| encoding.ids).unwrap_or_default();
            ids.into_iter().chain(self.options.eos).collect()
        });
        self.judge_ids(expected, &ids)
    }

    /// The bytes that ids stand for. SentencePiece marks the start of a text with a space that is not in it.
    fn generation(&self, ids: &[TokenId]) -> Generation {
        let vocabulary = self.tokenizer.vocabulary();
        let marked = vocabulary.form() == ByteForm::SentencePiece && self.options.tags.prompt.is_none();
        let mut generation =
            Generation { bytes: Vec::new(), plain: Vec::new(), tokens: Vec::with_capacity(ids.len()) };
        for &id in ids {
            let mut bytes = vocabulary.bytes(id).unwrap_or(UNKNOWN.as_bytes());
            if marked && generation.tokens.is_empty() {
                bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
            }
            let start = generation.bytes.len();
            generation.bytes.extend(bytes);
            let blank = self.tokenizer.is_added(id);
            generation.plain.extend(bytes.iter().map(|&byte| if blank { 0 } else { byte }));
            generation.tokens.push((id, start..generation.bytes.len()));
        }
        generation
    }

    /// Holds the text against the molecule, and each hole against the format.
    fn judge(&self, expected: Option<&Skeleton>, generation: &Generation, ended: bool) -> Judgement {
        let mut judgement = Judgement {
            verdict: Verdict::Valid,
            tokens: 0,
            holes: 0,
            junk_tokens: 0,
            junk_blocks: 0,
            junk: Default::default(),
            truncated: 0,
            structural: false,
            non_canonical: false,
            fault: None,
        };
        let own = match expected {
            Some(_) => None,
            None => Some(self.skeleton_of(generation)),
        };
        match (expected, &own) {
            (Some(skeleton), _) | (None, Some(Ok(skeleton))) => {
                self.align(skeleton, generation, &mut judgement);
            }
            (None, Some(Err(fault))) => {
                for hole in holes_of(generation) {
                    self.judge_hole(hole, generation, &mut judgement);
                }
                judgement.break_off(fault.clone());
            }
            (None, None) => {}
        }
        if !ended {
            judgement.break_off("there is no end-of-sequence token".to_owned());
        }
        judgement
    }

    /// The molecule that a text copies, whatever stands in its holes.
    fn skeleton_of(&self, generation: &Generation) -> Result<Skeleton, String> {
        let bytes = &generation.bytes;
        let mut filled = Vec::new();
        let mut copied = 0;
        for hole in holes_of(generation) {
            filled.extend(&bytes[copied..hole.start]);
            filled.extend(b"0,0,0");
            copied = hole.end;
        }
        filled.extend(&bytes[copied..]);
        let text = String::from_utf8_lossy(&filled);
        let smiles = self.reader.read(&text).map_err(|fault| fault.to_string())?.smiles();
        Skeleton::new(&smiles, self.options.tags.completion.as_ref()).map_err(|fault| fault.to_string())
    }

    /// Goes through literals and holes by turns, as far as the literals are there.
    fn align(&self, skeleton: &Skeleton, generation: &Generation, judgement: &mut Judgement) {
        let bytes = &generation.bytes;
        let mut at = 0;
        for (index, literal) in skeleton.literals().enumerate() {
            let rest = &bytes[at..];
            if !rest.starts_with(literal.as_bytes()) {
                let found: Vec<u8> = rest.iter().take(literal.len()).copied().collect();
                let found = String::from_utf8_lossy(&found);
                judgement.break_off(format!("{literal:?} must stand at byte {at}, and there is {found:?}"));
                return;
            }
            at += literal.len();
            if index == skeleton.atoms() {
                break;
            }
            let length = generation.plain[at..].iter().position(|&byte| byte == b'>');
            let hole = at..at + length.unwrap_or(bytes.len() - at);
            at = hole.end;
            self.judge_hole(hole, generation, judgement);
            if length.is_none() {
                judgement.break_off(format!("the text ends in hole {}", index + 1));
                return;
            }
        }
        if at < bytes.len() {
            let behind = String::from_utf8_lossy(&bytes[at..]);
            judgement.break_off(format!("{behind:?} stands behind the end of the molecule"));
        }
    }

    /// Counts what is wrong with one hole.
    fn judge_hole(&self, hole: Range<usize>, generation: &Generation, judgement: &mut Judgement) {
        let text = &generation.bytes[hole.clone()];
        let faults = self.holes.read(text);
        judgement.holes += 1;
        judgement.truncated += u64::from(faults.truncated);
        let mut kinds = BTreeSet::new();
        let first = generation.tokens.partition_point(|(_, token)| token.end <= hole.start);
        // Both ascend, so one index goes along beside the tokens.
        let mut next = 0;
        for (id, token) in &generation.tokens[first..] {
            if token.start >= hole.end {
                break;
            }
            let behind = |junk: &&Range<usize>| junk.end + hole.start <= token.start;
            next += faults.junk[next..].iter().take_while(behind).count();
            let reached = |junk: &&Range<usize>| junk.start + hole.start < token.end;
            let Some(junk) = faults.junk.get(next).filter(reached) else { continue };
            let byte = generation.bytes[token.start.max(junk.start + hole.start)];
            let kind = if self.tokenizer.is_added(*id) { JunkKind::Tags } else { kind_of(byte) };
            judgement.junk_tokens += 1;
            judgement.junk.entry(kind).or_default().tokens += 1;
            kinds.insert(kind);
        }
        judgement.junk_blocks += u64::from(!kinds.is_empty());
        for kind in kinds {
            judgement.junk.entry(kind).or_default().blocks += 1;
        }
        if let Some(junk) = faults.junk.first() {
            let (hole, junk) = (judgement.holes, String::from_utf8_lossy(&text[junk.clone()]));
            judgement.note(|| format!("hole {hole} has {junk:?} in {:?}", String::from_utf8_lossy(text)));
        } else if faults.truncated {
            let (hole, text) = (judgement.holes, String::from_utf8_lossy(text));
            judgement.note(|| format!("a number is cut off or missing in hole {hole}: {text:?}"));
        }
    }

    /// Compares the ids with those that the tokenizer gives for their text.
    fn compare(&self, ids: &[TokenId], judgement: &mut Judgement) {
        let body = ids.strip_suffix(self.options.eos.as_slice()).unwrap_or(ids);
        let real = String::from_utf8(self.generation(body).bytes).ok();
        let real = real.and_then(|text| self.oracle.encode(&text).ok());
        if real.as_deref() == Some(ids) {
            return;
        }
        judgement.non_canonical = true;
        let at = real.iter().flatten().zip(ids).take_while(|(real, id)| real == id).count();
        let name = |id: Option<&TokenId>| {
            id.map_or_else(
                || "its end".to_owned(),
                |&id| format!("{:?}", self.tokenizer.token(id).unwrap_or_default()),
            )
        };
        let (real, given) = (name(real.as_ref().and_then(|real| real.get(at))), name(ids.get(at)));
        judgement.note(|| format!("token {at} is {given}, and the tokenizer gives {real} for the text"));
    }
}

impl Judgement {
    /// Notes a fault of the structure.
    fn break_off(&mut self, fault: String) {
        self.structural = true;
        self.fault.get_or_insert(fault);
    }

    /// Notes a fault in words, if it is the first.
    fn note(&mut self, fault: impl FnOnce() -> String) {
        if self.fault.is_none() {
            self.fault = Some(fault());
        }
    }
}

/// What stands between the `<` behind an atom and the next `>`. The `<` of a bond (`><-[Cu]`) stands behind a hole.
fn holes_of(generation: &Generation) -> Vec<Range<usize>> {
    let Generation { bytes, plain, .. } = generation;
    let opens =
        |at: &usize| plain[*at] == b'<' && at.checked_sub(1).is_some_and(|before| bytes[before] == b']');
    let mut holes = Vec::new();
    let mut at = 0;
    while let Some(open) = (at..plain.len()).find(opens) {
        let start = open + 1;
        let Some(length) = plain[start..].iter().position(|&byte| byte == b'>') else { break };
        holes.push(start..start + length);
        at = start + length;
    }
    holes
}

fn kind_of(byte: u8) -> JunkKind {
    match byte {
        b'0'..=b'9' => JunkKind::Digits,
        byte if byte.is_ascii_alphabetic() => JunkKind::Letters,
        byte if byte.is_ascii() => JunkKind::Punctuation,
        _ => JunkKind::Unicode,
    }
}
