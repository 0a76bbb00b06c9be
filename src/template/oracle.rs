//! The slow, obvious way: what a tokenizer gives for a whole text.

use super::TemplateOptions;
use crate::{
    artifact::Header,
    primitives::{ByteSpan, TokenId},
    tokenizer::{Encoding, Tokenizer, TokenizerError},
};

/// Tokenizes completions as they stand behind their prompt, and ends them.
#[derive(Clone, Debug)]
pub struct Oracle<'a> {
    tokenizer: &'a Tokenizer,
    prompt: String,
    eos: Option<TokenId>,
}

impl<'a> Oracle<'a> {
    /// The oracle of an artifact's tables.
    #[must_use]
    pub fn new(tokenizer: &'a Tokenizer, header: &Header) -> Self {
        Self { tokenizer, prompt: header.prompt.clone(), eos: header.eos }
    }

    /// The oracle of templates with these options.
    #[must_use]
    pub fn with_options(tokenizer: &'a Tokenizer, options: &TemplateOptions) -> Self {
        Self { tokenizer, prompt: options.prompt(), eos: options.eos }
    }

    /// The ids of a completion: those that the tokenizer gives behind the prompt, and the end-of-sequence token. Where a
    /// token would straddle prompt and completion, generation from the prompt's own tokens cannot give it: the completion
    /// is then tokenized behind a digit, which keeps apart from everything.
    ///
    /// # Errors
    /// [`TokenizerError::Run`] if the tokenizer refuses the text.
    pub fn encode(&self, completion: &str) -> Result<Vec<TokenId>, TokenizerError> {
        Ok(self.encode_spans(completion)?.ids)
    }

    /// As [`Oracle::encode`], with the bytes of the completion that each id covers: none for the end-of-sequence token.
    ///
    /// # Errors
    /// As [`Oracle::encode`].
    pub fn encode_spans(&self, completion: &str) -> Result<Encoding, TokenizerError> {
        let behind = match self.behind(&self.prompt, completion)? {
            Some(ids) => Some(ids),
            None => self.behind("0", completion)?,
        };
        let failed = || TokenizerError::Run {
            tokenizer: self.tokenizer.name().to_owned(),
            action: "encode the completion",
            reason: format!("a token reaches into the text before {completion:?}"),
        };
        let mut encoding = behind.ok_or_else(failed)?;
        encoding.ids.extend(self.eos);
        encoding.spans.extend(self.eos.map(|_| ByteSpan::new(completion.len(), completion.len())));
        Ok(encoding)
    }

    /// The tokens behind `before`, unless one reaches into it.
    fn behind(&self, before: &str, completion: &str) -> Result<Option<Encoding>, TokenizerError> {
        let encoding = self.tokenizer.encode(&format!("{before}{completion}"))?;
        let border = before.len() as u32;
        let from = encoding.spans.iter().position(|span| span.end > border).unwrap_or(encoding.ids.len());
        let apart = encoding.spans.get(from).is_none_or(|span| span.start >= border);
        let moved = |byte: u32| byte.saturating_sub(border);
        let spans = encoding.spans[from..].iter();
        Ok(apart.then(|| Encoding {
            ids: encoding.ids[from..].to_vec(),
            spans: spans.map(|span| ByteSpan { start: moved(span.start), end: moved(span.end) }).collect(),
        }))
    }
}
