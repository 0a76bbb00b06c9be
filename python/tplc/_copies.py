"""Models that share everything with another, but for some modules of their own."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from torch import nn
from transformers import PreTrainedModel


def with_own(model: PreTrainedModel, names: Iterable[str]) -> PreTrainedModel | None:
    """A model whose modules of these names, and those around them, are copies; it shares all else with the other, which stays as
    it is for whoever calls it. None where that cannot be."""
    own = {"": _copied(model)}
    for name in names:
        outer = ""
        for part in name.split("."):
            inner = f"{outer}.{part}"
            if inner not in own:
                own[inner] = own[outer]._modules[part] = _copied(getattr(own[outer], part))
            outer = inner
    # A method that was laid over a module is bound to that module, not to its copy.
    if any("forward" in vars(module) or module._compiled_call_impl is not None for module in own.values()):
        return None
    return own[""]


def _copied(module: nn.Module) -> nn.Module:
    copied = copy.copy(module)
    copied._modules = dict(module._modules)
    return copied
