//! The slow, obvious way: what a tokenizer gives for a whole text.

use crate::{
    artifact::Header,
    primitives::{ByteSpan, TokenId},
    tokenizer::{Encoding, Tokenizer, TokenizerError},
};

/// Tokenizes completions as they stand behind their prompt, and ends them.
#[derive(Clone, Copy, Debug)]
pub struct Oracle<'a> {
    tokenizer: &'a Tokenizer,
    prompt: &'a str,
    eos: Option<TokenId>,
}

impl<'a> Oracle<'a> {
    /// The oracle of an artifact's tables.
    #[must_use]
    pub fn new(tokenizer: &'a Tokenizer, header: &'a Header) -> Self {
        Self { tokenizer, prompt: &header.prompt, eos: header.eos }
    }

    /// The ids of a completion: those that the tokenizer gives behind the prompt, and the end-of-sequence token. Where a
    /// token would straddle prompt and completion, generation from the prompt's own tokens cannot give it: the completion
    /// is then tokenized behind a digit, which keeps apart from everything.
    ///
    /// # Errors
    /// [`TokenizerError::Run`] if the tokenizer refuses the text.
    pub fn encode(&self, completion: &str) -> Result<Vec<TokenId>, TokenizerError> {
        let mut ids = self.encode_spans(completion)?.ids;
        ids.extend(self.eos);
        Ok(ids)
    }

    /// As [`Oracle::encode`], each id with its bytes of the completion, and without the end-of-sequence token.
    ///
    /// # Errors
    /// As [`Oracle::encode`].
    pub fn encode_spans(&self, completion: &str) -> Result<Encoding, TokenizerError> {
        let behind = match self.behind(self.prompt, completion)? {
            Some(encoding) => Some(encoding),
            None => self.behind("0", completion)?,
        };
        behind.ok_or_else(|| TokenizerError::Run {
            tokenizer: self.tokenizer.name().to_owned(),
            action: "encode the completion",
            reason: format!("a token reaches into the text before {completion:?}"),
        })
    }

    /// The tokens behind `before`, unless one reaches into it.
    fn behind(&self, before: &str, completion: &str) -> Result<Option<Encoding>, TokenizerError> {
        let Encoding { ids, spans } = self.tokenizer.encode(&format!("{before}{completion}"))?;
        let border = before.len() as u32;
        let from = spans.iter().position(|span| span.end > border).unwrap_or(ids.len());
        let apart = spans.get(from).is_none_or(|span| span.start >= border);
        let here = |span: &ByteSpan| ByteSpan { start: span.start - border, end: span.end - border };
        Ok(apart
            .then(|| Encoding { ids: ids[from..].to_vec(), spans: spans[from..].iter().map(here).collect() }))
    }
}
