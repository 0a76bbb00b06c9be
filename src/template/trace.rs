//! Templates for people to read: one text through one, and the automaton of numbers as a picture.

use std::{collections::BTreeMap, fmt::Write};

use super::{NumberLanguage, TemplateError};
use crate::{
    artifact::{Artifact, Automaton, Tables, Template},
    corpus::Coordinate,
    matcher::{Label, Matcher},
    primitives::{StateId, TokenId},
    text::NumberFormat,
};

/// The tokens of `text` in trace notation, without a tokenizer: a token behind `‧` came without a choice, one behind `│`
/// was one of as many as the small number says. `None` if the template does not accept the text.
///
/// `[C‧]<│-₁₁│1₁₀│.₁₁…`
#[must_use]
pub fn trace(template: &Template, text: &str) -> Option<String> {
    Some(trace_atoms(template, text)?.concat())
}

/// As [`trace`], cut behind each hole.
fn trace_atoms(template: &Template, text: &str) -> Option<Vec<String>> {
    let ids = spell(template, text)?;
    let mut matcher = Matcher::new(template.clone());
    let mut atoms = vec![String::new()];
    let mut before = Label::Copy;
    for id in ids {
        let choices = matcher.mask_row().len();
        let label = matcher.advance(id).ok()?;
        if label == Label::Copy && before != Label::Copy {
            atoms.push(String::new());
        }
        before = label;
        let started = atoms.iter().any(|atom| !atom.is_empty());
        let shown = atoms.last_mut()?;
        let name = template.tables().token_text(id);
        match label == Label::Decided || choices > 1 {
            true => shown.extend(["│".to_owned(), name, subscript(choices)]),
            false if started => shown.extend(["‧".to_owned(), name]),
            false => *shown += &name,
        }
    }
    Some(atoms)
}

/// The numbers of example texts: each sign, one and two integer digits, zeros at the end.
const EXAMPLE: [i64; 3] = [-1_250_000_000, 500_000_000, 10_000_000_000];

/// The three numbers that example texts have in every hole. One that the format does not write is any that it does.
///
/// # Errors
/// Those of [`NumberLanguage::new`], if the format does not write one of them.
pub fn example_numbers(format: &NumberFormat) -> Result<[String; 3], TemplateError> {
    let render = |nanos| format.render(Coordinate::from_nanos(nanos)).ok();
    let rendered = EXAMPLE.map(render);
    // All numbers are asked for only where one is missing.
    let any = match rendered.contains(&None) {
        true => NumberLanguage::new(format)?.texts().next().unwrap_or_default(),
        false => String::new(),
    };
    Ok(rendered.map(|number| number.unwrap_or_else(|| any.clone())))
}

/// Templates as text for a snapshot test: what a person can review, and what changes when the tokenizer, the number format
/// or the template of a molecule does.
///
/// Molecules are `(name, SMILES)`. Each is written with the same numbers in every hole, in the notation of [`trace`], one
/// atom a line; atoms that repeat are counted.
///
/// ```
/// use tplc::{
///     artifact::Artifact,
///     template::{Collector, Compiler, TemplateOptions, snapshot},
///     text::Skeleton,
///     tokenizer::TokenizerSource,
/// };
///
/// let qwen = "qwen".parse::<TokenizerSource>()?.load(&[])?;
/// let mut molecules = Collector::default();
/// molecules.add(&Skeleton::new("CCCO", None)?);
/// let built = molecules.build(&Compiler::new(&qwen, &TemplateOptions::default())?)?;
/// // In a test: insta::assert_snapshot!(snapshot(…)?);
/// assert_eq!(
///     snapshot(&Artifact::from_bytes(built)?, [("propanol", "CCCO")])?,
///     "\
/// qwen3 fixed4
///
/// propanol: CCCO
///   [C‧]<│-₁₁│1₁₀│.₁₁│2₁₀│5₁₀│0₁₀│0₁₀│,₂│0₁₀‧.│5₁₀│0₁₀│0₁₀│0₁₀│,₂│1₁₀│0₁₁‧.│0₁₀│0₁₀│0₁₀│0₁₀
///   ‧>[‧C‧]<│-₁₁│1₁₀│.₁₁│2₁₀│5₁₀│0₁₀│0₁₀│,₂│0₁₀‧.│5₁₀│0₁₀│0₁₀│0₁₀│,₂│1₁₀│0₁₁‧.│0₁₀│0₁₀│0₁₀│0₁₀  × 2
///   ‧>[‧O‧]<│-₁₁│1₁₀│.₁₁│2₁₀│5₁₀│0₁₀│0₁₀│,₂│0₁₀‧.│5₁₀│0₁₀│0₁₀│0₁₀│,₂│1₁₀│0₁₁‧.│0₁₀│0₁₀│0₁₀│0₁₀
///   ‧>
/// "
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`TemplateError::Artifact`] if a molecule has a literal that the artifact lacks.
pub fn snapshot<'m, D: AsRef<[u8]>>(
    artifact: &Artifact<D>,
    molecules: impl IntoIterator<Item = (&'m str, &'m str)>,
) -> Result<String, TemplateError> {
    let header = &artifact.tables().header;
    let numbers = example_numbers(&header.number_format.parse()?)?.join(",");
    let mut shown = format!("{} {}\n", header.tokenizer, header.number_format);
    for (name, smiles) in molecules {
        let template = artifact.template(smiles)?;
        let text = artifact.literals_of(smiles).join(&numbers);
        let atoms = trace_atoms(&template, &text).unwrap_or_default();
        let _ = writeln!(shown, "\n{name}: {smiles}");
        for same in atoms.chunk_by(|a, b| a == b) {
            let times = if same.len() > 1 { format!("  × {}", same.len()) } else { String::new() };
            let _ = writeln!(shown, "  {}{times}", same[0]);
        }
    }
    Ok(shown)
}

