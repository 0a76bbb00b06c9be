//! Tokenizers, as they are shipped.

use std::{path::Path, sync::Arc};

use pyo3::{
    Borrowed,
    exceptions::{PyOverflowError, PyTypeError, PyValueError},
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

    /// Whether an object is a fast tokenizer of transformers.
    pub(crate) fn is_of_transformers(object: &Bound<'_, PyAny>) -> PyResult<bool> {
        object.hasattr("backend_tokenizer")
    }

    /// The same as a fast tokenizer of transformers, its end of a sequence included. The width of the logits is that of the model
    /// folder it came from, where that still has the same tokenizer.
    pub(crate) fn of_transformers(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = object.py();
        let json: String = object.getattr("backend_tokenizer")?.call_method0("to_str")?.extract()?;
        let eos: Option<String> = object.getattr("eos_token")?.extract()?;
        let origin: String = object.getattr("name_or_path")?.extract()?;
        let beside = match Path::new(&origin).is_dir() {
            true => Self::from_source(py, origin.clone(), Vec::new()).ok(),
            false => None,
        };
        let name = match (&beside, origin.is_empty()) {
            (Some(beside), _) => beside.name().to_owned(),
            (None, false) => origin,
            (None, true) => object.get_type().name()?.to_string(),
        };
        let alone = Self::from_json(py, json.clone(), name.clone(), eos.clone(), None)?;
        let beside = beside.filter(|beside| beside.loaded.fingerprint() == alone.loaded.fingerprint());
        match beside.and_then(|beside| beside.loaded.logits_width()) {
            Some(width) => Self::from_json(py, json, name, eos, Some(width)),
            None => Ok(alone),
        }
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
    /// Loads an embedded tokenizer, a `tokenizer.json`, a model folder, or `hf:ORG/NAME[@REVISION]`; or takes over a fast one of
    /// transformers.
    #[staticmethod]
    #[pyo3(signature = (source, added_tokens=None), text_signature = "(source, added_tokens=())")]
    fn load(source: &Bound<'_, PyAny>, added_tokens: Option<Texts>) -> PyResult<Self> {
        let added_tokens = added_tokens.map_or_else(Vec::new, |files| files.0);
        if !Self::is_of_transformers(source)? {
            return Self::from_source(source.py(), source.extract::<TextOrPath>()?.0, added_tokens);
        }
        if added_tokens.is_empty() {
            return Self::of_transformers(source);
        }
        Err(PyTypeError::new_err(
            "a tokenizer of transformers has its added tokens: give it those with add_tokens",
        ))
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
    fn token(&self, id: Number) -> Option<String> {
        self.loaded.token(token_id(id.0))
    }

    /// The id of the added token with this text.
    fn added_token(&self, text: &str) -> Option<u32> {
        self.loaded.vocabulary().added(text).map(|id| id.0)
    }

    /// Whether decoding may skip this id.
    fn is_special(&self, id: Number) -> bool {
        self.loaded.is_special(token_id(id.0))
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

/// An id, a row or a count that Python gives, of whatever size is thinkable.
pub(crate) struct Number(pub(crate) i64);

impl<'py> FromPyObject<'_, 'py> for Number {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        value.extract().map(Self).map_err(|error| match error.is_instance_of::<PyOverflowError>(value.py()) {
            true => PyValueError::new_err(format!(
                "{value:?} is far too large: ids, rows and counts have 32 bits"
            )),
            false => error,
        })
    }
}

/// Ids that Python gives: a list, an array, a tensor.
pub(crate) fn given_ids(ids: &Bound<'_, PyAny>) -> PyResult<Vec<i64>> {
    let listed = match ids.hasattr("tolist")? {
        true => &ids.call_method0("tolist")?,
        false => ids,
    };
    listed.try_iter()?.map(|id| Ok(id?.extract::<Number>()?.0)).collect()
}

/// The same as the crate's own.
pub(crate) fn token_ids(ids: &Bound<'_, PyAny>) -> PyResult<Vec<TokenId>> {
    Ok(given_ids(ids)?.into_iter().map(token_id).collect())
}
