//! JSON lines: one object a line, its numbers read from their decimal text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Coordinate, EnrichedRow, JsonFields, Molecule, Position, Row, RowFault};

/// The row of one JSON line: a molecule with conformers, or enriched texts.
pub(super) fn row(line: &str, fields: &JsonFields, conformers_needed: bool) -> Result<Row, RowFault> {
    let mut json = serde_json::Deserializer::from_str(line);
    let values = Wanted(fields).deserialize(&mut json).map_err(|error| syntax_fault(line, &error))?;
    json.end().map_err(|error| syntax_fault(line, &error))?;

    let name = values.name.map(|raw| string(raw, &fields.name)).transpose();
    // Some corpora number their molecules; a number is a name too.
    let name = name.unwrap_or_else(|_| values.name.map(|raw| raw.get().to_owned()));
    if let Some(raw) = values.enriched {
        let smiles = values.canonical.map(|raw| string(raw, &fields.canonical)).transpose()?;
        let texts = strings(raw, &fields.enriched)?;
        return Ok(Row::Enriched(EnrichedRow { name, smiles, texts }));
    }
    if let (Some(smiles), None, false) = (values.smiles, values.conformers, conformers_needed) {
        let smiles = string(smiles, &fields.smiles)?;
        return Ok(Row::Molecule(Molecule { name, smiles, conformers: Vec::new() }));
    }
    let (Some(smiles), Some(raw)) = (values.smiles, values.conformers) else {
        let absent = if values.smiles.is_none() { &fields.smiles } else { &fields.conformers };
        return Err(RowFault::Missing(format!(
            "field {absent:?} (nor {:?}, for enriched text); {}",
            fields.enriched,
            fields.there(&names(line))
        )));
    };
    let smiles = string(smiles, &fields.smiles)?;
    let conformers = Scanner { text: raw.get(), at: 0, field: &fields.conformers }.conformers()?;
    if conformers.is_empty() {
        return Err(RowFault::Missing(format!("conformer in {:?}", fields.conformers)));
    }
    Ok(Row::Molecule(Molecule { name, smiles, conformers }))
}

/// The names of the fields that a line has, `null` counting as absent.
fn names(line: &str) -> Vec<String> {
    let fields: BTreeMap<String, Option<IgnoredAny>> = serde_json::from_str(line).unwrap_or_default();
    fields.into_iter().filter_map(|(name, value)| value.map(|_| name)).collect()
}

/// The raw values of the fields that matter; `null` counts as absent.
#[derive(Default)]
struct Values<'a> {
    name: Option<&'a RawValue>,
    smiles: Option<&'a RawValue>,
    conformers: Option<&'a RawValue>,
    canonical: Option<&'a RawValue>,
    enriched: Option<&'a RawValue>,
}

/// A string that is borrowed from the line unless it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Picks the wanted fields out of an object.
struct Wanted<'f>(&'f JsonFields);

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Values<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Values<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Values<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values<'de>, A::Error> {
        let fields = self.0;
        let mut values = Values::default();
        while let Some(Text(key)) = map.next_key()? {
            // Two fields may share one key, so each is asked.
            let slots = [
                (&fields.name, &mut values.name),
                (&fields.smiles, &mut values.smiles),
                (&fields.conformers, &mut values.conformers),
                (&fields.canonical, &mut values.canonical),
                (&fields.enriched, &mut values.enriched),
            ];
            let mut wanted = slots.into_iter().filter(|(field, _)| **field == key).peekable();
            if wanted.peek().is_none() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let raw: &RawValue = map.next_value()?;
            let present = (raw.get() != "null").then_some(raw);
            wanted.for_each(|(_, slot)| *slot = present);
        }
        Ok(values)
    }
}

/// Why the line is no JSON; names the non-finite numbers that some writers put in.
fn syntax_fault(line: &str, error: &serde_json::Error) -> RowFault {
    if error.is_eof() {
        return RowFault::Truncated(format!("the JSON ends early at column {}", error.column()));
    }
    let near = error.column().saturating_sub(2);
    let token = line.as_bytes().get(near.saturating_sub(1)..).unwrap_or_default();
    let token = &token[..token.len().min(12)];
    for value in ["-Infinity", "Infinity", "NaN"] {
        if memchr::memmem::find(token, value.as_bytes()).is_some() {
            return RowFault::BareNonFinite { value: value.to_owned() };
        }
    }
    // One record is one line, so only the column is worth telling.
    let reason = error.to_string();
    let reason = reason.rsplit_once(" at line").map_or(reason.as_str(), |(what, _)| what);
    match error.column() {
        0 => RowFault::Json(reason.to_owned()),
        column => RowFault::Json(format!("{reason} at column {column}")),
    }
}

