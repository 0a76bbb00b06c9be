//! Imports point one way, and each heavy dependency is imported in one place.

use std::{fs, path::Path};

/// What each folder or file of `src` may import from the crate.
const LAYERS: [(&str, &[&str]); 13] = [
    ("primitives", &[]),
    ("files", &[]),
    ("corpus", &["primitives"]),
    ("text", &["primitives", "corpus"]),
    ("tokenizer", &["primitives"]),
    ("drift", &["primitives", "corpus", "text", "tokenizer"]),
    ("artifact", &["primitives"]),
    ("matcher", &["primitives", "artifact"]),
    ("template", &["primitives", "files", "corpus", "text", "tokenizer", "artifact", "matcher"]),
    ("audit", &["primitives", "corpus", "text", "tokenizer", "artifact", "matcher", "template"]),
    ("trace", &[]),
    (
        "decode",
        &[
            "primitives",
            "corpus",
            "text",
            "tokenizer",
            "drift",
            "artifact",
            "matcher",
            "template",
            "audit",
            "trace",
        ],
    ),
    (
        "cli",
        &[
            "primitives",
            "files",
            "corpus",
            "text",
            "tokenizer",
            "drift",
            "artifact",
            "matcher",
            "template",
            "audit",
            "trace",
            "decode",
        ],
    ),
];

/// Where each heavy dependency may be imported.
const ONLY: [(&str, &[&str]); 15] = [
    ("use tokenizers::", &["tokenizer/hf.rs"]),
    ("hf_hub", &["tokenizer/hub.rs"]),
    ("parquet::", &["corpus/parquet.rs"]),
    ("chematic", &["corpus/"]),
    ("aho_corasick", &["text/tags.rs", "drift/processors.rs", "trace/patterns.rs"]),
    ("regex_automata", &["tokenizer/split_pattern.rs"]),
    ("memmap2", &["artifact/read.rs"]),
    ("safetensors::", &["cli/export/tensors.rs", "decode/weights.rs"]),
    ("zip::", &["cli/export/npz.rs"]),
    ("candle", &["decode/"]),
    ("cudarc::", &["decode/cuda/driver.rs"]),
    ("gemm::", &["decode/model.rs"]),
    ("clap", &["cli/"]),
    ("indicatif", &["cli/progress.rs"]),
    ("comfy_table", &["cli/table.rs"]),
];

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix("src").unwrap().to_str().unwrap().to_owned();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The code of a file without its comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or(""))
}

#[test]
fn imports_point_one_way() {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    assert!(files.len() > 20);
    let modules: Vec<&str> = LAYERS.iter().map(|(folder, _)| *folder).collect();
    for (name, text) in &files {
        let Some((folder, allowed)) =
            LAYERS.iter().find(|(folder, _)| name.split(['/', '.']).next() == Some(folder))
        else {
            continue;
        };
        // Imports are grouped, so a module may stand behind `crate::` or alone inside the braces.
        let imported: String = code(text).collect::<Vec<_>>().join("\n");
        let inside = imported.match_indices("crate::{").map(|(at, _)| {
            let rest = &imported[at..];
            &rest[..rest.find("};").unwrap_or(rest.len())]
        });
        let grouped: String = inside.collect::<Vec<_>>().join("\n");
        for module in &modules {
            let named =
                imported.contains(&format!("crate::{module}")) || grouped.contains(&format!("{module}::"));
            assert!(!named || module == folder || allowed.contains(module), "src/{name} imports {module}");
        }
    }
}

#[test]
fn heavy_dependencies_are_imported_in_one_place() {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    for (dependency, places) in ONLY {
        let used: Vec<&String> = files
            .iter()
            .filter(|(_, text)| {
                code(text).any(|line| {
                    line.match_indices(dependency).any(|(at, _)| {
                        let before = line[..at].chars().next_back();
                        !before.is_some_and(|c| {
                            c.is_alphanumeric() || c == '_' || c == ':' || c == '"' || c == '`'
                        })
                    })
                })
            })
            .map(|(name, _)| name)
            .collect();
        let outside = |name: &&&String| !places.iter().any(|place| name.starts_with(place));
        let astray: Vec<_> = used.iter().filter(outside).collect();
        assert!(astray.is_empty(), "{dependency} belongs in {places:?}, not in {astray:?}");
        let empty = |place: &&&str| !used.iter().any(|name| name.starts_with(**place));
        let unused: Vec<_> = places.iter().filter(empty).collect();
        assert!(unused.is_empty(), "{dependency} is not imported in {unused:?}");
    }
}
