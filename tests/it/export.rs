//! Position templates: those of the placeholder's text, in every format of file.

use std::{
    collections::BTreeMap,
    fs,
    io::{Cursor, Read},
    path::Path,
};

use serde_json::Value;
use tplc::{
    artifact::{Artifact, Header},
    corpus::{Corpus, CorpusOptions},
    drift::{Analysis, AnalysisOptions, CostModel, DEFAULT_PLACEHOLDERS, PartialFile, Report},
    template::{Oracle, PositionTemplate},
    text::{Skeleton, Tags},
    tokenizer::embedded,
};

use crate::{
    cli::{folder, run, tplc},
    golden,
    tokenizer_support::{load, oracle, oracle_encode},
};

const SMILES: [&str; 5] = ["C", "CC=O", "C[C@@H](N)C(=O)O", "[Na+].[Cl-]", "C%10CCCCC%10"];
const PLACEHOLDERS: [&str; 6] =
    ["0.0000,0.0000,0.0000", "0.000,0.000,0.000", "-0.0000,0,-1", "0", "é", "junk , 0"];

/// The template of a text with holes, by its letters: the ids of the `tokenizers` crate, FREE where every byte of a token
/// stands in one hole, markers by looking at all other positions.
fn obvious(
    crate_oracle: &tokenizers::Tokenizer,
    prompt: &str,
    literals: &[&str],
    placeholder: &str,
) -> PositionTemplate {
    // The hole that each byte stands in.
    let mut holes: Vec<Option<usize>> = Vec::new();
    for (index, literal) in literals.iter().enumerate() {
        holes.extend(if index > 0 { vec![Some(index); placeholder.len()] } else { Vec::new() });
        holes.extend(vec![None; literal.len()]);
    }
    let (ids, spans) = oracle_encode(crate_oracle, &format!("{prompt}{}", literals.join(placeholder)));
    let behind = spans.iter().position(|span| span.0 as usize >= prompt.len()).unwrap();
    let hole_of: Vec<Option<usize>> = spans[behind..]
        .iter()
        .map(|span| {
            let bytes = &holes[span.0 as usize - prompt.len()..span.1 as usize - prompt.len()];
            let first = *bytes.first()?;
            bytes.iter().all(|hole| *hole == first).then_some(first)?
        })
        .collect();
    let same = |positions: &[Option<usize>], hole| positions.iter().filter(|&&other| other == hole).count();
    let marked = |mark: &dyn Fn(usize, Option<usize>) -> bool| {
        hole_of.iter().enumerate().map(|(at, &hole)| hole.is_some() && mark(at, hole)).collect()
    };
    PositionTemplate {
        ref_ids: ids[behind..].iter().map(|&id| tplc::primitives::TokenId(id)).collect(),
        is_free: marked(&|_, _| true),
        first: marked(&|at, hole| same(&hole_of[..at], hole) == 0),
        last_two: marked(&|at, hole| same(&hole_of[at + 1..], hole) < 2),
    }
}

#[test]
fn positions_are_those_of_the_placeholder_in_its_context() {
    for known in embedded() {
        let (tokenizer, crate_oracle) = (load(known.name), oracle(known.name));
        // Where tags are tokens, what is behind a prompt can be told from the prompt.
        let tagged = ["qwen3-conf", "llama3-chem"].contains(&known.name);
        let tags = if tagged { Tags::conformer() } else { Tags::none() };
        let prompt = if tagged { "[SMILES]C[/SMILES]" } else { "" };
        let header = Header { prompt: prompt.to_owned(), eos: tokenizer.eos(), ..Header::default() };
        for smiles in SMILES {
            let skeleton = Skeleton::new(smiles, tags.completion.as_ref()).unwrap();
            let literals: Vec<&str> = skeleton.literals().collect();
            for placeholder in PLACEHOLDERS {
                let mut expected = obvious(&crate_oracle, prompt, &literals, placeholder);
                expected.ref_ids.extend(tokenizer.eos());
                for flags in [&mut expected.is_free, &mut expected.first, &mut expected.last_two] {
                    flags.extend(tokenizer.eos().map(|_| false));
                }
                let oracle = Oracle::new(&tokenizer, &header);
                let template = PositionTemplate::new(&oracle, literals.iter().copied(), placeholder).unwrap();
                assert_eq!(template, expected, "{} {smiles} {placeholder}", known.name);
            }
        }
    }
}

