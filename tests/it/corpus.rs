//! Every format, plain and compressed, gives the same molecules.

use std::fmt::Write as _;
use std::io::Write as _;

use tplc::corpus::{
    Corpus, CorpusError, CorpusOptions, EnrichedRow, JsonFields, Molecule, Position, Record, Row, RowError,
    Smiles, SmilesSource, for_each_row,
};

use crate::golden;

const DRUGS12: &str = include_str!("../../corpora/samples/drugs12.withH.sdf");
const SPECIAL: &str = include_str!("../../corpora/samples/special.jsonl");

pub(crate) fn rows_of(corpus: Corpus) -> Vec<Result<Row, RowError>> {
    corpus.records().map(|record| record.unwrap().parse()).collect()
}

pub(crate) fn rows_with(name: &str, bytes: &[u8], options: &CorpusOptions) -> Vec<Result<Row, RowError>> {
    rows_of(Corpus::from_reader(name, Box::new(std::io::Cursor::new(bytes.to_vec())), options))
}

pub(crate) fn rows(name: &str, bytes: impl AsRef<[u8]>) -> Vec<Result<Row, RowError>> {
    rows_with(name, bytes.as_ref(), &CorpusOptions::default())
}

pub(crate) fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zst(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    zstd::encode_all(bytes.as_ref(), 1).unwrap()
}

fn molecules(rows: Vec<Result<Row, RowError>>) -> Vec<Molecule> {
    let molecule = |row| match row {
        Ok(Row::Molecule(molecule)) => molecule,
        other => panic!("{other:?}"),
    };
    rows.into_iter().map(molecule).collect()
}

fn reference(name: &str) -> Vec<Molecule> {
    let corpus = Corpus::open(&[format!("reference:{name}")], &CorpusOptions::default()).unwrap();
    molecules(rows_of(corpus))
}

/// The first conformer of the first twelve drugs, as the embedded corpus has them.
fn first_drugs() -> Vec<Molecule> {
    let mut drugs = reference("drugs");
    drugs.truncate(12);
    drugs.iter_mut().for_each(|drug| drug.conformers.truncate(1));
    drugs
}

fn xyz(molecules: &[Molecule]) -> String {
    let mut text = String::new();
    for molecule in molecules {
        let smiles = Smiles::parse(&molecule.smiles).unwrap();
        let conformer = &molecule.conformers[0];
        let name = molecule.name.as_deref().unwrap();
        writeln!(text, "{}\nname=\"{name}\" smiles={} energy=-1.5", conformer.len(), molecule.smiles)
            .unwrap();
        for (atom, [x, y, z]) in smiles.atoms().iter().zip(conformer) {
            let symbol = atom.symbol.of(&molecule.smiles);
            let symbol = symbol[..1].to_ascii_uppercase() + &symbol[1..];
            writeln!(text, "{symbol} {x} {y} {z}").unwrap();
        }
    }
    text
}

#[test]
fn the_embedded_corpora_are_whole() {
    for (name, expected, conformers) in [("drugs", 990, 4463), ("qm9", 1989, 1989), ("g2", 97, 97)] {
        let molecules = reference(name);
        assert_eq!(molecules.len(), expected, "{name}");
        assert_eq!(molecules.iter().map(|molecule| molecule.conformers.len()).sum::<usize>(), conformers);
        for molecule in molecules {
            let atoms = Smiles::parse(&molecule.smiles).unwrap().atoms().len();
            assert!(
                molecule.conformers.iter().all(|conformer| conformer.len() == atoms),
                "{}",
                molecule.smiles
            );
        }
    }
}

#[test]
fn sdf_and_xyz_agree_with_json_lines_to_the_last_digit() {
    let drugs = first_drugs();
    assert_eq!(molecules(rows("drugs.sdf", DRUGS12)), drugs);
    assert_eq!(molecules(rows("drugs.sdf", DRUGS12.replace('\n', "\r\n"))), drugs);
    assert_eq!(molecules(rows("drugs.xyz", xyz(&drugs))), drugs);
}

