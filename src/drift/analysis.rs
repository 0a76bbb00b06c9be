//! From a corpus to counts: reading serially, everything else on all threads.

use std::sync::{Arc, Mutex, PoisonError};

use super::{DEFAULT_PLACEHOLDERS, DriftError, PartialFile, counter::Counter, learner::Learner};
use crate::{
    corpus::{
        CorpusError, EnrichedRow, InputCounts, Molecule, Progress, Record, Row, RowError, RowFault,
        for_each_row,
    },
    text::{EnrichedReader, EnrichedText, NumberFormat, Skeleton, Tags, TextError},
    tokenizer::Tokenizer,
};

/// What to count, and how.
#[derive(Clone, Debug)]
pub struct AnalysisOptions {
    /// Number formats to write coordinates in. `None` takes enriched text as it is and writes coordinates as `fixed4`.
    pub formats: Vec<Option<NumberFormat>>,
    /// Placeholders to compare with.
    pub placeholders: Vec<String>,
    /// Tags around rendered text; enriched text keeps its own.
    pub tags: Tags,
    /// The share of texts, 0 to 1, whose table tokens are compared with real encoding.
    pub verify: f64,
    /// Encode every text whole instead of using tables.
    pub exact: bool,
    /// Threads; 0 takes one a core.
    pub threads: usize,
}

impl Default for AnalysisOptions {
    fn default() -> Self {
        Self {
            formats: vec![None],
            placeholders: DEFAULT_PLACEHOLDERS.map(str::to_owned).to_vec(),
            tags: Tags::none(),
            verify: 0.001,
            exact: false,
            threads: 0,
        }
    }
}

impl AnalysisOptions {
    /// Compares with these placeholders beside those in use; one that is there already is not repeated.
    ///
    /// # Errors
    /// [`DriftError::Placeholder`] if a text cannot stand in a hole.
    pub fn add_placeholders(&mut self, texts: &[String]) -> Result<(), DriftError> {
        for text in texts {
            check_placeholder(text)?;
            if !self.placeholders.contains(text) {
                self.placeholders.push(text.clone());
            }
        }
        Ok(())
    }
}

/// Checks that a text can stand in a hole: it must not close it, and be on one line of a table.
///
/// # Errors
/// [`DriftError::Placeholder`] if it cannot.
pub fn check_placeholder(text: &str) -> Result<(), DriftError> {
    match text.is_empty() || text.contains(|c: char| matches!(c, '<' | '>') || c.is_control()) {
        true => Err(DriftError::Placeholder { text: text.to_owned() }),
        false => Ok(()),
    }
}

/// Counts a corpus with several tokenizers and number formats at once.
pub struct Analysis<'t> {
    options: &'t AnalysisOptions,
    pool: rayon::ThreadPool,
    /// One for each thread, so that no lock is ever waited for.
    workers: Vec<Mutex<Worker<'t>>>,
    input: InputCounts,
}

struct Worker<'t> {
    counters: Vec<Counter<'t>>,
    reader: EnrichedReader,
    options: &'t AnalysisOptions,
}

impl<'t> Analysis<'t> {
    /// An analysis that has counted nothing yet.
    ///
    /// # Errors
    /// [`DriftError::Threads`] if the thread pool cannot be started.
    pub fn new(
        tokenizers: impl IntoIterator<Item = &'t Tokenizer>,
        options: &'t AnalysisOptions,
    ) -> Result<Self, DriftError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(options.threads)
            .build()
            .map_err(|error| DriftError::Threads(error.to_string()))?;
        // Text without tags of our own may still carry the published ones.
        let tags = if options.tags == Tags::none() { Tags::conformer() } else { options.tags.clone() };
        let reader = EnrichedReader::new(&tags);
        let learners: Vec<Arc<Learner<'t>>> = tokenizers
            .into_iter()
            .map(|tokenizer| Arc::new(Learner::new(tokenizer, &options.placeholders)))
            .collect();
        let counter = |learner: &Arc<Learner<'t>>| {
            Counter::new(Arc::clone(learner), options.formats.len(), options.exact)
        };
        let worker =
            || Worker { counters: learners.iter().map(counter).collect(), reader: reader.clone(), options };
        let workers = (0..pool.current_num_threads()).map(|_| Mutex::new(worker())).collect();
        Ok(Self { options, pool, workers, input: InputCounts::default() })
    }

    /// Counts all records, each as one row: whole, or, with a fault anywhere in it, not at all. One that is skipped is
    /// told to `progress`.
    ///
    /// # Errors
    /// [`DriftError::Corpus`] if the input cannot be read on, [`DriftError::TablesDisagree`] if a verified text fails.
    pub fn run(
        &mut self,
        records: impl Iterator<Item = Result<Record, CorpusError>> + Send,
        progress: &mut impl Progress,
    ) -> Result<(), DriftError> {
        let workers = &self.workers;
        let count = |record: &Record| {
            let thread = rayon::current_thread_index().unwrap_or(0);
            let mut worker = workers[thread].lock().unwrap_or_else(PoisonError::into_inner);
            worker.count(record)
        };
        let counts = for_each_row(records, &self.pool, progress, count, |()| {})?;
        self.input.rows += counts.rows;
        self.input.skipped += counts.skipped;
        Ok(())
    }

    /// The counts of all threads together.
    ///
    /// # Errors
    /// [`DriftError::Tokenizer`] if a tokenizer refuses a literal.
    pub fn finish(self) -> Result<PartialFile, DriftError> {
        let mut partials = Vec::new();
        for worker in self.workers {
            let worker = worker.into_inner().unwrap_or_else(PoisonError::into_inner);
            let counted: Vec<Vec<_>> = worker
                .counters
                .into_iter()
                .map(|counter| counter.finish(&self.options.formats, &self.options.tags))
                .collect::<Result<_, _>>()?;
            let counted = counted.into_iter().flatten();
            if partials.is_empty() {
                partials = counted.collect();
            } else {
                partials.iter_mut().zip(counted).try_for_each(|(mine, theirs)| mine.merge(theirs))?;
            }
        }
        Ok(PartialFile::new(self.input, partials))
    }
}

