//! Bad rows: each is told apart with file, line and reason, and costs no good row around it.

use tplc::corpus::{Corpus, CorpusOptions, Row, RowError};

use crate::corpus::{V2000_ACETALDEHYDE, gzip, rows, rows_with, show_row, zst};
use crate::golden;

fn errors(rows: Vec<Result<Row, RowError>>) -> Vec<String> {
    rows.into_iter().filter_map(|row| row.err().map(|error| error.to_string())).collect()
}

/// One line for each row: `ok` with its first line, or the message.
fn outcome(rows: Vec<Result<Row, RowError>>) -> String {
    let line = |row: &Result<Row, RowError>| match row {
        Ok(row) => format!("ok {}", show_row(row).lines().next().unwrap_or_default()),
        Err(error) => error.to_string(),
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

const GOOD_LINE: &str = r#"{"name":"good","smiles":"CO","conformers":[[[0,0,0],[1.4,0,0]]]}"#;

#[test]
fn bad_json_lines() {
    let lines = [
        r#"{"smiles":"CO","conformers":[[[NaN,0,0],[1,0,0]]]}"#,
        r#"{"smiles":"CO","conformers":[[[0,0,0],[1,-Infinity,0]]]}"#,
        r#"{"smiles":"CO","conformers":[[[0,0,0],[1,Infinity,0]]]}"#,
        r#"{"smiles":"CO","conformers":[[[null,0,0],[1,0,0]]]}"#,
        r#"{"smiles":"CO","conformers":[[[0,0,0],[1,0,0]],[[0,0,0],["1.0",0,0]]]}"#,
        r#"{"smiles":"CO","conformers":[[[0,0,0],[1e12,0,0]]]}"#,
        r#"{"smiles":"CO","conformers":[[[0,0,0],[1,0]]]}"#,
        r#"{"smiles":"CO","conformers":[[[0,0,0],[1,0,0,0]]]}"#,
        r#"{"smiles":"CO","conformers":[[0,0,0],[1,[0],0]]}"#,
        r#"{"smiles":"CO","conformers":[[1,[2],3]]}"#,
        r#"{"smiles":"CO","conformers":[[[[1,2,3]]]]}"#,
        r#"{"smiles":"CO","conformers":[[[0,0,0],[{"x":1},0,0]]]}"#,
        r#"{"smiles":"CO","conformers":[0,0,0]}"#,
        r#"{"smiles":"CO","conformers":"none"}"#,
        r#"{"smiles":"CO","conformers":[]}"#,
        r#"{"smiles":"CO","conformers":null}"#,
        r#"{"smiles":12,"conformers":[[[0,0,0]]]}"#,
        r#"{"conformers":[[[0,0,0]]]}"#,
        r#"{"enriched":[]}"#,
        r#"{"enriched":[1]}"#,
        r#"{"smiles":"CO","conformers":[[[0,0,0],[1.4,0"#,
        r#"{"smiles":"CO",}"#,
        r#"{"smiles":"C\qO"}"#,
        r#"["CO"]"#,
        r#"{} {}"#,
        "CO",
    ];
    let text = lines.join("\n") + "\n" + GOOD_LINE;
    let rows = rows("a.jsonl", text);
    assert_eq!(rows.len(), lines.len() + 1);
    golden::check("corpus", "bad_json_lines", outcome(rows));
}

#[test]
fn bad_bytes_and_long_records() {
    let mut bytes = b"[C]<0,0,0>\n[C]<0,\xff0,0>\n".to_vec();
    bytes.extend(vec![b'C'; 3000]);
    bytes.extend_from_slice(b"\n[O]<0,0,0>\n");
    let options = CorpusOptions { max_record_bytes: 1000, ..CorpusOptions::default() };
    golden::check("corpus", "bad_bytes", outcome(rows_with("a.smi", &bytes, &options)));
}

#[test]
fn bad_sdf_records() {
    let good = V2000_ACETALDEHYDE.replace("@SMILES", "CC=O");
    let cut = |marker: &str| good[..good.find(marker).unwrap()].to_owned();
    let variants = [
        ("another molecule", V2000_ACETALDEHYDE.replace("@SMILES", "CCC=O")),
        ("another element", V2000_ACETALDEHYDE.replace("@SMILES", "CC=S")),
        ("malformed SMILES", V2000_ACETALDEHYDE.replace("@SMILES", "CC=")),
        ("not a number", good.replace("   -0.9481", "      NaN ")),
        ("a word for a number", good.replace("   -0.9481", "      abc ")),
        ("no element", good.replace("0.4641    0.0000 C ", "0.4641    0.0000   ")),
        ("bad counts", good.replace("  7  6  0", "  x  6  0")),
        ("no atoms", good.replace("  7  6  0", "  0  0  0")),
        ("too few atom lines", good.replace("  7  6  0", " 17  6  0")),
        ("too few bond lines", good.replace("  7  6  0", "  7 16  0")),
        ("no M  END", good.replace("M  END\n", "")),
        ("ends in the header", "name\n".to_owned()),
        ("ends in the atom block", cut("   -0.3859")),
        ("ends in the bond block", cut("  4  2  1")),
        ("ends before M  END", cut("M  END")),
        ("ends in the data fields", cut("CC=O")),
        ("unknown element in the graph", good.replace("<smiles>", "<none>").replace(" O   0", " Xx  0")),
        (
            "bond to a missing atom",
            good.replace("<smiles>", "<none>").replace("  2  1  2  0", "  2 31  2  0"),
        ),
    ];
    let mut text = String::new();
    for (what, variant) in variants {
        let around = format!("{good}{variant}");
        let rows = rows("a.sdf", around);
        assert!(rows[0].is_ok());
        text += &format!("{what}\n  {}\n", errors(rows).join("\n  "));
    }
    golden::check("corpus", "bad_sdf_records", text);
}

#[test]
fn bad_xyz_frames() {
    let frames = [
        "2\nsmiles=CO\nC 0 0 0\nO 1 0 0\n",
        "two\nsmiles=CO\nC 0 0 0\nO 1 0 0\n",
        "3\nsmiles=CO\nC 0 0 0\nO 1 0 0\n",
        "1\nsmiles=CO\nC 0 0 0\nO 1 0 0\n",
        "2\nsmiles=CCO\nC 0 0 0\nO 1 0 0\n",
        "2\nsmiles=OC\nC 0 0 0\nO 1 0 0\n",
        "2\nsmiles=C(O\nC 0 0 0\nO 1 0 0\n",
        "2\nmethanol, no SMILES\nC 0 0 0\nO 1 0 0\n",
        "2\nsmiles=CO\nC nan 0 0\nO 1 0 0\n",
        "2\nsmiles=CO\nC 0 0 0\nO 1 0\n",
        "2\nsmiles=CO\n6 0 0 0\n8 1 0 0\n",
        "2\nsmiles=CO Properties=pos:R:3\n0 0 0\n1 0 0\n",
        "0\nsmiles=C\n",
        "2\nsmiles=CO\nC 0 0 0\nO 1 0 0\n",
        "2\nsmiles=CO\nC 0 0 0\n",
    ];
    golden::check("corpus", "bad_xyz_frames", outcome(rows("a.xyz", frames.concat())));
}

#[test]
fn empty_files_hold_no_rows() {
    for name in ["a.smi", "a.jsonl", "a.sdf", "a.xyz", "-"] {
        for blank in ["", "\n \r\n\n"] {
            assert_eq!(rows(name, blank), [], "{name}");
            assert_eq!(rows(&format!("{name}.zst"), zst(blank)), [], "{name}");
            assert_eq!(rows(&format!("{name}.gz"), gzip(blank)), [], "{name}");
        }
    }
}

#[test]
fn a_cut_off_compressed_stream_gives_what_came_before_and_one_error() {
    // Text that does not compress away, so that half of the stream holds about half of the rows.
    let line = |i: u64| format!("[C]<{},{},0>", i.wrapping_mul(0x9e37_79b9_7f4a_7c15), i * i);
    let text: String = (0..40_000).map(|i| line(i) + "\n").collect();
    for (name, bytes) in [("a.smi.gz", gzip(&text)), ("a.smi.zst", zst(&text))] {
        let whole = rows(name, &bytes);
        assert!(whole.len() == 40_000 && whole.iter().all(Result::is_ok));
        let half = rows(name, &bytes[..bytes.len() / 2]);
        let good = half.len() - 1;
        assert!(good > 5_000 && half[..good] == whole[..good], "{name}: {good}");
        let error = half[good].as_ref().unwrap_err();
        assert_eq!(error.line, good as u64 + 1);
        let message = error.to_string().replace(&format!(":{}:", error.line), ":[LINE]:");
        golden::check("corpus", &format!("cut_off_{}", &name[6..]), message);
    }
    let damaged = rows("a.smi.gz", b"not gzip at all");
    golden::check("corpus", "not_gzip", outcome(damaged));
}

#[test]
fn a_rejected_record_keeps_its_bytes() {
    let text = "3\nsmiles=CO\nC 0 0 0\nO 1 0 0\r\n1\nsmiles=C\nC 0 0 0\n";
    let corpus = Corpus::from_reader("a.xyz", Box::new(text.as_bytes()), &CorpusOptions::default());
    let records: Vec<_> = corpus.records().map(Result::unwrap).collect();
    assert_eq!(records[0].bytes(), b"3\nsmiles=CO\nC 0 0 0\nO 1 0 0");
    assert!(records[0].parse().is_err());
    assert_eq!((records[1].line(), records[1].bytes()), (5, &b"1\nsmiles=C\nC 0 0 0"[..]));
    assert!(records[1].parse().is_ok());
}
