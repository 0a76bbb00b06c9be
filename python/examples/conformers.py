# %% [markdown]
# # Conformers without junk
#
# A small model writes 3D molecules, first as it likes, then held by exact templates. Run it cell by cell from the root of
# the repository, or as a script. `MODEL` and `NUMBER_FORMAT` may be yours.

# %%
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import tplc
import tplc.hf

MODEL = "models/tiny"
NUMBER_FORMAT = "trimmed4"
MOLECULES = ["CC=O", "c1ccccc1", "C[C@H](N)C(=O)O", "CC(=O)Oc1ccccc1C(=O)O"]

model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(MODEL, padding_side="left")
prompts = tokenizer([f"[SMILES]{smiles}[/SMILES]" for smiles in MOLECULES], return_tensors="pt", padding=True)
prompts = {name: prompts[name] for name in ("input_ids", "attention_mask")}
prompt_length = prompts["input_ids"].shape[1]

# %% [markdown]
# One artifact serves all molecules that are made of the same pieces. It belongs to this tokenizer and this number format.

# %%
artifact = tplc.compile(MOLECULES, MODEL, number_format=NUMBER_FORMAT, tags="conformer")
template = artifact.template("CC=O")
print(f"{artifact}: {template.tokens} tokens for CC=O, {template.passes} of them chosen")
print(template.trace("[CONFORMER][C]<1.5,-2,0>[C]<-0.25,1,1>=[O]<2,2,-2>[/CONFORMER]"))


# %%
def audited(sequences):
    """What is wrong with completions, in numbers."""
    generations = [
        {"ids": ids[prompt_length:].tolist(), "smiles": smiles} for ids, smiles in zip(sequences, MOLECULES)
    ]
    report = tplc.audit(generations, artifact, tokenizer=MODEL)
    return {key: report[key] for key in ("verdicts", "junk_tokens", "truncated")}


# %% [markdown]
# ## Not held
#
# At a temperature of 1.3 the tiny model goes astray.

# %%
torch.manual_seed(0)
free = model.generate(**prompts, max_new_tokens=400, do_sample=True, temperature=1.3, top_k=0, top_p=1.0)
print("not held:", audited(free))

# %% [markdown]
# ## Held

# %%
torch.manual_seed(0)
processor = tplc.hf.TemplateLogitsProcessor(artifact, MOLECULES)
held = model.generate(
    **prompts,
    logits_processor=[processor],
    max_new_tokens=processor.max_new_tokens,
    do_sample=True,
    temperature=1.3,
    top_k=0,
    top_p=1.0,
)
print("held:", audited(held))
assert audited(held) == {"verdicts": {"valid": len(MOLECULES)}, "junk_tokens": 0, "truncated": 0}

# %% [markdown]
# ## In fewer passes
#
# Greedy in f32, both ways say the same ids.

# %%
processor.reset()
begun = time.perf_counter()
slow = model.generate(
    **prompts, logits_processor=[processor], max_new_tokens=processor.max_new_tokens, do_sample=False
)
between = time.perf_counter()
fast = tplc.hf.generate(model, prompts, artifact, MOLECULES)
ended = time.perf_counter()
assert torch.equal(fast, slow)
print(f"generate {between - begun:.2f} s, tplc.hf.generate {ended - between:.2f} s")

# %% [markdown]
# ## Coordinates

# %%
smiles, coordinates = tplc.parse(tokenizer.decode(fast[0]))
print(smiles, coordinates, sep="\n")
assert coordinates.shape == (3, 3)
