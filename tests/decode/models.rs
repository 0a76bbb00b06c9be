//! The decoder beside itself: packed, ragged, taken back; and the faults of checkpoints.

use std::{collections::BTreeMap, fs};

use candle_core::{DType, Device, Tensor};
use tplc::decode::{DecodeError, Decoder, LanguageModel, ModelConfig, Packed, Wanted, Weights};

use crate::checkpoint::{
    FAMILIES, config, decoder, difference, ids, one_shot, parse, rows, save, tensors, write,
};

/// Texts of three rows, read in ragged runs beside each other, some of them taken back and read again: bit for bit what
/// each gives alone and at once.
#[test]
fn packed_ragged_runs_are_bit_for_bit_those_of_one_row_alone() {
    for family in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), family);
        let mut model = decoder(folder.path(), 4, 64);
        let texts: Vec<Vec<_>> = [(7, 40), (11, 33), (23, 50)]
            .map(|(step, length)| ids((0..length).map(|at| (at * step + step) % 61)))
            .to_vec();
        let alone: Vec<_> =
            texts.iter().map(|text| one_shot(&mut decoder(folder.path(), 1, 64), 0, text)).collect();
        let mut at = [0; 3];
        let mut seen: Vec<Vec<Vec<f32>>> = vec![Vec::new(); 3];
        for step in 0_usize.. {
            let mut packed = Packed::default();
            let mut brought = Vec::new();
            // Slots in an order of their own, and not the first ones.
            for row in [2, 0, 1] {
                // Row 1 takes two tokens back now and then.
                if row == 1 && step % 4 == 3 {
                    at[row] -= 2;
                    seen[row].truncate(at[row]);
                }
                let run = (1 + (step * 5 + row * 3) % 6).min(texts[row].len() - at[row]);
                if run > 0 {
                    packed.push(3 - row, at[row], &texts[row][at[row]..at[row] + run], Wanted::All);
                    at[row] += run;
                    brought.push((row, run));
                }
            }
            if brought.is_empty() {
                break;
            }
            let mut logits = rows(&mut model, &packed).into_iter();
            for (row, run) in brought {
                seen[row].extend(logits.by_ref().take(run));
            }
        }
        for (seen, alone) in seen.iter().zip(&alone) {
            assert_eq!(difference(seen, alone), 0.0, "{family}");
        }
        assert!(alone[0].iter().flatten().any(|logit| logit.abs() > 0.1), "{family}");
    }
}

/// Only the wanted logits, and only those of some ids.
#[test]
fn a_restricted_head_gives_the_same_logits() {
    for family in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), family);
        let mut model = decoder(folder.path(), 1, 64);
        let text = ids([5, 9, 60, 0, 33]);
        let whole = one_shot(&mut model, 0, &text);
        let some = ids([60, 3, 17]);
        model.restrict(Some(&some)).unwrap();
        let mut packed = Packed::default();
        packed.push(0, 0, &text, Wanted::Last(1));
        let restricted = rows(&mut model, &packed);
        let expected: Vec<f32> = some.iter().map(|id| whole[4][id.0 as usize]).collect();
        assert_eq!(restricted, [expected], "{family}");
        model.restrict(None).unwrap();
        assert_eq!(rows(&mut model, &packed), [whole[4].clone()], "{family}");
    }
}

/// Half precision: the same model, less exactly.
#[test]
fn f16_is_near_f32() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "qwen3");
    let text = ids((0..20).map(|at| at * 3));
    let whole = one_shot(&mut decoder(folder.path(), 1, 64), 0, &text);
    let weights = Weights::read(folder.path(), &Device::Cpu, DType::F16).unwrap();
    let half = one_shot(&mut Decoder::new(&parse("qwen3"), weights, 1, 64).unwrap(), 0, &text);
    let apart = difference(&whole, &half);
    assert!(apart > 0.0 && apart < 0.05, "{apart}");
}

/// Weights in several files are those of one.
#[test]
fn shards_are_read_by_their_index() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "qwen2");
    let text = ids([1, 2, 3]);
    let whole = one_shot(&mut decoder(folder.path(), 1, 8), 0, &text);
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let mut files = [BTreeMap::new(), BTreeMap::new()];
    let mut index = Vec::new();
    for (name, tensor) in tensors(&parse("qwen2")) {
        let file = usize::from(name.contains("layers.1"));
        index.push(format!("\"{name}\": \"part-{file}.safetensors\""));
        files[file].insert(name, tensor);
    }
    for (file, tensors) in files.into_iter().enumerate() {
        save(tensors, &folder.path().join(format!("part-{file}.safetensors")));
    }
    let json = format!("{{\"weight_map\": {{{}}}}}", index.join(", "));
    fs::write(folder.path().join("model.safetensors.index.json"), json).unwrap();
    assert_eq!(one_shot(&mut decoder(folder.path(), 1, 8), 0, &text), whole);
    fs::remove_file(folder.path().join("part-1.safetensors")).unwrap();
    assert!(matches!(Weights::read(folder.path(), &Device::Cpu, DType::F32), Err(DecodeError::Read { .. })));
}