#[test]
fn compression_and_sniffing_change_nothing() {
    let json = "{\"smiles\":\"CO\",\"conformers\":[[[0,0,0],[1.4,0,0]]]}\n".repeat(3);
    let texts = [
        ("a.sdf", DRUGS12.to_owned()),
        ("a.xyz", xyz(&first_drugs())),
        ("a.jsonl", json),
        ("a.smi", "[C]<0,0,0>[O]<1.4,0,0>\n\n[O]<0,0,0>".to_owned()),
    ];
    for (name, text) in texts {
        let expected = rows(name, &text);
        assert!(expected.iter().all(Result::is_ok) && expected.len() > 1, "{name}");
        let (first, second) = text.split_at(text.len() / 2);
        let variants = [
            (format!("{name}.gz"), gzip(&text)),
            (format!("{name}.zst"), zst(&text)),
            (format!("{name}.zstd"), zst(&text)),
            // Several members or frames in one file, as parallel compressors write them.
            (format!("{name}.gz"), [gzip(first), gzip(second)].concat()),
            (format!("{name}.zst"), [zst(first), zst(second)].concat()),
            // Without a telling name, the content decides.
            ("-".to_owned(), text.clone().into_bytes()),
            ("-".to_owned(), gzip(&text)),
            ("stream".to_owned(), zst(&text)),
            (name.to_owned(), ["\u{feff}", &text].concat().into_bytes()),
        ];
        for (variant, bytes) in variants {
            assert_eq!(rows(&variant, bytes), expected, "{name} as {variant}");
        }
    }
}

#[test]
fn special_cases_are_read_as_written() {
    let text: Vec<String> = molecules(rows("special.jsonl", SPECIAL)).iter().map(show).collect();
    golden::check("corpus", "special_cases", text.join("\n"));
}

/// The `<` of a bond makes no hole: lists of SMILES with such bonds are read, told their format or not.
#[test]
fn bonds_do_not_make_enriched_text() {
    let list = "Cl<-[Cu]\n[Cu]<-[NH3] copper, ammonia\n[NH3]->[Cu]\n";
    let options = CorpusOptions { conformers: false, ..CorpusOptions::default() };
    for name in ["a.smi", "a"] {
        let read = molecules(rows_with(name, list.as_bytes(), &options));
        let smiles: Vec<&str> = read.iter().map(|molecule| molecule.smiles.as_str()).collect();
        assert_eq!(smiles, ["Cl<-[Cu]", "[Cu]<-[NH3]", "[NH3]->[Cu]"], "{name}");
    }
    let mixed = rows_with("a.smi", b"Cl<-[Cu]\n[Cl]<0,0,0><-[Cu]<1,0,0>\n", &options);
    assert!(matches!(mixed[..], [Ok(Row::Molecule(_)), Ok(Row::Enriched(_))]), "{mixed:?}");
}

#[test]
fn json_rows_come_in_every_accepted_form() {
    let fields = JsonFields { name: "id".into(), smiles: "canonical".into(), ..JsonFields::default() };
    let options = CorpusOptions { fields, ..CorpusOptions::default() };
    let lines = [
        r#"{"id":7,"canonical":"CO","conformers":[[0.1234567891234,1e-05,-0.0],[1.1558,2,-3e1]],"n_atoms":2}"#,
        r#"{"canonical":"C\u0043","enriched":["[C]<0,0,0>[C]<1,0,0>","[C]<0,0,0>[C]<2,0,0>"],"other":{"a":[null]}}"#,
        r#" { "enriched" : "[CONFORMER][C]<0,0,0>[/CONFORMER]" , "conformers" : null } "#,
    ];
    let rows = rows_with("a.jsonl", lines.join("\n").as_bytes(), &options);
    let text: Vec<String> = rows.iter().map(|row| show_row(row.as_ref().unwrap())).collect();
    golden::check("corpus", "json_forms", text.join("\n"));
}

#[test]
fn xyz_comments_and_columns_come_in_every_accepted_form() {
    let frames = "2\nCO\nC 0 0 0\nO 1.4 0 0\n\n\
        2\n\"C=O\" formaldehyde\nC 0 0 0\nO 1.2 0 0\n\
        3\nenergy=-76.4 SMILES='O' Name=\"heavy only\"\nO 0 0 0.1\nH 0 0.76 -0.47\nH 0 -0.76 -0.47\n\
        2\nProperties=id:I:1:pos:R:3:forces:R:3:species:S:1 smiles=\"[H]Cl\"\n1 0 0 0 9 9 9 H\n2 1.27 0 0 9 9 9 Cl\n";
    let text: Vec<String> = molecules(rows("a.xyz", frames)).iter().map(show).collect();
    golden::check("corpus", "xyz_forms", text.join("\n"));
}

