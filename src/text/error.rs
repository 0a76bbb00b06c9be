//! Why a text is no enriched SMILES, or a molecule cannot be written as one.

use thiserror::Error;

use super::NumberFormatError;
use crate::corpus::{CoordinateError, SmilesError};

/// A fault and where it was found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}{fault}", at.map_or_else(String::new, |at| format!("at byte {at}: ")))]
pub struct TextError {
    /// The byte of the completion, where the fault has one place.
    pub at: Option<usize>,
    /// What is wrong there.
    pub fault: TextFault,
}

/// What is wrong with a text or a molecule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TextFault {
    /// The SMILES itself, or the text with its holes stripped, is malformed.
    #[error(transparent)]
    Smiles(#[from] SmilesError),
    /// A character outside ASCII.
    #[error("{0:?} is not ASCII, and enriched SMILES is")]
    NotAscii(char),
    /// An atom that is not in brackets.
    #[error("atom {0:?} is not in brackets")]
    BareAtom(String),
    /// A bracket that is never closed.
    #[error("\"[\" is never closed")]
    OpenBracket,
    /// An atom without `<x,y,z>` behind it.
    #[error("atom {0:?} has no <x,y,z> behind it")]
    MissingHole(String),
    /// A `<` that is never closed.
    #[error("\"<\" is never closed: the row is truncated")]
    OpenHole,
    /// A hole that does not hold three numbers.
    #[error("<{0}> holds {1} numbers, not 3")]
    NumberCount(String, usize),
    /// Something in a hole that is no plain decimal number.
    #[error("{0:?} is not a decimal number")]
    NotANumber(String),
    /// A decimal number that is no coordinate: it is out of range.
    #[error(transparent)]
    Coordinate(#[from] CoordinateError),
    /// White space between the parts of the text; at its ends, it is no fault.
    #[error("white space ({0:?}) inside the enriched SMILES")]
    WhiteSpace(char),
    /// An opening tag without its closing tag.
    #[error("the completion is never closed by its tag: the row is truncated")]
    OpenCompletion,
    /// A conformer with another number of positions than the SMILES has atoms.
    #[error("the SMILES writes {atoms} atoms, and the conformer has {positions} positions")]
    AtomCount {
        /// Atoms that the SMILES writes.
        atoms: usize,
        /// Positions of the conformer.
        positions: usize,
    },
    /// The enriched text belongs to another SMILES than the one given beside it.
    #[error("the enriched text copies {enriched:?}, and the SMILES beside it is {canonical:?}")]
    OtherSmiles {
        /// The enriched text with its holes stripped.
        enriched: String,
        /// The SMILES given beside it, atoms in brackets.
        canonical: String,
    },
    /// A coordinate that the number format cannot write.
    #[error(transparent)]
    Number(#[from] NumberFormatError),
}

impl<F: Into<TextFault>> From<F> for TextError {
    fn from(fault: F) -> Self {
        Self { at: None, fault: fault.into() }
    }
}

impl TextFault {
    /// The fault, found at byte `at`.
    pub(super) fn at(self, at: usize) -> TextError {
        TextError { at: Some(at), fault: self }
    }
}
