//! The template of one molecule: its literals, as roots in the shared automaton.

use std::sync::{Arc, OnceLock};

use super::{Artifact, Bounds, Error, LiteralPlace, Tables};
use crate::primitives::StateId;

/// The exact template of one molecule: accepts a token sequence if and only if it is what the tokenizer gives for the
/// molecule's text with some number of the format in every hole.
///
/// Cheap to make and to clone; many matchers share one.
#[derive(Clone, Debug)]
pub struct Template {
    tables: Arc<Tables>,
    text: Arc<Text>,
}

/// What is of one molecule alone.
#[derive(Debug)]
struct Text {
    /// The root of each literal: one more than there are atoms.
    roots: Box<[StateId]>,
    /// What is left behind each hole, the last one first; made when it is first asked for.
    left: OnceLock<Box<[Left]>>,
}

/// What is left of a text.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    tokens: Bounds,
    decisions: Bounds,
}

/// Numbers in a hole: x, y and z.
const AXES: usize = 3;

impl Template {
    pub(super) fn new(tables: Arc<Tables>, roots: impl Iterator<Item = StateId>) -> Self {
        Self { tables, text: Arc::new(Text { roots: roots.collect(), left: OnceLock::new() }) }
    }

    /// The template of a text of these literals: one before each hole and one behind the last.
    ///
    /// # Errors
    /// [`Error::UnknownLiteral`] if the tables lack one, [`Error::NoAtom`] if there are fewer than two.
    pub fn of_literals<'l>(
        tables: &Arc<Tables>,
        literals: impl ExactSizeIterator<Item = &'l str> + Clone,
    ) -> Result<Self, Error> {
        let text = || literals.clone().collect::<String>();
        let Some(atoms @ 1..) = literals.len().checked_sub(1) else {
            return Err(Error::NoAtom { text: text() });
        };
        // Of known length, so that nothing grows.
        let mut roots = Vec::with_capacity(atoms + 1);
        for (index, literal) in literals.clone().enumerate() {
            let root = tables.root(literal, LiteralPlace::of(index, atoms));
            let unknown = || Error::UnknownLiteral { literal: literal.to_owned(), index, text: text() };
            roots.push(root.ok_or_else(unknown)?);
        }
        Ok(Self::new(Arc::clone(tables), roots.into_iter()))
    }

    /// The tables that it shares with all templates of its artifact.
    #[must_use]
    pub fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// The number of atoms, which is that of holes.
    #[must_use]
    pub fn atoms(&self) -> usize {
        self.text.roots.len() - 1
    }

    /// The numbers of all holes: three an atom.
    #[must_use]
    pub fn numbers(&self) -> usize {
        self.atoms() * AXES
    }

    /// Where the text begins.
    #[must_use]
    pub fn start(&self) -> StateId {
        self.text.roots.first().copied().unwrap_or_default()
    }

    /// The root of the literal or separator behind a number; numbers count from 0.
    #[must_use]
    pub fn behind(&self, number: usize) -> Option<StateId> {
        let (atom, axis) = (number / AXES, number % AXES);
        if axis + 1 < AXES && atom < self.atoms() {
            return Some(self.tables.separator);
        }
        self.text.roots.get(atom + 1).copied()
    }

    /// Tokens from `state`, inside or before number `number`, to the end of the text.
    #[must_use]
    pub fn tokens_left(&self, state: StateId, number: usize) -> Bounds {
        self.tables.distances[state.index()].tokens + self.left(number).tokens
    }

    /// Tokens among [`Template::tokens_left`] that have an alternative: forward passes that must sample.
    #[must_use]
    pub fn decisions_left(&self, state: StateId, number: usize) -> Bounds {
        let branches = self.branches(self.behind(number));
        self.tables.distances[state.index()].decisions[branches] + self.left(number).decisions
    }

    /// What is left behind number `number`: up to the end of its hole number by number, and from there on at once.
    fn left(&self, number: usize) -> Left {
        let holes = self.text.left.get_or_init(|| self.left_behind_holes());
        let hole = (number / AXES).min(self.atoms());
        let behind = self.atoms().checked_sub(hole + 1).and_then(|at| holes.get(at)).copied();
        let in_hole = number..self.numbers().min((hole + 1) * AXES);
        in_hole.rev().fold(behind.unwrap_or_default(), |left, number| self.before(number, left))
    }

    /// What is left behind each hole, the last one first.
    fn left_behind_holes(&self) -> Box<[Left]> {
        let mut left = Left::default();
        let mut holes = Vec::with_capacity(self.atoms());
        for hole in (0..self.atoms()).rev() {
            holes.push(left);
            left =
                (hole * AXES..(hole + 1) * AXES).rev().fold(left, |left, number| self.before(number, left));
        }
        holes.into()
    }

    /// What is left behind a number, if `left` is left behind the next: what leads from one to the other comes before that.
    fn before(&self, number: usize, left: Left) -> Left {
        let Some(root) = self.behind(number) else { return left };
        let next = self.branches(self.behind(number + 1));
        let behind = || {
            let edges = self.tables.automaton.edges(root).iter();
            edges.map(|(_, target)| self.tables.distances[target.state.index()])
        };
        Left {
            tokens: Bounds::over(behind().map(|behind| behind.tokens)).plus(1) + left.tokens,
            decisions: Bounds::over(behind().map(|behind| behind.decisions[next])) + left.decisions,
        }
    }

    /// Whether a literal begins with a choice: which of a state's two distances holds before it.
    fn branches(&self, root: Option<StateId>) -> usize {
        usize::from(root.is_some_and(|root| self.tables.automaton.edges(root).len() > 1))
    }
}