/// Tags that the tokenizer spells merge with the prompt's: the completion then begins anew, and so do its spans.
#[test]
fn a_prompt_that_would_merge_moves_no_position() {
    let tokenizer = load("qwen3");
    let skeleton = Skeleton::new("CC=O", Tags::conformer().completion.as_ref()).unwrap();
    let template = |prompt: &str| {
        let header = Header { prompt: prompt.to_owned(), ..Header::default() };
        PositionTemplate::new(&Oracle::new(&tokenizer, &header), skeleton.literals(), PLACEHOLDERS[0])
            .unwrap()
    };
    let template_behind = template("[SMILES]C[/SMILES]");
    let free = template_behind.is_free.iter().filter(|&&free| free).count();
    assert_eq!(free, 3 * 20);
    assert_eq!(template_behind, template(""));
}

/// The published counts of `[C]<P>=[O]<P>`: tokens, FREE, COPY.
#[test]
fn published_counts() {
    for (name, tokens, free) in [("qwen3", 47, 40), ("llama-3.1", 35, 28)] {
        let (tokenizer, header) = (load(name), Header::default());
        let oracle = Oracle::new(&tokenizer, &header);
        let template = PositionTemplate::new(&oracle, ["[C]<", ">=[O]<", ">"], PLACEHOLDERS[0]).unwrap();
        let count = |flags: &[bool]| flags.iter().filter(|&&flag| flag).count();
        assert_eq!((template.ref_ids.len(), count(&template.is_free)), (tokens, free));
        assert_eq!(tokens - free, 7);
        assert_eq!((count(&template.first), count(&template.last_two)), (2, 4));
    }
}

/// Builds `g2.tplc` in `folder`.
fn build(folder: &Path) -> Artifact {
    let format = "(integer_digits:1,decimals:1)";
    let args = ["build", "-t", "qwen", "-c", "reference:g2", "--number-format", format, "-o", "g2.tplc"];
    assert_eq!(run(folder, &args, "").0, 0);
    Artifact::open(folder.join("g2.tplc")).unwrap()
}

/// Exports `g2.tplc` to a file of this name.
fn export(folder: &Path, output: &str, more: &[&str]) -> Vec<u8> {
    let args = [&["export", "g2.tplc", "--output", output], more].concat();
    let (code, _, stderr) = run(folder, &args, "");
    assert_eq!((code, stderr.as_str()), (0, ""));
    fs::read(folder.join(output)).unwrap()
}

/// What the library gives for all molecules of an artifact and a placeholder.
fn templates(artifact: &Artifact, placeholder: &str) -> Vec<PositionTemplate> {
    let tokenizer = load("qwen3");
    let oracle = Oracle::new(&tokenizer, &artifact.tables().header);
    let template = |index| PositionTemplate::new(&oracle, artifact.literals(index).unwrap(), placeholder);
    (0..artifact.len()).map(|index| template(index).unwrap()).collect()
}

/// Flat arrays by name, every value as a number.
fn flat(placeholders: &[&str], artifact: &Artifact) -> BTreeMap<String, Vec<u64>> {
    let mut arrays: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (number, placeholder) in placeholders.iter().enumerate() {
        let mut add = |name: &str, values: &mut dyn Iterator<Item = u64>| {
            arrays.entry(format!("p{number}.{name}")).or_default().extend(values);
        };
        add("offsets", &mut [0].into_iter());
        let mut end = 0;
        for template in templates(artifact, placeholder) {
            end += template.ref_ids.len() as u64;
            add("offsets", &mut [end].into_iter());
            add("ref_ids", &mut template.ref_ids.iter().map(|id| id.0.into()));
            add("is_free", &mut template.is_free.iter().map(|&flag| flag.into()));
            add("first", &mut template.first.iter().map(|&flag| flag.into()));
            add("last_two", &mut template.last_two.iter().map(|&flag| flag.into()));
        }
    }
    arrays
}

