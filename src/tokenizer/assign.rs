//! Which id each added token gets: the declared one, or an error.

use std::collections::BTreeMap;

use super::TokenizerError;
use super::added::AddedToken;
use crate::primitives::TokenId;

/// The ids that a model's own vocabulary occupies.
pub(super) trait Occupied {
    /// The id of a token.
    fn id(&self, content: &str) -> Option<u32>;
    /// The token of an id.
    fn owner(&self, id: u32) -> Option<String>;
    /// The number of tokens.
    fn len(&self) -> usize;
}

/// An added token with its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assigned {
    pub(super) id: u32,
    pub(super) token: AddedToken,
}

/// Gives every added token its id; the result is in the order of the ids.
///
/// A token declared twice keeps its id and takes the later flags. One without an id gets the first free id after
/// the vocabulary. Tokens without text are left out, as the crate does.
///
/// # Errors
/// [`TokenizerError::IdMismatch`] or [`TokenizerError::IdTaken`].
pub(super) fn assign(
    tokenizer: &str,
    tokens: Vec<AddedToken>,
    vocabulary: &impl Occupied,
) -> Result<Vec<Assigned>, TokenizerError> {
    let mut by_id: BTreeMap<u32, AddedToken> = BTreeMap::new();
    let mut ids: BTreeMap<String, u32> = BTreeMap::new();
    for token in tokens.into_iter().filter(|token| !token.content.is_empty()) {
        let known = ids.get(&token.content).copied().or_else(|| vocabulary.id(&token.content));
        let id = match (known, token.id) {
            (Some(actual), Some(declared)) if actual != declared => {
                return Err(TokenizerError::IdMismatch {
                    tokenizer: tokenizer.to_owned(),
                    content: token.content,
                    declared: TokenId(declared),
                    actual: TokenId(actual),
                });
            }
            (Some(id), _) => id,
            (None, Some(id)) => {
                let owner =
                    by_id.get(&id).map(|owner| owner.content.clone()).or_else(|| vocabulary.owner(id));
                if let Some(owner) = owner {
                    return Err(TokenizerError::IdTaken {
                        tokenizer: tokenizer.to_owned(),
                        content: token.content,
                        id: TokenId(id),
                        owner,
                    });
                }
                id
            }
            (None, None) => {
                let after_added = by_id.last_key_value().map_or(0, |(id, _)| id.saturating_add(1));
                let start = after_added.max(vocabulary.len() as u32);
                (start..u32::MAX).find(|id| vocabulary.owner(*id).is_none()).unwrap_or(u32::MAX)
            }
        };
        ids.insert(token.content.clone(), id);
        by_id.insert(id, token);
    }
    Ok(by_id.into_iter().map(|(id, token)| Assigned { id, token }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` to `c`, with the ids 0, 1 and 5.
    struct Letters;

    impl Occupied for Letters {
        fn id(&self, content: &str) -> Option<u32> {
            [("a", 0), ("b", 1), ("c", 5)].iter().find(|(token, _)| *token == content).map(|(_, id)| *id)
        }

        fn owner(&self, id: u32) -> Option<String> {
            [(0, "a"), (1, "b"), (5, "c")]
                .iter()
                .find(|(of, _)| *of == id)
                .map(|(_, token)| (*token).to_owned())
        }

        fn len(&self) -> usize {
            3
        }
    }

    fn ids(tokens: &[(&str, Option<u32>)]) -> Result<Vec<(u32, String)>, String> {
        let tokens = tokens.iter().map(|(content, id)| AddedToken::new(*content, *id)).collect();
        let assigned = assign("letters", tokens, &Letters).map_err(|error| error.to_string())?;
        Ok(assigned.into_iter().map(|assigned| (assigned.id, assigned.token.content)).collect())
    }

    fn named(ids: &[(u32, &str)]) -> Result<Vec<(u32, String)>, String> {
        Ok(ids.iter().map(|(id, content)| (*id, (*content).to_owned())).collect())
    }

    #[test]
    fn declared_ids_hold_wherever_they_are() {
        assert_eq!(
            ids(&[("x", Some(9)), ("y", Some(3)), ("b", Some(1))]),
            named(&[(1, "b"), (3, "y"), (9, "x")])
        );
    }

    #[test]
    fn without_an_id_comes_the_next_free_one() {
        assert_eq!(
            ids(&[("x", Some(4)), ("y", None), ("z", None), ("", None)]),
            named(&[(4, "x"), (6, "y"), (7, "z")])
        );
    }

    #[test]
    fn another_id_than_the_vocabularys_is_refused() {
        assert!(ids(&[("b", Some(7))]).unwrap_err().contains("already gives it id 1"));
        assert!(ids(&[("x", Some(7)), ("x", Some(8))]).unwrap_err().contains("already gives it id 7"));
    }

    #[test]
    fn an_id_that_is_taken_is_refused() {
        assert!(ids(&[("x", Some(5))]).unwrap_err().contains("belongs to \"c\""));
        assert!(ids(&[("x", Some(7)), ("y", Some(7))]).unwrap_err().contains("belongs to \"x\""));
    }
}
