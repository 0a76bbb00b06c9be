"""What a model is asked for: the logits of the token alphabet."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


class RestrictedHead:
    """A model whose output layer has only the rows of the token alphabet: a copy of the modules around that layer, all else
    shared with the model, which stays as it is for whoever else calls it."""

    def __init__(self, model: PreTrainedModel, alphabet: np.ndarray) -> None:
        column = np.zeros(alphabet[-1] + 1, dtype=np.int64)
        column[alphabet] = np.arange(len(alphabet))
        self.alphabet = torch.from_numpy(alphabet.astype(np.int64)).to(model.device)
        self.column = torch.from_numpy(column).to(model.device)
        narrow = with_narrow_head(model, self.alphabet)
        self.model, self.is_narrow = narrow or model, narrow is not None

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in, here and now."""
        kind = self.model.device.type
        return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else self.model.dtype

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