fn string(raw: &RawValue, field: &str) -> Result<String, RowFault> {
    let wrong = |_| RowFault::WrongType { field: field.to_owned(), expected: "a string" };
    serde_json::from_str::<Text<'_>>(raw.get()).map(|text| text.0.into_owned()).map_err(wrong)
}

fn strings(raw: &RawValue, field: &str) -> Result<Vec<String>, RowFault> {
    if let Ok(one) = string(raw, field) {
        return Ok(vec![one]);
    }
    let texts: Vec<String> = serde_json::from_str(raw.get()).map_err(|_| RowFault::WrongType {
        field: field.to_owned(),
        expected: "a string or a list of strings",
    })?;
    if texts.is_empty() {
        return Err(RowFault::Missing(format!("text in {field:?}")));
    }
    Ok(texts)
}

/// Reads nested lists of numbers out of text that is known to be JSON.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    field: &'a str,
}

impl<'a> Scanner<'a> {
    /// A list of conformers, or one conformer given flat as a list of positions.
    fn conformers(mut self) -> Result<Vec<Vec<Position>>, RowFault> {
        let nesting = self.text.bytes().filter(|byte| !byte.is_ascii_whitespace()).take(3);
        if !nesting.eq(*b"[[[") {
            let conformer = self.conformer(1, 0)?;
            return Ok(if conformer.is_empty() { Vec::new() } else { vec![conformer] });
        }
        let mut conformers: Vec<Vec<Position>> = Vec::new();
        self.open()?;
        while !self.closes() {
            let atoms = conformers.last().map_or(0, Vec::len);
            conformers.push(self.conformer(conformers.len() + 1, atoms)?);
        }
        Ok(conformers)
    }

    fn conformer(&mut self, conformer: usize, expected_atoms: usize) -> Result<Vec<Position>, RowFault> {
        let mut positions = Vec::with_capacity(expected_atoms);
        self.open()?;
        while !self.closes() {
            let atom = positions.len() + 1;
            let mut position = Position::default();
            let mut found = 0;
            self.open()?;
            while !self.closes() {
                let value = Coordinate::parse(self.scalar()?).map_err(|source| RowFault::Coordinate {
                    conformer,
                    atom,
                    source,
                })?;
                if let Some(axis) = position.get_mut(found) {
                    *axis = value;
                }
                found += 1;
            }
            if found != 3 {
                return Err(RowFault::NotThree { conformer, atom, found });
            }
            positions.push(position);
        }
        Ok(positions)
    }

    fn open(&mut self) -> Result<(), RowFault> {
        self.skip(|byte| byte.is_ascii_whitespace());
        if self.text[self.at..].starts_with('[') {
            self.at += 1;
            return Ok(());
        }
        Err(self.wrong_type())
    }

    fn wrong_type(&self) -> RowFault {
        let expected = "a list of conformers, each a list of [x, y, z]";
        RowFault::WrongType { field: self.field.to_owned(), expected }
    }

    /// Whether the list ends here; else moves to its next item.
    fn closes(&mut self) -> bool {
        self.skip(|byte| byte.is_ascii_whitespace() || byte == b',');
        let closed = self.text[self.at..].starts_with(']');
        self.at += usize::from(closed);
        closed || self.at == self.text.len()
    }

    /// A number as written, or the start of a string or word that stands here.
    fn scalar(&mut self) -> Result<&'a str, RowFault> {
        let start = self.at;
        if self.text[start..].starts_with(['[', '{']) {
            return Err(self.wrong_type());
        }
        self.skip(|byte| !matches!(byte, b',' | b']') && !byte.is_ascii_whitespace());
        Ok(&self.text[start..self.at])
    }

    fn skip(&mut self, skipped: impl Fn(u8) -> bool) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|&byte| !skipped(byte)).unwrap_or(rest.len());
    }
}
