"""How a model is read: through cells, for the logits of the token alphabet."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel

from tplc._cells import Cells
from tplc._copies import with_own
from tplc._grouped import with_grouped_attention


class Reader:
    """A model whose output layer has only the rows of the token alphabet, and whose attention copies no keys; or the model itself,
    where that cannot be."""

    def __init__(self, model: PreTrainedModel, alphabet: np.ndarray, grouped: bool = True) -> None:
        column = np.zeros(alphabet[-1] + 1, dtype=np.int64)
        column[alphabet] = np.arange(len(alphabet))
        self.alphabet = torch.from_numpy(alphabet.astype(np.int64)).to(model.device)
        self.column = torch.from_numpy(column).to(model.device)
        narrow = with_narrow_head(model, self.alphabet)
        self.model, self.is_narrow = narrow or model, narrow is not None
        self.model, self.groups = with_grouped_attention(self.model) if grouped else (self.model, 1)

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in, here and now."""
        kind = self.model.device.type
        return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else self.model.dtype

    def columns(self, ids: Tensor) -> Tensor:
        """Where the logits of ids are; of ids that are never one of several, anywhere."""
        return self.column[ids.clamp(max=len(self.column) - 1)]

    def __call__(self, ids: Tensor, position: Tensor, cells: Cells, cache: Cache) -> Tensor:
        """The logits of the alphabet behind each id, `(rows, ids, alphabet)`; the cells are those of this pass."""
        mask = cells.mask(self.dtype, self.groups)
        inputs = {"input_ids": ids, "position_ids": position, "attention_mask": mask, "past_key_values": cache}
        logits = self.model(**inputs, use_cache=True, return_dict=True).logits
        return logits if self.is_narrow else logits[..., self.alphabet]


def with_narrow_head(model: PreTrainedModel, alphabet: Tensor) -> PreTrainedModel | None:
    """A model that shares all but the output layer, of which it has these rows; None where that cannot be."""
    head = model.get_output_embeddings()
    if type(head) is not nn.Linear or len(alphabet) >= head.out_features:
        return None
    name = next(name for name, module in model.named_modules() if module is head)
    own = with_own(model, [name])
    if own is None:
        return None
    narrow = own.get_submodule(name)
    narrow.out_features = len(alphabet)
    narrow._parameters = {
        kind: None if value is None else nn.Parameter(value.detach()[alphabet], requires_grad=False)
        for kind, value in narrow._parameters.items()
    }
    return own
