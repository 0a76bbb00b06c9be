//! Inputs: files, folders, patterns, standard input, embedded corpora.

use std::fs;

use tplc::corpus::{Corpus, CorpusError, CorpusOptions};

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
