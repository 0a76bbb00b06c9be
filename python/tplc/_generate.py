"""`tplc.hf.generate`: what `generate` of `transformers` takes and returns, by a decoder of our own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.generation import GenerateDecoderOnlyOutput

from tplc._arguments import end_of, templates_of
from tplc._decoder import Decoder, Sampling
from tplc._tplc import Artifact


def generate(
    model: PreTrainedModel,
    prompts: Tensor | Mapping[str, Tensor],
    artifact: Artifact,
    smiles: Sequence[str],
    *,
    attention_mask: Tensor | None = None,
    do_sample: bool = False,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    generator: torch.Generator | None = None,
    num_return_sequences: int = 1,
    max_new_tokens: int | None = None,
    pad_token_id: int | None = None,
    eos_token_id: int | None = None,
    return_dict_in_generate: bool = False,
    run: int = 4,
    cuda_graphs: bool | None = None,
    **others: NoReturn,
) -> Tensor | GenerateDecoderOnlyOutput:
    """Generates the completion of each prompt under the template of its molecule, in fewer and cheaper passes.

    >>> sequences = tplc.hf.generate(model, prompts, artifact, smiles, do_sample=True, temperature=0.7, top_p=0.8)

    `prompts` is what a tokenizer returns (`input_ids`, `attention_mask`), or the ids; padding on either side is left out by
    the mask. Without one, every id is read, where `model.generate` guesses what is padding. `smiles` has one SMILES for each
    prompt. The answer is that of `model.generate`: prompts as they came, with the completions behind them, padded on the
    right; with `return_dict_in_generate`, an output that has `sequences` and nothing else.

    Nothing is taken from `model.generation_config` but the padding; what is not given is off. `generator` makes draws
    repeatable; `num_return_sequences` is for draws, too. `run` bounds the tokens that a row reads in one pass. What the
    processor says greedily this says too where the model is f32; in half precision, passes of another width round otherwise,
    and close choices may fall otherwise.

    On a GPU, passes are recorded as CUDA graphs where the model's class says that it can be compiled and a pass does not
    ask the host; `cuda_graphs=False` goes without, and `True` raises where they cannot be had. Each call records for itself,
    once for each 256 cells: a call for a few tokens is better off without.

    The first call with a model tries on a few tokens that it can be decoded so; others are a `ValueError`, as are texts so long
    that the model counts positions in another way (`longrope` and `dynamic` scaling, beyond their original length). Logits without
    a finite choice are a `MatcherError`. The model is not changed, and other threads may call it: what is read is a copy that
    shares its weights, where heads that share keys and values (`sdpa`) are read without a copy of them for each.
    """
    if others:
        raise TypeError(
            f"tplc.hf.generate takes no {' and no '.join(others)}: prompts are one argument, in their place, and "
            "TemplateLogitsProcessor serves all that model.generate can do"
        )
    # Passes of another width each time would be compiled again and again: what was wrapped by `torch.compile` is read as it is.
    model = getattr(model, "_orig_mod", model)
    if isinstance(prompts, Tensor):
        ids, mask = prompts, attention_mask
    else:
        ids = prompts["input_ids"]
        mask = attention_mask if attention_mask is not None else prompts.get("attention_mask")
    for name, value in {"num_return_sequences": num_return_sequences, "max_new_tokens": max_new_tokens, "run": run}.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}: give one at least")
    if ids.dim() != 2:
        raise ValueError(f"prompts have the shape {tuple(ids.shape)}: give a row of ids for each prompt")
    if mask is not None and mask.shape != ids.shape:
        raise ValueError(f"attention_mask has the shape {tuple(mask.shape)}, and prompts {tuple(ids.shape)}")
    if num_return_sequences > 1 and not do_sample:
        raise ValueError(f"num_return_sequences is {num_return_sequences} without do_sample=True: they would be the same")
    end, templates = end_of(artifact, eos_token_id), templates_of(artifact, smiles)
    if len(ids) != len(templates):
        raise ValueError(f"{len(ids)} prompts for {len(templates)} molecules: give one SMILES for each prompt")
    sampling = Sampling(do_sample, temperature, top_k, top_p, min_p, generator)
    ids = ids.to(model.device, torch.long)
    templates = [one for one in templates for _ in range(num_return_sequences)]
    ids = ids.repeat_interleave(num_return_sequences, 0)
    mask = torch.ones_like(ids) if mask is None else mask.to(ids).repeat_interleave(num_return_sequences, 0)
    if not mask.any(1).all():
        raise ValueError("a prompt has no token")
    pad = next(
        (id for id in (pad_token_id, model.generation_config.pad_token_id, end) if id is not None),
        0,
    )
    with torch.no_grad():
        decoder = Decoder(model, templates, ids, mask.bool(), sampling, run, max_new_tokens)
        decoder.decode(cuda_graphs if ids.is_cuda else False)
        sequences = torch.cat((ids, decoder.completions(pad, end if artifact.eos is None else None)), 1)
    return GenerateDecoderOnlyOutput(sequences=sequences) if return_dict_in_generate else sequences
