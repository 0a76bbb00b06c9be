//! Counts that add up: what a partial claims is held against itself before anything is made of it.

use super::{DriftError, Partial};

/// The most of anything. Two of it are far below what an integer holds, and so is it times [`MOST_TOKENS`].
const MOST: u64 = 1 << 47;
/// More than the tokens of any hole.
const MOST_TOKENS: u64 = 1 << 16;

impl Partial {
    /// Checks that an analysis can have made these counts.
    ///
    /// # Errors
    /// [`DriftError::DoNotAddUp`] with what is wrong.
    pub(super) fn check(&self) -> Result<(), DriftError> {
        match self.fault() {
            Some(reason) => Err(self.do_not_add_up(reason)),
            None => Ok(()),
        }
    }

    /// Checks that both counts are sound, and still are when they are one.
    ///
    /// # Errors
    /// As [`Partial::check`].
    pub(super) fn check_sum(&self, other: &Self) -> Result<(), DriftError> {
        self.check()?;
        other.check()?;
        let too_many =
            self.totals().into_iter().zip(other.totals()).any(|(mine, theirs)| mine + theirs > MOST);
        if too_many { Err(self.do_not_add_up(TOO_MANY)) } else { Ok(()) }
    }

    fn do_not_add_up(&self, reason: &'static str) -> DriftError {
        DriftError::DoNotAddUp { name: self.tokenizer.name.clone(), reason }
    }

    /// All counts that others are parts of.
    fn totals(&self) -> [u64; 8] {
        let Self { conformers, atoms, bytes, encoded, verified, tokens, copy_tokens, free_tokens, .. } =
            *self;
        [conformers, atoms, bytes, encoded, verified, tokens, copy_tokens, free_tokens]
    }

    fn fault(&self) -> Option<&'static str> {
        let facts = self.candidates.iter().flat_map(|candidates| &candidates.placeholders);
        let mut measured = self.placeholders.iter().chain(facts).flat_map(|facts| {
            let tokens = [facts.block_tokens, facts.block_free];
            tokens.into_iter().chain([facts.pair_tokens, facts.pair_free, facts.pair_copy])
        });
        let mut holes = self.holes.keys();
        let mut in_holes =
            holes.clone().flat_map(|hole| hole.placeholder_tokens.iter().chain([&hole.tokens]));
        let borders = sum(self.borders.values().map(|border| border.count));
        let literals = sum(self.literals.values().flat_map(|literal| literal.openings.values().copied()));
        let [conformers, atoms, _, _, _, tokens, copy, free] = self.totals().map(u128::from);
        let faults = [
            (self.totals().iter().any(|&count| count > MOST), TOO_MANY),
            (tokens != copy + free + borders, "its tokens are not those of COPY text, holes and borders"),
            (sum(self.holes.values().copied()) != atoms, "its kinds of holes are not its atoms"),
            (
                holes.any(|hole| hole.placeholder_tokens.len() != self.placeholders.len()),
                "a hole does not have the tokens of each placeholder",
            ),
            (
                in_holes.any(|&tokens| u64::from(tokens) >= MOST_TOKENS)
                    || measured.any(|tokens| tokens >= MOST_TOKENS),
                "a hole of more than 65,535 tokens",
            ),
            (literals > atoms + conformers, "more literals than its texts have"),
            (!self.survey.is_within(3 * atoms), "more numbers than its holes have"),
        ];
        faults.into_iter().find_map(|(wrong, reason)| wrong.then_some(reason))
    }
}

const TOO_MANY: &str = "more than 2^47 of something";

/// A sum that cannot be too large.
fn sum(counts: impl Iterator<Item = u64>) -> u128 {
    counts.map(u128::from).sum()
}