impl Worker<'_> {
    fn count(&mut self, record: &Record) -> Result<Result<(), RowError>, DriftError> {
        let counted = match record.parse() {
            Ok(Row::Molecule(molecule)) => self.count_molecule(&molecule)?,
            Ok(Row::Enriched(row)) => self.count_enriched(&row)?,
            Err(error) => return Ok(Err(error)),
        };
        Ok(counted.map_err(|fault| record.reject(RowFault::Text(fault))))
    }

    /// Counts all conformers in all formats, or none: a row that one format cannot write is skipped in all, so that
    /// the formats stay comparable. The inner error is why it is skipped.
    fn count_molecule(&mut self, molecule: &Molecule) -> Result<Result<(), String>, DriftError> {
        let render = || -> Result<Vec<String>, TextError> {
            let skeleton = Skeleton::new(&molecule.smiles, self.options.tags.completion.as_ref())?;
            let mut texts = Vec::new();
            for conformer in &molecule.conformers {
                for format in &self.options.formats {
                    texts.push(skeleton.render(conformer, &format.unwrap_or_default())?);
                }
            }
            Ok(texts)
        };
        let texts = match render() {
            Ok(texts) => texts,
            Err(fault) => return Ok(Err(fault.to_string())),
        };
        for (index, text) in texts.iter().enumerate() {
            self.count_rendered(index % self.options.formats.len(), text)?;
        }
        Ok(Ok(()))
    }

    /// As [`Worker::count_molecule`], for texts that are enriched already.
    fn count_enriched(&mut self, row: &EnrichedRow) -> Result<Result<(), String>, DriftError> {
        let mut read = Vec::with_capacity(row.texts.len());
        for (number, text) in (1..).zip(&row.texts) {
            match self.read_enriched(text, row.smiles.as_deref()) {
                Ok(text) => read.push(text),
                Err(fault) if row.texts.len() == 1 => return Ok(Err(fault.to_string())),
                Err(fault) => return Ok(Err(format!("text {number}: {fault}"))),
            }
        }
        for (text, rewritten) in &read {
            for (format, rewritten) in rewritten.iter().enumerate() {
                match rewritten {
                    Some(rewritten) => self.count_rendered(format, rewritten)?,
                    None => self.count_text(format, text)?,
                }
            }
        }
        Ok(Ok(()))
    }

    /// A text, and what each number format makes of it: `None` leaves it as it is.
    fn read_enriched<'a>(
        &self,
        text: &'a str,
        smiles: Option<&str>,
    ) -> Result<(EnrichedText<'a>, Vec<Option<String>>), TextError> {
        let text = self.reader.read(text)?;
        smiles.map_or(Ok(()), |smiles| text.check_smiles(smiles))?;
        let rewrite = |format: &NumberFormat| Ok(text.skeleton().render(&text.conformer()?, format)?);
        let formats = self.options.formats.iter();
        let rewritten = formats.map(|format| format.as_ref().map(rewrite).transpose());
        let rewritten = rewritten.collect::<Result<_, TextError>>()?;
        Ok((text, rewritten))
    }

    fn count_rendered(&mut self, format: usize, text: &str) -> Result<(), DriftError> {
        // Rendered a moment ago: one that does not read back is a defect of the renderer.
        let text = self.reader.read(text)?;
        self.count_text(format, &text)
    }

    fn count_text(&mut self, format: usize, text: &EnrichedText<'_>) -> Result<(), DriftError> {
        let verify =
            !self.options.exact && self.options.verify > 0.0 && sampled(text.as_str(), self.options.verify);
        for counter in &mut self.counters {
            counter.count(text, format)?;
            if verify {
                counter.verify(text, format)?;
            }
        }
        Ok(())
    }
}

/// Whether a text belongs to a sample of this share: by its content, so that any split of a corpus samples the same.
fn sampled(text: &str, share: f64) -> bool {
    let hash = blake3::hash(text.as_bytes());
    let word = hash.as_bytes().iter().take(4).fold(0u32, |word, &byte| word << 8 | u32::from(byte));
    f64::from(word) < share * f64::from(u32::MAX) || share >= 1.0
}