#[test]
fn a_smiles_in_another_order_is_paired_by_the_graph() {
    // Acetaldehyde with its oxygen first and a hydrogen between the heavy atoms.
    let record = V2000_ACETALDEHYDE.replace("@SMILES", "CC=O");
    let [molecule] = &molecules(rows("a.sdf", record))[..] else { panic!() };
    assert_eq!(show(molecule), "acetaldehyde CC=O\n  -0.9481 -0.7001 0\n  0 0.4641 0\n  1.2181 0.3612 0");
}

/// Formic acid written from its hydroxyl: the elements are those of the SMILES in order, the atoms are not.
#[test]
fn equal_elements_in_another_order_are_told_apart() {
    let record = "formic acid\n\n\n  3  2  0  0  0  0  0  0  0  0999 V2000\n\
        \x20  -1.0409   -0.4364    0.0000 O   0  0\n    0.0000    0.4239    0.0000 C   0  0\n\
        \x20   1.1694    0.1037    0.0000 O   0  0\n  1  2  1  0\n  2  3  2  0\nM  END\n\
        > <smiles>\nO=CO\n\n$$$$\n";
    let [molecule] = &molecules(rows("a.sdf", record))[..] else { panic!() };
    assert_eq!(show(molecule), "formic acid O=CO\n  1.1694 0.1037 0\n  0 0.4239 0\n  -1.0409 -0.4364 0");
    // XYZ has no bonds, but a distance can tell.
    let frame = "3\nsmiles=CCO\nC 0 0 0\nC 2.4 0 0\nO 1.2 0.7 0\n";
    let error = rows("a.xyz", frame).remove(0).unwrap_err();
    golden::check("corpus", "xyz_apart", error.to_string());
}

#[test]
fn v3000_reads_as_v2000() {
    let v2000 = V2000_ACETALDEHYDE.replace("@SMILES", "CC=O");
    let v3000 = V3000_ACETALDEHYDE;
    let graph = CorpusOptions { smiles: SmilesSource::Graph, ..CorpusOptions::default() };
    for options in [CorpusOptions::default(), graph] {
        let expected = molecules(rows_with("a.sdf", v2000.as_bytes(), &options));
        assert_eq!(molecules(rows_with("a.mol", v3000.as_bytes(), &options)), expected);
    }
}

/// A field that was named is meant: the graph stands in where it was named too, or nothing was.
#[test]
fn a_named_data_field_must_be_there() {
    let record =
        V2000_ACETALDEHYDE.replace("@SMILES", "C(C)=O").replace("$$$$", "> <MY_ID>\n7\n\n> <EMPTY>\n\n$$$$");
    let read = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let options = CorpusOptions { smiles: SmilesSource::of_fields(&names), ..CorpusOptions::default() };
        rows_with("a.sdf", record.as_bytes(), &options).remove(0)
    };
    let smiles = |names: &[&str]| match read(names).unwrap() {
        Row::Molecule(molecule) => molecule.smiles,
        Row::Enriched(_) => panic!(),
    };
    let given = smiles(&["smiles"]);
    assert_eq!(given, "C(C)=O");
    for names in [&["NO", "smiles"][..], &["smiles", "NO"], &["graph", "smiles"], &[]] {
        assert_eq!(smiles(names), given, "{names:?}");
    }
    let graph = smiles(&["graph"]);
    assert_ne!(graph, given);
    assert_eq!(smiles(&["NO", "graph"]), graph);
    assert_eq!(
        read(&["NO", "EMPTY"]).unwrap_err().to_string(),
        "a.sdf:1: no data field NO or EMPTY with a SMILES; the record has smiles, MY_ID, EMPTY"
    );
}

/// SMILES from the graph: elements and distances of bonded atoms show that every coordinate is on its own atom.
#[test]
fn a_graph_smiles_carries_the_coordinates_of_its_atoms() {
    let options = CorpusOptions { smiles: SmilesSource::Graph, ..CorpusOptions::default() };
    let from_graph = molecules(rows_with("drugs.sdf", DRUGS12.as_bytes(), &options));
    let mut text = String::new();
    for (graph, given) in from_graph.iter().zip(first_drugs()) {
        writeln!(
            text,
            "{}\n  given {}\n  graph {}",
            graph.name.as_ref().unwrap(),
            given.smiles,
            graph.smiles
        )
        .unwrap();
        assert_eq!(placed(graph), placed(&given), "{}", graph.smiles);
    }
    golden::check("corpus", "graph_smiles", text);
}

