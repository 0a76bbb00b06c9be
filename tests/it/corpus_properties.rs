//! Properties: how the bytes arrive changes nothing, and no bytes make reading panic.

use std::io::Read;

use proptest::prelude::*;
use tplc::corpus::{Corpus, CorpusFormat, CorpusOptions, Record, SmilesSource};

use crate::corpus::V2000_ACETALDEHYDE;

/// Gives its bytes in pieces of the given sizes, over and over.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    sizes: Vec<usize>,
    turn: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let size = self.sizes[self.turn % self.sizes.len()].min(buffer.len());
        self.turn += 1;
        let read = (&self.bytes[self.at..]).read(&mut buffer[..size])?;
        self.at += read;
        Ok(read)
    }
}

fn cut(name: &str, reader: Box<dyn Read + Send>, options: &CorpusOptions) -> Vec<(u64, Vec<u8>)> {
    let records = Corpus::from_reader(name, reader, options).records();
    records.map(Result::unwrap).map(|record| (record.line(), record.bytes().to_vec())).collect()
}

/// Lines that mean something to one of the formats, in any order.
fn lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("2".to_owned()),
        Just("C 0 0 0".to_owned()),
        Just("$$$$".to_owned()),
        Just(String::new()),
        Just("M  END".to_owned()),
        Just("{\"smiles\":\"C\",\"conformers\":[[0,0,0]]}".to_owned()),
        "[ -~]{0,40}",
    ];
    proptest::collection::vec((line, prop_oneof![Just("\n"), Just("\r\n")]), 0..30)
        .prop_map(|lines| lines.into_iter().map(|(line, end)| line + end).collect())
}

/// A mol record with a few bytes changed.
fn damaged_record() -> impl Strategy<Value = Vec<u8>> {
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let printable = |byte: u8| b' ' + byte % 95;
    (edits, any::<bool>()).prop_map(move |(edits, cut)| {
        let mut bytes = V2000_ACETALDEHYDE.replace("@SMILES", "CC=O").into_bytes();
        for (at, byte) in &edits {
            let at = at.index(bytes.len());
            bytes[at] = printable(*byte);
        }
        if let (true, Some((at, _))) = (cut, edits.first()) {
            bytes.truncate(at.index(bytes.len()));
        }
        bytes
    })
}

proptest! {
    #[test]
    fn framing_does_not_depend_on_the_pieces(
        text in lines(),
        sizes in proptest::collection::vec(1_usize..50, 1..5),
        limit in prop_oneof![Just(64 << 20), 20_usize..200],
    ) {
        let options = CorpusOptions { max_record_bytes: limit, ..CorpusOptions::default() };
        for name in ["a.smi", "a.jsonl", "a.sdf", "a.xyz", "-"] {
            let whole = cut(name, Box::new(std::io::Cursor::new(text.clone().into_bytes())), &options);
            let pieces = Pieces { bytes: text.clone().into_bytes(), at: 0, sizes: sizes.clone(), turn: 0 };
            prop_assert_eq!(&cut(name, Box::new(pieces), &options), &whole);
        }
    }

    #[test]
    fn no_bytes_make_parsing_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in lines()) {
        for format in CorpusFormat::ALL {
            for bytes in [bytes.clone(), text.clone().into_bytes()] {
                let record = Record::new("random", 1, format, bytes, &CorpusOptions::default());
                let _ = record.parse();
            }
        }
    }

    #[test]
    fn no_damage_makes_an_sdf_record_panic(bytes in damaged_record()) {
        for smiles in [SmilesSource::Graph, SmilesSource::default()] {
            let options = CorpusOptions { smiles, ..CorpusOptions::default() };
            let record = Record::new("damaged", 1, CorpusFormat::Sdf, bytes.clone(), &options);
            let _ = record.parse();
        }
    }
}
