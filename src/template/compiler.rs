//! From a tokenizer and a number format to the tables that all molecules share.

use std::{collections::BTreeSet, sync::Arc};

use rayon::prelude::*;

use super::{
    NumberLanguage, TemplateError,
    automaton::{Builder, Path},
    spelling::{END, Speller, prefix},
};
use crate::{
    artifact::{Automaton, Header, LiteralPlace, Literals, Tables, Template, Tokenization, Tokens},
    primitives::{StateId, TokenId},
    text::{NumberFormat, NumberFormatError, Skeleton, TagPair, Tags},
    tokenizer::{Place, RunTokens, Runs, Tokenizer, runs},
};

/// What to compile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateOptions {
    /// How coordinates are written.
    pub format: NumberFormat,
    /// Tags around prompt and completion.
    pub tags: Tags,
    /// The token that ends a sequence; without one, a text is complete with its last literal.
    pub eos: Option<TokenId>,
    /// Which spellings in tokens are accepted.
    pub tokenization: Tokenization,
}

/// The token that ends a sequence, by its text; `auto` is the tokenizer's own, if it tells, and `none` is none.
///
/// # Errors
/// [`TemplateError::NoEos`] if the tokenizer has no such added token.
pub fn eos_token(tokenizer: &Tokenizer, text: &str) -> Result<Option<TokenId>, TemplateError> {
    match text {
        "none" => Ok(None),
        "auto" => Ok(tokenizer.eos()),
        text => {
            let unknown =
                || TemplateError::NoEos { tokenizer: tokenizer.name().to_owned(), text: text.to_owned() };
            tokenizer.vocabulary().added(text).map(Some).ok_or_else(unknown)
        }
    }
}

/// The molecule of the example prompt.
const PROMPT: char = 'C';

/// The tags of an example prompt. They may have the molecule's letter in them, so it is where a closing tag follows its
/// opening one (`[CHEM]C[/CHEM]`), or else nearest to the middle.
fn around_molecule(prompt: &str) -> Option<(&str, &str)> {
    let cuts =
        || prompt.match_indices(PROMPT).map(|(at, molecule)| (&prompt[..at], &prompt[at + molecule.len()..]));
    let closes = |(open, close): &(&str, &str)| close.contains('/') && close.replacen('/', "", 1) == *open;
    cuts().find(closes).or_else(|| cuts().min_by_key(|(open, close)| open.len().abs_diff(close.len())))
}

impl TemplateOptions {
    /// The options that tables were compiled with.
    ///
    /// # Errors
    /// [`NumberFormatError`] if their number format cannot be read.
    pub fn of(header: &Header) -> Result<Self, NumberFormatError> {
        let pair = |open: &str, close: &str| TagPair { open: open.to_owned(), close: close.to_owned() };
        let Header { open, close, .. } = header;
        let tagged = !open.is_empty() || !close.is_empty();
        let tags = Tags {
            prompt: around_molecule(&header.prompt).map(|(open, close)| pair(open, close)),
            completion: tagged.then(|| pair(open, close)),
        };
        let format = header.number_format.parse()?;
        Ok(Self { format, tags, eos: header.eos, tokenization: header.tokenization })
    }

    /// A prompt such as stands before a completion; empty without prompt tags.
    pub(super) fn prompt(&self) -> String {
        self.tags
            .prompt
            .as_ref()
            .map_or_else(String::new, |tags| format!("{}{PROMPT}{}", tags.open, tags.close))
    }
}

/// Compiles literals of one tokenizer and number format; the numbers are compiled already.
pub struct Compiler<'t> {
    tokenizer: &'t Tokenizer,
    options: TemplateOptions,
    runs: Runs<'t>,
    /// The states of numbers, and of the separator: over tokens, or over bytes where every spelling is accepted.
    numbers: Builder,
    number_states: usize,
    separator: StateId,
    /// Where a number begins behind each opening.
    entries: Vec<(String, StateId)>,
}

/// What stands between two numbers of a hole.
const SEPARATOR: &str = ",";

impl<'t> Compiler<'t> {
    /// Compiles the numbers of the format.
    ///
    /// # Errors
    /// [`TemplateError`] if the tokenizer cannot be cut as exact templates need it, the format is too wide, or the logits do
    /// not have the end-of-sequence token.
    pub fn new(tokenizer: &'t Tokenizer, options: &TemplateOptions) -> Result<Self, TemplateError> {
        let width = logits_width(tokenizer);
        if let Some(eos) = options.eos.filter(|eos| eos.0 >= width) {
            return Err(TemplateError::EosBeyond { tokenizer: tokenizer.name().to_owned(), eos, width });
        }
        let mut compiler = Self {
            tokenizer,
            options: options.clone(),
            runs: Runs::new(tokenizer),
            numbers: Builder::new(),
            number_states: 0,
            separator: StateId::default(),
            entries: Vec::new(),
        };
        compiler.compile_numbers()?;
        compiler.number_states = compiler.numbers.len();
        let paths = compiler.paths("", SEPARATOR, Place::Inner)?;
        compiler.separator = compiler.numbers.state_of_paths(paths)?;
        Ok(compiler)
    }

