//! The dialect: enriched SMILES, its literals and holes, its number formats.
//!
//! ```text
//! [SMILES]CC=O[/SMILES][CONFORMER][C]<-1.2345,0.0432,0.1000>[C]<...>=[O]<...>[/CONFORMER]
//! '------- prompt -----''----------- completion: literals (COPY) and holes (FREE) --------'
//! ```
//!
//! [`Skeleton::render`] writes it, [`EnrichedText::parse`] reads it back.

mod enriched;
mod error;
mod number;
mod skeleton;
mod survey;
mod tags;

pub use enriched::{EnrichedReader, EnrichedText, Hole, Piece, PieceKind};
pub use error::{TextError, TextFault};
pub use number::{LeadingZeros, NumberFormat, NumberFormatError, NumberShape, Sign, TrailingZeros};
pub use skeleton::Skeleton;
pub use survey::{DetectedFormat, NumberSurvey};
pub use tags::{TagPair, Tags, TagsError};
