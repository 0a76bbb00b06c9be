//! Artifacts: the exact templates of many molecules, in a file or in memory.

use std::{path::PathBuf, sync::Arc};

use pyo3::{
    exceptions::PyIndexError,
    prelude::*,
    sync::PyOnceLock,
    types::{PyBytes, PyTuple},
};
use tplc::{
    artifact::{Artifact as Opened, SharedBytes},
    corpus::{InputCounts, Smiles},
    matcher::mask_words,
    template::{Compiler, Manifest, Oracle, TemplateOptions, certify, same_tokenizer},
    text::Skeleton,
};

use crate::{
    arguments::TokenizerLike,
    build::check_output,
    error::{ArtifactError, OrRaise},
    json,
    tables::Tables,
    template::Template,
    threads::{Threads, heard, pool},
    tokenizer::numbers,
};

/// The exact templates of many molecules, for one tokenizer and number format. Immutable, to be shared between threads; pickles
/// as its path and checksum, or as its bytes if it is in memory.
#[pyclass(module = "tplc", frozen)]
pub(crate) struct Artifact {
    opened: Opened<SharedBytes>,
    path: Option<String>,
    tables: PyOnceLock<Py<Tables>>,
}

impl Artifact {
    pub(crate) fn new(opened: Opened<SharedBytes>, path: Option<String>) -> Self {
        Self { opened, path, tables: PyOnceLock::new() }
    }

    /// The crate's own.
    pub(crate) fn opened(&self) -> &Opened<SharedBytes> {
        &self.opened
    }

    /// The checksum that its bytes end with.
    fn checksum(&self) -> u32 {
        self.opened.bytes().last_chunk().map_or(0, |&bytes| u32::from_le_bytes(bytes))
    }

    /// The SMILES that a skeleton copies; a SMILES is left as it is.
    fn smiles_of(&self, text: &str) -> String {
        if !text.contains("<>") {
            return text.to_owned();
        }
        let header = &self.opened.tables().header;
        let text = text.strip_prefix(header.open.as_str()).unwrap_or(text);
        text.strip_suffix(header.close.as_str()).unwrap_or(text).replace("<>", "")
    }
}

#[pymethods]
impl Artifact {
    /// Maps a file into memory and checks it whole. With a tokenizer, it must be the one that the artifact was built for.
    #[staticmethod]
    #[pyo3(signature = (path, tokenizer=None))]
    fn open(py: Python<'_>, path: PathBuf, tokenizer: Option<TokenizerLike>) -> PyResult<Self> {
        let opened = py.detach(|| Opened::open(&path)).or_raise()?.shared();
        // Another process may have another folder.
        let path = std::path::absolute(&path).unwrap_or(path);
        let artifact = Self::new(opened, Some(path.to_string_lossy().into_owned()));
        tokenizer.map_or(Ok(()), |tokenizer| artifact.check(tokenizer))?;
        Ok(artifact)
    }

    /// What a pickle says of a file: the artifact, if it is still the same one.
    #[staticmethod]
    #[pyo3(name = "_reopen")]
    fn reopen(py: Python<'_>, path: PathBuf, checksum: u32) -> PyResult<Self> {
        let artifact = Self::open(py, path, None)?;
        if artifact.checksum() != checksum {
            let path = artifact.path.unwrap_or_default();
            return Err(ArtifactError::new_err(format!(
                "{path} is another artifact than the one that was pickled: open it by its path, or pickle it again"
            )));
        }
        Ok(artifact)
    }

    /// As `open`, of bytes in memory.
    #[staticmethod]
    #[pyo3(signature = (data, tokenizer=None))]
    fn from_bytes(py: Python<'_>, data: Vec<u8>, tokenizer: Option<TokenizerLike>) -> PyResult<Self> {
        let opened = py.detach(|| Opened::from_bytes(data)).or_raise()?.shared();
        let artifact = Self::new(opened, None);
        tokenizer.map_or(Ok(()), |tokenizer| artifact.check(tokenizer))?;
        Ok(artifact)
    }

