#!/usr/bin/env python3
"""Times `transformers` on real shapes with random weights: not held, held by position, by a template, and by `tplc.hf.generate`.

    python3 scripts/torch_generate.py [NAME ...] --json FILE         # shapes of torch_shapes.py; qwen3-0.6b and llama-380m
    python3 scripts/torch_generate.py --tiny                         # the same code with two small layers, on a CPU

Needs torch, transformers and the installed package; no network. Molecules are spread evenly over the reference drugs, numbers
are `fixed4`, decoding is greedy (or sampled, with --sample). All strategies but the last write the first TOKENS tokens of each
text, so that all take the same number of steps; `whole` is `tplc.hf.generate` to the end of every text. `refused` counts
texts with a token that their template does not allow, and must be 0 where templates hold; whole texts are audited.

Printed are the seconds of the median round, and the median over rounds of what a strategy took beside no processor in the same
round, with the range of it. Exits with 1 if a text that a template holds has junk.
"""

import argparse
import gc
import json
import pathlib
import statistics
import sys
import tempfile
import time

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "python" / "tests")]

import tplc
import tplc.hf
from decoding.baselines import Allowlist
from torch_shapes import SHAPES

SMALL = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16)
# The tokenizer of each shape, its tags, and those around its prompts.
TOKENIZERS = {"qwen": ("qwen3", "none", "{}\n"), "llama": ("llama3-chem", "conformer", "[SMILES]{}[/SMILES]")}
STRATEGIES = ("none", "allowlist", "processor", "generate")
SAMPLE = dict(do_sample=True, temperature=0.7, top_p=0.8, top_k=20)


def model_of(name, args):
    model_class, config_class, sizes = SHAPES[name]
    sizes = sizes | (SMALL if args.tiny else {})
    config = config_class(**sizes, max_position_embeddings=4096, tie_word_embeddings=True)
    torch.manual_seed(0)
    with torch.device(args.device):
        return model_class(config).to(getattr(torch, args.dtype)).eval()


