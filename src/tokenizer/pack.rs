//! The compact lossless form of a `tokenizer.json`: writing. The form is described in `tokenizers/FORMAT.md`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::packed::{LABEL, MAX_ID, unpack};

/// zstd's highest level: packing happens once, unpacking is as fast at any level.
const LEVEL: i32 = 22;

/// Packs a BPE `tokenizer.json` into the compact form of the embedded tokenizers. The same value gives the same
/// bytes.
///
/// The result is unpacked again and compared, so what is returned is lossless.
///
/// # Errors
/// Why it cannot be packed: it is no BPE tokenizer, or has a merge outside its vocabulary.
pub fn pack(tokenizer_json: &Value) -> Result<Vec<u8>, String> {
    let mut header = tokenizer_json.as_object().cloned().ok_or("the file is no JSON object")?;
    let model = header.get_mut("model").and_then(Value::as_object_mut).ok_or("there is no model")?;
    let ids = read_vocabulary(model)?;
    let (pairs, merges_as_pairs) = read_pairs(model)?;
    let id = |token: &str| {
        ids.get(token).copied().ok_or(format!("merge token {token:?} is not in the vocabulary"))
    };
    let mut merges = Vec::with_capacity(pairs.len());
    for (left, right) in &pairs {
        merges.push((id(left)?, id(right)?, id(&format!("{left}{right}"))?));
    }

    let base = base_tokens(&ids, &merges);
    header.insert(
        "packed".to_owned(),
        json!({ "base": base.into_iter().collect::<Vec<_>>(), "merges_as_pairs": merges_as_pairs }),
    );
    let mut header = Value::Object(header);
    // Another crate's features may make serde_json keep the order of the input.
    header.sort_all_objects();
    let header = serde_json::to_vec(&header).map_err(|error| error.to_string())?;
    let mut columns = [Vec::new(), Vec::new(), Vec::new()];
    let [left_column, right_column, made_column] = &mut columns;
    let mut last = 0_i64;
    for (left, right, made) in merges {
        put(left_column, left);
        put(right_column, right);
        let step = i64::from(made) - last;
        put(made_column, ((step << 1) ^ (step >> 63)) as u32);
        last = i64::from(made);
    }

    let mut bytes = LABEL.to_vec();
    for block in [header].iter().chain(&columns) {
        bytes.extend((block.len() as u32).to_le_bytes());
        bytes.extend(block);
    }
    let packed = compress(&bytes).map_err(|error| error.to_string())?;
    if unpack(&packed)?.into_json() == *tokenizer_json {
        Ok(packed)
    } else {
        Err("the packed form does not give the same JSON back".to_owned())
    }
}

fn compress(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
    compressor.compress(bytes)
}

/// Takes the vocabulary out of the model.
fn read_vocabulary(model: &mut Map<String, Value>) -> Result<BTreeMap<String, u32>, String> {
    let vocab = model.remove("vocab").ok_or("the model has no vocabulary")?;
    let ids: BTreeMap<String, u32> =
        serde_json::from_value(vocab).map_err(|error| format!("bad vocabulary: {error}"))?;
    match ids.iter().find(|(_, id)| **id > MAX_ID) {
        Some((token, id)) => Err(format!("token {token:?} has id {id}, larger than {MAX_ID}")),
        None => Ok(ids),
    }
}

/// Takes the merges out of the model, and whether they came as pairs.
fn read_pairs(model: &mut Map<String, Value>) -> Result<(Vec<(String, String)>, bool), String> {
    let merges = model.remove("merges").ok_or("the model has no merges: only BPE can be packed")?;
    let merges = merges.as_array().ok_or("the merges are no array")?;
    let as_pairs = merges.first().is_some_and(Value::is_array);
    let pair = |merge: &Value| {
        let (left, right) = match merge {
            Value::String(text) => text.split_once(' ')?,
            Value::Array(parts) => match parts.as_slice() {
                [left, right] => (left.as_str()?, right.as_str()?),
                _ => return None,
            },
            _ => return None,
        };
        Some((left.to_owned(), right.to_owned()))
    };
    let pairs = merges.iter().map(|merge| pair(merge).ok_or(format!("{merge} is no merge")));
    Ok((pairs.collect::<Result<_, _>>()?, as_pairs))
}

/// The tokens that no merge spells when the merges are read in order, by id.
fn base_tokens(ids: &BTreeMap<String, u32>, merges: &[(u32, u32, u32)]) -> BTreeMap<u32, String> {
    let made: std::collections::BTreeSet<u32> = merges.iter().map(|(_, _, made)| *made).collect();
    let mut base: BTreeMap<u32, String> =
        ids.iter().filter(|(_, id)| !made.contains(id)).map(|(token, id)| (*id, token.clone())).collect();
    let mut spelled: std::collections::BTreeSet<u32> = base.keys().copied().collect();
    for (left, right, made) in merges {
        if spelled.contains(left) && spelled.contains(right) {
            spelled.insert(*made);
        }
    }
    base.extend(ids.iter().filter(|(_, id)| !spelled.contains(id)).map(|(token, id)| (*id, token.clone())));
    base
}

fn put(column: &mut Vec<u8>, mut number: u32) {
    while number > 0x7f {
        column.push(number as u8 | 0x80);
        number >>= 7;
    }
    column.push(number as u8);
}
