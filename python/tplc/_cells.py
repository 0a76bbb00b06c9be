"""The keys and values of what rows have read: each row's in its own cells, from the first on, however far the others are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin


class Cells:
    """Where the tokens of a pass go, in all layers, and how many cells attention looks at."""

    position: Tensor
    """The cell of each token of the pass, `(rows, tokens)`."""
    row: Tensor
    """The row of each, `(rows, 1)`."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.columns = size

    def go_to(self, cell: Tensor, tokens: int) -> Tensor:
        """Lets the pass write so many tokens from this cell of each row on; returns where they go."""
        self.row = torch.arange(len(cell), device=cell.device)[:, None]
        self.position = cell[:, None] + torch.arange(tokens, device=cell.device)
        return self.position

    def mask(self, dtype: torch.dtype, groups: int = 1) -> Tensor:
        """What each token of the pass sees: the cells up to its own, as a bias `(rows, 1, groups * tokens, columns)`, all tokens
        so many times."""
        position = self.position.repeat(1, groups)
        seen = torch.arange(self.columns, device=position.device) <= position[:, None, :, None]
        return torch.zeros(seen.shape, dtype=dtype, device=position.device).masked_fill_(~seen, torch.finfo(dtype).min)

    def cache(self, layers: int) -> Cache:
        """The cache to give to a model of so many layers."""
        return Cache(layers=[_Layer(self) for _ in range(layers)])


class _Layer(CacheLayerMixin):
    """One layer of cells. A cell that was written for a token that does not exist lies behind all that the row has read, is
    hidden by the mask, and is written again when its token comes."""

    is_sliding = False
    is_compileable = True

    def __init__(self, cells: Cells) -> None:
        super().__init__()
        self.cells = cells

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        def room(states: Tensor) -> Tensor:
            rows, heads, _, width = states.shape
            return states.new_zeros(rows, heads, self.cells.size, width)

        self.keys, self.values = room(key_states), room(value_states)
        self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        row, position = self.cells.row, self.cells.position
        self.keys[row, :, position] = key_states.transpose(1, 2)
        self.values[row, :, position] = value_states.transpose(1, 2)
        return self.keys[:, :, : self.cells.columns], self.values[:, :, : self.cells.columns]

    def get_seq_length(self) -> int:
        return 0

    def get_max_cache_shape(self) -> int:
        return self.cells.size

    def get_max_length(self) -> int:
        return self.cells.size

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.cells.columns, 0