/// What a run must not do.
#[test]
fn runs_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "llama3");
    let mut model = decoder(folder.path(), 2, 8);
    let mut try_run = |slot, position, tokens: &[u32]| {
        let mut packed = Packed::default();
        packed.push(slot, position, &ids(tokens.iter().copied()), Wanted::Last(1));
        model.forward(&packed).err().map(|error| error.to_string())
    };
    assert_eq!(try_run(0, 0, &[1, 2, 3]), None);
    let refused = [
        try_run(0, 4, &[1]),
        try_run(1, 1, &[1]),
        try_run(2, 0, &[1]),
        try_run(0, 3, &[1; 6]),
        try_run(1, 0, &[61]),
    ];
    let told: Vec<String> = refused.into_iter().flatten().collect();
    golden("runs_refused", &told.join("\n"));
    assert_eq!(told.len(), 5);
    assert!(matches!(
        Decoder::new(&parse("llama3"), Weights::random(1, &Device::Cpu, DType::F32), 1, 129),
        Err(DecodeError::TooLong { .. })
    ));
}

/// Every fault of a checkpoint, in words.
#[test]
fn faulty_checkpoints_are_told() {
    let here = tempfile::tempdir().unwrap();
    let folder = here.path();
    let mut told = Vec::new();
    let mut tell = |what: &str| {
        let read = || -> Result<Decoder, DecodeError> {
            let config = ModelConfig::read(folder)?;
            Decoder::new(&config, Weights::read(folder, &Device::Cpu, DType::F32)?, 1, 8)
        };
        let error = read().err().map_or("loaded".to_owned(), |error| error.to_string());
        told.push(format!("{what}\n  {}", error.replace(&folder.display().to_string(), "FOLDER")));
    };
    tell("an empty folder");
    fs::write(folder.join("config.json"), config("qwen3")).unwrap();
    tell("no weights");
    write(folder, "qwen3");
    tell("whole");
    let good = fs::read(folder.join("model.safetensors")).unwrap();
    for (what, bytes) in [
        ("cut in the tensors", &good[..good.len() - 100]),
        ("cut in the header", &good[..100]),
        ("empty", &[]),
        ("no safetensors at all", b"PK\x03\x04 something else entirely"),
    ] {
        fs::write(folder.join("model.safetensors"), bytes).unwrap();
        tell(what);
    }
    type Change = fn(&mut BTreeMap<String, Tensor>);
    let changes: [(&str, Change); 4] = [
        ("a missing tensor", |all| drop(all.remove("model.layers.1.self_attn.q_norm.weight"))),
        ("no output layer, though not tied", |all| drop(all.remove("lm_head.weight"))),
        ("a wrong shape", |all| {
            let name = "model.layers.0.mlp.down_proj.weight";
            let turned = all[name].t().unwrap().contiguous().unwrap();
            all.insert(name.to_owned(), turned);
        }),
        ("a quantized tensor", |all| {
            let name = "model.layers.0.self_attn.k_proj.weight";
            let bytes = all[name].to_dtype(DType::U8).unwrap();
            all.insert(name.to_owned(), bytes);
        }),
    ];
    for (what, change) in changes {
        let mut all = tensors(&parse("qwen3"));
        change(&mut all);
        save(all, &folder.join("model.safetensors"));
        tell(what);
    }
    let good = config("llama3");
    for (what, from, to) in [
        ("no JSON", "{", "["),
        ("another architecture", "llama\"", "mamba\""),
        ("no layers", "\"num_hidden_layers\": 2,", ""),
        ("nothing inside", "\"intermediate_size\": 48", "\"intermediate_size\": 0"),
        ("heads that do not share", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3"),
        ("another stretching", "\"rope_type\": \"llama3\"", "\"rope_type\": \"yarn\""),
        ("stretching without a factor", "\"factor\": 8.0,", ""),
        ("a negative factor", "\"factor\": 8.0,", "\"factor\": -8.0,"),
        ("another activation", "silu", "gelu"),
        ("a quantized model", "\"hidden_act\"", "\"quantization_config\": {\"bits\": 4}, \"hidden_act\""),
    ] {
        assert!(good.contains(from), "{from}");
        fs::write(folder.join("config.json"), good.replacen(from, to, 1)).unwrap();
        tell(what);
    }
    golden("faulty_checkpoints", &told.join("\n"));
}

/// Compares `text` with `golden/decode/<name>.snap`.
pub(crate) fn golden(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/decode"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
