"""Where texts are in their templates, as tensors: all rows of a batch move on together, and nothing leaves the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tplc._heads import roots_behind
from tplc._tables import DeviceTables
from tplc._tplc import Template


class Place(NamedTuple):
    """One entry a row: its heads (see `tplc._heads`), and its number, which counts on from row to row."""

    heads: Tensor
    number: Tensor


class Guide:
    """The templates of a batch on a device, `each` rows of one after the other. `end` is what finished texts say, where the
    artifact has no such token."""

    def __init__(
        self, templates: Sequence[Template], device: torch.device, end: int | None = None, each: int = 1
    ) -> None:
        shared = {template.tables for template in templates}
        if len(shared) != 1:
            raise ValueError("the rows of a batch must be of one artifact, and there must be one at least")
        tables = shared.pop()
        self.tables = DeviceTables.of(tables, tables.eos if end is None else end, device)
        roots = [torch.from_numpy(roots_behind(template)) for template in templates]
        self.roots = torch.nn.utils.rnn.pad_sequence(roots, batch_first=True).to(device)
        first = torch.tensor([int(template.roots[0]) + 1 for template in templates], device=device)
        self.first = first.repeat_interleave(each)
        self.zeroth = (torch.arange(len(roots), device=device) * self.roots.shape[1]).repeat_interleave(each)

    def start(self) -> tuple[Tensor, Tensor]:
        """State and number of each text at its beginning."""
        return self.first.clone(), self.zeroth.clone()

    def at(self, state: Tensor, number: Tensor) -> Place:
        """The place of each row."""
        return Place(self.tables.heads(state, self.roots.take(number)), number)

    def allowed(self, place: Place) -> Tensor:
        """See `DeviceTables.allowed`."""
        return self.tables.allowed(place.heads)

    def behind(self, place: Place, token: Tensor) -> tuple[Tensor, Tensor]:
        """See `DeviceTables.behind`."""
        return self.tables.behind(place.heads, place.number, token)


def keep_only(scores: Tensor, ids: Tensor) -> Tensor:
    """Scores that are minus infinity but for these ids, `(rows, ids)`."""
    return torch.full_like(scores, -torch.inf).scatter_(1, ids, scores.gather(1, ids))
