//! Tokenizers, as they are shipped.

use std::sync::Arc;

use pyo3::{
    prelude::*,
    types::{PyString, PyTuple},
};
use tplc::{
    primitives::TokenId,
    tokenizer::{AddedTokens, EmbeddedTokenizer, Tokenizer as Loaded, TokenizerSource, embedded},
};

use crate::{
    arguments::{TextOrPath, Texts},
    error::{OrRaise, token_id},
    json,
};

/// A tokenizer as shipped. Immutable, to be shared between threads; pickles as where it came from.
#[pyclass(module = "tplc", frozen)]
pub(crate) struct Tokenizer {
    loaded: Arc<Loaded>,
    made: Made,
}

/// How it was made, so that it can be made again.
enum Made {
    Loaded { source: String, added_tokens: Vec<String> },
    Json { json: String, name: String, eos: Option<String>, logits_width: Option<u32> },
}

/// The tokenizers that are compiled in, as `tplc tokenizers --format json` lists them.
#[pyfunction]
pub(crate) fn tokenizers(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let entries = py.detach(|| embedded().map(EmbeddedTokenizer::entry).collect::<Result<Vec<_>, _>>());
    json::to_python(py, &entries.or_raise()?)
}

impl Tokenizer {
    /// Loads a tokenizer and lays files of added tokens over it.
    pub(crate) fn from_source(py: Python<'_>, source: String, added_tokens: Vec<String>) -> PyResult<Self> {
        let loaded = py.detach(|| -> PyResult<Loaded> {
            let overlays = added_tokens.iter().map(AddedTokens::read).collect::<Result<Vec<_>, _>>();
            let source: TokenizerSource = source.parse().or_raise()?;
            source.load(&overlays.or_raise()?).or_raise()
        })?;
        Ok(Self { loaded: Arc::new(loaded), made: Made::Loaded { source, added_tokens } })
    }

    /// The crate's own.
    pub(crate) fn loaded(&self) -> &Arc<Loaded> {
        &self.loaded
    }
}

/// Ids as numbers.
pub(crate) fn numbers(ids: &[TokenId]) -> Vec<u32> {
    ids.iter().map(|id| id.0).collect()
}

#[pymethods]
impl Tokenizer {
    /// Loads an embedded tokenizer, a `tokenizer.json`, a model folder, or `hf:ORG/NAME[@REVISION]`.
    #[staticmethod]
    #[pyo3(signature = (source, added_tokens=None), text_signature = "(source, added_tokens=())")]
    fn load(py: Python<'_>, source: TextOrPath, added_tokens: Option<Texts>) -> PyResult<Self> {
        Self::from_source(py, source.0, added_tokens.map_or_else(Vec::new, |files| files.0))
    }

    /// A tokenizer from the text of a `tokenizer.json`.
    #[staticmethod]
    #[pyo3(signature = (json, name, eos=None, logits_width=None))]
    fn from_json(
        py: Python<'_>,
        json: String,
        name: String,
        eos: Option<String>,
        logits_width: Option<u32>,
    ) -> PyResult<Self> {
        let loaded = py.detach(|| Loaded::from_json(&json, &name, eos.clone(), logits_width)).or_raise()?;
        Ok(Self { loaded: Arc::new(loaded), made: Made::Json { json, name, eos, logits_width } })
    }

    /// What it is called; with `+NAME` for each overlay of added tokens.
    #[getter]
    fn name(&self) -> &str {
        self.loaded.name()
    }

    /// Where it comes from.
    #[getter]
    fn origin(&self) -> &str {
        self.loaded.origin()
    }

    /// The licence of an embedded one.
    #[getter]
    fn licence(&self) -> Option<&'static str> {
        self.loaded.licence()
    }

    /// The content hash, 64 hexadecimal digits: equal for every form of the same tokenizer.
    #[getter]
    fn fingerprint(&self) -> String {
        self.loaded.fingerprint().to_string()
    }

    /// The number of tokens, added ones included. The largest id can be larger.
    #[getter]
    fn vocabulary_size(&self) -> usize {
        self.loaded.vocab_size()
    }

    /// Rows of the model's output layer, where the source tells it.
    #[getter]
    fn logits_width(&self) -> Option<u32> {
        self.loaded.logits_width()
    }

    /// The id that ends a sequence, where the source tells it.
    #[getter]
    fn eos(&self) -> Option<u32> {
        self.loaded.eos().map(|id| id.0)
    }

    /// How it cuts numbers into tokens.
    #[getter]
    fn digits(&self) -> String {
        self.loaded.digit_handling().to_string()
    }

    /// The ids of a text alone: nothing is put before or behind it.
    fn encode(&self, text: &str) -> PyResult<Vec<u32>> {
        Ok(numbers(&self.loaded.encode(text).or_raise()?.ids))
    }

    /// For each id of `encode(text)` the bytes of the text that it covers, from and to.
    fn spans(&self, text: &str) -> PyResult<Vec<(u32, u32)>> {
        Ok(self.loaded.encode(text).or_raise()?.spans.iter().map(|span| (span.start, span.end)).collect())
    }

    /// The text of ids. Ids that no token has are skipped.
    #[pyo3(signature = (ids, skip_special=false))]
    fn decode(&self, ids: &Bound<'_, PyAny>, skip_special: bool) -> PyResult<String> {
        self.loaded.decode(&token_ids(ids)?, skip_special).or_raise()
    }

    /// The text of one token for people; `None` for an id that no token has.
    fn token(&self, id: i64) -> Option<String> {
        self.loaded.token(token_id(id))
    }

    /// The id of the added token with this text.
    fn added_token(&self, text: &str) -> Option<u32> {
        self.loaded.vocabulary().added(text).map(|id| id.0)
    }

    /// Whether decoding may skip this id.
    fn is_special(&self, id: i64) -> bool {
        self.loaded.is_special(token_id(id))
    }

    fn __repr__(&self) -> String {
        format!("<tplc.Tokenizer {}, {} tokens>", self.loaded.name(), self.loaded.vocab_size())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (py, class) = (slf.py(), slf.get_type());
        match &slf.get().made {
            Made::Loaded { source, added_tokens } => {
                let files = PyTuple::new(py, added_tokens)?;
                let source = PyString::new(py, source);
                Ok((class.getattr("load")?, (source, files).into_pyobject(py)?))
            }
            Made::Json { json, name, eos, logits_width } => {
                let arguments = (json, name, eos, logits_width).into_pyobject(py)?;
                Ok((class.getattr("from_json")?, arguments))
            }
        }
    }
}

/// Ids that Python gives: a list, an array, a tensor.
pub(crate) fn given_ids(ids: &Bound<'_, PyAny>) -> PyResult<Vec<i64>> {
    let listed = match ids.hasattr("tolist")? {
        true => &ids.call_method0("tolist")?,
        false => ids,
    };
    listed.try_iter()?.map(|id| id?.extract()).collect()
}

/// The same as the crate's own.
pub(crate) fn token_ids(ids: &Bound<'_, PyAny>) -> PyResult<Vec<TokenId>> {
    Ok(given_ids(ids)?.into_iter().map(token_id).collect())
}
