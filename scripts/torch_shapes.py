#!/usr/bin/env python3
"""Makes checkpoints of real shapes with seeded random weights, for `tplc validate --device cuda:0` and its tests.

    python3 scripts/torch_shapes.py FOLDER [NAME ...]          # writes FOLDER/NAME, all shapes without names
    python3 scripts/torch_shapes.py FOLDER [NAME ...] --time 32  # and times compiled decoding at that batch

A folder holds config.json, model.safetensors (bf16) and logits.safetensors: `tokens`, two texts of TEXT tokens, and `logits_16`,
every 16th of those behind every token as `transformers` computes them in f32 from the same weights; `long`, one of LONG tokens,
and `long_16`, the same behind its last 16 tokens. Needs torch with CUDA and transformers;
no network. Timing decodes greedily over a static cache of `--context` positions.
"""

import argparse
import json
import pathlib
import statistics
import time

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM
from transformers import StaticCache

TEXT, LONG, PROMPT = 96, 700, 64


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


def timed(model, batch, context):
    """Milliseconds of a greedy decoding step over a static cache: compiled as `transformers` compiles it, and compiled and
    recorded as one CUDA graph, with what the compiler had to leave out."""
    counters = torch._dynamo.utils.counters
    counters.clear()
    with torch.no_grad():
        token, cache = filled(model, batch, context)
        step = torch.compile(model.forward, mode="reduce-overhead", fullgraph=True)

        def compiled():
            torch.compiler.cudagraph_mark_step_begin()
            logits = step(token, past_key_values=cache, use_cache=True).logits
            token.copy_(logits[:, -1].argmax(-1, keepdim=True))

        reduced = median_of(compiled)
        told = {"graph_breaks": sum(counters["graph_break"].values()), "cudagraph_skips": counters["inductor"]["cudagraph_skips"]}

        token, cache = filled(model, batch, context)
        step = torch.compile(model.forward, fullgraph=True)

        def plain():
            logits = step(token, past_key_values=cache, use_cache=True).logits
            token.copy_(logits[:, -1].argmax(-1, keepdim=True))

        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(8):
                plain()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            plain()
        return {"ms_per_step": reduced, **told, "recorded_ms_per_step": median_of(graph.replay)}


def filled(model, batch, context):
    """A token for each row, and a static cache with PROMPT tokens before it."""
    cache = StaticCache(config=model.config, max_batch_size=batch, max_cache_len=context, device="cuda", dtype=torch.bfloat16)
    ids = torch.randint(0, model.config.vocab_size, (batch, PROMPT), device="cuda")
    model(ids, past_key_values=cache, use_cache=True)
    return ids[:, -1:].clone(), cache


def median_of(step, runs=5, steps=48):
    """Of several runs behind one to warm up."""
    times = []
    for _ in range(1 + runs):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(steps):
            step()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - begun) * 1000 / steps)
    return round(statistics.median(times[1:]), 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--time", type=int, metavar="BATCH")
    parser.add_argument("--context", type=int, default=1024, metavar="POSITIONS")
    args = parser.parse_intermixed_args()
    if unknown := set(args.names) - set(SHAPES):
        parser.error(f"no shape is called {', '.join(sorted(unknown))}: there are {', '.join(SHAPES)}")
    for seed, name in enumerate(SHAPES):
        if args.names and name not in args.names:
            continue
        model = make(args.folder, name, seed)
        line = {"name": name, "parameters": sum(weight.numel() for weight in model.parameters())}
        if args.time:
            line |= {"batch": args.time, "context": args.context} | timed(model, args.time, args.context)
        print(json.dumps(line), flush=True)
        del model
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
