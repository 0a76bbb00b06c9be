//! Writing an artifact: same tables and molecules, same bytes.

use super::{
    Error, Tables, Tokenization,
    programs::{BLOCK, Numbering},
    read::{ANY_TOKENIZATION, ENDS_NUMBER, FREE, HAS_EOS},
    wire,
};

/// The bytes of an artifact.
///
/// A molecule is given by the index of its first literal among first literals, of its inner ones among inner ones and
/// of its last one among last ones. Molecules may come in any order, and more than once.
///
/// # Errors
/// [`Error::Unwritable`] if a molecule has a literal that the tables do not have, or the automaton a token.
pub fn write(tables: &Tables, molecules: impl Iterator<Item = Box<[u32]>>) -> Result<Vec<u8>, Error> {
    let counts = [0, 1, 2].map(|place: usize| tables.literals[place].len());
    let numbering = Numbering::of(counts);
    let mut molecules: Vec<Box<[u32]>> =
        molecules.map(|row| numbered(row, counts, numbering)).collect::<Result<_, _>>()?;
    molecules.sort_unstable();
    molecules.dedup();
    let (index, rows) = programs(numbering, &molecules);
    Ok(wire::file(&[
        header(tables, molecules.len()),
        words(tables.tokens.ids.iter().map(|id| id.0)),
        texts(&tables.tokens.ends, &tables.tokens.text),
        states(tables),
        edge_tokens(tables)?,
        words(
            tables.automaton.targets.iter().map(|target| target.state.0 | if target.free { FREE } else { 0 }),
        ),
        literals(tables),
        index,
        rows,
    ]))
}

/// A molecule by the numbers of its literals over all places.
fn numbered(mut row: Box<[u32]>, counts: [usize; 3], numbering: Numbering) -> Result<Box<[u32]>, Error> {
    let [first, inner @ .., last] = &mut *row else {
        return Err(Error::Unwritable { fault: "a molecule has fewer literals than two" });
    };
    let known = |literal: &u32, place: usize| (*literal as usize) < counts[place];
    if !known(first, 0) || !inner.iter().all(|literal| known(literal, 1)) || !known(last, 2) {
        return Err(Error::Unwritable { fault: "a molecule has a literal that the tables do not have" });
    }
    inner.iter_mut().for_each(|literal| *literal += numbering.inner);
    *last += numbering.last;
    Ok(row)
}

fn header(tables: &Tables, molecules: usize) -> Vec<u8> {
    let header = &tables.header;
    let any = if header.tokenization == Tokenization::Any { ANY_TOKENIZATION } else { 0 };
    let flags = any | if header.eos.is_some() { HAS_EOS } else { 0 };
    let mut bytes = header.fingerprint.to_vec();
    let eos = header.eos.map_or(0, |eos| eos.0);
    for word in [flags, header.logits_width, eos, tables.number_states, tables.separator.0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend((molecules as u64).to_le_bytes());
    for part in [&header.tokenizer, &header.number_format, &header.prompt, &header.open, &header.close] {
        text(&mut bytes, part);
    }
    bytes
}

fn states(tables: &Tables) -> Vec<u8> {
    let automaton = &tables.automaton;
    let ends = automaton.edge_ends.iter().zip(&automaton.ends_number);
    words(ends.map(|(&end, &number)| end | if number { ENDS_NUMBER } else { 0 }))
}

/// Tokens by their place among the ids: two bytes each.
fn edge_tokens(tables: &Tables) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(2 * tables.automaton.tokens.len());
    for token in &tables.automaton.tokens {
        let place = tables.tokens.ids.binary_search(token).ok().and_then(|place| u16::try_from(place).ok());
        let unknown = Error::Unwritable { fault: "the automaton has a token that the tables do not name" };
        bytes.extend(place.ok_or(unknown)?.to_le_bytes());
    }
    Ok(bytes)
}

fn literals(tables: &Tables) -> Vec<u8> {
    let mut bytes = Vec::new();
    for literals in &tables.literals {
        bytes.extend((literals.len() as u32).to_le_bytes());
        bytes.extend(words(literals.roots.iter().map(|root| root.0)));
        bytes.extend(texts(&literals.ends, &literals.text));
    }
    bytes
}

/// The index of the molecules, and the molecules.
fn programs(numbering: Numbering, molecules: &[Box<[u32]>]) -> (Vec<u8>, Vec<u8>) {
    let (mut index, mut rows, mut numbers) = (Vec::new(), Vec::new(), 0u64);
    for (number, row) in molecules.iter().enumerate() {
        if number % BLOCK == 0 {
            index.extend(numbers.to_le_bytes());
        }
        rows.extend(row.iter().flat_map(|literal| literal.to_le_bytes().into_iter().take(numbering.width())));
        numbers += row.len() as u64;
    }
    (index, rows)
}

fn words(words: impl Iterator<Item = u32>) -> Vec<u8> {
    words.flat_map(u32::to_le_bytes).collect()
}

fn texts(ends: &[u32], parts: &str) -> Vec<u8> {
    let mut bytes = words(ends.iter().copied());
    text(&mut bytes, parts);
    bytes
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
}
