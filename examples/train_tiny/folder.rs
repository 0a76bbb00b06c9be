//! The model folder, as Hugging Face lays it out.

use std::{
    collections::HashMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use candle_core::Tensor;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::{
    model::{NORM_EPSILON, POSITIONS, ROPE_THETA, Shape},
    tokenizer::END,
};

/// A folder to write to, file by whole file.
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(Self { path: path.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The tokenizer, and what goes with it.
    pub(crate) fn write_tokenizer(&self, tokenizer_json: &str) -> Result<()> {
        self.write("tokenizer.json", tokenizer_json.as_bytes())?;
        self.write_json(
            "tokenizer_config.json",
            &json!({
                "tokenizer_class": "PreTrainedTokenizerFast",
                "eos_token": END,
                "pad_token": END,
                "model_max_length": POSITIONS,
                "clean_up_tokenization_spaces": false,
            }),
        )
    }

    /// The weights, and last the configuration: a folder without it is not a model yet.
    pub(crate) fn write_model(
        &self,
        shape: &Shape,
        vocabulary: usize,
        end: u32,
        weights: HashMap<String, Tensor>,
    ) -> Result<()> {
        let file = NamedTempFile::new_in(&self.path)?;
        candle_core::safetensors::save(&weights, file.path())?;
        self.put(file, "model.safetensors")?;
        self.write_json(
            "generation_config.json",
            &json!({
                "do_sample": true,
                "temperature": 0.7,
                "top_p": 0.8,
                "eos_token_id": end,
                "pad_token_id": end,
            }),
        )?;
        self.write_json("config.json", &config(shape, vocabulary, end))
    }

    pub(crate) fn write_json(&self, name: &str, value: &impl serde::Serialize) -> Result<()> {
        self.write(name, format!("{}\n", serde_json::to_string_pretty(value)?).as_bytes())
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let mut file = NamedTempFile::new_in(&self.path)?;
        file.write_all(content)?;
        self.put(file, name)
    }

    fn put(&self, file: NamedTempFile, name: &str) -> Result<()> {
        let path = self.path.join(name);
        file.persist(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(())
    }
}

fn config(shape: &Shape, vocabulary: usize, end: u32) -> Value {
    json!({
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "attention_bias": false,
        "attention_dropout": 0.0,
        "eos_token_id": end,
        "pad_token_id": end,
        "head_dim": shape.head_width,
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "initializer_range": 0.02,
        "intermediate_size": shape.feed_forward,
        "max_position_embeddings": POSITIONS,
        "max_window_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.key_heads,
        "rms_norm_eps": NORM_EPSILON,
        "rope_scaling": null,
        "rope_theta": ROPE_THETA,
        "sliding_window": null,
        "tie_word_embeddings": true,
        "torch_dtype": "float16",
        "use_cache": true,
        "use_sliding_window": false,
        "vocab_size": vocabulary,
    })
}
