//! The ways to hold a model to its molecule, or not.

use std::{fmt, str::FromStr};

use super::UnknownName;

/// What holds a model to its molecule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// Nothing.
    None,
    /// A position template of `0.0000,0.0000,0.0000`; at FREE positions brackets and added tokens are blocked.
    Blocklist,
    /// A position template of `0.000,0.000,0.000`; at FREE positions digits and some punctuation are allowed.
    Allowlist,
    /// As [`Strategy::Blocklist`], with the placeholder of least expected cost.
    Adaptive,
    /// The exact template; every token is sampled under its mask.
    Mask,
    /// The exact template; tokens without a choice are read in the pass of the token before them.
    Forced,
    /// As [`Strategy::Forced`], with logits of the token alphabet only.
    Restricted,
    /// As [`Strategy::Restricted`]; where a number's integer part may end, its point is read before it is known to be
    /// chosen, and where it is, the token behind it is chosen in the same pass.
    Drafted,
}

impl Strategy {
    /// All of them, those without templates first.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Blocklist,
        Self::Allowlist,
        Self::Adaptive,
        Self::Mask,
        Self::Forced,
        Self::Restricted,
        Self::Drafted,
    ];

    /// The name of the strategy.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Blocklist => "blocklist",
            Self::Allowlist => "allowlist",
            Self::Adaptive => "adaptive",
            Self::Mask => "mask",
            Self::Forced => "forced",
            Self::Restricted => "restricted",
            Self::Drafted => "drafted",
        }
    }

    /// Whether its outputs are texts of the exact template and nothing else.
    #[must_use]
    pub fn is_exact(self) -> bool {
        matches!(self, Self::Mask | Self::Forced | Self::Restricted | Self::Drafted)
    }

    /// Whether it counts positions of a placeholder.
    #[must_use]
    pub fn is_positional(self) -> bool {
        matches!(self, Self::Blocklist | Self::Allowlist | Self::Adaptive)
    }

    /// Whether tokens without a choice cost no pass of their own.
    #[must_use]
    pub fn forces(self) -> bool {
        matches!(self, Self::Forced | Self::Restricted | Self::Drafted)
    }

    /// Whether only logits of the token alphabet are computed.
    #[must_use]
    pub fn restricts(self) -> bool {
        matches!(self, Self::Restricted | Self::Drafted)
    }

    /// Whether a likely token is read before it is chosen.
    #[must_use]
    pub fn drafts(self) -> bool {
        self == Self::Drafted
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Strategy {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let known = Self::ALL.into_iter().find(|strategy| strategy.name() == text);
        known
            .ok_or_else(|| UnknownName::new(text, format!("one of {}", Self::ALL.map(Self::name).join(", "))))
    }
}
