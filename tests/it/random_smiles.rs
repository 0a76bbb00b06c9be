//! Random SMILES with every kind of bond: what is read off their letters is what is read off their grammar.

use std::sync::OnceLock;

use proptest::{collection::vec, prelude::*, sample::select};
use tplc::{
    artifact::Artifact,
    corpus::{Coordinate, Smiles},
    text::{EnrichedText, NumberFormat, Skeleton, Tags},
};

use crate::{template::artifact, tokenizer_support::load};

const BONDS: [&str; 11] = ["", "-", "=", "#", "$", ":", "/", "\\", "~", "->", "<-"];

const ATOMS: [&str; 27] = [
    "B", "C", "N", "O", "P", "S", "F", "I", "Cl", "Br", "*", "b", "c", "n", "o", "p", "s", "[nH]", "[C@@H]",
    "[C@TH1H]", "[13CH3]", "[N+]", "[O--]", "[Fe+2]", "[se]", "[CH4:12]", "[Cu]",
];

/// How the next atom hangs on what is there.
#[derive(Clone, Copy, Debug)]
enum Turn {
    On,
    Branch,
    Back,
    Apart,
    /// As [`Turn::On`], and opens a ring bond of this number, or closes it.
    Ring(u16),
}

/// A turn, the bond and the atom that come with it, and a bond for the ring.
type Step = (Turn, &'static str, &'static str, &'static str);

fn smiles() -> impl Strategy<Value = String> {
    let turn = prop_oneof![
        4 => Just(Turn::On),
        2 => Just(Turn::Branch),
        2 => Just(Turn::Back),
        1 => Just(Turn::Apart),
        2 => prop_oneof![0u16..4, 8u16..12, 99u16..102].prop_map(Turn::Ring),
    ];
    let step = (turn, select(&BONDS[..]), select(&ATOMS[..]), select(&BONDS[..]));
    (select(&ATOMS[..]), vec(step, 0..24)).prop_map(|(first, steps)| written(first, &steps))
}

fn written(first: &str, steps: &[Step]) -> String {
    let number = |ring: u16| match ring {
        0..10 => ring.to_string(),
        10..100 => format!("%{ring}"),
        _ => format!("%({ring})"),
    };
    let (mut text, mut depth, mut open) = (first.to_owned(), 0, Vec::new());
    for &(turn, bond, atom, ring_bond) in steps {
        match turn {
            Turn::Branch => {
                text.push('(');
                depth += 1;
            }
            Turn::Back if depth > 0 => {
                text.push(')');
                depth -= 1;
            }
            Turn::Apart => text.push('.'),
            Turn::On | Turn::Back | Turn::Ring(_) => {}
        }
        text.push_str(if matches!(turn, Turn::Apart) { "" } else { bond });
        text.push_str(atom);
        if let Turn::Ring(ring) = turn {
            match open.iter().position(|&known| known == ring) {
                Some(place) => {
                    open.remove(place);
                }
                None => {
                    text.push_str(ring_bond);
                    open.push(ring);
                }
            }
            text.push_str(&number(ring));
        }
    }
    let closing = open.into_iter().map(|ring| format!("C{}", number(ring)));
    text + &closing.collect::<String>() + &")".repeat(depth)
}

/// An artifact, to ask for the literals that it reads off a SMILES.
fn reader(tags: &Tags) -> &'static Artifact<Vec<u8>> {
    static READERS: [OnceLock<Artifact<Vec<u8>>>; 2] = [const { OnceLock::new() }; 2];
    let reader = &READERS[usize::from(*tags == Tags::none())];
    reader.get_or_init(|| artifact(&load("qwen3"), NumberFormat::fixed(0), tags, &["C"]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn literals_are_those_of_the_grammar(smiles in smiles(), tagged: bool) {
        let tags = if tagged { Tags::conformer() } else { Tags::none() };
        let skeleton = Skeleton::new(&smiles, tags.completion.as_ref()).unwrap();
        let literals: Vec<&str> = skeleton.literals().collect();
        prop_assert_eq!(reader(&tags).literals_of(&smiles), literals);
    }

    #[test]
    fn parse_undoes_render(
        smiles in smiles(), tagged: bool, strip: bool, decimals in 0u8..=9,
        nanos in vec(-99_999_999_999i64..=99_999_999_999, 3 * 40),
    ) {
        let tags = if tagged { Tags::conformer() } else { Tags::none() };
        let format = if strip { NumberFormat::trimmed(decimals) } else { NumberFormat::fixed(decimals) };
        let skeleton = Skeleton::new(&smiles, tags.completion.as_ref()).unwrap();
        let step = 10i64.pow(9 - u32::from(decimals));
        let exact = |nanos: i64| Coordinate::from_nanos(nanos / step * step);
        let (positions, _) = nanos.as_chunks::<3>();
        let conformer: Vec<_> = positions.iter().take(skeleton.atoms()).map(|xyz| xyz.map(exact)).collect();
        let text = skeleton.render(&conformer, &format).unwrap();
        let read = EnrichedText::parse(&text).unwrap();
        prop_assert_eq!(read.skeleton(), skeleton);
        prop_assert_eq!(read.conformer().unwrap(), conformer);
        prop_assert!(read.check_smiles(&smiles).is_ok());
        prop_assert_eq!(Smiles::parse(&read.smiles()).unwrap().bonds().len(), Smiles::parse(&smiles).unwrap().bonds().len());
    }
}
