//! From molecules to outputs: one strategy, one model, many rows.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    DecodeError, GpuWork, LanguageModel, Output, Strategy,
    engine::{Decoded, Engine, Job},
    guide::{Columns, Guide},
    positions::{FreeRule, Positions},
    sampler::Sampler,
    watch::{Stages, Watch},
};
use crate::{
    artifact::{Tables, Template},
    audit::Auditor,
    corpus::Position,
    drift::DEFAULT_PLACEHOLDERS,
    matcher::Matcher,
    primitives::TokenId,
    template::{Oracle, TemplateOptions},
    text::{NumberFormat, Skeleton, TagPair},
    tokenizer::Tokenizer,
    trace::{SpanArgs, SpanKind},
};

/// A molecule to decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its number in the whole run: draws are made by it, whatever batch the row comes into.
    pub row: u64,
    /// The SMILES, for the prompt.
    pub smiles: String,
    /// The COPY text.
    pub skeleton: Skeleton,
    /// The coordinates to write, where they are not the model's to choose: see [`Runner::replaying`].
    pub conformer: Option<Vec<Position>>,
}

/// How a SMILES is put to the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// A token before everything.
    pub bos: Option<TokenId>,
    /// Tags around the SMILES; without them a line break follows it.
    pub tags: Option<TagPair>,
}

/// What one strategy made of all rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The strategy.
    pub strategy: Strategy,
    /// By row.
    pub outputs: Vec<Output>,
    /// Forward passes of the model, each over all rows of its batch.
    pub passes: u32,
    /// From the first template to the last token.
    pub time: Duration,
    /// Where the time went.
    pub stages: Stages,
    /// What a GPU was asked for, where it decoded by itself.
    pub gpu: Option<GpuWork>,
}

impl Run {
    /// The run of median time; none of none.
    #[must_use]
    pub fn median(mut runs: Vec<Self>) -> Option<Self> {
        runs.sort_by_key(|run| run.time);
        let middle = runs.len() / 2;
        (middle < runs.len()).then(|| runs.swap_remove(middle))
    }
}

/// Runs strategies side by side: all that they share.
pub struct Runner<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) tables: &'a Arc<Tables>,
    pub(super) auditor: Auditor<'a>,
    format: NumberFormat,
    end: Option<TokenId>,
    prompt: Prompt,
    adaptive: String,
    alphabet: Vec<TokenId>,
    replays: bool,
}

/// How many tokens beyond the most that a molecule's text can have a row may say before it is stopped.
const BEYOND: usize = 32;

impl<'a> Runner<'a> {
    /// A runner for tables that were built for this tokenizer; `adaptive` is the placeholder of that strategy.
    ///
    /// # Errors
    /// [`DecodeError::NoEnd`] if the tables end their texts with no token, so that a model that is not held cannot;
    /// [`DecodeError::NumberFormat`] if they do not tell how numbers are written.
    pub fn new(
        tokenizer: &'a Tokenizer,
        tables: &'a Arc<Tables>,
        prompt: Prompt,
        adaptive: &str,
    ) -> Result<Self, DecodeError> {
        let end = tables.header.eos;
        if end.is_none() {
            return Err(DecodeError::NoEnd);
        }
        let unknown = |_| DecodeError::NumberFormat { format: tables.header.number_format.clone() };
        let options = TemplateOptions::of(&tables.header).map_err(unknown)?;
        let (auditor, format) = (Auditor::new(tokenizer, &options), options.format);
        let (adaptive, alphabet) = (adaptive.to_owned(), tables.alphabet());
        Ok(Self { tokenizer, tables, auditor, format, end, prompt, adaptive, alphabet, replays: false })
    }

    /// Lets every strategy write the coordinates of its subjects, whatever it would choose: it chooses all the same, so
    /// that all strategies do their work on equal texts. What a strategy would have spoiled is then not seen.
    #[must_use]
    pub fn replaying(mut self) -> Self {
        self.replays = true;
        self
    }

    /// The placeholder of a strategy that counts positions.
    #[must_use]
    pub fn placeholder(&self, strategy: Strategy) -> Option<&str> {
        match strategy {
            Strategy::Blocklist => Some(DEFAULT_PLACEHOLDERS[0]),
            Strategy::Allowlist => Some(DEFAULT_PLACEHOLDERS[1]),
            Strategy::Adaptive => Some(&self.adaptive),
            _ => None,
        }
    }

    /// The exact template of a molecule.
    ///
    /// # Errors
    /// [`DecodeError::Template`] if the tables lack one of its literals.
    pub fn template(&self, subject: &Subject) -> Result<Template, DecodeError> {
        let literals: Vec<&str> = subject.skeleton.literals().collect();
        Ok(Template::of_literals(self.tables, literals.iter().copied())?)
    }

    /// The tokens of a molecule's prompt.
    ///
    /// # Errors
    /// [`DecodeError`] if the tokenizer makes nothing of it.
    pub fn prompt(&self, subject: &Subject) -> Result<Vec<TokenId>, DecodeError> {
        let text = match &self.prompt.tags {
            Some(tags) => format!("{}{}{}", tags.open, subject.smiles, tags.close),
            None => format!("{}\n", subject.smiles),
        };
        let mut tokens: Vec<TokenId> = self.prompt.bos.into_iter().collect();
        tokens.extend(self.tokenizer.encode(&text)?.ids);
        if tokens.is_empty() {
            return Err(DecodeError::EmptyPrompt { smiles: subject.smiles.clone() });
        }
        Ok(tokens)
    }

