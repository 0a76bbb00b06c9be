//! Templates for people to read: one text through one, and the automaton of numbers as a picture.

use std::{collections::BTreeMap, fmt::Write};

use crate::{
    artifact::{Automaton, Tables, Template},
    matcher::{Label, Matcher},
    primitives::{StateId, TokenId},
};

/// The tokens of `text` in trace notation, without a tokenizer: a token behind `‧` came without a choice, one behind `│`
/// was one of as many as the small number says. `None` if the template does not accept the text.
///
/// `[C‧]<│-₁₁│1₁₀│.₁₁…`
#[must_use]
pub fn trace(template: &Template, text: &str) -> Option<String> {
    let ids = spell(template, text)?;
    let mut matcher = Matcher::new(template.clone());
    let mut shown = String::new();
    for id in ids {
        let choices = matcher.mask_row().len();
        let label = matcher.advance(id).ok()?;
        let name = template.tables().token_text(id);
        let decided = label == Label::Decided || choices > 1;
        match decided {
            true => shown.extend(["│".to_owned(), name, subscript(choices)]),
            false if shown.is_empty() => shown += &name,
            false => shown.extend(["‧".to_owned(), name]),
        }
    }
    Some(shown)
}

/// The tokens of a text that the template accepts, found along the automaton; the end-of-sequence token comes with them.
#[must_use]
pub fn spell(template: &Template, text: &str) -> Option<Vec<TokenId>> {
    let mut matcher = Matcher::new(template.clone());
    let mut ids = Vec::new();
    let found = spell_on(&mut matcher, text, &mut ids);
    found.then_some(ids)
}

/// Tries each token that the text goes on with. A wrong one is found out within a number or a literal.
fn spell_on(matcher: &mut Matcher, rest: &str, ids: &mut Vec<TokenId>) -> bool {
    if matcher.is_finished() {
        return rest.is_empty();
    }
    let choices: Vec<TokenId> = matcher.mask_row().iter().collect();
    let tables = std::sync::Arc::clone(matcher.template().tables());
    for id in choices {
        let ends = tables.header.eos == Some(id) && rest.is_empty();
        let text = tables.tokens.text(id).unwrap_or_default();
        // SentencePiece marks the start of a text with a space that is not in it.
        let text = if ids.is_empty() { text.trim_start_matches(['▁', ' ']) } else { text };
        let next = if ends { Some(rest) } else { rest.strip_prefix(text).filter(|_| !text.is_empty()) };
        let Some(next) = next else { continue };
        if matcher.advance(id).is_ok() {
            ids.push(id);
            if spell_on(matcher, next, ids) {
                return true;
            }
            ids.pop();
            matcher.rollback(1);
        }
    }
    false
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
