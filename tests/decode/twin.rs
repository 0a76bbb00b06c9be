//! Candle's own models beside ours.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{llama, qwen2, qwen3};

use crate::checkpoint::{FAMILIES, config, decoder, ids, one_shot, parse, tensors, write};

/// The logits behind the last token, of candle's model in f32, with the text read at once.
fn theirs(family: &str, text: &[u32]) -> Vec<f32> {
    let tensors = tensors(&parse(family)).into_iter().collect();
    let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let input = Tensor::new(text, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    let json = config(family);
    let logits = match family {
        "qwen2" => {
            let json = json.replace("\"sliding_window\": null", "\"sliding_window\": 128");
            qwen2::ModelForCausalLM::new(&serde_json::from_str(&json).unwrap(), weights)
                .unwrap()
                .forward(&input, 0)
        }
        "qwen3" => qwen3::ModelForCausalLM::new(&serde_json::from_str(&json).unwrap(), weights)
            .unwrap()
            .forward(&input, 0),
        _ => {
            let config: llama::LlamaConfig = serde_json::from_str(&json).unwrap();
            let config = config.into_config(false);
            let mut cache = llama::Cache::new(true, DType::F32, &config, &Device::Cpu).unwrap();
            llama::Llama::load(weights, &config).unwrap().forward(&input, 0, &mut cache)
        }
    };
    logits.unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Every prefix of a text: its last logits are those of candle's model.
#[test]
fn one_shot_logits_are_those_of_candle() {
    for family in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), family);
        let text: Vec<u32> = (0..48).map(|at| (at * 17 + 5) % 61).collect();
        let ours = one_shot(&mut decoder(folder.path(), 1, 64), 0, &ids(text.iter().copied()));
        for length in [1, 2, 7, 33, 48] {
            let theirs = theirs(family, &text[..length]);
            let apart = ours[length - 1].iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 2e-5, "{family} {length}: {apart}");
            assert!(theirs.iter().any(|logit| logit.abs() > 0.5), "{family}");
        }
    }
}
