//! Inputs: files, folders, patterns, standard input, embedded corpora.

use std::fs;

use tplc::{
    corpus::{Coordinate, Corpus, CorpusError, CorpusOptions},
    text::{NumberFormat, Tags},
    tokenizer::AddedTokens,
};

use crate::corpus::{rows_of, zst};
use crate::golden;

fn open(inputs: &[&str]) -> Result<Corpus, CorpusError> {
    let inputs: Vec<String> = inputs.iter().map(|&input| input.to_owned()).collect();
    Corpus::open(&inputs, &CorpusOptions::default())
}

/// A folder with corpora of several formats at two depths.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::create_dir(path.join("sub")).unwrap();
    fs::write(path.join("b.smi"), "[C]<0,0,0>\n[N]<0,0,0>\n").unwrap();
    fs::write(path.join("a.xyz"), "1\nsmiles=C\nC 0 0 0\n").unwrap();
    fs::write(path.join("sub/c.jsonl.zst"), zst("{\"enriched\":\"[C]<0,0,0>\"}")).unwrap();
    fs::write(path.join("sub/notes.md"), "not a corpus").unwrap();
    fs::write(path.join("[1].smi"), "[O]<0,0,0>\n").unwrap();
    folder
}

fn names(corpus: &Corpus, folder: &tempfile::TempDir) -> String {
    let root = folder.path().to_str().unwrap();
    corpus.names().map(|name| name.replace(root, "")).collect::<Vec<_>>().join(" ")
}

#[test]
fn folders_and_patterns_are_searched_in_sorted_order() {
    let folder = folder();
    let root = folder.path().to_str().unwrap();
    let whole = open(&[root]).unwrap();
    assert_eq!(names(&whole, &folder), "/[1].smi /a.xyz /b.smi /sub/c.jsonl.zst");
    assert_eq!(rows_of(whole).iter().filter(|row| row.is_ok()).count(), 5);

    let pattern = open(&[&format!("{root}/*.smi")]).unwrap();
    assert_eq!(names(&pattern, &folder), "/[1].smi /b.smi");
    // A file with that very name is not a pattern.
    let literal = open(&[&format!("{root}/[1].smi"), &format!("{root}/a.xyz")]).unwrap();
    assert_eq!(names(&literal, &folder), "/[1].smi /a.xyz");
}

#[test]
fn progress_counts_the_stored_bytes() {
    let folder = folder();
    let corpus = open(&[folder.path().to_str().unwrap(), "reference:g2"]).unwrap();
    let total = corpus.total_bytes().unwrap();
    let read = corpus.bytes_read();
    assert_eq!(read.get(), 0);
    rows_of(corpus);
    assert_eq!(read.get(), total);
    assert_eq!(open(&["-"]).unwrap().total_bytes(), None);
}

#[test]
fn what_cannot_be_opened_says_so() {
    let empty = tempfile::tempdir().unwrap();
    let empty_path = empty.path().to_str().unwrap();
    let parquet = empty.path().join("a.parquet");
    let inputs = [
        "no/such/file.sdf".to_owned(),
        "no/such/*.sdf".to_owned(),
        "no/such/***".to_owned(),
        "reference:pubchem".to_owned(),
        empty_path.to_owned(),
    ];
    let mut messages: Vec<String> =
        inputs.iter().map(|input| open(&[input]).err().unwrap().to_string()).collect();
    messages.push(open(&[]).err().unwrap().to_string());
    messages.push("csv".parse::<tplc::corpus::CorpusFormat>().unwrap_err().to_string());
    fs::write(&parquet, "PAR1").unwrap();
    if cfg!(not(feature = "parquet")) {
        let opened = open(&[parquet.to_str().unwrap()]).unwrap();
        messages.extend(opened.records().filter_map(Result::err).map(|error| error.to_string()));
        golden::check("corpus", "cannot_open", messages.join("\n").replace(empty_path, "[TMP]"));
    }
}

/// What docs/corpora.md shows is read, and its number formats write what it says.
#[test]
fn the_page_of_inputs_is_right() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/corpora.md")).unwrap();
    let block = |heading: &str| -> String {
        let section = page.split_once(&format!("\n## {heading}\n")).unwrap().1;
        section.split("```").nth(1).unwrap().split_once('\n').unwrap().1.to_owned()
    };
    for (heading, name, rows) in
        [("Enriched text", "a.txt", 1), ("JSON lines", "a.jsonl", 2), ("XYZ", "a.xyz", 1)]
    {
        let text = std::io::Cursor::new(block(heading));
        let read = rows_of(Corpus::from_reader(name, Box::new(text), &CorpusOptions::default()));
        assert_eq!(read.iter().filter(|row| row.is_ok()).count(), rows, "{read:?}");
        assert_eq!(read.len(), rows);
    }
    assert!(block("Tags").trim().parse::<Tags>().is_ok());
    assert_eq!(AddedTokens::parse(&block("Added tokens"), "page").unwrap().added_tokens.len(), 2);

    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    let mut table = page.lines().skip_while(|line| !line.starts_with("| format | -1")).map(cells);
    let values: Vec<Coordinate> =
        table.next().unwrap()[1..].iter().map(|value| Coordinate::parse(value).unwrap()).collect();
    let rows: Vec<Vec<String>> = table.skip(1).take_while(|row| row.len() == values.len() + 1).collect();
    assert_eq!(rows.len(), 5);
    for row in rows {
        let format: NumberFormat = row[0].parse().unwrap();
        let written: Vec<String> = values.iter().map(|&value| format.render(value).unwrap()).collect();
        assert_eq!(written, row[1..], "{}", row[0]);
    }
}
