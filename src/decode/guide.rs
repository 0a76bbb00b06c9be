//! What one row may say next, and what it must.

use std::sync::Arc;

use super::{
    positions::{FreeRule, Place, Positions},
    sampler::Candidate,
};
use crate::{
    matcher::{Matcher, Refused},
    primitives::TokenId,
};

/// Holds one row.
#[derive(Clone, Debug)]
pub(super) enum Guide {
    /// Not at all; the row ends with this token.
    Free { end: TokenId },
    /// By position.
    Positions { positions: Positions, rule: Arc<FreeRule>, at: usize },
    /// By the exact template. `draft` is a token that is likely wherever it may come.
    Exact { matcher: Matcher, draft: Option<TokenId> },
}

/// Which id each logit is of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Columns<'a> {
    /// All ids in order.
    All,
    /// Some, ascending.
    Only(&'a [TokenId]),
}

impl Guide {
    /// Writes the tokens that may come next, with their logits, in no particular order.
    pub(super) fn allow(&self, logits: &[f32], columns: Columns<'_>, candidates: &mut Vec<Candidate>) {
        candidates.clear();
        let all = (0..).map(TokenId).zip(logits).map(|(token, &logit)| Candidate { token, logit });
        let known = |token: TokenId| {
            let logit = logits.get(columns.of(token)?)?;
            Some(Candidate { token, logit: *logit })
        };
        match self {
            Self::Free { .. } => candidates.extend(all),
            Self::Exact { matcher, .. } => candidates.extend(matcher.mask_row().iter().filter_map(known)),
            Self::Positions { positions, rule, at } => match (positions.at(*at), rule.as_ref()) {
                (None, _) => {}
                (Some((token, Place::Copy)), _) => candidates.extend(known(token)),
                (Some(_), FreeRule::Blocked(bits)) => candidates.extend(all.filter(|candidate| {
                    let id = candidate.token.0;
                    bits.get(id as usize / 32).is_none_or(|word| word & (1 << (id % 32)) == 0)
                })),
                (Some((_, place)), FreeRule::Allowed { first, inner, last }) => {
                    let ids = match place {
                        Place::First => first,
                        Place::Last => last,
                        Place::Copy | Place::Inner => inner,
                    };
                    candidates.extend(ids.iter().copied().filter_map(known));
                }
            },
        }
    }

    /// Takes a token. Returns whether the row is finished.
    pub(super) fn take(&mut self, token: TokenId) -> Result<bool, Refused> {
        match self {
            Self::Free { end } => Ok(token == *end),
            Self::Exact { matcher, .. } => {
                matcher.advance(token)?;
                Ok(matcher.is_finished())
            }
            Self::Positions { positions, at, .. } => {
                *at += 1;
                Ok(*at == positions.len())
            }
        }
    }

    /// The tokens from here on that have no alternative, where the guide knows them.
    pub(super) fn forced(&self, tokens: &mut Vec<TokenId>) {
        if let Self::Exact { matcher, .. } = self {
            tokens.extend(matcher.forced_run());
        }
    }

    /// The token that is likely to come next, where one is.
    pub(super) fn draft(&self) -> Option<TokenId> {
        match self {
            Self::Exact { matcher, draft } => draft.filter(|&token| matcher.allows(token)),
            Self::Free { .. } | Self::Positions { .. } => None,
        }
    }
}

impl<'a> Columns<'a> {
    /// The ids, where they are not all.
    pub(super) fn ids(self) -> Option<&'a [TokenId]> {
        match self {
            Self::All => None,
            Self::Only(ids) => Some(ids),
        }
    }

    /// Where the logit of an id is.
    pub(super) fn of(self, token: TokenId) -> Option<usize> {
        match self {
            Self::All => Some(token.0 as usize),
            Self::Only(ids) => ids.binary_search(&token).ok(),
        }
    }
}
