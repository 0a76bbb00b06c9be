//! What holds the rows, as numbers: automaton, roots, positions, lists of ids.

use super::layout::{Guide, Kind};
use crate::{
    artifact::{Automaton, Tables, Template},
    decode::{
        DecodeError,
        guide::{self, Columns},
        packed::check_tokens,
        positions::{FreeRule, Place, Positions},
    },
    matcher::Matcher,
    primitives::{StateId, TokenId},
};

/// No column: an edge whose token is never one of several has no logit where only the others are computed. And no draft.
pub(super) const NONE: u32 = u32::MAX;

/// What the rows are held by, as numbers.
#[derive(Default)]
pub(super) struct Holding {
    /// All but the pointers.
    pub(super) guide: Guide,
    pub(super) states: Vec<u32>,
    pub(super) edge_tokens: Vec<u32>,
    pub(super) edge_targets: Vec<u32>,
    pub(super) columns: Vec<u32>,
    pub(super) programs: Vec<u32>,
    pub(super) blocked: Vec<u32>,
    pub(super) lists: Vec<u32>,
}

impl Holding {
    /// What holds nothing yet.
    pub(super) fn new() -> Self {
        Self { guide: Guide { draft: NONE, ..Guide::default() }, ..Self::default() }
    }

    /// Adds what holds one job, behind where `program` is told that it begins; tells the state and the number that it begins
    /// with.
    pub(super) fn add(
        &mut self,
        guide: &guide::Guide,
        columns: Columns<'_>,
        vocabulary: usize,
        program: &mut Vec<u64>,
    ) -> Result<(u32, u32), DecodeError> {
        program.push(self.programs.len() as u64);
        Ok(match guide {
            guide::Guide::Free { end } => {
                self.guide.end = end.0;
                (0, 0)
            }
            guide::Guide::Positions { positions, rule, .. } => {
                if self.programs.is_empty() {
                    self.add_rule(rule, vocabulary);
                }
                let tokens = (0..positions.len()).filter_map(|at| positions.at(at)).map(|(token, _)| token);
                check_tokens(&tokens.collect::<Vec<_>>(), vocabulary)?;
                self.programs.extend(words_of(positions));
                (0, 0)
            }
            guide::Guide::Exact { matcher, draft } => {
                if self.states.is_empty() {
                    check_tokens(matcher.template().tables().tokens.ids(), vocabulary)?;
                    self.guide.draft = draft.map_or(NONE, |token| token.0);
                }
                self.add_exact(matcher, columns)
            }
        })
    }

    fn add_exact(&mut self, matcher: &Matcher, columns: Columns<'_>) -> (u32, u32) {
        let template = matcher.template();
        if self.states.is_empty() {
            self.add_tables(template.tables(), columns);
            self.guide.forces = u32::from(matcher.forces());
        }
        self.programs.extend(roots(template));
        let (state, number) = matcher.place();
        (state.0, number)
    }

    fn add_tables(&mut self, tables: &Tables, columns: Columns<'_>) {
        let automaton: &Automaton = &tables.automaton;
        self.guide.kind = Kind::Exact;
        self.guide.separator = tables.separator.0;
        for index in 0..automaton.len() {
            let state = StateId(index as u32);
            let edges = automaton.edges(state);
            let first = self.edge_tokens.len() as u32;
            let ends = if automaton.ends_number(state) { FLAG } else { 0 };
            let choice = edges.len() > 1 || ends > 0;
            let drafts = if choice && edges.target(TokenId(self.guide.draft)).is_some() { DRAFTS } else { 0 };
            let only = edges.iter().next().map_or([0, 0], |(token, target)| [token.0, target.state.0]);
            self.states.extend([first, edges.len() as u32 | ends | drafts]);
            self.states.extend(only);
            for (token, target) in edges.iter() {
                self.edge_tokens.push(token.0);
                self.edge_targets.push(target.state.0);
                self.columns.push(columns.of(token).map_or(NONE, |column| column as u32));
            }
        }
    }

    fn add_rule(&mut self, rule: &FreeRule, vocabulary: usize) {
        match rule {
            FreeRule::Blocked(bits) => {
                self.guide.kind = Kind::Blocklist;
                self.blocked = bits.clone();
                self.blocked.resize(bits.len().max(vocabulary.div_ceil(32)), 0);
            }
            FreeRule::Allowed { first, inner, last } => {
                self.guide.kind = Kind::Allowlist;
                for (ids, end) in [first, inner, last].into_iter().zip(0..) {
                    self.lists.extend(ids.iter().map(|id| id.0).filter(|&id| (id as usize) < vocabulary));
                    self.guide.list_ends[end] = self.lists.len() as u32;
                }
            }
        }
    }
}

const FLAG: u32 = 1 << 31;
const DRAFTS: u32 = 1 << 30;

/// The root behind each atom.
fn roots(template: &Template) -> impl Iterator<Item = u32> {
    (1..=template.atoms()).filter_map(|atom| template.behind(3 * atom - 1)).map(|root| root.0)
}

/// Each position: its token, and in the two highest bits its place.
fn words_of(positions: &Positions) -> impl Iterator<Item = u32> {
    (0..positions.len()).filter_map(|at| positions.at(at)).map(|(token, place)| {
        let place = match place {
            Place::Copy => 0,
            Place::First => 1,
            Place::Inner => 2,
            Place::Last => 3,
        };
        token.0 | place << 30
    })
}
