//! Small checkpoints in the layout of Hugging Face, of random weights.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use candle_core::{DType, Device, Tensor};
use tplc::decode::{Decoder, LanguageModel, ModelConfig, Packed, Wanted, Weights};
use tplc::primitives::TokenId;

pub(crate) const FAMILIES: [&str; 4] = ["llama2", "llama3", "qwen2", "qwen3"];

/// The `config.json` of a small model.
pub(crate) fn config(family: &str) -> String {
    let (kind, more) = match family {
        "llama2" => (
            "llama",
            r#""num_key_value_heads": 4, "rope_theta": 10000.0, "bos_token_id": 1, "eos_token_id": 2"#,
        ),
        "llama3" => (
            "llama",
            r#""num_key_value_heads": 2, "rope_theta": 500000.0, "tie_word_embeddings": true, "rope_scaling":
            {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
             "original_max_position_embeddings": 32}"#,
        ),
        "qwen2" => (
            "qwen2",
            r#""num_key_value_heads": 2, "rope_theta": 1000000.0, "tie_word_embeddings": true,
            "sliding_window": 128, "max_window_layers": 2, "use_sliding_window": false"#,
        ),
        _ => (
            "qwen3",
            r#""num_key_value_heads": 2, "rope_theta": 1000000.0, "head_dim": 16, "attention_bias": false,
            "sliding_window": null, "max_window_layers": 2, "use_sliding_window": false"#,
        ),
    };
    let tied = if more.contains("tie_word") { "" } else { r#", "tie_word_embeddings": false"# };
    format!(
        r#"{{"model_type": "{kind}", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "vocab_size": 61, "max_position_embeddings": 128, "rms_norm_eps": 1e-5,
            "hidden_act": "silu", {more}{tied}}}"#
    )
}

pub(crate) fn parse(family: &str) -> ModelConfig {
    ModelConfig::parse(config(family).as_bytes(), Path::new("config.json")).unwrap()
}

/// The tensors that a small model has, by name, drawn like those of [`Weights::random`] but unlike 1 in the norms.
pub(crate) fn tensors(config: &ModelConfig) -> BTreeMap<String, Tensor> {
    let shapes = shapes(config);
    let draw = |(index, (name, shape)): (usize, (String, Vec<usize>))| {
        let count: usize = shape.iter().product();
        let centre = if name.ends_with("norm.weight") { 1.0 } else { 0.0 };
        let value = |at: usize| centre + 0.3 * ((index * 131 + at * 7919 + 17) as f32 * 0.731).sin();
        let values: Vec<f32> = (0..count).map(value).collect();
        (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
    };
    shapes.into_iter().enumerate().map(draw).collect()
}

fn shapes(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    let (hidden, inner, width) = (config.hidden, config.intermediate, config.head_dim);
    let (queries, keys) = (config.heads * width, config.kv_heads * width);
    let mut all = vec![("model.embed_tokens.weight".to_owned(), vec![config.vocabulary, hidden])];
    for layer in 0..config.layers {
        let mut add =
            |name: &str, shape: &[usize]| all.push((format!("model.layers.{layer}.{name}"), shape.to_vec()));
        add("input_layernorm.weight", &[hidden]);
        add("post_attention_layernorm.weight", &[hidden]);
        for (name, size) in [("q", queries), ("k", keys), ("v", keys)] {
            add(&format!("self_attn.{name}_proj.weight"), &[size, hidden]);
            if config.qkv_bias {
                add(&format!("self_attn.{name}_proj.bias"), &[size]);
            }
        }
        if config.family == tplc::decode::Family::Qwen3 {
            add("self_attn.q_norm.weight", &[width]);
            add("self_attn.k_norm.weight", &[width]);
        }
        add("self_attn.o_proj.weight", &[hidden, queries]);
        add("mlp.gate_proj.weight", &[inner, hidden]);
        add("mlp.up_proj.weight", &[inner, hidden]);
        add("mlp.down_proj.weight", &[hidden, inner]);
    }
    all.push(("model.norm.weight".to_owned(), vec![hidden]));
    if !config.tied {
        all.push(("lm_head.weight".to_owned(), vec![config.vocabulary, hidden]));
    }
    all
}

/// Writes the checkpoint of a family into `folder`.
pub(crate) fn write(folder: &Path, family: &str) {
    fs::write(folder.join("config.json"), config(family)).unwrap();
    save(tensors(&parse(family)), &folder.join("model.safetensors"));
}

pub(crate) fn save(tensors: BTreeMap<String, Tensor>, path: &Path) {
    let tensors: HashMap<String, Tensor> = tensors.into_iter().collect();
    candle_core::safetensors::save(&tensors, path).unwrap();
}

pub(crate) fn decoder(folder: &Path, slots: usize, context: usize) -> Decoder {
    let config = ModelConfig::read(folder).unwrap();
    let weights = Weights::read(folder, &Device::Cpu, DType::F32).unwrap();
    Decoder::new(&config, weights, slots, context).unwrap()
}

pub(crate) fn ids(numbers: impl IntoIterator<Item = u32>) -> Vec<TokenId> {
    numbers.into_iter().map(TokenId).collect()
}

/// The logits behind every token of a text that is read at once.
pub(crate) fn one_shot(model: &mut dyn LanguageModel, slot: usize, tokens: &[TokenId]) -> Vec<Vec<f32>> {
    let mut packed = Packed::default();
    packed.push(slot, 0, tokens, Wanted::All);
    rows(model, &packed)
}

pub(crate) fn rows(model: &mut dyn LanguageModel, packed: &Packed) -> Vec<Vec<f32>> {
    model.forward(packed).unwrap().rows().map(<[f32]>::to_vec).collect()
}

/// The largest difference between two lists of rows.
pub(crate) fn difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.iter().map(Vec::len).collect::<Vec<_>>(), b.iter().map(Vec::len).collect::<Vec<_>>());
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Texts and logits that PyTorch's `transformers` gives behind their tokens, under these names.
pub(crate) fn torch_fixture(
    folder: &Path,
    tokens: &str,
    logits: &str,
) -> (Vec<Vec<u32>>, Vec<Vec<Vec<f32>>>) {
    let fixture = candle_core::safetensors::load(folder.join("logits.safetensors"), &Device::Cpu).unwrap();
    (fixture[tokens].to_vec2().unwrap(), fixture[logits].to_vec3().unwrap())
}
