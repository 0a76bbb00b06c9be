//! What the model writes without help, judged as text.

use anyhow::Result;
use serde::Serialize;
use tplc::{
    corpus::{Molecule, Smiles},
    primitives::TokenId,
    text::EnrichedText,
    tokenizer::Tokenizer,
};

use crate::{
    batches::{number_format, prompt, skeleton},
    generate::{Generated, Sampling, generate},
    model::Model,
    random::Random,
};

/// Bonds between heavy atoms have a length in this range, in ångström.
const BOND: std::ops::RangeInclusive<f64> = 0.9..=2.6;

/// How the completions of a set of molecules turned out.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Outcome {
    pub(crate) molecules: &'static str,
    pub(crate) sampling: String,
    pub(crate) completions: usize,
    /// Ended, with the right COPY text and nothing but numbers in the holes.
    pub(crate) valid: usize,
    /// Ended at all.
    pub(crate) finished: usize,
    /// With the right COPY text.
    pub(crate) copied: usize,
    /// With the tokens that the tokenizer gives for the text.
    pub(crate) canonical: usize,
    /// Stretches between `<` and `>`.
    pub(crate) blocks: usize,
    /// Those with three numbers of the format.
    pub(crate) numbers: usize,
    /// Bonds of the valid completions.
    pub(crate) bonds: usize,
    /// Those of a possible length.
    pub(crate) possible_bonds: usize,
}

/// How to judge.
pub(crate) struct Judge<'a> {
    pub(crate) model: &'a Model,
    pub(crate) tokenizer: &'a Tokenizer,
    pub(crate) end: u32,
    /// Tokens that a prompt and its completion may have.
    pub(crate) longest: usize,
    pub(crate) samples: usize,
    pub(crate) seed: u64,
}

/// Rows that are decoded together.
const ROWS: usize = 512;

impl Judge<'_> {
    /// Judges completions of molecules whose own text is short enough: each once if greedy, else `samples` in all.
    pub(crate) fn judge(
        &self,
        molecules: (&'static str, &[Molecule]),
        name: &str,
        sampling: Sampling,
    ) -> Result<Outcome> {
        let (set, molecules) = molecules;
        let mut smiles: Vec<&str> = Vec::new();
        for molecule in molecules {
            if self.length(molecule)? <= self.longest {
                smiles.push(&molecule.smiles);
            }
        }
        shuffle(&mut smiles, self.seed);
        let count = match sampling {
            Sampling::Greedy => self.samples.min(smiles.len()),
            Sampling::TopP { .. } => self.samples,
        };
        let asked: Vec<&str> = smiles.iter().copied().cycle().take(count).collect();
        let mut outcome = Outcome { molecules: set, sampling: name.to_owned(), ..Outcome::default() };
        for (part, asked) in asked.chunks(ROWS).enumerate() {
            let prompts: Vec<Vec<u32>> =
                asked.iter().map(|smiles| self.ids(&prompt(smiles))).collect::<Result<_>>()?;
            let seed = Random::of(self.seed, part as u64).next();
            let written =
                generate(self.model, &prompts, self.end, self.longest + self.longest / 8, sampling, seed)?;
            for (smiles, written) in asked.iter().zip(&written) {
                outcome.add(smiles, written, &self.text(written)?, self.canonical(smiles, written)?)?;
            }
        }
        Ok(outcome)
    }

    /// Tokens of the molecule's first conformer with its prompt.
    fn length(&self, molecule: &Molecule) -> Result<usize> {
        let Some(conformer) = molecule.conformers.first() else { return Ok(usize::MAX) };
        let completion = skeleton(&molecule.smiles)?.render(conformer, &number_format())?;
        Ok(self.ids(&format!("{}{completion}", prompt(&molecule.smiles)))?.len())
    }

    fn ids(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.tokenizer.encode(text)?.ids.into_iter().map(|id| id.0).collect())
    }

    fn text(&self, written: &Generated) -> Result<String> {
        let ids: Vec<TokenId> = written.ids.iter().copied().map(TokenId).collect();
        Ok(self.tokenizer.decode(&ids, false)?)
    }

    fn canonical(&self, smiles: &str, written: &Generated) -> Result<bool> {
        let prompt = prompt(smiles);
        let before = self.ids(&prompt)?;
        Ok(self.ids(&format!("{prompt}{}", self.text(written)?))? == [before, written.ids.clone()].concat())
    }
}

