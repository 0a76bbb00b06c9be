//! What several calls take: paths, tokenizers, corpora, tags.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use pyo3::{Borrowed, exceptions::PyTypeError, prelude::*, types::PyString};
use tplc::{
    corpus::{Corpus, CorpusOptions, JsonFields, SmilesSource},
    primitives::TokenId,
    template::{TemplateError, eos_token},
    text::{NumberFormat, Tags},
    tokenizer::Tokenizer as Loaded,
};

use crate::{
    error::{FormatError, OrRaise, token_id},
    tokenizer::Tokenizer,
};

/// A path or some other text: `str` or `os.PathLike`.
pub(crate) struct TextOrPath(pub(crate) String);

impl<'py> FromPyObject<'_, 'py> for TextOrPath {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = value.cast::<PyString>() {
            return Ok(Self(text.to_string()));
        }
        let path: PathBuf = value.extract().map_err(|_| {
            PyTypeError::new_err(format!("a text is a str or a path; this is {}", value.get_type()))
        })?;
        let text = path.into_os_string().into_string();
        text.map(Self).map_err(|path| PyTypeError::new_err(format!("{path:?} is not UTF-8")))
    }
}

/// One such text, or a sequence of them.
pub(crate) struct Texts(pub(crate) Vec<String>);

impl<'py> FromPyObject<'_, 'py> for Texts {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(TextOrPath(text)) = value.extract() {
            return Ok(Self(vec![text]));
        }
        let text = |(at, text): (usize, PyResult<Bound<'py, PyAny>>)| {
            let TextOrPath(text) = text?.extract().map_err(|error: PyErr| {
                PyTypeError::new_err(format!("number {at} (from 0) is wrong: {}", error.value(value.py())))
            })?;
            Ok(text)
        };
        Ok(Self(value.try_iter()?.enumerate().map(text).collect::<PyResult<_>>()?))
    }
}

impl Texts {
    /// The corpus that is compiled in.
    pub(crate) fn reference() -> Self {
        Self(vec!["reference:drugs".to_owned()])
    }
}

/// A tokenizer, or what loads one.
pub(crate) struct TokenizerLike(pub(crate) Arc<Loaded>);

impl<'py> FromPyObject<'_, 'py> for TokenizerLike {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(tokenizer) = value.cast::<Tokenizer>() {
            return Ok(Self(Arc::clone(tokenizer.get().loaded())));
        }
        if Tokenizer::is_of_transformers(&value)? {
            return Ok(Self(Arc::clone(Tokenizer::of_transformers(&value)?.loaded())));
        }
        let TextOrPath(source) = value.extract().map_err(|_| {
            PyTypeError::new_err(format!(
                "a tokenizer is a tplc.Tokenizer, a fast one of transformers, or what Tokenizer.load takes; this is {}",
                value.get_type()
            ))
        })?;
        Ok(Self(Arc::clone(Tokenizer::from_source(value.py(), source, Vec::new())?.loaded())))
    }
}

impl TokenizerLike {
    /// An embedded one.
    pub(crate) fn named(py: Python<'_>, name: &str) -> PyResult<Arc<Loaded>> {
        Ok(Arc::clone(Tokenizer::from_source(py, name.to_owned(), Vec::new())?.loaded()))
    }
}

/// One tokenizer, or a sequence of them.
pub(crate) struct TokenizersLike(pub(crate) Vec<Arc<Loaded>>);

impl<'py> FromPyObject<'_, 'py> for TokenizersLike {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let single = value.is_instance_of::<Tokenizer>() || Tokenizer::is_of_transformers(&value)?;
        if single || value.extract::<TextOrPath>().is_ok() {
            return Ok(Self(vec![value.extract::<TokenizerLike>()?.0]));
        }
        let tokenizers = value.try_iter()?.map(|one| Ok(one?.extract::<TokenizerLike>()?.0));
        Ok(Self(tokenizers.collect::<PyResult<_>>()?))
    }
}

/// The token that ends a sequence: an id, a text, `"auto"`, `"none"` or `None`.
pub(crate) enum Eos {
    Named(String),
    Id(i64),
}

impl<'py> FromPyObject<'_, 'py> for Eos {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if value.is_none() {
            return Ok(Self::Named("none".to_owned()));
        }
        match value.cast::<PyString>() {
            Ok(text) => Ok(Self::Named(text.to_string())),
            Err(_) => Ok(Self::Id(value.extract()?)),
        }
    }
}

impl Eos {
    /// The tokenizer's own.
    pub(crate) fn auto() -> Self {
        Self::Named("auto".to_owned())
    }

    pub(crate) fn of(&self, tokenizer: &Loaded) -> PyResult<Option<TokenId>> {
        match self {
            Self::Named(text) => eos_token(tokenizer, text).or_raise(),
            &Self::Id(id) if tokenizer.token(token_id(id)).is_some() => Ok(Some(token_id(id))),
            Self::Id(id) => {
                let (tokenizer, text) = (tokenizer.name().to_owned(), format!("#{id}"));
                Err(TemplateError::NoEos { tokenizer, text }).or_raise()
            }
        }
    }
}

/// A number format by name or as RON.
pub(crate) fn number_format(text: &str) -> PyResult<NumberFormat> {
    text.trim().parse::<NumberFormat>().or_raise()
}

/// Tags by name or as RON.
pub(crate) fn tags(text: &str) -> PyResult<Tags> {
    text.parse::<Tags>().or_raise()
}

/// How a corpus is to be read.
pub(crate) struct CorpusArguments {
    pub(crate) corpus: Texts,
    pub(crate) corpus_format: Option<String>,
    pub(crate) fields: Option<BTreeMap<String, String>>,
    pub(crate) sdf_smiles: Option<Texts>,
}

impl CorpusArguments {
    /// The corpus; `conformers` tells whether a row without one has a fault.
    pub(crate) fn open(self, conformers: bool) -> PyResult<Corpus> {
        let mut fields = JsonFields::default();
        for (name, field) in self.fields.unwrap_or_default() {
            fields.set(&name, &field).map_err(|error| FormatError::new_err(error.to_string()))?;
        }
        let format = self.corpus_format.map(|name| name.parse()).transpose().or_raise()?;
        let smiles = SmilesSource::of_fields(&self.sdf_smiles.map_or_else(Vec::new, |names| names.0));
        let options = CorpusOptions { format, fields, smiles, conformers, ..CorpusOptions::default() };
        Corpus::open(&self.corpus.0, &options).or_raise()
    }
}