impl<D: AsRef<[u8]>> Artifact<D> {
    /// The template of a SMILES, in the corpus or not, made from the literal table.
    ///
    /// Atoms are read off the SMILES by their letters and brackets alone; whether the SMILES makes sense is not judged here,
    /// without the feature `compile`: `corpus::Smiles::parse` does.
    ///
    /// # Errors
    /// [`Error::UnknownLiteral`] if the molecule has a literal that no molecule of the corpus had, [`Error::NoAtom`] if
    /// there is no atom in it.
    pub fn template(&self, smiles: &str) -> Result<Template, Error> {
        let header = &self.tables().header;
        let text = SkeletonText::new(smiles, &header.open, &header.close);
        Template::of_literals(self.tables(), text.literals())
    }

    /// The literals of a SMILES, as [`Artifact::template`] looks them up.
    #[must_use]
    pub fn literals_of(&self, smiles: &str) -> Vec<String> {
        let header = &self.tables().header;
        SkeletonText::new(smiles, &header.open, &header.close).literals().map(str::to_owned).collect()
    }
}

/// The COPY text of a molecule, cut at its holes.
struct SkeletonText {
    text: String,
    ends: Vec<usize>,
}

impl SkeletonText {
    /// As the text layer writes it, without checking the SMILES.
    fn new(smiles: &str, open: &str, close: &str) -> Self {
        // A bare atom becomes five bytes and more: brackets, and the borders of its hole.
        let mut text = String::with_capacity(open.len() + 5 * smiles.len() + close.len());
        let mut ends = Vec::with_capacity(smiles.len());
        text.push_str(open);
        // Behind the last bracket that closes, none that opens is an atom.
        let closed = smiles.rfind(']').unwrap_or(0);
        let mut rest = smiles;
        while let Some(&first) = rest.as_bytes().first() {
            let Some(length) = atom(rest.as_bytes(), smiles.len() - rest.len() < closed) else {
                let other = rest.bytes().take_while(|byte| !byte.is_ascii()).count().max(1);
                text.push_str(&rest[..other]);
                rest = &rest[other..];
                continue;
            };
            let (head, tail) = rest.split_at(length);
            rest = tail;
            if first == b'[' {
                text.push_str(head);
            } else {
                text.push('[');
                text.push_str(head);
                text.push(']');
            }
            text.push('<');
            ends.push(text.len());
            text.push('>');
        }
        text.push_str(close);
        Self { text, ends }
    }

    fn literals(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        (0..self.ends.len() + 1).map(|index| {
            let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
            &self.text[start..self.ends.get(index).copied().unwrap_or(self.text.len())]
        })
    }
}

/// The length of the atom that a text begins with, in bytes. `closes` tells whether a bracket closes further on.
fn atom(text: &[u8], closes: bool) -> Option<usize> {
    match text {
        [b'[', ..] if !closes => None,
        [b'[', ..] => text.iter().position(|&byte| byte == b']').map(|end| end + 1),
        [b'C', b'l', ..] | [b'B', b'r', ..] => Some(2),
        [b'B' | b'C' | b'N' | b'O' | b'P' | b'S' | b'F' | b'I' | b'*', ..]
        | [b'b' | b'c' | b'n' | b'o' | b'p' | b's', ..] => Some(1),
        _ => None,
    }
}