    /// The bytes of the file.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.opened.bytes())
    }

    /// Writes the artifact (`NAME.tplc`) and a manifest beside it, and returns the manifest.
    fn save<'py>(&self, py: Python<'py>, path: PathBuf) -> PyResult<Bound<'py, PyAny>> {
        check_output(&path)?;
        let manifest = py.detach(|| {
            let manifest = Manifest::new(&self.opened, InputCounts::default(), None);
            manifest.save_with(&path, self.opened.bytes()).or_raise()?;
            Ok::<_, PyErr>(manifest)
        })?;
        json::to_python(py, &manifest)
    }

    /// The file it was opened from.
    #[getter]
    fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The name of the tokenizer that it was built for.
    #[getter]
    fn tokenizer_name(&self) -> &str {
        &self.opened.tables().header.tokenizer
    }

    /// The content hash of that tokenizer.
    #[getter]
    fn fingerprint(&self) -> String {
        self.opened.tables().fingerprint().to_string()
    }

    /// The number format.
    #[getter]
    fn number_format(&self) -> &str {
        &self.opened.tables().header.number_format
    }

    /// Which spellings of a text in tokens are accepted: `canonical` or `any`.
    #[getter]
    fn tokenization(&self) -> String {
        self.opened.tables().header.tokenization.to_string()
    }

    /// The opening and the closing tag of the completion; both empty without tags.
    #[getter]
    fn tags(&self) -> (&str, &str) {
        let header = &self.opened.tables().header;
        (&header.open, &header.close)
    }

    /// A prompt such as stands before a completion, for the molecule `C`; empty without prompt tags.
    #[getter]
    fn prompt(&self) -> &str {
        &self.opened.tables().header.prompt
    }

    /// The id behind the text, forced last.
    #[getter]
    fn eos(&self) -> Option<u32> {
        self.opened.tables().header.eos.map(|id| id.0)
    }

    /// The width of the logits that it was built for.
    #[getter]
    fn logits_width(&self) -> u32 {
        self.opened.tables().header.logits_width
    }

    /// int32 words of a bitmask for logits of that width.
    #[getter]
    fn mask_words(&self) -> usize {
        mask_words(self.logits_width())
    }

    fn __len__(&self) -> usize {
        self.opened.len()
    }

    fn __contains__(&self, smiles: &str) -> bool {
        let literals = self.opened.literals_of(&self.smiles_of(smiles));
        self.opened.find(literals.iter().map(String::as_str)).is_some()
    }

    fn __getitem__(slf: &Bound<'_, Self>, index: isize) -> PyResult<Template> {
        let artifact = &slf.get().opened;
        let len = artifact.len();
        let place = if index < 0 { index.saturating_add_unsigned(len) } else { index };
        let place = usize::try_from(place).ok().filter(|&place| place < len);
        let place =
            place.ok_or_else(|| PyIndexError::new_err(format!("there is no molecule {index} of {len}")))?;
        let template = artifact.molecule(place).or_raise()?;
        let header = &artifact.tables().header;
        let skeleton: String = artifact.literals(place).or_raise()?.collect();
        let skeleton = skeleton.strip_prefix(header.open.as_str()).unwrap_or(&skeleton);
        let smiles = skeleton.strip_suffix(header.close.as_str()).unwrap_or(skeleton).replace("<>", "");
        Ok(Template::new(template, slf.clone().unbind(), smiles, None))
    }

    /// The template of a SMILES, or of a skeleton, in the corpus or not. COPY text that the artifact lacks is compiled if a
    /// tokenizer is given.
    #[pyo3(signature = (smiles, tokenizer=None))]
    fn template(
        slf: &Bound<'_, Self>,
        smiles: &str,
        tokenizer: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Template> {
        let artifact = &slf.get().opened;
        let smiles = slf.get().smiles_of(smiles);
        // The artifact alone reads atoms off any text.
        Smiles::parse(&smiles).or_raise()?;
        let found = artifact.template(&smiles);
        let made = match (found, &tokenizer) {
            (Err(tplc::artifact::Error::UnknownLiteral { .. }), Some(tokenizer)) => {
                let TokenizerLike(tokenizer) = tokenizer.extract()?;
                slf.py().detach(|| {
                    same_tokenizer(artifact.tables(), &tokenizer).or_raise()?;
                    let options = TemplateOptions::of(&artifact.tables().header).or_raise()?;
                    let skeleton = Skeleton::new(&smiles, options.tags.completion.as_ref()).or_raise()?;
                    let template = pool(Threads::default())?.install(|| {
                        Compiler::new(&tokenizer, &options)?.template(artifact.tables(), &skeleton)
                    });
                    template.or_raise()
                })?
            }
            (found, _) => found.or_raise()?,
        };
        Ok(Template::new(made, slf.clone().unbind(), smiles, tokenizer.map(Bound::unbind)))
    }

    /// What the tokenizer gives for the text of a completion behind its prompt, the end-of-sequence id included.
    fn encode(&self, completion: &str, tokenizer: TokenizerLike) -> PyResult<Vec<u32>> {
        let TokenizerLike(tokenizer) = tokenizer;
        same_tokenizer(self.opened.tables(), &tokenizer).or_raise()?;
        let oracle = Oracle::new(&tokenizer, &self.opened.tables().header);
        Ok(numbers(&oracle.encode(completion).or_raise()?))
    }

    /// Raises `WrongTokenizerError` if it was built for another tokenizer.
    fn check(&self, tokenizer: TokenizerLike) -> PyResult<()> {
        same_tokenizer(self.opened.tables(), &tokenizer.0).or_raise()
    }

    /// Tries every number of the format and every literal against the tokenizer; returns what was tried.
    #[pyo3(signature = (tokenizer, threads=Threads::default()), text_signature = "($self, tokenizer, threads=0)")]
    fn certify<'py>(
        &self,
        py: Python<'py>,
        tokenizer: TokenizerLike,
        threads: Threads,
    ) -> PyResult<Bound<'py, PyAny>> {
        let tables = Arc::clone(self.opened.tables());
        let certificate = heard(py, threads, move || certify(&tables, &tokenizer.0, &|_| {}).or_raise())?;
        json::to_python(py, &certificate)
    }

    /// What is in it: source, counts, sizes; without what only its build knew.
    fn manifest<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let manifest = py.detach(|| Manifest::new(&self.opened, InputCounts::default(), None));
        json::to_python(py, &manifest)
    }

    /// What all its molecules share, as arrays.
    #[getter]
    pub(crate) fn tables(&self, py: Python<'_>) -> PyResult<Py<Tables>> {
        let made =
            self.tables.get_or_try_init(py, || Py::new(py, Tables::new(self.opened.tables().clone())))?;
        Ok(made.clone_ref(py))
    }

    fn __repr__(&self) -> String {
        let header = &self.opened.tables().header;
        format!(
            "<tplc.Artifact {} {}, {} molecules>",
            header.tokenizer,
            header.number_format,
            self.opened.len()
        )
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (py, class) = (slf.py(), slf.get_type());
        match &slf.get().path {
            Some(path) => Ok((class.getattr("_reopen")?, (path, slf.get().checksum()).into_pyobject(py)?)),
            None => Ok((class.getattr("from_bytes")?, (slf.get().to_bytes(py),).into_pyobject(py)?)),
        }
    }
}
