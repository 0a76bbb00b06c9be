//! The runtime: which tokens may come next, and which come without a choice.
//!
//! A [`Matcher`] is a few words of state over a shared [`Template`]. It allocates once, when it is made or cloned, and not
//! for any token.
//!
//! A decoding loop appends the forced run, runs the model over it and the token before it in one pass, and samples under
//! the mask:
//!
#![cfg_attr(feature = "compile", doc = "```")]
#![cfg_attr(not(feature = "compile"), doc = "```ignore")]
//! # use tplc::{artifact::Artifact, template::{Collector, Compiler, TemplateOptions}, text::Skeleton, tokenizer::TokenizerSource};
//! use tplc::{matcher::{Matcher, mask_words}, primitives::TokenId};
//! # let qwen = "qwen".parse::<TokenizerSource>()?.load(&[])?;
//! # let mut molecules = Collector::default();
//! # molecules.add(&Skeleton::new("CC=O", None)?);
//! # let options = TemplateOptions { eos: qwen.eos(), ..TemplateOptions::default() };
//! # let artifact = Artifact::from_bytes(molecules.build(&Compiler::new(&qwen, &options)?)?)?;
//! # let sample = |words: &[u32]| TokenId((0..).find(|id| words[id / 32] >> (id % 32) & 1 == 1).unwrap_or(0) as u32);
//!
//! let mut matcher = Matcher::new(artifact.template("CC=O")?);
//! let mut words = vec![0; mask_words(artifact.tables().header.logits_width)];
//! let (mut ids, mut passes) = (Vec::new(), 0);
//! loop {
//!     let forced: Vec<TokenId> = matcher.forced_run().collect();
//!     for &id in &forced {
//!         matcher.advance(id)?;
//!     }
//!     ids.extend(forced);
//!     if !matcher.fill_mask(&mut words)? {
//!         break;
//!     }
//!     passes += 1;
//!     let id = sample(&words); // from the logits of a pass over what was appended
//!     matcher.advance(id)?;
//!     ids.push(id);
//! }
//! let text = qwen.decode(&ids, true)?;
//! assert_eq!(text, "[C]<-0.0001,0.0000,0.0000>[C]<-0.0001,0.0000,0.0000>=[O]<-0.0001,0.0000,0.0000>");
//! assert_eq!((ids.len(), passes), (74, 54));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The verbs of vLLM's structured-output backends are here as
//!
//! | vLLM | here |
//! | --- | --- |
//! | `accept_tokens` | [`Matcher::advance`] for each |
//! | `validate_tokens` | [`Matcher::validate`]: how many of them may come |
//! | `rollback` | [`Matcher::rollback`] |
//! | `fill_bitmask` | [`Matcher::fill_mask`], [`MatcherBatch::fill_masks`]: the same words, least significant bit first |
//! | `is_terminated` | [`Matcher::is_finished`] |
//! | `reset` | [`Matcher::reset`] |

mod batch;
mod error;
mod mask;

pub use batch::MatcherBatch;
pub use error::{BatchError, Refused, TooNarrow};
pub use mask::{MaskRow, fill_words, mask_words};

use crate::{
    artifact::{Automaton, Bounds, Edges, Target, Template},
    primitives::{StateId, TokenId},
};

/// Follows one text token by token.
#[derive(Debug)]
pub struct Matcher {
    template: Template,
    at: Place,
    /// The places behind us, for [`Matcher::rollback`].
    behind: Vec<Place>,
    forcing: bool,
}

/// Tokens that room is reserved for: those of a molecule of some 2,600 atoms. A longer one, or a file that claims one,
/// takes more when it comes to it.
const MOST_RESERVED: usize = 1 << 16;

/// Where in its text a matcher is: a state, and how many numbers are complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    state: StateId,
    number: u32,
}

/// What an emitted token was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// COPY text: it was known before decoding began, but for the border of a hole.
    Copy,
    /// FREE text without an alternative.
    Forced,
    /// FREE text that was chosen among several.
    Decided,
}

impl Clone for Matcher {
    /// A matcher at the same place, with the same room for what comes: it allocates for no token either.
    fn clone(&self) -> Self {
        let Self { template, at, behind: places, forcing } = self;
        let mut behind = Vec::with_capacity(places.capacity());
        behind.extend_from_slice(places);
        Self { template: template.clone(), at: *at, behind, forcing: *forcing }
    }
}

impl Matcher {
    /// A matcher at the start of a text.
    #[must_use]
    pub fn new(template: Template) -> Self {
        let at = Place { state: template.start(), number: 0 };
        let most = (template.tokens_left(at.state, 0).max as usize).min(MOST_RESERVED);
        Self { template, at, behind: Vec::with_capacity(most), forcing: true }
    }

    /// Turns forced runs off, or on again: off, [`Matcher::forced_run`] gives nothing, and every token is to be sampled
    /// under its mask.
    #[must_use]
    pub fn with_forcing(mut self, forcing: bool) -> Self {
        self.forcing = forcing;
        self
    }

    /// The state it is in, and how many numbers are complete: all that decides what may come next.
    #[must_use]
    pub fn place(&self) -> (StateId, u32) {
        (self.at.state, self.at.number)
    }

    /// Whether it gives forced runs.
    #[cfg(feature = "cuda")]
    pub(crate) fn forces(&self) -> bool {
        self.forcing
    }

