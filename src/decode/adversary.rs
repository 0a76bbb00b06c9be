//! Models that want something else: what a template must withstand.

use super::{
    DecodeError, LanguageModel, Logits, Packed,
    random::{join, unit},
};
use crate::{primitives::TokenId, tokenizer::Tokenizer};

/// What an adversary wants to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Anything.
    Anything,
    /// Tokens with a closing bracket.
    Brackets,
    /// Tokens with letters.
    Letters,
    /// Digits, and never an end.
    Endless,
    /// The end, at once.
    End,
}

/// A model without weights: it wishes, and else dices by seed, place and token.
#[derive(Clone, Debug)]
pub struct Adversary {
    /// By id, what is added to its logit.
    wishes: Vec<f32>,
    seed: u64,
    slots: usize,
    context: usize,
    restricted: Option<Vec<TokenId>>,
}

/// More than the dice can give.
const STRONG: f32 = 20.0;

impl Wish {
    /// All wishes.
    pub const ALL: [Self; 5] = [Self::Anything, Self::Brackets, Self::Letters, Self::Endless, Self::End];

    /// The name of the wish.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Anything => "anything",
            Self::Brackets => "brackets",
            Self::Letters => "letters",
            Self::Endless => "endless",
            Self::End => "end",
        }
    }

    /// What is added to the logit of a token.
    fn of(self, bytes: &[u8], ends: bool) -> f32 {
        let wished = match self {
            Self::Anything => false,
            Self::Brackets => bytes.contains(&b'>'),
            Self::Letters => bytes.iter().any(u8::is_ascii_alphabetic),
            Self::Endless => bytes.iter().all(u8::is_ascii_digit),
            Self::End => ends,
        };
        match (self, ends) {
            (Self::Endless, true) => -STRONG,
            _ if wished => STRONG,
            _ => 0.0,
        }
    }
}

impl Adversary {
    /// An adversary for a vocabulary.
    #[must_use]
    pub fn new(wish: Wish, tokenizer: &Tokenizer, seed: u64, slots: usize, context: usize) -> Self {
        let vocabulary = tokenizer.vocabulary();
        let largest = vocabulary.max_id().map_or(0, |id| id.0 + 1);
        let mut wishes = vec![0.0; tokenizer.logits_width().unwrap_or(largest) as usize];
        let end = tokenizer.eos();
        for (id, bytes) in vocabulary.iter() {
            if let Some(place) = wishes.get_mut(id.0 as usize) {
                *place = wish.of(bytes, end == Some(id));
            }
        }
        Self { wishes, seed, slots, context, restricted: None }
    }
}

impl LanguageModel for Adversary {
    fn vocabulary(&self) -> usize {
        self.wishes.len()
    }

    fn slots(&self) -> usize {
        self.slots
    }

    fn context(&self) -> usize {
        self.context
    }

    fn restrict(&mut self, ids: Option<&[TokenId]>) -> Result<(), DecodeError> {
        let rows = self.wishes.len();
        if let Some(&token) = ids.unwrap_or_default().iter().find(|id| id.0 as usize >= rows) {
            return Err(DecodeError::UnknownToken { token, rows });
        }
        self.restricted = ids.map(<[TokenId]>::to_vec);
        Ok(())
    }

    fn forward(&mut self, packed: &Packed) -> Result<Logits, DecodeError> {
        let positions: Vec<usize> = packed.positions().collect();
        let mut values = Vec::new();
        for &index in packed.wanted() {
            let index = index as usize;
            let key = join(join(self.seed, positions[index] as u64), u64::from(packed.tokens()[index].0));
            let logit = |id: usize| self.wishes[id] + (unit(join(key, id as u64)) * 4.0) as f32;
            match &self.restricted {
                Some(ids) => values.extend(ids.iter().map(|id| logit(id.0 as usize))),
                None => values.extend((0..self.wishes.len()).map(logit)),
            }
        }
        let width = self.restricted.as_ref().map_or(self.wishes.len(), Vec::len);
        Ok(Logits::new(values, width))
    }
}