/// Little-endian values of this many bytes.
fn numbers(bytes: &[u8], width: usize) -> Vec<u64> {
    bytes
        .chunks_exact(width)
        .map(|value| value.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
        .collect()
}

/// The name of the type and the values of an `.npy` file.
fn read_npy(bytes: &[u8]) -> (String, Vec<u64>) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let start = 10 + usize::from(u16::from_le_bytes(bytes[8..10].try_into().unwrap()));
    assert_eq!(start % 64, 0);
    let header = std::str::from_utf8(&bytes[10..start]).unwrap();
    assert!(header.ends_with('\n') && header.contains("'fortran_order': False"), "{header}");
    let between = |before: &str, after: &str| {
        let rest = header.split_once(before).unwrap().1;
        rest.split_once(after).unwrap().0.to_owned()
    };
    let kind = between("'descr': '", "'");
    let values = numbers(&bytes[start..], kind[2..].parse().unwrap());
    assert_eq!(between("'shape': (", ",)").parse(), Ok(values.len()));
    (kind, values)
}

const GIVEN: &str = "-0.1,0,2";

#[test]
fn every_format_reads_back_what_the_library_gives() {
    let here = folder();
    let artifact = build(here.path());
    let placeholders = [DEFAULT_PLACEHOLDERS[0], DEFAULT_PLACEHOLDERS[1], GIVEN];
    let expected = flat(&placeholders, &artifact);
    let args = ["--placeholder", GIVEN];

    let json: Value = serde_json::from_slice(&export(here.path(), "g2.json", &args)).unwrap();
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut smiles = Vec::new();
    for molecule in json["molecules"].as_array().unwrap() {
        smiles.push(molecule["smiles"].as_str().unwrap());
        for (placeholder, template) in molecule["templates"].as_object().unwrap() {
            for (name, values) in template.as_object().unwrap() {
                let values = values.as_array().unwrap().iter().map(|value| value.as_u64().unwrap());
                found.entry(format!("{placeholder}.{name}")).or_default().extend(values);
            }
            let offsets = found.entry(format!("{placeholder}.offsets")).or_insert_with(|| vec![0]);
            offsets.push(offsets.last().unwrap() + template["ref_ids"].as_array().unwrap().len() as u64);
        }
    }
    assert!(found == expected);
    for (index, smiles) in smiles.iter().enumerate() {
        let text: String = artifact.literals(index).unwrap().collect();
        assert_eq!(smiles, &text.replace(['<', '>'], ""));
    }

    let mut facts = json.clone();
    facts.as_object_mut().unwrap().remove("molecules");
    facts["smiles"] = serde_json::to_value(&smiles).unwrap();

    let npz = export(here.path(), "g2.npz", &args);
    let mut zip = zip::ZipArchive::new(Cursor::new(npz)).unwrap();
    let mut found = BTreeMap::new();
    for index in 0..zip.len() {
        let mut file = zip.by_index(index).unwrap();
        let (name, mut bytes) = (file.name().unwrap().into_owned(), Vec::new());
        file.read_to_end(&mut bytes).unwrap();
        if name == "tplc.json" {
            assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), facts);
            continue;
        }
        let name = name.strip_suffix(".npy").unwrap().to_owned();
        let (kind, values) = read_npy(&bytes);
        let column = name.split_once('.').unwrap().1;
        assert_eq!(
            kind,
            BTreeMap::from([("offsets", "<u8"), ("ref_ids", "<u4")]).get(column).map_or("|b1", |kind| kind)
        );
        found.insert(name, values);
    }
    assert!(found == expected);

    let bytes = export(here.path(), "g2.safetensors", &args);
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&metadata["tplc"]).unwrap(), facts);
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let width = |kind| match kind {
        safetensors::Dtype::U64 => 8,
        safetensors::Dtype::U32 => 4,
        safetensors::Dtype::BOOL => 1,
        other => panic!("{other:?}"),
    };
    let read = |(name, tensor): (String, safetensors::tensor::TensorView<'_>)| {
        let values = numbers(tensor.data(), width(tensor.dtype()));
        assert_eq!(tensor.shape(), [values.len()]);
        (name, values)
    };
    assert!(tensors.tensors().into_iter().map(read).collect::<BTreeMap<_, _>>() == expected);
}

#[test]
fn same_input_same_bytes() {
    let here = folder();
    build(here.path());
    for format in ["json", "npz", "safetensors"] {
        let one = export(here.path(), &format!("one.{format}"), &["--threads", "1"]);
        let five = export(here.path(), &format!("five.{format}"), &["--threads", "5"]);
        assert!(one == five, "{format}");
    }
}

