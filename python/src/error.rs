//! Errors of the crate as Python's exceptions: one class for what went wrong, the crate's own words for what, where and
//! what to do.

use std::error::Error as StdError;

use pyo3::{create_exception, exceptions::PyException, prelude::*};
use tplc::{
    artifact, audit, corpus, drift, files, matcher::Refused, primitives::TokenId, template, text, tokenizer,
};

create_exception!(tplc, Error, PyException, "Base of all errors that tplc raises.");
create_exception!(tplc, TokenizerError, Error, "A tokenizer cannot be found, read or used.");
create_exception!(tplc, CorpusError, Error, "A corpus cannot be read, or nothing in it can be used.");
create_exception!(tplc, FormatError, Error, "A number format, tags or another option cannot be read.");
create_exception!(tplc, TextError, Error, "A SMILES, an enriched text or a coordinate is malformed.");
create_exception!(tplc, DriftError, Error, "Drift cannot be counted.");
create_exception!(tplc, TemplateError, Error, "No exact template can be compiled.");
create_exception!(tplc, CertificateError, TemplateError, "Something that templates claim does not hold.");
create_exception!(tplc, ArtifactError, Error, "No artifact, a damaged one, or one that cannot be written.");
create_exception!(tplc, WrongTokenizerError, ArtifactError, "The artifact was built for another tokenizer.");
create_exception!(
    tplc,
    UnknownLiteralError,
    ArtifactError,
    "A molecule has COPY text that no molecule of the artifact has."
);
create_exception!(tplc, MatcherError, Error, "A token may not come where it came.");
create_exception!(tplc, AuditError, Error, "Generations cannot be judged.");

/// Adds the exceptions to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    for (name, class) in [
        ("Error", py.get_type::<Error>()),
        ("TokenizerError", py.get_type::<TokenizerError>()),
        ("CorpusError", py.get_type::<CorpusError>()),
        ("FormatError", py.get_type::<FormatError>()),
        ("TextError", py.get_type::<TextError>()),
        ("DriftError", py.get_type::<DriftError>()),
        ("TemplateError", py.get_type::<TemplateError>()),
        ("CertificateError", py.get_type::<CertificateError>()),
        ("ArtifactError", py.get_type::<ArtifactError>()),
        ("WrongTokenizerError", py.get_type::<WrongTokenizerError>()),
        ("UnknownLiteralError", py.get_type::<UnknownLiteralError>()),
        ("MatcherError", py.get_type::<MatcherError>()),
        ("AuditError", py.get_type::<AuditError>()),
    ] {
        module.add(name, class)?;
    }
    Ok(())
}

/// An error of the crate that has an exception.
pub(crate) trait Raised {
    /// The exception.
    fn raised(self) -> PyErr;
}

/// A result of the crate that has an exception.
pub(crate) trait OrRaise<T> {
    /// The value, or the exception.
    fn or_raise(self) -> PyResult<T>;
}

impl<T, E: Raised> OrRaise<T> for Result<T, E> {
    fn or_raise(self) -> PyResult<T> {
        self.map_err(Raised::raised)
    }
}

/// The words of an error and of its causes: many an error ends in the words of its cause already.
fn words(error: &dyn StdError) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.ends_with(&text) {
            words = format!("{words}: {text}");
        }
        cause = error.source();
    }
    words
}

/// One exception for every error of a type.
macro_rules! raise {
    ($($error:ty => $exception:ident),* $(,)?) => {
        $(impl Raised for $error {
            fn raised(self) -> PyErr {
                $exception::new_err(words(&self))
            }
        })*
    };
}

raise! {
    tokenizer::TokenizerError => TokenizerError,
    corpus::CorpusError => CorpusError,
    corpus::RowError => CorpusError,
    corpus::CoordinateError => TextError,
    corpus::SmilesError => TextError,
    text::TextError => TextError,
    text::TextFault => TextError,
    text::NumberFormatError => FormatError,
    text::TagsError => FormatError,
    template::SaveError => ArtifactError,
    files::WriteError => ArtifactError,
    rayon::ThreadPoolBuildError => Error,
    serde_json::Error => Error,
}

impl Raised for drift::DriftError {
    fn raised(self) -> PyErr {
        match self {
            Self::Tokenizer(error) => error.raised(),
            Self::Corpus(error) => error.raised(),
            Self::Placeholder { .. } => FormatError::new_err(words(&self)),
            error => DriftError::new_err(words(&error)),
        }
    }
}

impl Raised for template::TemplateError {
    fn raised(self) -> PyErr {
        match self {
            Self::Corpus(error) => error.raised(),
            Self::Format(error) => error.raised(),
            Self::Artifact(error) => error.raised(),
            Self::Tokenizer(error) => error.raised(),
            error => TemplateError::new_err(words(&error)),
        }
    }
}

impl Raised for template::CertificateError {
    fn raised(self) -> PyErr {
        match self {
            Self::OtherTokenizer { .. } => WrongTokenizerError::new_err(words(&self)),
            Self::Template(error) => error.raised(),
            Self::Format(error) => error.raised(),
            Self::Tokenizer(error) => error.raised(),
            Self::Artifact(error) => error.raised(),
            error => CertificateError::new_err(words(&error)),
        }
    }
}

impl Raised for artifact::Error {
    fn raised(self) -> PyErr {
        match self {
            Self::UnknownLiteral { .. } => UnknownLiteralError::new_err(words(&self)),
            Self::NoAtom { .. } => TextError::new_err(words(&self)),
            error => ArtifactError::new_err(words(&error)),
        }
    }
}

impl Raised for audit::AuditError {
    fn raised(self) -> PyErr {
        match self {
            Self::Corpus(error) => error.raised(),
            Self::Row(error) => error.raised(),
            Self::Tokenizer(error) => error.raised(),
            Self::Format(error) => error.raised(),
            error => AuditError::new_err(words(&error)),
        }
    }
}

/// The exception of a token that was refused, in a row of a batch or outside of one.
pub(crate) fn refused(py: Python<'_>, refused: &Refused, row: Option<usize>, token: i64) -> PyErr {
    let text = match u32::try_from(token) {
        Ok(_) => refused.to_string(),
        Err(_) => {
            format!("{token} is no token, and there is none of that id at position {}", refused.position)
        }
    };
    let text = match row {
        Some(row) => format!("row {row}: {text}"),
        None => text,
    };
    let error = MatcherError::new_err(text);
    let value = error.value(py);
    let set = || -> PyResult<()> {
        value.setattr("row", row)?;
        value.setattr("token", token)?;
        value.setattr("position", refused.position)
    };
    set().err().unwrap_or(error)
}

/// An id that Python gives. One that no token can have is the largest there is, which no template allows.
pub(crate) fn token_id(id: i64) -> TokenId {
    TokenId(u32::try_from(id).unwrap_or(u32::MAX))
}
