//! Position templates: for those who count positions, and keep the processor that does.

use super::Oracle;
use crate::{
    primitives::{ByteSpan, TokenId},
    tokenizer::TokenizerError,
};

/// The position template of one molecule: its text with a placeholder in every hole, tokenized once. What a processor
/// does at position i of a completion stands at index i of each field.
///
/// It is right as long as real coordinates have as many tokens as the placeholder; [`drift`](crate::drift) measures how
/// often they have not.
///
/// ```
/// use tplc::{artifact::Header, template::{Oracle, PositionTemplate}, tokenizer::TokenizerSource};
///
/// let qwen = "qwen".parse::<TokenizerSource>()?.load(&[])?;
/// let (header, literals) = (Header::default(), ["[C]<", ">=[O]<", ">"]);
/// let template = PositionTemplate::new(&Oracle::new(&qwen, &header), literals, "0.0000,0.0000,0.0000")?;
/// let free = template.is_free.iter().filter(|&&free| free).count();
/// assert_eq!((template.ref_ids.len(), free), (47, 40));
/// # Ok::<(), tplc::tokenizer::TokenizerError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PositionTemplate {
    /// The ids of the text: those to force at COPY positions.
    pub ref_ids: Vec<TokenId>,
    /// Whether a position is FREE: its token lies wholly inside a hole. All others are COPY.
    pub is_free: Vec<bool>,
    /// The first FREE position of each hole: the allowlist processor forbids a comma there.
    pub first: Vec<bool>,
    /// The last two FREE positions of each hole: the allowlist processor forbids comma and minus there.
    pub last_two: Vec<bool>,
}

impl PositionTemplate {
    /// The template of a text of these literals, one before each hole and one behind the last, as it is tokenized in its
    /// context.
    ///
    /// # Errors
    /// [`TokenizerError::Run`] if the tokenizer refuses the text.
    pub fn new<'l>(
        oracle: &Oracle<'_>,
        literals: impl IntoIterator<Item = &'l str>,
        placeholder: &str,
    ) -> Result<Self, TokenizerError> {
        let (text, holes) = fill(literals, placeholder);
        let encoding = oracle.encode_spans(&text)?;
        let nowhere = vec![false; encoding.ids.len()];
        let mut template = Self {
            ref_ids: encoding.ids,
            is_free: nowhere.clone(),
            first: nowhere.clone(),
            last_two: nowhere,
        };
        for positions in positions_inside(&holes, &encoding.spans) {
            positions.iter().for_each(|&position| template.is_free[position] = true);
            positions.iter().take(1).for_each(|&position| template.first[position] = true);
            positions.iter().rev().take(2).for_each(|&position| template.last_two[position] = true);
        }
        Ok(template)
    }
}

/// The text with the placeholder between its literals, and where it stands.
fn fill<'l>(literals: impl IntoIterator<Item = &'l str>, placeholder: &str) -> (String, Vec<ByteSpan>) {
    let (mut text, mut holes) = (String::new(), Vec::new());
    for (index, literal) in literals.into_iter().enumerate() {
        if index > 0 {
            holes.push(ByteSpan::new(text.len(), text.len() + placeholder.len()));
            text.push_str(placeholder);
        }
        text.push_str(literal);
    }
    (text, holes)
}

/// For each hole, which of these tokens lie wholly inside.
fn positions_inside(holes: &[ByteSpan], tokens: &[ByteSpan]) -> Vec<Vec<usize>> {
    let mut inside = vec![Vec::new(); holes.len()];
    let mut next = 0;
    for (position, &token) in tokens.iter().enumerate() {
        while holes.get(next).is_some_and(|hole| hole.end <= token.start) {
            next += 1;
        }
        if holes.get(next).is_some_and(|hole| hole.contains(token) && !token.is_empty()) {
            inside[next].push(position);
        }
    }
    inside
}
