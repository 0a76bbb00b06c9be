//! Texts to tokens to batches: rows of about one length, so that little is filled up.

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use tplc::{
    corpus::Position,
    text::{EnrichedText, NumberFormat, Skeleton, Tags},
    tokenizer::Tokenizer,
};

use crate::{molecules::Example, random::Random};

/// Rows of a batch have at least this share of the length of its longest.
const EVENNESS: f64 = 0.85;

/// Training begins with texts of up to so many tokens…
const FIRST_LENGTH: f64 = 260.0;

/// …and has met the longest when this share of it is over.
const ALL_LENGTHS: f64 = 0.25;

/// The text before a completion.
pub(crate) fn prompt(smiles: &str) -> String {
    let tags = Tags::conformer().prompt;
    tags.map_or_else(String::new, |tags| format!("{}{smiles}{}", tags.open, tags.close))
}

/// The COPY text of a molecule, in its tags.
pub(crate) fn skeleton(smiles: &str) -> Result<Skeleton> {
    Ok(Skeleton::new(smiles, Tags::conformer().completion.as_ref())?)
}

/// How the model writes numbers.
pub(crate) fn number_format() -> NumberFormat {
    NumberFormat::trimmed(4)
}

/// A text as the model sees it: the tokens, and how much each counts in the loss.
struct Row {
    ids: Vec<u32>,
    weights: Vec<f32>,
}

/// Makes rows.
pub(crate) struct Rows<'a> {
    pub(crate) tokenizer: &'a Tokenizer,
    /// Ends each row.
    pub(crate) end: u32,
    /// How much a token of COPY text counts, where one of FREE text counts 1. Prompts do not count.
    pub(crate) copy_weight: f32,
}

impl Rows<'_> {
    fn row(&self, smiles: &str, conformer: &[Position]) -> Result<Row> {
        let (before, completion) = (prompt(smiles), skeleton(smiles)?.render(conformer, &number_format())?);
        let holes = EnrichedText::parse(&completion)?.holes().to_vec();
        let encoding = self.tokenizer.encode(&format!("{before}{completion}"))?;
        let mut holes = holes.iter().map(|hole| (hole.span.start, hole.span.end)).peekable();
        let border = before.len() as u32;
        let mut weights = Vec::with_capacity(encoding.ids.len() + 1);
        for span in &encoding.spans {
            ensure!(
                span.end <= border || span.start >= border,
                "a token straddles {before:?} and what follows"
            );
            if span.end <= border {
                weights.push(0.0);
                continue;
            }
            let (start, end) = (span.start - border, span.end - border);
            while holes.next_if(|hole| hole.1 <= start).is_some() {}
            let free = holes.peek().is_some_and(|hole| hole.0 <= start && end <= hole.1);
            weights.push(if free { 1.0 } else { self.copy_weight });
        }
        let mut ids: Vec<u32> = encoding.ids.iter().map(|id| id.0).collect();
        ids.push(self.end);
        weights.push(self.copy_weight);
        Ok(Row { ids, weights })
    }
}

/// Draws batches.
pub(crate) struct Batches<'a> {
    rows: Rows<'a>,
    examples: &'a [Example],
    /// Every conformer as (tokens, example, conformer), the shortest first.
    entries: Vec<(usize, usize, usize)>,
    tokens: usize,
    seed: u64,
}

/// Rows of one length. Filled-up places have weight 0.
pub(crate) struct Batch {
    ids: Vec<u32>,
    targets: Vec<u32>,
    weights: Vec<f32>,
    rows: usize,
}

impl<'a> Batches<'a> {
    /// Batches of about `tokens` tokens, of texts of up to `longest`.
    pub(crate) fn new(
        rows: Rows<'a>,
        examples: &'a [Example],
        tokens: usize,
        longest: usize,
        seed: u64,
    ) -> Result<Self> {
        let measure = |(index, example): (usize, &Example)| {
            let (smiles, conformer) = example.draw(0, &mut Random::of(seed, index as u64))?;
            Ok((rows.row(smiles, &conformer)?.ids.len(), index))
        };
        let measured: Vec<(usize, usize)> =
            examples.par_iter().enumerate().map(measure).collect::<Result<_>>()?;
        let mut entries: Vec<(usize, usize, usize)> = measured
            .into_iter()
            .filter(|&(length, _)| length <= longest)
            .flat_map(|(length, index)| {
                (0..examples[index].conformers()).map(move |one| (length, index, one))
            })
            .collect();
        entries.sort_unstable();
        ensure!(!entries.is_empty(), "no text has {longest} tokens or fewer: raise --longest");
        Ok(Self { rows, examples, entries, tokens, seed })
    }