class Bench:
    def __init__(self, name, args):
        self.args, self.model, self.graphs = args, model_of(name, args), True
        source, tags, self.prompt = TOKENIZERS[name.split("-")[0].rstrip("0123456789.")]
        self.tokenizer = tplc.Tokenizer.load(source)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "drugs.tplc"
            tplc.build(path, self.tokenizer, number_format="fixed4", tags=tags, certificate=False)
            self.artifact = tplc.Artifact.from_bytes(path.read_bytes())
        self.blocked = Allowlist.blocked(self.tokenizer, self.artifact.logits_width, args.device)
        rows = [self.artifact[row * len(self.artifact) // args.rows].smiles for row in range(args.rows)]
        self.batches = [rows[first : first + args.batch] for first in range(0, args.rows, args.batch)]
        self.sampling = SAMPLE if args.sample else dict(do_sample=False)
        # What the model ends with is the artifact's end, or nothing where it is not held.
        self.model.generation_config.eos_token_id = None
        self.model.generation_config.pad_token_id = self.artifact.eos

    def prompts(self, smiles):
        ids = [self.tokenizer.encode(self.prompt.format(one)) for one in smiles]
        longest = max(map(len, ids))
        padded = [[self.artifact.eos] * (longest - len(row)) + row for row in ids]
        mask = [[0] * (longest - len(row)) + [1] * len(row) for row in ids]
        return {key: torch.tensor(rows, device=self.args.device) for key, rows in [("input_ids", padded), ("attention_mask", mask)]}

    def none(self, prompts, smiles, tokens):
        return self.model.generate(**prompts, max_new_tokens=tokens, **self.sampling)

    def allowlist(self, prompts, smiles, tokens):
        templates = [self.artifact.template(one) for one in smiles]
        processor = Allowlist(self.blocked, self.tokenizer, templates, prompts["input_ids"].shape[1], self.artifact.eos)
        return self.model.generate(**prompts, logits_processor=[processor], max_new_tokens=tokens, **self.sampling)

    def processor(self, prompts, smiles, tokens):
        processor = tplc.hf.TemplateLogitsProcessor(self.artifact, smiles)
        return self.model.generate(**prompts, logits_processor=[processor], max_new_tokens=tokens, **self.sampling)

    def generate(self, prompts, smiles, tokens):
        more = self.sampling | {"max_new_tokens": tokens, "cuda_graphs": self.graphs}
        return tplc.hf.generate(self.model, prompts, self.artifact, smiles, **more)

    def synchronize(self):
        if self.args.device.startswith("cuda"):
            torch.cuda.synchronize()

    def warmed(self, strategy, limits):
        """`timed`, behind a run of the first batch that counts for nothing, with no memory kept from another strategy."""
        gc.collect()
        if self.args.device.startswith("cuda"):
            torch.cuda.empty_cache()
        self.timed(strategy, limits[:1])
        return self.timed(strategy, limits)

    def timed(self, strategy, limits):
        """Seconds for all batches, or the first of them, what they said, and the tokens of the longest text of each."""
        seconds, said, longest = 0.0, [], []
        for smiles, tokens in zip(self.batches, limits):
            prompts = self.prompts(smiles)
            self.synchronize()
            begun = time.perf_counter()
            with torch.no_grad():
                sequences = getattr(self, strategy)(prompts, smiles, tokens)
            self.synchronize()
            seconds += time.perf_counter() - begun
            written = sequences[:, prompts["input_ids"].shape[1] :].tolist()
            longest.append(len(written[0]))
            said += zip(smiles, written)
        return seconds, said, longest

    def refused(self, said):
        """How many texts have a token that their template does not allow."""
        count = 0
        for smiles, ids in said:
            matcher = tplc.Matcher(self.artifact.template(smiles))
            rest = set(ids[matcher.take(ids) :])
            count += bool(rest) and not (matcher.is_finished and rest == {self.artifact.eos})
        return count

    def audited(self, said):
        """What the auditor says of texts up to their ends; of one without an end, as it is."""
        eos = self.artifact.eos
        generations = [{"ids": ids[: ids.index(eos) + 1] if eos in ids else ids, "smiles": smiles} for smiles, ids in said]
        report = tplc.audit(generations, self.artifact, tokenizer=self.tokenizer)
        return {key: report[key] for key in ("verdicts", "tokens", "holes", "junk_tokens", "truncated")}


def rounded(ratio):
    return round(ratio, 4)


def measure(name, args):
    bench = Bench(name, args)
    report = {"shape": name, "tokenizer": bench.tokenizer.name, "parameters": sum(one.numel() for one in bench.model.parameters())}
    report |= {"alphabet": len(bench.artifact.tables.alphabet), "strategies": {}}
    batches = len(bench.batches)
    try:
        bench.timed("generate", [4 * args.warm] * batches)
    except RuntimeError as error:
        # Without graphs there is still something to tell.
        bench.graphs, report["no_graphs"] = False, str(error)
        print(name, "cannot record a pass:", error, file=sys.stderr, flush=True)
        bench.timed("generate", [args.warm] * batches)
    seconds, said, longest = bench.timed("generate", [None] * batches)
    report["whole"] = {"seconds": round(seconds, 4), "steps": sum(longest), "refused": bench.refused(said)} | bench.audited(said)
    limits = [min(args.tokens, most) for most in longest] if args.tokens else longest
    # Each round begins with another, so that none has the better place.
    orders = [STRATEGIES[turn % 4 :] + STRATEGIES[: turn % 4] for turn in range(args.repeat)]
    rounds = []
    for turn, order in enumerate(orders, 1):
        print(f"{name}: round {turn} of {args.repeat}", file=sys.stderr, flush=True)
        rounds.append({one: bench.warmed(one, limits) for one in order})
    for strategy in STRATEGIES:
        runs = sorted((round[strategy] for round in rounds), key=lambda run: run[0])
        seconds, said, longest = runs[len(runs) // 2]
        line = {"seconds": round(seconds, 4), "steps": sum(longest), "tokens": sum(len(ids) for _, ids in said)}
        of_none = [round[strategy][0] / round["none"][0] for round in rounds]
        line["of_none"] = rounded(statistics.median(of_none))
        line["of_none_range"] = [rounded(min(of_none)), rounded(max(of_none))]
        line["refused"] = bench.refused(said) if strategy != "none" else None
        report["strategies"][strategy] = line
    exact = report["whole"]["verdicts"] == {"valid": args.rows} and report["whole"]["refused"] == 0
    report["zero_junk"] = exact and all(report["strategies"][one]["refused"] == 0 for one in ("processor", "generate"))
    return report


NAMES = {
    "none": "generate, no processor",
    "allowlist": "generate, an allowlist",
    "processor": "generate, TemplateLogitsProcessor",
    "generate": "tplc.hf.generate",
}


def table(shape):
    """What was measured of one shape, for people."""
    lines = [f"{shape['shape']}, {shape['parameters'] / 1e6:.0f}M parameters, tokens of {shape['tokenizer']}"]
    lines.append(f"  {'':34}{'seconds':>10}{'of none':>10}  {'range':18}{'refused':>8}")
    for strategy, line in shape["strategies"].items():
        least, most = line["of_none_range"]
        refused = "-" if line["refused"] is None else line["refused"]
        ratios = f"{line['of_none']:10.3f}  {f'{least:.3f} to {most:.3f}':18}"
        lines.append(f"  {NAMES[strategy]:34}{line['seconds']:10.3f}{ratios}{refused:>8}")
    whole = shape["whole"]
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in whole["verdicts"].items())
    lines.append(f"  whole texts by tplc.hf.generate: {whole['seconds']:.3f} s, {verdicts}, {whole['junk_tokens']} junk tokens")
    if "no_graphs" in shape:
        lines.append(f"  no CUDA graphs: {shape['no_graphs']}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", default=["qwen3-0.6b", "llama-380m"])
    parser.add_argument("--tiny", action="store_true", help="two small layers, 8 molecules, on the CPU")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=32, help="of each text; 0: all of the longest")
    parser.add_argument("--warm", type=int, default=16, help="tokens of the run that tries to record a pass")
    parser.add_argument("--repeat", type=int, default=4, help="rounds, a multiple of four; medians are told")
    parser.add_argument("--sample", action="store_true", help="temperature 0.7, top-p 0.8, top-k 20")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="all that was measured")
    args = parser.parse_args()
    if args.repeat < 4 or args.repeat % 4:
        parser.error("--repeat takes a multiple of four: each strategy is first as often as the others")
    if args.tiny:
        args.rows, args.batch, args.tokens, args.warm, args.device, args.dtype = 8, 4, 24, 4, "cpu", "float32"
    device = torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else args.device
    told = {"device": device, "torch": torch.__version__, "transformers": transformers.__version__, "tplc": tplc.__version__}
    told |= {key: getattr(args, key) for key in ("rows", "batch", "tokens", "repeat", "sample", "dtype")}
    print(", ".join([told["device"], *(f"{name} {told[name]}" for name in ("torch", "transformers", "tplc"))]))
    said = f"the first {args.tokens} tokens" if args.tokens else "all tokens"
    how = "sampled" if args.sample else "greedy"
    print(f"{args.rows} molecules in batches of {args.batch}, {said}, {args.dtype}, {how}, {args.repeat} rounds", flush=True)
    told["shapes"] = []
    for name in args.names:
        told["shapes"].append(measure(name, args))
        print("\n" + table(told["shapes"][-1]), flush=True)
        # What is measured is kept, whatever becomes of the next.
        if args.json:
            args.json.write_text(json.dumps(told, indent=1) + "\n")
    sys.exit(0 if all(shape["zero_junk"] for shape in told["shapes"]) else 1)


if __name__ == "__main__":
    main()
