#!/usr/bin/env python3
"""Makes checkpoints of real shapes with seeded random weights, for `tplc validate --device cuda:0` and its tests.

    python3 scripts/torch_shapes.py FOLDER [NAME ...]          # writes FOLDER/NAME, all shapes without names
    python3 scripts/torch_shapes.py FOLDER [NAME ...] --time 32  # and times compiled decoding at that batch

A folder holds config.json, model.safetensors (bf16) and logits.safetensors: `tokens`, two texts of TEXT tokens, and `logits_16`,
every 16th of those behind every token as `transformers` computes them in f32 from the same weights; `long`, one of LONG tokens,
and `long_16`, the same behind its last 16 tokens. Needs torch with CUDA and transformers;
no network. Timing decodes greedily with a static cache of CONTEXT positions, compiled, as `transformers` does itself.
"""

import argparse
import json
import pathlib
import time

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM
from transformers import StaticCache

CONTEXT = 1024
TEXT, LONG = 96, 700


def rope(theta, **more):
    return dict(rope_type="default", rope_theta=theta) | more


LLAMA3 = dict(rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)
SHAPES = {
    "qwen3-0.6b": (Qwen3ForCausalLM, Qwen3Config, dict(hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16, num_key_value_heads=8, head_dim=128, vocab_size=151936, rms_norm_eps=1e-6, rope_parameters=rope(1e6))),
    "qwen2.5-0.5b": (Qwen2ForCausalLM, Qwen2Config, dict(hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2, vocab_size=151936, rms_norm_eps=1e-6, rope_parameters=rope(1e6))),
    "llama-380m": (LlamaForCausalLM, LlamaConfig, dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=16, num_attention_heads=16, num_key_value_heads=8, vocab_size=128330, rms_norm_eps=1e-5, rope_parameters=rope(5e5))),
    "llama-3.2-1b": (LlamaForCausalLM, LlamaConfig, dict(hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=8, head_dim=64, vocab_size=128256, rms_norm_eps=1e-5, rope_parameters=rope(5e5) | LLAMA3)),
}


def make(folder, name, seed):
    model_class, config_class, sizes = SHAPES[name]
    config = config_class(**sizes, max_position_embeddings=4096, tie_word_embeddings=True)
    torch.manual_seed(seed)
    with torch.device("cuda"):
        model = model_class(config).to(torch.bfloat16).eval()
    tokens = torch.randint(0, sizes["vocab_size"], (2, TEXT), device="cuda")
    exact = model_class(config).to(device="cuda", dtype=torch.float32).eval()
    exact.load_state_dict(model.state_dict())
    with torch.no_grad():
        logits = exact(tokens, use_cache=False).logits
        long = torch.randint(0, sizes["vocab_size"], (1, LONG), device="cuda")
        behind = exact(long, use_cache=False, logits_to_keep=16).logits
    del exact
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(place, safe_serialization=True)
    tensors = {
        "tokens": tokens.to(torch.uint32), "logits_16": logits[:, :, ::16],
        "long": long.to(torch.uint32), "long_16": behind[:, :, ::16],
    }
    save_file({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, place / "logits.safetensors")
    return model


def timed(model, batch, steps=192):
    """Milliseconds of a compiled decoding step at a static cache."""
    config = model.config
    cache = StaticCache(config=config, max_batch_size=batch, max_cache_len=CONTEXT, device="cuda", dtype=torch.bfloat16)
    ids = torch.randint(0, config.vocab_size, (batch, 64), device="cuda")
    with torch.no_grad():
        position = torch.arange(64, device="cuda")
        model(ids, past_key_values=cache, cache_position=position, use_cache=True)
        step = torch.compile(model.forward, mode="reduce-overhead", fullgraph=False)
        token, position = ids[:, -1:].clone(), position[-1:] + 1
        for phase in (24, steps):
            torch.cuda.synchronize()
            begun = time.perf_counter()
            for _ in range(phase):
                logits = step(token, past_key_values=cache, cache_position=position, use_cache=True).logits
                token = logits[:, -1].argmax(-1, keepdim=True).clone()
                position = position + 1
            torch.cuda.synchronize()
        return (time.perf_counter() - begun) * 1000 / steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--time", type=int, metavar="BATCH")
    args = parser.parse_intermixed_args()
    for seed, name in enumerate(SHAPES):
        if args.names and name not in args.names:
            continue
        model = make(args.folder, name, seed)
        line = {"name": name, "parameters": sum(weight.numel() for weight in model.parameters())}
        if args.time:
            line |= {"batch": args.time, "ms_per_step": round(timed(model, args.time), 3)}
        print(json.dumps(line), flush=True)
        del model
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
