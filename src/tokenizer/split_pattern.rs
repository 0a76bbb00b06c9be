//! What a pre-tokenizer's pattern may match, whatever the text: asked of its automaton.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    ops::RangeInclusive,
};

use regex_automata::{
    Anchored, MatchKind,
    hybrid::{
        LazyStateID,
        dfa::{Cache, DFA},
    },
    nfa::thompson::NFA,
    util::{start, syntax},
};

use super::apart::Borders;

/// A pattern, and what it may match.
pub(super) struct SplitPattern {
    text: String,
    automaton: DFA,
}

/// White space that no more of it follows: a look ahead, but behind white space only, which stands beside no border.
const SPACE_LOOKS_AHEAD: (&str, &str) = (r"\s+(?!\S)", r"\s+");

/// States are few: more is another kind of pattern.
const MOST_STATES: usize = 1 << 14;

impl SplitPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// If it looks at what it does not match, or cannot be read.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let unread = |reason: String| {
            format!("the pattern of its pre-tokenizer or normalizer cannot be judged ({reason}): {text}")
        };
        let brief = |error: &dyn std::error::Error| {
            error
                .to_string()
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error:")
                .trim()
                .to_owned()
        };
        let consuming = text.replace(SPACE_LOOKS_AHEAD.0, SPACE_LOOKS_AHEAD.1);
        let parsed = syntax::parse(&consuming).map_err(|error| unread(brief(&error)))?;
        if !parsed.properties().look_set().is_empty() {
            return Err(unread("it looks around".to_owned()));
        }
        let nfa = NFA::compiler().build_from_hir(&parsed).map_err(|error| unread(brief(&error)))?;
        // All ways to match, also those that another would be preferred to.
        let config = DFA::config().match_kind(MatchKind::All).skip_cache_capacity_check(true);
        let config = config.cache_capacity(1 << 26);
        let automaton =
            DFA::builder().configure(config).build_from_nfa(nfa).map_err(|error| unread(brief(&error)))?;
        Ok(Self { text: text.to_owned(), automaton })
    }

    /// Whether no match begins with a character that is visible in ASCII.
    pub(super) fn is_idle(&self) -> bool {
        let mut walk = Walk::new(self);
        walk.start().is_some_and(|start| {
            (b'!'..=b'~').all(|byte| walk.next(start, byte).is_some_and(|state| !walk.is_live(state)))
        })
    }

    /// Whether each of these characters is a match by itself.
    pub(super) fn matches_each(&self, mut bytes: RangeInclusive<u8>) -> bool {
        let mut walk = Walk::new(self);
        walk.start().is_some_and(|start| {
            bytes.all(|byte| walk.next(start, byte).is_some_and(|state| walk.is_whole(state)))
        })
    }

    /// A border that a match may reach over, or may only try to; none if there is none.
    pub(super) fn crosses(&self, borders: &Borders) -> Option<(u8, u8)> {
        let mut walk = Walk::new(self);
        // Where the automaton cannot be walked whole, any border may be crossed.
        let unknown = Some((b'<', b'0'));
        let Some(start) = walk.start() else { return unknown };
        let (mut seen, mut open) = (BTreeSet::new(), VecDeque::from([(start, None)]));
        while let Some((state, before)) = open.pop_front() {
            for byte in 0..=u8::MAX {
                let Some(next) = walk.next(state, byte) else { return unknown };
                if !walk.is_live(next) {
                    continue;
                }
                if let Some(before) = before.filter(|&before| borders.between(before, byte)) {
                    return Some((before, byte));
                }
                // Of the last byte it matters only which borders it may stand at.
                let beside = (0..=u8::MAX).any(|other| borders.between(byte, other)).then_some(byte);
                if seen.insert((next, beside)) {
                    open.push_back((next, beside));
                }
                if seen.len() > MOST_STATES {
                    return unknown;
                }
            }
        }
        None
    }
}

impl fmt::Display for SplitPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A walk through the automaton of a pattern, anchored where it begins.
struct Walk<'p> {
    automaton: &'p DFA,
    cache: Cache,
    live: BTreeMap<LazyStateID, bool>,
}

impl<'p> Walk<'p> {
    fn new(pattern: &'p SplitPattern) -> Self {
        let cache = pattern.automaton.create_cache();
        Self { automaton: &pattern.automaton, cache, live: BTreeMap::new() }
    }

    fn start(&mut self) -> Option<LazyStateID> {
        let anchored = start::Config::new().anchored(Anchored::Yes);
        self.automaton.start_state(&mut self.cache, &anchored).ok()
    }

    fn next(&mut self, state: LazyStateID, byte: u8) -> Option<LazyStateID> {
        let next = self.automaton.next_state(&mut self.cache, state, byte).ok()?;
        // A cache that was cleared names states anew.
        (self.cache.clear_count() == 0 && !next.is_quit()).then_some(next)
    }

    /// Whether the bytes so far are a match, or begin one. A match that ended a byte before is told of late: nothing
    /// follows its state.
    fn is_live(&mut self, state: LazyStateID) -> bool {
        if let Some(&known) = self.live.get(&state) {
            return known;
        }
        let alive = |next: Option<LazyStateID>| next.is_none_or(|next| !next.is_dead());
        let live = !state.is_dead()
            && (self.is_whole(state) || (0..=u8::MAX).any(|byte| alive(self.next(state, byte))));
        self.live.insert(state, live);
        live
    }

    /// Whether the bytes so far are a match.
    fn is_whole(&mut self, state: LazyStateID) -> bool {
        self.automaton.next_eoi_state(&mut self.cache, state).is_ok_and(|end| end.is_match())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::apart::tests::borders;

    #[test]
    fn matches_that_end_at_borders() {
        for (pattern, crossed) in [
            (r"\p{N}{1,3}", None),
            (r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?!\S)|\s+", None),
            (r"[A-Za-z]+|,", None),
            (r"\S+", Some((b',', b'0'))),
            (".{1,3}", Some((b',', b'0'))),
            // A match that needs more than the border is tried over it all the same.
            (r"<-?\d+x", Some((b'<', b'0'))),
            (r"[0-9]+\.", Some((b'0', b'.'))),
        ] {
            let crosses = SplitPattern::new(pattern).unwrap().crosses(&borders());
            assert_eq!(crosses.is_some(), crossed.is_some(), "{pattern}: {crosses:?}");
            assert!(crosses.is_none() || crosses == crossed, "{pattern}: {crosses:?}");
        }
    }

    #[test]
    fn single_characters() {
        let pattern = SplitPattern::new(r"\p{N}{1,3}|[^\s\p{L}\p{N}]{2}").unwrap();
        assert!(pattern.matches_each(b'0'..=b'9') && !pattern.matches_each(b'!'..=b'~'));
        assert!(SplitPattern::new(r"\s+").unwrap().is_idle() && !pattern.is_idle());
        assert!(SplitPattern::new("[一-龥]+").unwrap().is_idle());
    }

    #[test]
    fn patterns_that_look_around_are_refused() {
        for pattern in [r"\d+(?!\d)", r"\b\w+", "^x", "x$", r"(\d)\1"] {
            assert!(SplitPattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