    /// The options it was made with.
    #[must_use]
    pub fn options(&self) -> &TemplateOptions {
        &self.options
    }

    /// The tokenizer it was made with.
    #[must_use]
    pub fn tokenizer(&self) -> &'t Tokenizer {
        self.tokenizer
    }

    /// The tables of these literals, by place. Same literals, same tables.
    ///
    /// # Errors
    /// [`TemplateError`] if a literal cannot be cut, or there are too many tokens.
    pub fn tables(&self, literals: &[BTreeSet<&str>; 3]) -> Result<Tables, TemplateError> {
        let mut builder = self.numbers.clone();
        let mut compiled: [Vec<(&str, StateId)>; 3] = Default::default();
        for (place, (literals, compiled)) in
            LiteralPlace::ALL.into_iter().zip(literals.iter().zip(&mut compiled))
        {
            let texts: Vec<&str> = literals.iter().copied().collect();
            // All are tried before one is judged, so that of several faults the first is told at any number of threads.
            let paths: Vec<Result<Vec<Path>, TemplateError>> =
                texts.par_iter().map(|literal| self.literal(literal, place)).collect();
            let roots: Vec<StateId> =
                paths.into_iter().map(|paths| builder.state_of_paths(paths?)).collect::<Result<_, _>>()?;
            *compiled = texts.into_iter().zip(roots).collect();
        }
        let (mut number_states, mut separator) = (self.number_states, self.separator);
        if self.options.tokenization == Tokenization::Any {
            let mut speller =
                Speller::new(self.tokenizer, self.options.eos, builder.build(), self.number_states)?;
            number_states = speller.tokens().len();
            separator = speller.state(separator)?;
            for (_, root) in compiled.iter_mut().flatten() {
                *root = speller.state(*root)?;
            }
            builder = speller.tokens().clone();
        }
        let automaton = builder.build();
        let compiled = compiled.map(Literals::new);
        let tokens = self.tokens(&automaton)?;
        Ok(Tables::new(self.header(), tokens, automaton, number_states as u32, separator, compiled))
    }

    /// The template of a molecule, made from `tables`; if they lack a literal of it, from tables of its literals alone, which
    /// are compiled now: how many others `tables` have costs nothing.
    ///
    /// # Errors
    /// [`TemplateError::OtherOptions`] if the tables were not compiled with this tokenizer and these options; else as
    /// [`Compiler::tables`].
    pub fn template(&self, tables: &Arc<Tables>, skeleton: &Skeleton) -> Result<Template, TemplateError> {
        if tables.header != self.header() {
            return Err(TemplateError::OtherOptions("tokenizers or options"));
        }
        let literals: Vec<&str> = skeleton.literals().collect();
        if let Ok(template) = Template::of_literals(tables, literals.iter().copied()) {
            return Ok(template);
        }
        let mut own: [BTreeSet<&str>; 3] = Default::default();
        for (index, literal) in literals.iter().enumerate() {
            own[LiteralPlace::of(index, skeleton.atoms()) as usize].insert(literal);
        }
        Ok(Template::of_literals(&Arc::new(self.tables(&own)?), literals.into_iter())?)
    }

    /// What the tables say of themselves.
    fn header(&self) -> Header {
        let tag = |of: fn(&TagPair) -> &String| {
            self.options.tags.completion.as_ref().map(of).cloned().unwrap_or_default()
        };
        Header {
            fingerprint: self.tokenizer.fingerprint().0,
            logits_width: logits_width(self.tokenizer),
            eos: self.options.eos,
            tokenization: self.options.tokenization,
            tokenizer: self.tokenizer.name().to_owned(),
            number_format: self.options.format.to_string(),
            prompt: self.options.prompt(),
            open: tag(|tags| &tags.open),
            close: tag(|tags| &tags.close),
        }
    }

    /// All ids that the automaton uses, with what the tokenizer calls them.
    fn tokens(&self, automaton: &Automaton) -> Result<Tokens, TemplateError> {
        let states = (0..automaton.len()).map(|index| StateId(index as u32));
        let ids: BTreeSet<TokenId> =
            states.flat_map(|state| automaton.edges(state).tokens()).copied().collect();
        if ids.len() > Automaton::MOST_TOKENS {
            return Err(TemplateError::TooManyTokens { tokens: ids.len() });
        }
        Ok(Tokens::new(ids.into_iter().map(|id| (id, self.tokenizer.token(id).unwrap_or_default()))))
    }

    /// The numbers, from their ends to their openings.
    fn compile_numbers(&mut self) -> Result<(), TemplateError> {
        let language = NumberLanguage::new(&self.options.format)?;
        let end = self.numbers.number_end();
        let mut behind_integer = Vec::new();
        let mut behind_point = Vec::new();
        for set in &language.decimals {
            let digits = self.free_paths(set.digits.iter().map(|digits| (digits.as_str(), end)))?;
            let decimals = self.numbers.state_of_paths(digits)?;
            let mut ways = Vec::new();
            if !set.digits.is_empty() {
                ways = self.free_paths(std::iter::once((".", decimals)))?;
            }
            ways.extend(set.may_end.then(|| Path { tokens: Vec::new(), target: end }));
            behind_point.push(decimals);
            behind_integer.push(self.numbers.state_of_paths(ways)?);
        }
        for opening in language.openings {
            let starts = opening.starts.iter().map(|start| match start.integer.as_str() {
                "" => ("", behind_point[start.decimals]),
                integer => (integer, behind_integer[start.decimals]),
            });
            let starts = self.free_paths(starts)?;
            let entry = self.numbers.state_of_paths(starts)?;
            self.entries.push((opening.text, entry));
        }
        Ok(())
    }

    /// A path for each text within a number, and where it leads.
    fn free_paths<'a>(
        &self,
        texts: impl Iterator<Item = (&'a str, StateId)>,
    ) -> Result<Vec<Path>, TemplateError> {
        let path = |(text, target): (&str, StateId)| {
            let tokens = self.encode(text, Place::Inner)?.into_iter().map(|(id, _)| (id, true)).collect();
            Ok(Path { tokens, target })
        };
        texts.map(path).collect()
    }

    /// The paths of a literal: one for each way in which the number behind it may begin.
    fn literal(&self, literal: &str, place: LiteralPlace) -> Result<Vec<Path>, TemplateError> {
        match place {
            LiteralPlace::First => self.paths(literal, "", Place::First),
            LiteralPlace::Inner => self.paths(literal, "", Place::Inner),
            LiteralPlace::Last => {
                let tokens = self.encode(literal, Place::Last)?.into_iter().map(|(id, _)| (id, false));
                let end = |eos| if self.options.tokenization == Tokenization::Any { END } else { eos };
                let tokens = tokens.chain(self.options.eos.map(|eos| (end(eos), false))).collect();
                Ok(vec![Path { tokens, target: Automaton::DONE }])
            }
        }
    }

    /// The paths of COPY text and of FREE text behind it, up to the first digit of a number.
    fn paths(&self, copy: &str, free: &str, place: Place) -> Result<Vec<Path>, TemplateError> {
        let path = |(opening, entry): &(String, StateId)| {
            let tokens = self.encode(&format!("{copy}{free}{opening}"), place)?;
            let tokens = tokens.into_iter().map(|(id, start)| (id, start >= copy.len())).collect();
            Ok(Path { tokens, target: *entry })
        };
        self.entries.iter().map(path).collect()
    }

    /// The tokens of a part of a text, each with its first byte there; its bytes where every spelling is accepted. `place`
    /// tells whether the part begins or ends its text.
    fn encode(&self, part: &str, place: Place) -> Result<Vec<(TokenId, usize)>, TemplateError> {
        if self.options.tokenization == Tokenization::Any {
            let first = place == Place::First;
            let before =
                if first { prefix(self.tokenizer, &self.options.prompt(), part)? } else { Vec::new() };
            let bytes = part.bytes().enumerate();
            let units = before.into_iter().map(|byte| (0, byte)).chain(bytes);
            return Ok(units.map(|(start, byte)| (TokenId(byte.into()), start)).collect());
        }
        let mut tokens = Vec::new();
        let mut runs = runs(part.as_bytes(), |digits| self.runs.chunk(digits)).peekable();
        while let Some(run) = runs.next() {
            let (text, first, last) = (run.of(part), run.start == 0, runs.peek().is_none());
            let known = match place {
                Place::First if first => self.first_run(text)?,
                Place::Last if last => self.runs.tokens(text, Place::Last)?,
                _ => self.runs.tokens(text, Place::Inner)?,
            };
            let Some(known) = known else { return Err(self.not_cut(text)?) };
            let starts = std::iter::once(0).chain(known.iter().map(|&(_, end)| end));
            let run_tokens = known.iter().zip(starts);
            tokens.extend(run_tokens.map(|(&(id, _), start)| (id, (run.start + start) as usize)));
        }
        Ok(tokens)
    }

    /// The first run of a completion: behind its prompt, where there is one.
    fn first_run(&self, run: &str) -> Result<RunTokens, TemplateError> {
        let prompt = self.options.prompt();
        if prompt.is_empty() {
            return Ok(self.runs.tokens(run, Place::First)?);
        }
        match self.runs.behind(&prompt, run)? {
            Some(tokens) => Ok(Some(tokens)),
            // Generation starts from the prompt's own tokens: a completion that would merge with them begins anew.
            None => Ok(self.runs.tokens(run, Place::Inner)?),
        }
    }

    fn not_cut(&self, run: &str) -> Result<TemplateError, TemplateError> {
        let (example, merge) = self.runs.offender(run)?;
        Ok(TemplateError::NotCut {
            tokenizer: self.tokenizer.name().to_owned(),
            text: run.to_owned(),
            merge,
            example,
        })
    }
}

/// Rows of the output layer, where they are known; else as many as there are ids.
fn logits_width(tokenizer: &Tokenizer) -> u32 {
    let ids = || tokenizer.vocabulary().max_id().map_or(0, |id| id.0 + 1);
    tokenizer.logits_width().unwrap_or_else(ids)
}