    /// The template that is followed.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The number of tokens so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.behind.len()
    }

    /// Whether there is no token yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.behind.is_empty()
    }

    /// Whether the text is complete, its end-of-sequence token included where the artifact has one.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.at.state == Automaton::DONE
    }

    /// The ids that may come next.
    #[must_use]
    pub fn mask_row(&self) -> MaskRow<'_> {
        let (own, next) = self.edges(self.at);
        MaskRow::new(own.tokens(), next.map_or(&[], Edges::tokens))
    }

    /// Writes the ids that may come next as bits: bit `id % 32` of word `id / 32`, all others cleared. `words` holds one
    /// word for 32 ids of the logits ([`mask_words`]); more are cleared.
    ///
    /// Returns `false`, and writes nothing, if the text is finished.
    ///
    /// # Errors
    /// [`TooNarrow`] if there are not words for all ids of the template; then nothing is written.
    pub fn fill_mask(&self, words: &mut [u32]) -> Result<bool, TooNarrow> {
        self.check_words(words.len())?;
        let unfinished = !self.is_finished();
        if unfinished {
            fill_words(self.mask_row(), words);
        }
        Ok(unfinished)
    }

    /// Whether a mask of so many words holds all ids of the template.
    fn check_words(&self, words: usize) -> Result<(), TooNarrow> {
        let largest = self.template.tables().tokens.ids().last();
        let needed = largest.map_or(0, |id| id.0 as usize / 32 + 1);
        if words < needed { Err(TooNarrow { words, needed }) } else { Ok(()) }
    }

    /// Whether `token` may come next.
    #[must_use]
    pub fn allows(&self, token: TokenId) -> bool {
        self.step(self.at, token).is_some()
    }

    /// How many of `tokens` may come next, one after the other.
    #[must_use]
    pub fn validate(&self, tokens: &[TokenId]) -> usize {
        let mut at = self.at;
        let allowed = |token: &&TokenId| match self.step(at, **token) {
            Some((next, _)) => {
                at = next;
                true
            }
            None => false,
        };
        tokens.iter().take_while(allowed).count()
    }

    /// Takes the next token.
    ///
    /// # Errors
    /// [`Refused`] if it may not come next; the matcher then stays where it is.
    pub fn advance(&mut self, token: TokenId) -> Result<Label, Refused> {
        let Some((next, free)) = self.step(self.at, token) else { return Err(self.refused(token)) };
        let label = match free {
            false => Label::Copy,
            true if self.only(self.at).is_some() => Label::Forced,
            true => Label::Decided,
        };
        self.behind.push(self.at);
        self.at = next;
        Ok(label)
    }

    /// What there is to say of a token that may not come next.
    fn refused(&self, token: TokenId) -> Refused {
        Refused { token, text: self.template.tables().token_text(token), position: self.behind.len() }
    }

    /// Takes back the last `count` tokens, or all if there are fewer.
    pub fn rollback(&mut self, count: usize) {
        let kept = self.behind.len().saturating_sub(count);
        if let Some(&place) = self.behind.get(kept) {
            self.at = place;
        }
        self.behind.truncate(kept);
    }

    /// Goes back to the start.
    pub fn reset(&mut self) {
        self.rollback(usize::MAX);
    }

    /// The tokens from here on that have no alternative, up to the next decision or the end. They are not taken: pass
    /// each to [`Matcher::advance`].
    pub fn forced_run(&self) -> impl Iterator<Item = TokenId> + '_ {
        let mut at = self.at;
        std::iter::from_fn(move || {
            let (token, next) = self.only(at).filter(|_| self.forcing)?;
            at = next;
            Some(token)
        })
    }

    /// The fewest and the most tokens to the end of the text.
    #[must_use]
    pub fn tokens_left(&self) -> Bounds {
        self.template.tokens_left(self.at.state, self.at.number as usize)
    }

    /// The fewest and the most decisions to the end of the text: with forced runs, each costs one forward pass.
    #[must_use]
    pub fn passes_left(&self) -> Bounds {
        match self.forcing {
            true => self.template.decisions_left(self.at.state, self.at.number as usize),
            false => self.tokens_left(),
        }
    }

    /// The edges of a place: those of its state, and where a number may end those of the literal behind it.
    fn edges(&self, at: Place) -> (Edges<'_>, Option<Edges<'_>>) {
        let automaton = &self.template.tables().automaton;
        let next = match automaton.ends_number(at.state) {
            true => self.template.behind(at.number as usize).map(|root| automaton.edges(root)),
            false => None,
        };
        (automaton.edges(at.state), next)
    }

    /// The place behind `token`, and whether the token is FREE.
    fn step(&self, at: Place, token: TokenId) -> Option<(Place, bool)> {
        let (own, next) = self.edges(at);
        let place = |target: Target, number| (Place { state: target.state, number }, target.free);
        match own.target(token) {
            Some(target) => Some(place(target, at.number)),
            None => next?.target(token).map(|target| place(target, at.number + 1)),
        }
    }

    /// The only token that may come next, and the place behind it.
    fn only(&self, at: Place) -> Option<(TokenId, Place)> {
        let (own, next) = self.edges(at);
        let (token, state, number) = match next {
            None => own.only().map(|(token, target)| (token, target.state, at.number))?,
            Some(next) if own.is_empty() => {
                next.only().map(|(token, target)| (token, target.state, at.number + 1))?
            }
            Some(_) => return None,
        };
        Some((token, Place { state, number }))
    }
}