    /// The positions that the longest row can need.
    ///
    /// # Errors
    /// As [`Runner::template`] and [`Runner::prompt`].
    pub fn context(&self, subjects: &[Subject]) -> Result<usize, DecodeError> {
        let needed = subjects.iter().map(|subject| Ok(self.prompt(subject)?.len() + self.longest(subject)?));
        needed.collect::<Result<Vec<_>, DecodeError>>().map(|all| all.into_iter().max().unwrap_or(0))
    }

    /// The token that `drafted` takes to be likely wherever it may come: the point, where it is a token of its own. A
    /// coordinate of a molecule seldom has a second integer digit.
    pub(super) fn draft(&self) -> Option<TokenId> {
        self.alphabet.iter().copied().find(|&token| self.tables.token_text(token) == ".")
    }

    /// Decodes all rows under a strategy; `finished` is told of each row that ends.
    ///
    /// # Errors
    /// [`DecodeError`] if the model or the tokenizer fails, or the tables lack a literal.
    pub fn run(
        &self,
        strategy: Strategy,
        model: &mut dyn LanguageModel,
        sampler: Sampler,
        subjects: &[Subject],
        watch: &mut Watch<'_>,
        finished: impl FnMut(),
    ) -> Result<Run, DecodeError> {
        watch.take();
        watch.recorder().strategy(strategy.name());
        // What is replayed is no work of the strategy.
        let oracle = Oracle::new(self.tokenizer, &self.tables.header);
        let script = |subject| if self.replays { self.script(&oracle, subject).map(Some) } else { Ok(None) };
        let scripts = subjects.iter().map(script).collect::<Result<Vec<_>, _>>()?;
        let started = Instant::now();
        let jobs = self.jobs(strategy, model.context(), subjects, scripts, watch)?;
        let columns = if strategy.restricts() { Columns::Only(&self.alphabet) } else { Columns::All };
        model.restrict(columns.ids())?;
        let decoded = decode(model, columns, sampler, watch, jobs, finished);
        // The model is left as it was found, whether or not it could decode.
        model.restrict(None)?;
        let Decoded { outputs, passes, gpu } = decoded?;
        watch.recorder().tokens(outputs.iter().map(|output| output.tokens.len() as u64).sum());
        Ok(Run { strategy, outputs, passes, time: started.elapsed(), stages: watch.take(), gpu })
    }

    fn jobs(
        &self,
        strategy: Strategy,
        context: usize,
        subjects: &[Subject],
        scripts: Vec<Option<Arc<[TokenId]>>>,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<Job>, DecodeError> {
        let begun = watch.begin();
        let oracle = Oracle::new(self.tokenizer, &self.tables.header);
        let rule = match strategy {
            Strategy::Allowlist => Some(Arc::new(FreeRule::allowlist(self.tokenizer))),
            Strategy::Blocklist | Strategy::Adaptive => {
                Some(Arc::new(FreeRule::blocklist(self.tokenizer.vocabulary())))
            }
            _ => None,
        };
        let guide = |subject: &Subject| -> Result<Guide, DecodeError> {
            match (self.placeholder(strategy), &rule, self.end) {
                (Some(placeholder), Some(rule), _) => {
                    let positions = Positions::new(&oracle, &subject.skeleton, placeholder)?;
                    Ok(Guide::Positions { positions, rule: Arc::clone(rule), at: 0 })
                }
                (_, _, Some(end)) if strategy == Strategy::None => Ok(Guide::Free { end }),
                _ => {
                    let matcher = Matcher::new(self.template(subject)?);
                    let draft = self.draft().filter(|_| strategy.drafts());
                    Ok(Guide::Exact { matcher: matcher.with_forcing(strategy.forces()), draft })
                }
            }
        };
        let job = |(subject, script): (&Subject, _)| -> Result<Job, DecodeError> {
            let prompt = self.prompt(subject)?;
            // A row that is not held may run up to the end of the model's positions; one that is held must not need to.
            let room = match strategy {
                Strategy::None => context.saturating_sub(prompt.len()),
                _ => usize::MAX,
            };
            let longest = self.longest(subject)?.min(room);
            Ok(Job { row: subject.row, prompt, guide: guide(subject)?, longest, script })
        };
        let jobs = subjects.iter().zip(scripts).map(job).collect::<Result<_, _>>();
        watch.end(begun, SpanKind::Build, SpanArgs { rows: subjects.len() as u32, ..SpanArgs::default() });
        jobs
    }

    /// The tokens of a subject's own coordinates.
    fn script(&self, oracle: &Oracle<'_>, subject: &Subject) -> Result<Arc<[TokenId]>, DecodeError> {
        let refused = |reason: String| DecodeError::Replay { smiles: subject.smiles.clone(), reason };
        let conformer = subject.conformer.as_deref();
        let conformer = conformer.ok_or_else(|| refused("it comes without coordinates".to_owned()))?;
        let text = subject.skeleton.render(conformer, &self.format);
        Ok(oracle.encode(&text.map_err(|fault| refused(fault.to_string()))?)?.into())
    }

    /// After how many tokens a row is stopped.
    fn longest(&self, subject: &Subject) -> Result<usize, DecodeError> {
        let template = self.template(subject)?;
        Ok(template.tokens_left(template.start(), 0).max as usize + BEYOND)
    }
}

/// Decodes jobs where the model can: on its device, or here.
fn decode(
    model: &mut dyn LanguageModel,
    columns: Columns<'_>,
    sampler: Sampler,
    watch: &mut Watch<'_>,
    jobs: Vec<Job>,
    finished: impl FnMut(),
) -> Result<Decoded, DecodeError> {
    #[cfg(feature = "cuda")]
    if let Some(model) = model.resident() {
        return model.decode(jobs, columns, &sampler, watch, finished);
    }
    Engine { model, columns, sampler, watch }.decode(jobs, finished)
}
