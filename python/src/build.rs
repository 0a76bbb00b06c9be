//! Building: templates of a corpus as a file, of a list of molecules in memory.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use pyo3::{exceptions::PyValueError, prelude::*};
use tplc::{
    artifact::{Artifact as Opened, SharedBytes, Tokenization},
    files::{check_distinct, check_writable},
    template::{self, Collector, Compiler, Manifest, TemplateOptions},
    text::Skeleton,
    tokenizer::Tokenizer as Loaded,
};

use crate::{
    arguments::{CorpusArguments, Eos, Texts, TokenizerLike, number_format, tags},
    artifact::Artifact,
    error::{CorpusError, FormatError, OrRaise},
    json,
    reading::Listener,
    threads::{Threads, heard, pool},
};

/// Builds the exact templates of a corpus and writes the artifact with its manifest beside it, as `tplc build` does.
/// Returns the manifest.
#[pyfunction]
#[pyo3(
    signature = (
        output, tokenizer, *, corpus=None, corpus_format=None, fields=None, sdf_smiles=None, number_format="fixed4",
        tags="none", eos=Eos::auto(), tokenization="canonical", certificate=true, shard=(1, 1),
        threads=Threads::default(), skipped=None
    ),
    text_signature = "(output, tokenizer, *, corpus='reference:drugs', corpus_format=None, fields=None, sdf_smiles=(), \
                      number_format='fixed4', tags='none', eos='auto', tokenization='canonical', certificate=True, \
                      shard=(1, 1), threads=0, skipped=None)"
)]
#[allow(clippy::too_many_arguments, reason = "they have names in Python")]
pub(crate) fn build<'py>(
    py: Python<'py>,
    output: PathBuf,
    tokenizer: TokenizerLike,
    corpus: Option<Texts>,
    corpus_format: Option<String>,
    fields: Option<BTreeMap<String, String>>,
    sdf_smiles: Option<Texts>,
    number_format: &str,
    tags: &str,
    eos: Eos,
    tokenization: &str,
    certificate: bool,
    shard: (usize, usize),
    threads: Threads,
    skipped: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let TokenizerLike(tokenizer) = tokenizer;
    let (part, parts) = shard;
    if !(1..=parts).contains(&part) {
        return Err(PyValueError::new_err("shard must be (i, n) with 1 <= i <= n"));
    }
    let options = options(&tokenizer, number_format, tags, eos, tokenization)?;
    let corpus = corpus.unwrap_or_else(Texts::reference);
    let corpus = CorpusArguments { corpus, corpus_format, fields, sdf_smiles }.open(false)?;
    check_output(&output)?;
    let manifest = Manifest::path_of(&output);
    let inputs = corpus.names().map(|name| Path::new(name.as_ref()));
    check_distinct(&[&output, &manifest], inputs).or_raise()?;

    let (input, molecules) = py.detach(|| {
        let pool = pool(threads)?;
        let mut listener = Listener::new(skipped);
        let mut molecules = Collector::default();
        let records = listener.until_stopped(corpus.records()).skip(part - 1).step_by(parts);
        let input = molecules.read(records, &options.tags, &pool, &mut listener);
        listener.finish()?;
        let input = input.or_raise()?;
        // A shard may well be empty, a corpus should not.
        if molecules.is_empty() && parts == 1 {
            let rows = input.rows;
            return Err(CorpusError::new_err(format!(
                "no molecule to build a template of: {rows} rows were read"
            )));
        }
        Ok((input, molecules))
    })?;
    let (bytes, manifest) = heard(py, threads, move || {
        let compiler = Compiler::new(&tokenizer, &options).or_raise()?;
        let tried = |_: f64| {};
        molecules.prove(&compiler, input, certificate.then_some(&tried as template::Tried<'_>)).or_raise()
    })?;
    py.detach(|| manifest.save_with(&output, &bytes)).or_raise()?;
    json::to_python(py, &manifest)
}

/// Builds the exact templates of these molecules in memory.
#[pyfunction]
#[pyo3(
    signature = (
        smiles, tokenizer, *, number_format="fixed4", tags="none", eos=Eos::auto(), tokenization="canonical",
        threads=Threads::default()
    ),
    text_signature = "(smiles, tokenizer, *, number_format='fixed4', tags='none', eos='auto', tokenization='canonical', \
                      threads=0)"
)]
#[allow(clippy::too_many_arguments, reason = "they have names in Python")]
pub(crate) fn compile(
    py: Python<'_>,
    smiles: Texts,
    tokenizer: TokenizerLike,
    number_format: &str,
    tags: &str,
    eos: Eos,
    tokenization: &str,
    threads: Threads,
) -> PyResult<Artifact> {
    let TokenizerLike(tokenizer) = tokenizer;
    let options = options(&tokenizer, number_format, tags, eos, tokenization)?;
    heard(py, threads, move || {
        let mut molecules = Collector::default();
        for smiles in &smiles.0 {
            molecules.add(&Skeleton::new(smiles, options.tags.completion.as_ref()).or_raise()?);
        }
        if molecules.is_empty() {
            return Err(CorpusError::new_err("no molecule to build a template of"));
        }
        let bytes =
            Compiler::new(&tokenizer, &options).and_then(|compiler| molecules.build(&compiler)).or_raise()?;
        Ok(Artifact::new(Opened::from_bytes(bytes).or_raise()?.shared(), None))
    })
}

/// One artifact with the molecules of all; they must be of one tokenizer with one set of options. In memory.
#[pyfunction]
pub(crate) fn merge(py: Python<'_>, artifacts: &Bound<'_, PyAny>) -> PyResult<Artifact> {
    let parts = artifacts.try_iter()?.map(|part| Ok(part?.cast::<Artifact>()?.get().opened().clone()));
    let parts: Vec<Opened<SharedBytes>> = parts.collect::<PyResult<_>>()?;
    heard(py, Threads::default(), move || {
        let bytes = template::merge(&parts).or_raise()?;
        Ok(Artifact::new(Opened::from_bytes(bytes).or_raise()?.shared(), None))
    })
}

/// Checks that an artifact and its manifest can be written, and would replace nothing else.
pub(crate) fn check_output(output: &Path) -> PyResult<()> {
    if output.extension().is_none_or(|extension| extension != "tplc") {
        return Err(PyValueError::new_err(format!(
            "{} must end in .tplc: the manifest beside it ends in .ron",
            output.display()
        )));
    }
    check_writable(output).or_raise()?;
    Manifest::check_path(&Manifest::path_of(output)).or_raise()
}

fn options(
    tokenizer: &Loaded,
    number_format: &str,
    tags: &str,
    eos: Eos,
    tokenization: &str,
) -> PyResult<TemplateOptions> {
    let tokenization = match tokenization {
        "canonical" => Tokenization::Canonical,
        "any" => Tokenization::Any,
        other => {
            return Err(FormatError::new_err(format!(
                "no tokenization {other:?}; there are canonical and any"
            )));
        }
    };
    Ok(TemplateOptions {
        format: self::number_format(number_format)?,
        tags: self::tags(tags)?,
        eos: eos.of(tokenizer)?,
        tokenization,
    })
}
