//! Parquet rows, in a build that reads them.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use tplc::corpus::{Corpus, CorpusOptions, Row};

use crate::corpus::{rows_of, show_row};
use crate::golden;

const NESTED: &str = "message rows {
    OPTIONAL BYTE_ARRAY name (UTF8);
    REQUIRED INT32 n_atoms;
    REQUIRED BYTE_ARRAY smiles (UTF8);
    OPTIONAL group conformers (LIST) { REPEATED group list { OPTIONAL group element (LIST) { REPEATED group list {
        OPTIONAL group element (LIST) { REPEATED group list { OPTIONAL DOUBLE element; } } } } } }
}";
const FLAT: &str = "message rows {
    REQUIRED BYTE_ARRAY smiles (UTF8);
    REQUIRED group conformers (LIST) { REPEATED group list { REQUIRED group element (LIST) {
        REPEATED group list { REQUIRED FLOAT element; } } } }
}";
const ENRICHED: &str =
    "message rows { REQUIRED BYTE_ARRAY enriched (UTF8); OPTIONAL BYTE_ARRAY canonical (UTF8); }";

type Columns<'a> = SerializedFileWriter<&'a File>;

fn write(path: &Path, schema: &str, columns: impl FnOnce(&mut Columns<'_>)) {
    let file = File::create(path).unwrap();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(&file, schema, properties).unwrap();
    columns(&mut writer);
    writer.close().unwrap();
}

macro_rules! columns {
    ($writer:expr, $(($kind:ty, $values:expr, $definition:expr, $repetition:expr)),+ $(,)?) => {{
        let mut group = $writer.next_row_group().unwrap();
        $(
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<$kind>().write_batch(&$values, $definition, $repetition).unwrap();
            column.close().unwrap();
        )+
        group.close().unwrap();
    }};
}

fn texts(texts: &[&str]) -> Vec<ByteArray> {
    texts.iter().map(|&text| ByteArray::from(text)).collect()
}

fn outcome(path: &Path) -> String {
    let corpus = Corpus::open(&[path.to_str().unwrap().to_owned()], &CorpusOptions::default()).unwrap();
    let folder = path.parent().unwrap().to_str().unwrap().to_owned() + "/";
    let rows = match corpus.records().next() {
        Some(Err(error)) => return error.to_string().replace(&folder, ""),
        _ => rows_of(Corpus::open(&[path.to_str().unwrap().to_owned()], &CorpusOptions::default()).unwrap()),
    };
    let lines = rows.iter().map(|row| match row {
        Ok(row) => show_row(row),
        Err(error) => error.to_string().replace(&folder, ""),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn parquet_rows_are_read_as_json_lines() {
    let folder = tempfile::tempdir().unwrap();
    let [nested, flat, enriched, wrong] =
        ["nested", "flat", "enriched", "wrong"].map(|name| folder.path().join(name.to_owned() + ".parquet"));

    // Two row groups; the second row of the first has no conformers, the third a NaN.
    write(&nested, NESTED, |writer| {
        columns!(
            writer,
            (ByteArrayType, texts(&["methanol", "nan"]), Some(&[1, 0, 1]), None),
            (parquet::data_type::Int32Type, [2, 1, 1], None, None),
            (ByteArrayType, texts(&["CO", "C", "C"]), None, None),
            (
                DoubleType,
                [0.0, 1.1558, -2e-5, 1.4, 0.0, -0.0, f64::NAN, 0.0, 0.0],
                Some(&[7, 7, 7, 7, 7, 7, 0, 7, 7, 7]),
                Some(&[0, 3, 3, 2, 3, 3, 0, 0, 3, 3])
            ),
        );
        columns!(
            writer,
            (ByteArrayType, texts(&["two \"conformers\""]), Some(&[1]), None),
            (parquet::data_type::Int32Type, [1], None, None),
            (ByteArrayType, texts(&["C"]), None, None),
            (DoubleType, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], Some(&[7; 6]), Some(&[0, 3, 3, 1, 3, 3])),
        );
    });
    write(&flat, FLAT, |writer| {
        columns!(
            writer,
            (ByteArrayType, texts(&["CO"]), None, None),
            (FloatType, [0.1_f32, 1.1558, 0.0, 12.5, -0.3, 1.0], Some(&[2; 6]), Some(&[0, 2, 2, 1, 2, 2])),
        );
    });
    write(&enriched, ENRICHED, |writer| {
        columns!(
            writer,
            (ByteArrayType, texts(&["[C]<0,0,0>", "[O]<0,0,0>"]), None, None),
            (ByteArrayType, texts(&["C"]), Some(&[1, 0]), None),
        );
    });
    write(&wrong, "message rows { REQUIRED BYTE_ARRAY text (UTF8); }", |writer| {
        columns!(writer, (ByteArrayType, texts(&["C"]), None, None));
    });
    let empty = folder.path().join("empty.parquet");
    write(&empty, ENRICHED, |_| {});
    assert_eq!(outcome(&empty), "");
    let cut = folder.path().join("cut.parquet");
    let bytes = std::fs::read(&nested).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();

    // Templates need no conformers, so a column of SMILES will do, whatever it is called.
    let mut options = CorpusOptions { conformers: false, ..CorpusOptions::default() };
    options.fields.set("smiles", "text").unwrap();
    let smiles = rows_of(Corpus::open(&[wrong.to_str().unwrap().to_owned()], &options).unwrap());
    assert!(matches!(smiles.as_slice(), [Ok(Row::Molecule(molecule))] if molecule.smiles == "C"));

    let text: Vec<String> = [nested, flat, enriched, wrong, cut].iter().map(|path| outcome(path)).collect();
    golden::check("corpus", "parquet", text.join("\n"));
}
