//! The names of events, each classified once and then known by a small number.

use rustc_hash::FxHashMap;

use super::{Class, Patterns};

/// Distinct names that are kept, and bytes of their text.
const NAMES: usize = 1 << 16;
const BYTES: usize = 1 << 25;

/// A name that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameId(u32);

impl NameId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug)]
struct Name {
    kind: Box<str>,
    name: Box<str>,
    class: Class,
}

/// All names so far. A trace with more of them than are kept is classified all the same, event by event.
#[derive(Debug, Default)]
pub(super) struct Names {
    ids: FxHashMap<Box<str>, NameId>,
    names: Vec<Name>,
    bytes: usize,
    key: String,
    passing: Class,
}

impl Names {
    /// What an event is, and its number unless there are too many.
    pub(super) fn classify(
        &mut self,
        patterns: &Patterns,
        kind: &str,
        name: &str,
    ) -> (&Class, Option<NameId>) {
        self.key.clear();
        for part in [kind, "\0", name] {
            self.key.push_str(part);
        }
        if let Some(&id) = self.ids.get(self.key.as_str()) {
            return (&self.names[id.index()].class, Some(id));
        }
        let class = patterns.classify(kind, name);
        if self.names.len() >= NAMES || self.bytes + self.key.len() > BYTES {
            self.passing = class;
            return (&self.passing, None);
        }
        let id = NameId(self.names.len() as u32);
        self.bytes += self.key.len();
        self.ids.insert(self.key.as_str().into(), id);
        self.names.push(Name { kind: kind.into(), name: name.into(), class });
        (&self.names[id.index()].class, Some(id))
    }

    /// Kind, name and class of every name that is kept, in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str, &Class)> {
        self.names.iter().map(|name| (&*name.kind, &*name.name, &name.class))
    }
}
