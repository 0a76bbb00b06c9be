//! Verdicts beside a slow twin: the text cut at every `>`, numbers looked up among all that the format writes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;
use tplc::{
    audit::{Auditor, Verdict},
    primitives::TokenId,
    template::{NumberLanguage, Oracle, TemplateOptions},
    text::{NumberFormat, Skeleton},
    tokenizer::{ByteForm, Tokenizer},
};

use crate::{
    template::{PEPTIDE, random_conformer},
    tokenizer_support::load,
};

/// Judges generations of [`PEPTIDE`] by what the documentation says of verdicts, and by nothing that is fast.
struct Twin<'t> {
    tokenizer: &'t Tokenizer,
    oracle: Oracle<'t>,
    literals: Vec<String>,
    /// Every number of the format, and every beginning of one.
    numbers: BTreeSet<String>,
    beginnings: BTreeSet<String>,
}

impl<'t> Twin<'t> {
    fn new(tokenizer: &'t Tokenizer, options: &TemplateOptions) -> Self {
        let numbers: BTreeSet<String> = NumberLanguage::new(&options.format).unwrap().texts().collect();
        let beginnings =
            numbers.iter().flat_map(|number| (0..number.len()).map(|end| number[..end].to_owned()));
        let skeleton = Skeleton::new(PEPTIDE, None).unwrap();
        Self {
            tokenizer,
            oracle: Oracle::with_options(tokenizer, options),
            literals: skeleton.literals().map(str::to_owned).collect(),
            beginnings: beginnings.collect(),
            numbers,
        }
    }

    fn verdict(&self, ids: &[TokenId]) -> Verdict {
        let eos = self.tokenizer.eos().unwrap();
        let Some(end) = ids.iter().position(|&id| id == eos) else { return Verdict::Structure };
        let padded = ids[end..].iter().all(|&id| self.tokenizer.is_special(id));
        let text = self.text(&ids[..end]);
        let Some(holes) = self.holes(&text).filter(|_| padded) else { return Verdict::Structure };
        let faults: Vec<(bool, bool)> = holes.iter().map(|hole| self.faults(hole)).collect();
        match faults.iter().fold((false, false), |all, one| (all.0 || one.0, all.1 || one.1)) {
            (true, _) => Verdict::Junk,
            (false, true) => Verdict::Truncated,
            (false, false) if self.oracle.encode(&text).unwrap() == ids[..=end] => Verdict::Valid,
            (false, false) => Verdict::NonCanonical,
        }
    }

    /// What the ids spell; an added token is a character that stands nowhere.
    fn text(&self, ids: &[TokenId]) -> String {
        let vocabulary = self.tokenizer.vocabulary();
        let bytes = ids.iter().flat_map(|&id| match self.tokenizer.is_added(id) {
            true => &[0][..],
            false => vocabulary.bytes(id).unwrap_or(&[0]),
        });
        let text = String::from_utf8_lossy(&bytes.copied().collect::<Vec<u8>>()).into_owned();
        match vocabulary.form() {
            // SentencePiece marks the start of a text with a space.
            ByteForm::SentencePiece => text.strip_prefix(' ').map_or(text.clone(), str::to_owned),
            _ => text,
        }
    }

    /// What stands in the holes, if all that stands around them is the molecule.
    fn holes<'a>(&self, text: &'a str) -> Option<Vec<&'a str>> {
        let parts: Vec<&str> = text.split('>').collect();
        let (last, before) = self.literals.split_last()?;
        if parts.len() != self.literals.len() || parts.last()? != &last.trim_start_matches('>') {
            return None;
        }
        let holes = parts.iter().zip(before);
        holes.map(|(part, literal)| part.strip_prefix(literal.trim_start_matches('>'))).collect()
    }

    /// Whether a hole has junk, and whether a number in it is cut off or missing.
    fn faults(&self, hole: &str) -> (bool, bool) {
        let fields: Vec<&str> = hole.split(',').collect();
        let (mut junk, mut cut) = (fields.len() > 3, fields.len() < 3);
        for field in fields.into_iter().take(3) {
            let longest = |known: &BTreeSet<String>| {
                (0..=field.len())
                    .rev()
                    .find(|&end| field.get(..end).is_some_and(|start| known.contains(start)))
            };
            match longest(&self.numbers) {
                // A point with nothing behind it is a number cut off.
                Some(end) if &field[end..] == "." => cut = true,
                Some(end) => junk |= end < field.len(),
                None => {
                    cut = true;
                    junk |= longest(&self.beginnings).unwrap_or(0) < field.len();
                }
            }
        }
        (junk, cut)
    }
}

/// Numbers by chance that are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % count.max(1)
    }
}

/// What is done to a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Nothing,
    Drop,
    Double,
    Split,
    Join,
    Cut,
    Letters,
    Digits,
    Literal,
}

