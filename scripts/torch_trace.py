"""Makes the test trace `tests/data/torch_trace.json.gz`: a cut of what PyTorch's profiler writes on a GPU.

    python scripts/torch_trace.py        writes torch_trace.json.gz to the folder $OUT, or here

Needs torch with CUDA, and transformers. A tiny Qwen3 with random weights generates 24 tokens for each of 4 rows, held by a
logits processor as position templates use it: a template is built, then each step forces a token or masks ids.

The cut drops whole events and changes none: kept are metadata, and of all others those that begin before one moment, chosen
as late as 150 KB of gzip allow. What stands around the events is kept as well.
"""

import gzip
import json
import os
import tempfile
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, record_function
from transformers import LogitsProcessor, LogitsProcessorList, Qwen3Config, Qwen3ForCausalLM

BATCH, PROMPT, STEPS, VOCABULARY = 4, 16, 24, 2048
LIMIT = 150_000
NAME = "torch_trace.json"


class PositionTemplate(LogitsProcessor):
    """Forces one id at every third position, and blocks a list of ids at the others."""

    def __init__(self, prompt, device):
        with record_function("build template"):
            self.prompt = prompt
            self.forced = [7 + 11 * step if step % 3 == 0 else None for step in range(STEPS)]
            self.blocked = torch.arange(0, VOCABULARY, 5, device=device)
            self.copy = torch.zeros(VOCABULARY, dtype=torch.bool, device=device)

    def __call__(self, input_ids, scores):
        forced = self.forced[input_ids.shape[1] - self.prompt]
        if forced is None:
            scores[:, self.blocked] = float("-inf")
            return scores
        keep = self.copy.clone()
        keep[forced] = True
        return scores.masked_fill(~keep, float("-inf"))


def generate(model, prompt):
    processor = PositionTemplate(prompt.shape[1], prompt.device)
    return model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=STEPS,
        do_sample=True,
        temperature=0.7,
        top_p=0.8,
        top_k=20,
        eos_token_id=None,
        pad_token_id=0,
        logits_processor=LogitsProcessorList([processor]),
    )


def profiled():
    """The whole trace, as the profiler exports it."""
    torch.manual_seed(7)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = Qwen3ForCausalLM(config).to("cuda", torch.bfloat16).eval()
    prompt = torch.randint(0, VOCABULARY, (BATCH, PROMPT), device="cuda")
    generate(model, prompt)
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        generate(model, prompt)
        torch.cuda.synchronize()
    with tempfile.TemporaryDirectory() as folder:
        # The trace holds the name that it was written under: a bare one tells of no folder.
        home = os.getcwd()
        os.chdir(folder)
        try:
            profiler.export_chrome_trace(NAME)
            return json.loads(Path(NAME).read_text())
        finally:
            os.chdir(home)


def cut(trace, end):
    """The trace without the events that begin later than `end`, packed."""
    kept = [event for event in trace["traceEvents"] if event["ph"] == "M" or event.get("ts", 0) <= end]
    text = json.dumps({**trace, "traceEvents": kept}, indent=1)
    return gzip.compress(text.encode(), 9, mtime=0), len(kept)


def main():
    trace = profiled()
    starts = sorted(event["ts"] for event in trace["traceEvents"] if event["ph"] == "X")
    low, high = 0, len(starts) - 1
    while low < high:
        middle = (low + high + 1) // 2
        packed, _ = cut(trace, starts[middle])
        low, high = (middle, high) if len(packed) < LIMIT else (low, middle - 1)
    packed, kept = cut(trace, starts[low])
    path = Path(os.environ.get("OUT", ".")) / (NAME + ".gz")
    path.write_bytes(packed)
    print(f"{path.name}: {kept} of {len(trace['traceEvents'])} events, {len(packed)} bytes")


if __name__ == "__main__":
    main()