impl Outcome {
    fn add(&mut self, smiles: &str, written: &Generated, text: &str, canonical: bool) -> Result<()> {
        let (bare, blocks) = cut(text);
        let format = number_format();
        let numbers = |block: &str| {
            let numbers: Vec<&str> = block.split(',').collect();
            numbers.len() == 3 && numbers.iter().all(|number| format.parse(number).is_some())
        };
        let good = blocks.iter().filter(|block| block.is_some_and(numbers)).count();
        let copied = bare == skeleton(smiles)?.as_str();
        let valid = written.finished && copied && good == blocks.len();
        self.completions += 1;
        self.valid += usize::from(valid);
        self.finished += usize::from(written.finished);
        self.copied += usize::from(copied);
        self.canonical += usize::from(canonical);
        self.blocks += blocks.len();
        self.numbers += good;
        if valid {
            let conformer = EnrichedText::parse(text)?.conformer()?;
            let place = |atom: u32| conformer[atom as usize].map(|axis| axis.nanos() as f64 * 1e-9);
            for bond in Smiles::parse(smiles)?.bonds() {
                let (from, to) = (place(bond.from), place(bond.to));
                let squared: f64 = from.iter().zip(to).map(|(from, to)| (from - to).powi(2)).sum();
                self.bonds += 1;
                self.possible_bonds += usize::from(BOND.contains(&squared.sqrt()));
            }
        }
        Ok(())
    }

    /// One line of a table.
    pub(crate) fn line(&self) -> String {
        let share = |part: usize, of: usize| format!("{:.2}%", 100.0 * part as f64 / of.max(1) as f64);
        format!(
            "{:<16} {:<10} {:>5} completions: {:>7} valid, {:>7} finished, {:>7} copied, {:>7} canonical; \
             {:>6} blocks, {:>7} numbers; {:>7} of bonds possible",
            self.molecules,
            self.sampling,
            self.completions,
            share(self.valid, self.completions),
            share(self.finished, self.completions),
            share(self.copied, self.completions),
            share(self.canonical, self.completions),
            self.blocks,
            share(self.numbers, self.blocks),
            share(self.possible_bonds, self.bonds),
        )
    }
}

/// The text with nothing between `<` and `>`, and what stood there; `None` for a `<` that is never closed.
fn cut(text: &str) -> (String, Vec<Option<&str>>) {
    let (mut bare, mut blocks) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        bare.push_str(&rest[..=open]);
        rest = &rest[open + 1..];
        let close = rest.find('>');
        blocks.push(close.map(|close| &rest[..close]));
        rest = &rest[close.unwrap_or(rest.len())..];
    }
    bare.push_str(rest);
    (bare, blocks)
}

fn shuffle(list: &mut [&str], seed: u64) {
    let mut random = Random::new(seed);
    for at in (1..list.len()).rev() {
        list.swap(at, random.below(at + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(text: &str, finished: bool) -> Outcome {
        let mut outcome = Outcome::default();
        outcome.add("C=O", &Generated { ids: Vec::new(), finished }, text, true).unwrap();
        outcome
    }

    #[test]
    fn a_completion_is_valid_only_with_the_right_copy_text_and_three_numbers_a_hole() {
        let good = outcome("[CONFORMER][C]<0,-1.25,0.5>=[O]<1.2,-1.25,0.5>[/CONFORMER]", true);
        assert_eq!((good.valid, good.copied, good.blocks, good.numbers), (1, 1, 2, 2));
        assert_eq!((good.bonds, good.possible_bonds), (1, 1));
        for (text, finished, copied, numbers) in [
            ("[CONFORMER][C]<0,-1.25,0.5>=[O]<1.2,-1.25,0.5>[/CONFORMER]", false, 1, 2),
            ("[CONFORMER][C]<0,-1.25,0.5>[O]<1.2,-1.25,0.5>[/CONFORMER]", true, 0, 2),
            ("[CONFORMER][C]<0,-1.25>=[O]<1.2,-1.25,0.5>[/CONFORMER]", true, 1, 1),
            ("[CONFORMER][C]<0,-1.250,0.5>=[O]<1.2,-1.25,0.5>[/CONFORMER]", true, 1, 1),
            ("[CONFORMER][C]<0,-1.25,0.5>=[O]<1.2,-1.25,0.5", true, 0, 1),
        ] {
            let bad = outcome(text, finished);
            assert_eq!((bad.valid, bad.copied, bad.numbers), (0, copied, numbers), "{text}");
        }
    }
}