/// The adaptive placeholder is the report's, of the entry with this tokenizer and number format.
#[test]
fn the_adaptive_placeholder_is_that_of_the_counts() {
    let here = folder();
    let args = ["build", "-t", "qwen", "-c", "reference:g2", "--certificate", "none", "-o", "g2.tplc"];
    assert_eq!(run(here.path(), &args, "").0, 0);
    let tokenizers = [load("llama-3.1"), load("qwen3")];
    let formats = ["trimmed4", "fixed4"].map(|format| Some(format.parse().unwrap()));
    let options = AnalysisOptions { formats: formats.to_vec(), ..AnalysisOptions::default() };
    let corpus = Corpus::open(&["reference:g2".to_owned()], &CorpusOptions::default()).unwrap();
    let mut analysis = Analysis::new(&tokenizers, &options).unwrap();
    analysis.run(corpus.records(), &mut ()).unwrap();
    let counts = analysis.finish().unwrap();
    fs::write(here.path().join("counts.json"), counts.to_json().unwrap()).unwrap();

    let mut chosen = Vec::new();
    for lost_passes in ["0", "1", "1000"] {
        let args = ["--adaptive", "counts.json", "--lost-passes", lost_passes];
        let json: Value = serde_json::from_slice(&export(here.path(), "g2.json", &args)).unwrap();
        let placeholders = json["placeholders"].as_array().unwrap();
        let adaptive = placeholders
            .iter()
            .find(|placeholder| placeholder["sources"].as_array().unwrap().contains(&"adaptive".into()));
        let cost = CostModel { lost_passes: lost_passes.parse().unwrap(), ..CostModel::default() };
        let report = Report::new(&counts, cost);
        let entry =
            report.tokenizers.iter().find(|entry| entry.name == "qwen3" && entry.number_format == "fixed4");
        let expected = &entry.unwrap().adaptive.as_ref().unwrap().facts.text;
        assert_eq!(adaptive.unwrap()["text"], expected.as_str());
        chosen.push(expected.clone());
    }
    assert!(chosen[0] != chosen[2], "{chosen:?}");
}

#[test]
fn exports_and_faults_as_people_see_them() {
    let here = folder();
    build(here.path());
    let counts = [
        "analyze",
        "-t",
        "llama",
        "-c",
        "reference:g2",
        "--number-format",
        "fixed1",
        "--partial",
        "other.json",
    ];
    assert_eq!(run(here.path(), &counts, "").0, 0);
    fs::write(
        here.path().join("empty.json"),
        PartialFile::new(Default::default(), Vec::new()).to_json().unwrap(),
    )
    .unwrap();
    let one = ["export", "g2.tplc", "--smiles", "C=O", "--placeholder", "0.0,0.0,0.0", "-o", "one.json"];
    let mut shown = vec![tplc(here.path(), &one)];
    let json = fs::read_to_string(here.path().join("one.json")).unwrap();
    // An array a line.
    shown.push(json.replace("],", "],\n").replace("{\"", "{\n\""));
    shown.push(tplc(
        here.path(),
        &["export", "g2.tplc", "-o", "all.npz", "--placeholder", "0.000,0.000,0.000", "--format", "json"],
    ));
    let before = fs::read(here.path().join("g2.tplc")).unwrap();
    for args in [
        &["g2.tplc", "-o", "one.csv"][..],
        &["g2.tplc"],
        &["g2.tplc", "-o", "nowhere/one.json"],
        &["none.tplc", "-o", "new.json"],
        &["other.json", "-o", "new.json"],
        &["g2.tplc", "-o", "new.json", "--tokenizer", "llama"],
        &["g2.tplc", "-o", "new.json", "--smiles", "C(O"],
        &["g2.tplc", "-o", "new.json", "--placeholder", "0,0,0>"],
        &["g2.tplc", "-o", "new.json", "--adaptive", "other.json"],
        &["g2.tplc", "-o", "new.json", "--adaptive", "empty.json"],
        &["g2.tplc", "-o", "new.json", "--adaptive", "one.json"],
        &["g2.tplc", "-o", "new.json", "--adaptive", "none.json"],
        &["g2.tplc", "-o", "other.json", "--adaptive", "other.json"],
        &["g2.tplc", "-o", "new.json", "--lost-passes", "2"],
    ] {
        shown.push(tplc(here.path(), &[&["export"], args].concat()));
        assert!(!here.path().join("new.json").exists());
    }
    assert!(fs::read(here.path().join("g2.tplc")).unwrap() == before);
    golden::check("cli", "export", shown.join("\n"));
}
