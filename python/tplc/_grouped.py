"""Attention of heads that share keys and values, as of as many tokens more: transformers copies the keys and values for each head
where there is a mask."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

from tplc._copies import with_own

NAME = "tplc_grouped"
"""Of this attention among those that transformers knows."""


def grouped_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """What `sdpa` of transformers gives. The mask has a line for each token of the first of the heads that share, of the second,
    and so on."""
    rows, heads, tokens, width = query.shape
    query = query.reshape(rows, key.shape[1], -1, width)
    seen = scaled_dot_product_attention(query, key, value, attention_mask, dropout_p=dropout, scale=scaling)
    return seen.view(rows, heads, tokens, -1).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, grouped_attention)


def with_grouped_attention(model: PreTrainedModel) -> tuple[PreTrainedModel, int]:
    """A model with this attention, and how many heads share keys and values; the same model and 1 where none do, or its attention
    is another than `sdpa`."""
    attention = {name: module for name, module in model.named_modules() if hasattr(module, "num_key_value_groups")}
    groups = {module.num_key_value_groups for module in attention.values()}
    kinds = {getattr(getattr(module, "config", None), "_attn_implementation", None) for module in attention.values()}
    own = with_own(model, attention) if len(groups) == 1 and 1 not in groups and kinds == {"sdpa"} else None
    if own is None:
        return model, 1
    config = copy.deepcopy(model.config.get_text_config(decoder=True))
    config._attn_implementation = NAME
    for name in attention:
        own.get_submodule(name).config = config
    return own, groups.pop()
