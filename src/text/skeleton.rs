//! The COPY text of one molecule: what is known before any coordinate is.

use super::{NumberFormat, TagPair, TextFault};
use crate::{
    corpus::{Position, Smiles, SmilesError},
    primitives::ByteSpan,
};

/// The literals of one molecule: `[C]<`, `>=[O]<`, …, `>`; one more than it has atoms.
///
/// Two molecules with equal skeletons have equal templates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Skeleton {
    text: String,
    /// The byte behind each literal but the last.
    ends: Vec<u32>,
}

impl Skeleton {
    /// The skeleton of a SMILES: bare atoms are wrapped in brackets, all else is copied.
    ///
    /// # Errors
    /// [`SmilesError`] if the SMILES is malformed.
    pub fn new(smiles: &str, tags: Option<&TagPair>) -> Result<Self, SmilesError> {
        let atoms = Smiles::parse(smiles)?;
        let mut text = tags.map_or_else(String::new, |tags| tags.open.clone());
        let mut ends = Vec::with_capacity(atoms.atoms().len());
        let mut copied = 0;
        for atom in atoms.atoms() {
            let (start, end) = (atom.span.start as usize, atom.span.end as usize);
            text.push_str(&smiles[copied..start]);
            if !atom.bracketed {
                text.push('[');
            }
            text.push_str(&smiles[start..end]);
            text.push_str(if atom.bracketed { "<" } else { "]<" });
            ends.push(ByteSpan::new(0, text.len()).end);
            text.push('>');
            copied = end;
        }
        text.push_str(&smiles[copied..]);
        text.push_str(tags.map_or("", |tags| &tags.close));
        Ok(Self { text, ends })
    }

    pub(super) fn from_parts(text: String, ends: Vec<u32>) -> Self {
        Self { text, ends }
    }

    /// The number of atoms, which is the number of holes.
    #[must_use]
    pub fn atoms(&self) -> usize {
        self.ends.len()
    }

    /// The literals in order: one before each hole and one behind the last.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|&end| end as usize));
        let ends = self.ends.iter().map(|&end| end as usize).chain([self.text.len()]);
        starts.zip(ends).map(|(start, end)| &self.text[start..end])
    }

    /// The literals with nothing in the holes: `[C]<>=[O]<>`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The enriched SMILES of one conformer, its coordinates truncated toward zero.
    ///
    /// # Errors
    /// [`TextFault::AtomCount`] if there is not one position an atom, [`TextFault::Number`] if a coordinate is beyond
    /// the number format.
    pub fn render(&self, conformer: &[Position], format: &NumberFormat) -> Result<String, TextFault> {
        let mut text = String::new();
        self.render_into(conformer, format, &mut text)?;
        Ok(text)
    }

    /// As [`Skeleton::render`], into a buffer that is cleared first.
    ///
    /// # Errors
    /// As [`Skeleton::render`]; the buffer then holds a part of the text.
    pub fn render_into(
        &self,
        conformer: &[Position],
        format: &NumberFormat,
        text: &mut String,
    ) -> Result<(), TextFault> {
        text.clear();
        if conformer.len() != self.atoms() {
            return Err(TextFault::AtomCount { atoms: self.atoms(), positions: conformer.len() });
        }
        text.reserve(self.text.len() + 30 * conformer.len());
        for (literal, position) in self.literals().zip(conformer) {
            text.push_str(literal);
            for (axis, &value) in position.iter().enumerate() {
                if axis > 0 {
                    text.push(',');
                }
                format.write(value, text)?;
            }
        }
        text.push_str(self.literals().last().unwrap_or(""));
        Ok(())
    }
}
