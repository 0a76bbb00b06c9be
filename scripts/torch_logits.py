#!/usr/bin/env python3
"""Makes the fixtures in tests/decode/torch: small seeded models of PyTorch `transformers`, and the logits they give.

    OUT=tests/decode/torch python3 scripts/torch_logits.py

Each folder holds config.json, model.safetensors and logits.safetensors: `tokens`, two texts, and `logits`, those behind
every token, read at once on the CPU in f32. Made with torch 2.11 and transformers 5.17; no network is needed.
"""

import os
import pathlib

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

SIZES = dict(
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=61,
    max_position_embeddings=128,
    rms_norm_eps=1e-5,
    attn_implementation="eager",
)
STRETCHED = dict(
    rope_type="llama3",
    rope_theta=500000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=32,
)
MODELS = {
    "llama2": (LlamaForCausalLM, LlamaConfig, dict(num_key_value_heads=4, rope_parameters=dict(rope_type="default", rope_theta=10000.0), tie_word_embeddings=False)),
    "llama3": (LlamaForCausalLM, LlamaConfig, dict(rope_parameters=STRETCHED, tie_word_embeddings=True)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, dict(rope_parameters=dict(rope_type="default", rope_theta=1000000.0), tie_word_embeddings=True)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, dict(head_dim=16, rope_parameters=dict(rope_type="default", rope_theta=1000000.0), tie_word_embeddings=False)),
}


def main():
    out = pathlib.Path(os.environ["OUT"])
    for seed, (name, (model_class, config_class, more)) in enumerate(MODELS.items()):
        torch.manual_seed(seed)
        model = model_class(config_class(**{**SIZES, **more})).to(torch.float32).eval()
        with torch.no_grad():
            for weight_name, weight in model.named_parameters():
                # Wider than the default, so that attention attends; norms and biases away from 1 and 0.
                centre = 1.0 if weight_name.endswith("norm.weight") else 0.0
                weight.normal_(centre, 0.25)
            tokens = torch.randint(0, SIZES["vocab_size"], (2, 100), dtype=torch.int64)
            logits = model(tokens, use_cache=False).logits
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(folder, safe_serialization=True)
        for extra in folder.glob("generation_config.json"):
            extra.unlink()
        save_file({"tokens": tokens.to(torch.uint32), "logits": logits.contiguous()}, folder / "logits.safetensors")
        print(name, sum(file.stat().st_size for file in folder.iterdir()), "bytes")


if __name__ == "__main__":
    main()