/// Each atom's element with its position, sorted: the same for two writings of one molecule.
fn placed(molecule: &Molecule) -> Vec<(String, Position)> {
    let smiles = Smiles::parse(&molecule.smiles).unwrap();
    let elements = smiles.atoms().iter().map(|atom| atom.symbol.of(&molecule.smiles).to_ascii_uppercase());
    let mut placed: Vec<_> = elements.zip(molecule.conformers[0].iter().copied()).collect();
    placed.sort();
    placed
}

pub(crate) fn show_row(row: &Row) -> String {
    match row {
        Row::Molecule(molecule) => show(molecule),
        Row::Enriched(EnrichedRow { name, smiles, texts }) => {
            format!("{name:?} {smiles:?} {}", texts.join(" and "))
        }
    }
}

fn show(molecule: &Molecule) -> String {
    let mut text = format!("{} {}", molecule.name.as_deref().unwrap_or("-"), molecule.smiles);
    for (index, conformer) in molecule.conformers.iter().enumerate() {
        if index > 0 {
            text += "\n  --";
        }
        for [x, y, z] in conformer {
            write!(text, "\n  {x} {y} {z}").unwrap();
        }
    }
    text
}

pub(crate) const V2000_ACETALDEHYDE: &str = "acetaldehyde
  by hand

  7  6  0  0  0  0  0  0  0  0999 V2000
    1.2181    0.3612    0.0000 O   0  0  0  0  0  0  0  0  0  0  0  0
    0.0000    0.4641    0.0000 C   0  0  0  0  0  0  0  0  0  0  0  0
   -0.4772    1.4653    0.0000 H   0  0  0  0  0  0  0  0  0  0  0  0
   -0.9481   -0.7001    0.0000 C   0  0  0  0  0  0  0  0  0  0  0  0
   -0.3859   -1.6342    0.0000 H   0  0  0  0  0  0  0  0  0  0  0  0
   -1.5963   -0.6525    0.8809 H   0  0  0  0  0  0  0  0  0  0  0  0
   -1.5963   -0.6525   -0.8809 H   0  0  0  0  0  0  0  0  0  0  0  0
  2  1  2  0
  3  2  1  0
  4  2  1  0
  5  4  1  0
  6  4  1  0
  7  4  1  0
M  END
>  <smiles>  (1)
@SMILES

$$$$
";

const V3000_ACETALDEHYDE: &str = "acetaldehyde
  by hand

  0  0  0     0  0            999 V3000
M  V30 BEGIN CTAB
M  V30 COUNTS 7 6 0 0 0
M  V30 BEGIN ATOM
M  V30 1 O 1.2181 0.3612 0.0000 0
M  V30 2 C 0.0000 0.4641 0.0000 0
M  V30 3 H -0.4772 1.4653 0.0000 0
M  V30 4 C -0.9481 -0.7001 0.0000 0
M  V30 5 H -0.3859 -1.6342 0.0000 0
M  V30 6 H -1.5963 -0.6525 0.8809 0 -
M  V30 CHG=0
M  V30 7 H -1.5963 -0.6525 -0.8809 0
M  V30 END ATOM
M  V30 BEGIN BOND
M  V30 1 2 2 1
M  V30 2 1 3 2
M  V30 3 1 4 2
M  V30 4 1 5 4
M  V30 5 1 6 4
M  V30 6 1 7 4
M  V30 END BOND
M  V30 END CTAB
M  END
> <SMILES>
CC=O

$$$$
";

/// Of several rows that stop a run, the first in the input is told, whichever was worked on first.
#[test]
fn the_first_row_that_stops_a_run_is_told() {
    let corpus = Corpus::open(&["reference:g2".to_owned()], &CorpusOptions::default()).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
    let work = |record: &Record| -> Result<Result<(), RowError>, CorpusError> {
        // The earliest of them is done last.
        std::thread::sleep(std::time::Duration::from_millis(u64::from(record.line() < 20) * 30));
        match record.line() {
            line if line < 10 => Ok(Ok(())),
            line => Err(CorpusError::NotFound { input: line.to_string() }),
        }
    };
    let mut taken = 0;
    let fault = for_each_row(corpus.records(), &pool, &mut (), work, |()| taken += 1).unwrap_err();
    assert!(matches!(&fault, CorpusError::NotFound { input } if input == "10"), "{fault}");
    assert_eq!(taken, 9);
}
