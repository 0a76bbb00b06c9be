//! Drift: what `tplc analyze` prints as JSON.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use serde_json::Value;
use tplc::drift::{Analysis, AnalysisOptions, CostModel, Report};

use crate::{
    arguments::{CorpusArguments, Texts, TokenizerLike, TokenizersLike, number_format, tags},
    error::{FormatError, OrRaise},
    json,
    reading::Listener,
    threads::Threads,
};

/// Measures how far placeholders drift from real coordinates: what `tplc analyze --format json` prints, as a dict.
#[pyfunction]
#[pyo3(
    signature = (
        tokenizer=None, *, corpus=None, corpus_format=None, fields=None, sdf_smiles=None, number_format=None,
        placeholder=None, tags="none", verify=0.001, exact=false, cost=None, threads=Threads::default(), skipped=None
    ),
    text_signature = "(tokenizer=('qwen', 'llama'), *, corpus='reference:drugs', corpus_format=None, fields=None, \
                      sdf_smiles=(), number_format=None, placeholder=(), tags='none', verify=0.001, exact=False, \
                      cost=None, threads=0, skipped=None)"
)]
#[allow(clippy::too_many_arguments, reason = "they have names in Python")]
pub(crate) fn analyze<'py>(
    py: Python<'py>,
    tokenizer: Option<TokenizersLike>,
    corpus: Option<Texts>,
    corpus_format: Option<String>,
    fields: Option<BTreeMap<String, String>>,
    sdf_smiles: Option<Texts>,
    number_format: Option<Texts>,
    placeholder: Option<Texts>,
    tags: &str,
    verify: f64,
    exact: bool,
    cost: Option<BTreeMap<String, f64>>,
    threads: Threads,
    skipped: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let TokenizersLike(tokenizers) = match tokenizer {
        Some(tokenizers) => tokenizers,
        None => TokenizersLike(
            ["qwen", "llama"]
                .map(|name| TokenizerLike::named(py, name))
                .into_iter()
                .collect::<PyResult<_>>()?,
        ),
    };
    let mut options = AnalysisOptions {
        tags: self::tags(tags)?,
        verify: share(verify)?,
        exact,
        threads: threads.at_most_cores(),
        ..AnalysisOptions::default()
    };
    if let Some(Texts(formats)) = number_format {
        let formats = formats.iter().map(|format| self::number_format(format).map(Some));
        options.formats = formats.collect::<PyResult<_>>()?;
    }
    options.add_placeholders(&placeholder.map_or_else(Vec::new, |texts| texts.0)).or_raise()?;
    let cost = cost_model(cost.unwrap_or_default())?;
    let corpus = corpus.unwrap_or_else(Texts::reference);
    let corpus = CorpusArguments { corpus, corpus_format, fields, sdf_smiles }.open(true)?;

    let report = py.detach(|| {
        let mut listener = Listener::new(skipped);
        let mut analysis = Analysis::new(tokenizers.iter().map(AsRef::as_ref), &options).or_raise()?;
        let records = listener.until_stopped(corpus.records());
        let run = analysis.run(records, &mut listener);
        listener.finish()?;
        run.or_raise()?;
        Ok::<_, PyErr>(Report::new(&analysis.finish().or_raise()?, cost))
    })?;
    json::to_python(py, &report)
}

fn share(share: f64) -> PyResult<f64> {
    match (0.0..=1.0).contains(&share) {
        true => Ok(share),
        false => Err(FormatError::new_err("verify must be a number from 0 to 1")),
    }
}

/// The cost model with some of its constants set.
fn cost_model(constants: BTreeMap<String, f64>) -> PyResult<CostModel> {
    let mut fields = serde_json::to_value(CostModel::default()).or_raise()?;
    for (name, value) in constants {
        let names: Vec<String> =
            fields.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        let Some(field) = fields.get_mut(&name) else {
            let names = names.join(", ");
            return Err(FormatError::new_err(format!(
                "no constant {name:?} of the cost model; there are {names}"
            )));
        };
        if !(0.0..=f64::MAX).contains(&value) {
            return Err(FormatError::new_err(format!("{name} must be a finite number, 0 or more")));
        }
        *field = match field.is_u64() {
            true if value.fract() == 0.0 && (name != "batch" || value >= 1.0) => Value::from(value as u64),
            true => {
                return Err(FormatError::new_err(format!(
                    "{name} must be a whole number, a batch at least 1"
                )));
            }
            false => Value::from(value),
        };
    }
    serde_json::from_value(fields).or_raise()
}