const CHANGES: [Change; 9] = [
    Change::Nothing,
    Change::Drop,
    Change::Double,
    Change::Split,
    Change::Join,
    Change::Cut,
    Change::Letters,
    Change::Digits,
    Change::Literal,
];

/// The ids of a text, or of the text, with something done to them; as they were where that cannot be done.
fn changed(
    change: Change,
    text: &str,
    oracle: &Oracle<'_>,
    words: &HashMap<Vec<u8>, TokenId>,
    tokenizer: &Tokenizer,
    chance: &mut Chance,
) -> Vec<TokenId> {
    let mut ids = oracle.encode(text).unwrap();
    let at = chance.below(ids.len());
    let bytes = |id: TokenId| tokenizer.vocabulary().bytes(id).unwrap_or_default().to_vec();
    let mut written = text.to_owned();
    match change {
        Change::Nothing => {}
        Change::Drop => drop(ids.remove(at)),
        Change::Double => ids.insert(at, ids[at]),
        Change::Cut => ids.truncate(at),
        Change::Split => {
            // The first token from here on that two others spell.
            let halves = |id: TokenId| {
                let bytes = bytes(id);
                let parts =
                    |middle: usize| Some([*words.get(&bytes[..middle])?, *words.get(&bytes[middle..])?]);
                (1..bytes.len()).find_map(parts)
            };
            let plain = |&at: &usize| !tokenizer.is_added(ids[at]);
            let found = (at..ids.len()).filter(plain).find_map(|at| Some((at, halves(ids[at])?)));
            if let Some((at, halves)) = found {
                ids.splice(at..=at, halves);
            }
        }
        Change::Join => {
            let joined = |at: usize| words.get(&[bytes(ids[at]), bytes(ids[at + 1])].concat()).copied();
            if let Some((at, id)) = (at..ids.len() - 1).find_map(|at| Some((at, joined(at)?))) {
                ids.splice(at..at + 2, [id]);
            }
        }
        Change::Letters | Change::Digits | Change::Literal => {
            let inside = |at: usize| text[..at].matches('<').count() > text[..at].matches('>').count();
            let places: Vec<usize> = match change {
                Change::Literal => (0..text.len()).filter(|&at| !inside(at)).collect(),
                _ => (0..text.len()).filter(|&at| inside(at)).collect(),
            };
            let place = places[chance.below(places.len())];
            match change {
                Change::Letters => written.insert_str(place, ["abra", "C", "é", " "][chance.below(4)]),
                // From here to the end of the hole, or of the number.
                Change::Digits => {
                    let stop = [&['>'][..], &[',', '>']][chance.below(2)];
                    let end = place + text[place..].find(stop).unwrap();
                    written.replace_range(place..end, "");
                }
                _ => written.replace_range(place..=place, ["N", "", "]", "<"][chance.below(4)]),
            }
            ids = oracle.encode(&written).unwrap_or(ids);
        }
    }
    ids
}

/// Whatever is done to a valid generation, audit and twin give one verdict; and every verdict is given, for every
/// tokenizer.
#[test]
fn every_verdict_is_that_of_the_slow_twin() {
    let skeleton = Skeleton::new(PEPTIDE, None).unwrap();
    ["qwen3", "llama-3.1", "deepseek-v3", "gpt-2", "phi-3"].into_par_iter().for_each(|name| {
        let tokenizer = load(name);
        let words: HashMap<Vec<u8>, TokenId> = tokenizer
            .vocabulary()
            .iter()
            .filter(|(id, bytes)| !bytes.is_empty() && !tokenizer.is_added(*id))
            .map(|(id, bytes)| (bytes.to_vec(), id))
            .collect();
        for format in [NumberFormat::fixed(2), NumberFormat::trimmed(2)] {
            let options = TemplateOptions { format, eos: tokenizer.eos(), ..TemplateOptions::default() };
            let (auditor, twin) = (Auditor::new(&tokenizer, &options), Twin::new(&tokenizer, &options));
            let mut given: BTreeMap<Verdict, BTreeSet<Change>> = BTreeMap::new();
            for seed in 0..450 {
                let mut chance = Chance(seed);
                let text = skeleton.render(&random_conformer(&skeleton, seed), &format).unwrap();
                let change = CHANGES[seed as usize % CHANGES.len()];
                let ids = changed(change, &text, &twin.oracle, &words, &tokenizer, &mut chance);
                let judgement = auditor.judge_ids(Some(&skeleton), &ids);
                assert_eq!(
                    judgement.verdict,
                    twin.verdict(&ids),
                    "{name} {format} {change:?}: {judgement:?}"
                );
                given.entry(judgement.verdict).or_default().insert(change);
            }
            for verdict in Verdict::ALL {
                assert!(given.contains_key(&verdict), "{name} {format}: nothing is {verdict}");
            }
            assert!(given[&Verdict::NonCanonical].contains(&Change::Split), "{name} {format}");
            assert!(given[&Verdict::Truncated].contains(&Change::Digits), "{name} {format}");
        }
    });
}
