//! Drift: how many tokens a placeholder has, how many a real coordinate has, and what the difference costs.
//!
//! [`Analysis`] streams a corpus through tokenizers into mergeable [`Partial`] counts; a [`Report`] is made from those
//! counts alone. Counting goes over tables of short pieces and is exact: a text that the tables
//! cannot vouch for is encoded whole, and `verify` compares them with real encoding token for token.

mod adaptive;
mod analysis;
mod checked;
mod cost;
mod counter;
mod error;
mod learner;
mod partial;
mod processors;
mod report;
mod runs;

pub use adaptive::Candidates;
pub use analysis::{Analysis, AnalysisOptions, check_placeholder};
pub use cost::{Cost, CostModel};
pub use error::DriftError;
pub use partial::{HoleCount, LiteralCount, Partial, PartialFile, PlaceholderFacts, TokenizerFacts};
pub use processors::{allowlist, blocklist};
pub use report::{
    BorderReport, Distribution, LiteralExample, MixtureReport, PlaceholderReport, Report, Share, SplitGroup,
    SplitReport, Straddling, TokenRates, TokenizerReport,
};

/// The placeholders of the two processors in use: blocklist (four decimals) and allowlist (three).
pub const DEFAULT_PLACEHOLDERS: [&str; 2] = ["0.0000,0.0000,0.0000", "0.000,0.000,0.000"];