    /// The number of conformers to draw from.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Batch `index`, when a share `progress` of the training is over. The same for the same arguments.
    pub(crate) fn batch(&self, index: u64, progress: f64) -> Result<Batch> {
        let mut random = Random::of(self.seed, index);
        let (shortest, longest) = (self.entries[0].0 as f64, self.entries[self.entries.len() - 1].0 as f64);
        let reach = FIRST_LENGTH + (longest - FIRST_LENGTH).max(0.0) * (progress / ALL_LENGTHS);
        let reach = reach.max(shortest) as usize;
        let reached = self.entries.partition_point(|entry| entry.0 <= reach);
        let length = self.entries[random.below(reached)].0;
        let from = self.entries.partition_point(|entry| (entry.0 as f64) < EVENNESS * length as f64);
        let to = self.entries.partition_point(|entry| entry.0 <= length);
        let drawn: Vec<_> = (0..(self.tokens / length).max(1))
            .map(|_| (self.entries[from + random.below(to - from)], Random::new(random.next())))
            .collect();
        let row = |((_, example, conformer), mut random): ((usize, usize, usize), Random)| {
            let (smiles, positions) = self.examples[example].draw(conformer, &mut random)?;
            self.rows.row(smiles, &positions)
        };
        let rows: Vec<Row> = drawn.into_par_iter().map(row).collect::<Result<_>>()?;
        Ok(Batch::new(&rows, self.rows.end))
    }
}

impl Batch {
    fn new(rows: &[Row], end: u32) -> Self {
        let width = rows.iter().map(|row| row.ids.len()).max().unwrap_or(1) - 1;
        let mut batch = Self { ids: Vec::new(), targets: Vec::new(), weights: Vec::new(), rows: rows.len() };
        for row in rows {
            let known = row.ids.len() - 1;
            batch.ids.extend(&row.ids[..known]);
            batch.targets.extend(&row.ids[1..]);
            batch.weights.extend(&row.weights[1..]);
            for _ in known..width {
                batch.ids.push(end);
                batch.targets.push(end);
                batch.weights.push(0.0);
            }
        }
        batch
    }

    /// Tokens of a row.
    pub(crate) fn width(&self) -> usize {
        self.ids.len() / self.rows.max(1)
    }

    /// All tokens, filled-up places too.
    pub(crate) fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// The weights, one a token.
    pub(crate) fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Tokens (rows, width), the tokens that follow them and their weights (rows x width).
    pub(crate) fn tensors(&self, device: &Device) -> candle_core::Result<[Tensor; 3]> {
        Ok([
            Tensor::from_slice(&self.ids, (self.rows, self.width()), device)?,
            Tensor::from_slice(&self.targets, self.targets.len(), device)?,
            Tensor::from_slice(&self.weights, self.weights.len(), device)?,
        ])
    }
}

#[cfg(test)]
mod tests {
    use tplc::tokenizer::TokenizerSource;

    use super::*;
    use crate::molecules::sources;

    #[test]
    fn only_what_is_written_counts_and_copy_text_counts_more() {
        let qwen = "qwen3-conf".parse::<TokenizerSource>().unwrap().load(&[]).unwrap();
        let rows = Rows { tokenizer: &qwen, end: 151_643, copy_weight: 3.0 };
        let sources = sources().unwrap();
        let molecule = &sources[2].seen[0];
        let row = rows.row(&molecule.smiles, &molecule.conformers[0]).unwrap();
        let text = |weight: f32| {
            let of = row.ids.iter().zip(&row.weights).filter(|(_, given)| **given == weight);
            let ids: Vec<_> = of.map(|(&id, _)| tplc::primitives::TokenId(id)).collect();
            qwen.decode(&ids, false).unwrap()
        };
        assert_eq!(text(0.0), prompt(&molecule.smiles));
        let copy = skeleton(&molecule.smiles).unwrap();
        assert_eq!(text(3.0), format!("{}<|endoftext|>", copy.as_str()));
        assert!(text(1.0).chars().all(|c| c.is_ascii_digit() || ".,-".contains(c)), "{}", text(1.0));
    }

    #[test]
    fn batches_are_the_same_for_the_same_seed_and_no_row_is_longer_than_asked() {
        let qwen = "qwen3-conf".parse::<TokenizerSource>().unwrap().load(&[]).unwrap();
        let sources = sources().unwrap();
        let examples = Example::all(&sources[2].seen).unwrap();
        let batches = |seed| {
            let rows = Rows { tokenizer: &qwen, end: 151_643, copy_weight: 3.0 };
            Batches::new(rows, &examples, 1000, 120, seed).unwrap()
        };
        let (first, second, other) = (batches(1), batches(1), batches(2));
        let mut differ = 0;
        for index in 0..20 {
            let [first, second, other] = [&first, &second, &other].map(|b| b.batch(index, 0.5).unwrap());
            assert_eq!((&first.ids, &first.weights), (&second.ids, &second.weights));
            differ += usize::from(first.ids != other.ids);
            assert!(first.tokens() <= 1100 && first.width() < 130, "{} {}", first.tokens(), first.width());
        }
        assert!(differ > 15);
    }
}
