"""What a model is asked for: the logits of the token alphabet; and whether it can be asked."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


class RestrictedHead:
    """A model whose output layer has only the rows of the token alphabet: a copy of the modules around that layer, all else
    shared with the model, which stays as it is for whoever else calls it."""

    def __init__(self, model: PreTrainedModel, alphabet: object) -> None:
        self.alphabet = torch.tensor(alphabet, dtype=torch.long, device=model.device)
        self.column = torch.zeros(int(self.alphabet[-1]) + 1, dtype=torch.long, device=model.device)
        self.column[self.alphabet] = torch.arange(len(self.alphabet), device=model.device)
        narrow = with_narrow_head(model, self.alphabet)
        self.model, self.is_narrow = narrow or model, narrow is not None

    def columns(self, ids: Tensor) -> Tensor:
        """Where the logits of ids are; of ids that are never one of several, anywhere."""
        return self.column[ids.clamp(max=len(self.column) - 1)]

    def __call__(self, ids: Tensor, **inputs: object) -> Tensor:
        """The logits of the alphabet behind each id, `(rows, ids, alphabet)`."""
        logits = self.model(input_ids=ids, return_dict=True, **inputs).logits
        return logits if self.is_narrow else logits[..., self.alphabet]


def with_narrow_head(model: PreTrainedModel, alphabet: Tensor) -> PreTrainedModel | None:
    """A model that shares all but the output layer, of which it has these rows; None where that cannot be."""
    head = model.get_output_embeddings()
    if type(head) is not nn.Linear or len(alphabet) >= head.out_features:
        return None
    path = next(name for name, module in model.named_modules() if module is head).split(".")
    around = [model]
    for name in path:
        around.append(getattr(around[-1], name))
    # A method that was laid over a module is bound to that module, not to its copy.
    if any("forward" in vars(module) or module._compiled_call_impl is not None for module in around):
        return None
    top = inner = copy.copy(model)
    for name, module in zip(path, around[1:]):
        outer, inner = inner, copy.copy(module)
        outer._modules = outer._modules | {name: inner}
    inner.out_features = len(alphabet)
    inner._parameters = {
        kind: None if value is None else nn.Parameter(value.detach()[alphabet], requires_grad=False)
        for kind, value in inner._parameters.items()
    }
    return top


def layers_of(model: PreTrainedModel, size: int) -> int:
    """The layers of a model, if it is one that cells can serve, as far as its configuration says."""
    config = model.config.get_text_config(decoder=True)
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None) or size
    if model.config.is_encoder_decoder or kinds - {"full_attention", "sliding_attention"} or window < size:
        raise ValueError(
            f"tplc.hf.generate needs a decoder whose attention sees all of {size} tokens: "
            "use TemplateLogitsProcessor for this model"
        )
    if config._attn_implementation not in ("sdpa", "eager"):
        raise ValueError('tplc.hf.generate needs a model with attn_implementation="sdpa" or "eager"')
    if len({parameter.device for parameter in model.parameters()}) > 1:
        raise ValueError(
            "tplc.hf.generate needs a model on one device, and this one lies on several: "
            "use TemplateLogitsProcessor for this model"
        )
    return config.num_hidden_layers
