//! Generations judged: what `tplc audit` prints as JSON.

use std::{collections::BTreeMap, io::Cursor, sync::Arc};

use pyo3::{
    exceptions::PyTypeError,
    prelude::*,
    types::{PyDict, PyMapping, PyString},
};
use tplc::{
    artifact::{Artifact as Opened, SharedBytes},
    audit::{AuditError, Judge, Judged, Totals},
    corpus::{Corpus, for_each_row},
    template::TemplateOptions,
    tokenizer::{EmbeddedTokenizer, Tokenizer as Loaded, TokenizerSource},
};

use crate::{
    arguments::{Eos, TextOrPath, Texts, TokenizerLike, number_format, tags},
    artifact::Artifact,
    error::{CorpusError, OrRaise, TokenizerError},
    json,
    reading::Listener,
    threads::{self, Threads},
};

/// Judges generations against an artifact, or against a number format: what `tplc audit --format json` prints, as a dict.
#[pyfunction]
#[pyo3(
    signature = (
        generations, artifact=None, *, tokenizer=None, number_format=None, tags="none", eos=Eos::auto(), molecules=None,
        corpus=None, judgements=false, threads=Threads::default(), skipped=None
    ),
    text_signature = "(generations, artifact=None, *, tokenizer=None, number_format=None, tags='none', eos='auto', \
                      molecules=None, corpus=(), judgements=False, threads=0, skipped=None)"
)]
#[allow(clippy::too_many_arguments, reason = "they have names in Python")]
pub(crate) fn audit<'py>(
    py: Python<'py>,
    generations: &Bound<'py, PyAny>,
    artifact: Option<&Bound<'py, PyAny>>,
    tokenizer: Option<TokenizerLike>,
    number_format: Option<&str>,
    tags: &str,
    eos: Eos,
    molecules: Option<BTreeMap<String, String>>,
    corpus: Option<Texts>,
    judgements: bool,
    threads: Threads,
    skipped: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let artifact = artifact.map(opened).transpose()?;
    let tokenizer = match (tokenizer, &artifact) {
        (Some(TokenizerLike(tokenizer)), _) => tokenizer,
        (None, Some(artifact)) => embedded(artifact)?,
        (None, None) => return Err(PyTypeError::new_err("give an artifact, or tokenizer and number_format")),
    };
    let mut judge = match (&artifact, number_format) {
        (Some(artifact), None) => Judge::of_artifact(&tokenizer, artifact.tables()).or_raise()?,
        (None, Some(format)) => {
            let (tags, eos) = (self::tags(tags)?, eos.of(&tokenizer)?);
            let format = self::number_format(format)?;
            Judge::new(&tokenizer, TemplateOptions { format, tags, eos, ..TemplateOptions::default() })
        }
        (Some(_), Some(_)) => {
            return Err(PyTypeError::new_err(
                "give an artifact or a number_format: the artifact has its own",
            ));
        }
        (None, None) => return Err(PyTypeError::new_err("give an artifact or a number_format")),
    };
    judge.read_names(&corpus.map_or_else(Vec::new, |inputs| inputs.0)).or_raise()?;
    for (name, smiles) in molecules.unwrap_or_default() {
        judge.add_name(name, smiles);
    }
    let lines = lines(generations)?;

    let (input, totals, all, first) = py.detach(|| {
        let pool = threads::pool(threads)?;
        let mut listener = Listener::new(skipped);
        let (mut totals, mut all) = (Totals::default(), Vec::new());
        let records = listener.until_stopped(lines.records());
        let take = |judged: Judged| {
            totals.add(judged.line, &judged.judgement);
            if judgements {
                all.push(judged);
            }
        };
        let input: Result<_, AuditError> =
            for_each_row(records, &pool, &mut listener, |record| judge.judge(record), take);
        let first = listener.first.take();
        listener.finish()?;
        Ok::<_, PyErr>((input.or_raise()?, totals, all, first))
    })?;
    // No junk in nothing would look like no junk.
    if let Some(first) = first.filter(|_| input.rows == input.skipped) {
        let rows = input.rows;
        return Err(CorpusError::new_err(format!(
            "nothing could be judged: {rows} rows were skipped, the first as {first}"
        )));
    }
    let report = json::to_python(py, &judge.report(&input, &totals))?;
    if judgements {
        report.set_item("judgements", json::to_python(py, &all)?)?;
    }
    Ok(report)
}

/// The artifact that is given, or opened from the path that is.
fn opened(artifact: &Bound<'_, PyAny>) -> PyResult<Opened<SharedBytes>> {
    if let Ok(artifact) = artifact.cast::<Artifact>() {
        return Ok(artifact.get().opened().clone());
    }
    let TextOrPath(path) = artifact.extract()?;
    Ok(Opened::open(path).or_raise()?.shared())
}

/// The embedded tokenizer that an artifact was built for.
fn embedded(artifact: &Opened<SharedBytes>) -> PyResult<Arc<Loaded>> {
    let name = &artifact.tables().header.tokenizer;
    let known = EmbeddedTokenizer::find(name).ok_or_else(|| {
        TokenizerError::new_err(format!(
            "the artifact was built for {name}, which is not embedded: give the tokenizer"
        ))
    })?;
    Ok(Arc::new(TokenizerSource::Embedded(known).load(&[]).or_raise()?))
}

/// Generations as lines of JSON: a file of them, or dicts.
fn lines(generations: &Bound<'_, PyAny>) -> PyResult<Corpus> {
    let options = Judge::corpus_options();
    if let Ok(TextOrPath(path)) = generations.extract() {
        return Corpus::open(&[path], &options).or_raise();
    }
    if generations.cast::<PyMapping>().is_ok() {
        return Err(PyTypeError::new_err(
            "generations is a mapping, such as one of them is: give a list of them",
        ));
    }
    let py = generations.py();
    let (dumps, arguments) = (py.import("json")?.getattr("dumps")?, PyDict::new(py));
    // Arrays and tensors of ids.
    arguments.set_item("default", py.import("operator")?.call_method1("methodcaller", ("tolist",))?)?;
    let mut text = String::new();
    for generation in generations.try_iter()? {
        let line = dumps.call((generation?,), Some(&arguments))?;
        text.push_str(line.cast::<PyString>()?.to_str()?);
        text.push('\n');
    }
    Ok(Corpus::from_reader("generations", Box::new(Cursor::new(text.into_bytes())), &options))
}