/// The tokens of a text that the template accepts, found along the automaton; the end-of-sequence token comes with them.
#[must_use]
pub fn spell(template: &Template, text: &str) -> Option<Vec<TokenId>> {
    let mut matcher = Matcher::new(template.clone());
    let mut ids = Vec::new();
    // For each token so far, and the next: what is left of the text, and the choices not tried yet. A wrong one is found out
    // within a number or a literal.
    let mut tries = vec![(text, matcher.mask_row().iter().collect::<Vec<_>>().into_iter())];
    while let Some((rest, choices)) = tries.last_mut() {
        if matcher.is_finished() && rest.is_empty() {
            return Some(ids);
        }
        let rest = *rest;
        let next = choices.find_map(|id| Some((id, behind(template, rest, id, ids.is_empty())?)));
        match next {
            Some((id, rest)) if matcher.advance(id).is_ok() => {
                ids.push(id);
                tries.push((rest, matcher.mask_row().iter().collect::<Vec<_>>().into_iter()));
            }
            Some(_) => {}
            None => {
                tries.pop();
                ids.pop();
                matcher.rollback(1);
            }
        }
    }
    None
}

/// What is left of a text behind a token, if it begins with that.
fn behind<'t>(template: &Template, text: &'t str, id: TokenId, first: bool) -> Option<&'t str> {
    let tables = template.tables();
    if tables.header.eos == Some(id) && text.is_empty() {
        return Some(text);
    }
    let token = tables.tokens.text(id)?;
    // SentencePiece marks the start of a text with a space that is not in it.
    let token = if first { token.trim_start_matches(['▁', ' ']) } else { token };
    text.strip_prefix(token).filter(|_| !token.is_empty())
}

/// The automaton of numbers and of the separator between them, as Graphviz: `dot -Tsvg`.
#[must_use]
pub fn dot(tables: &Tables) -> String {
    let mut text =
        String::from("digraph numbers {\n  rankdir=LR;\n  node [shape=circle, fontname=monospace];\n");
    let automaton = &tables.automaton;
    for state in (1..=tables.separator.0).map(StateId) {
        let shape = if automaton.ends_number(state) { "doublecircle" } else { "circle" };
        let name = if state == tables.separator { "between" } else { "" };
        let _ = writeln!(text, "  {state} [shape={shape}, xlabel=\"{name}\"];", state = state.0);
        for (target, tokens) in by_target(automaton, state) {
            let label = quoted(&summary(tables, &tokens));
            let _ = writeln!(text, "  {} -> {} [label={label}];", state.0, target.0);
        }
    }
    text + "}\n"
}

/// The automaton of numbers as lines: each state with its tokens by where they lead.
#[must_use]
pub fn automaton_text(tables: &Tables) -> String {
    let mut text = String::new();
    let automaton = &tables.automaton;
    for state in (1..=tables.separator.0).map(StateId) {
        let note = match (automaton.ends_number(state), state == tables.separator) {
            (true, _) => "  (a number may end)",
            (_, true) => "  (between two numbers)",
            _ => "",
        };
        let _ = writeln!(text, "{:>5}{note}", state.0);
        for (target, tokens) in by_target(automaton, state) {
            let _ = writeln!(text, "      → {:<5} {}", target.0, summary(tables, &tokens));
        }
    }
    text
}

fn by_target(automaton: &Automaton, state: StateId) -> BTreeMap<StateId, Vec<TokenId>> {
    let mut targets: BTreeMap<StateId, Vec<TokenId>> = BTreeMap::new();
    for (token, target) in automaton.edges(state).iter() {
        targets.entry(target.state).or_default().push(token);
    }
    targets
}

/// A few tokens in order of their texts; of many the first, the last and how many.
fn summary(tables: &Tables, tokens: &[TokenId]) -> String {
    let mut names: Vec<String> = tokens.iter().map(|&token| tables.token_text(token)).collect();
    names.sort();
    match names.as_slice() {
        [first, .., last] if names.len() > 12 => format!("{first} … {last} ({} tokens)", names.len()),
        names => names.join(" "),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn subscript(number: usize) -> String {
    let digit = |c: char| char::from_u32('₀' as u32 + c.to_digit(10).unwrap_or(0)).unwrap_or(c);
    number.to_string().chars().map(digit).collect()
}
