"""Heads on a device: what may come next, and where it leads."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tplc._heads import DONE, Heads
from tplc._tplc import Tables

DENSE = 1 << 23
"""Edges are written out, heads by tokens, in up to so many entries (64 MiB); beyond, they are searched."""


class DenseEdges:
    """Where each token leads from each head, 0 where nowhere."""

    def __init__(self, heads: Heads, device: torch.device) -> None:
        known, columns = np.unique(heads.edge_tokens, return_inverse=True)
        self.width = len(known) + 1
        targets = np.zeros((2 * heads.size, self.width), np.int64)
        targets[heads.edge_heads, columns] = heads.edge_targets
        targets[DONE] = DONE
        # The last entry, which is that of -1 too, is for all ids that no edge has.
        column = np.full(known[-1] + 2, len(known))
        column[known] = np.arange(len(known))
        self.targets, self.column = on(device, targets), on(device, column)

    @staticmethod
    def entries(heads: Heads) -> int:
        """How many there would be."""
        return 2 * heads.size * (len(np.unique(heads.edge_tokens)) + 1)

    def behind(self, heads: Tensor, token: Tensor) -> Tensor:
        """Where the token of each row leads from each of its heads."""
        column = self.column[token.clamp(-1, len(self.column) - 1)]
        return self.targets.take(torch.add(column[:, None], heads, alpha=self.width))


class SparseEdges:
    """The same by a search among all edges, in three operations more."""

    def __init__(self, heads: Heads, device: torch.device) -> None:
        # Behind all others is an edge that nobody asks for, so that a search always ends at one.
        self.edges = on(device, np.append(heads.edge_heads << 32 | heads.edge_tokens, np.iinfo(np.int64).max))
        self.targets = on(device, np.append(heads.edge_targets, 0))
        self.otherwise = on(device, np.where(np.arange(2 * heads.size) == DONE, DONE, 0))

    def behind(self, heads: Tensor, token: Tensor) -> Tensor:
        """See `DenseEdges.behind`."""
        edge = torch.add(token[:, None], heads, alpha=1 << 32)
        found = torch.searchsorted(self.edges, edge)
        return torch.where(self.edges[found] == edge, self.targets[found], self.otherwise[heads])


class DeviceTables:
    """The tables of an artifact on one device. `end` is what texts say that are done."""

    def __init__(self, tables: Tables, end: int | None, device: torch.device) -> None:
        heads = Heads(tables)
        self.size, self.highest = heads.size, int(tables.tokens[-1])
        self.edges = (DenseEdges if DenseEdges.entries(heads) <= DENSE else SparseEdges)(heads, device)
        self.heads_of = on(device, heads.of_states())
        self.lists, self.list_of = (on(device, array) for array in heads.lists(tables, end))

    @staticmethod
    @lru_cache(maxsize=8)
    def of(tables: Tables, end: int | None, device: torch.device) -> DeviceTables:
        """Those of these tables; made once for each device."""
        return DeviceTables(tables, end, device)

    def heads(self, state: Tensor, root: Tensor) -> Tensor:
        """The two heads of each row, `(rows, 2)`. `root` is that of what follows the number of the row."""
        return torch.minimum(self.heads_of[state], root[:, None])

    def allowed(self, heads: Tensor) -> Tensor:
        """The ids that may come next, `(rows, ids)`, some of them more than once."""
        return self.lists[self.list_of[heads]].flatten(1)

    def behind(self, heads: Tensor, number: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
        """The state of each row behind a token, and how many numbers are complete. A text that is refused its token goes
        astray, and one that is done takes any."""
        state = self.edges.behind(heads, token).amax(1)
        return state, number + (state >= self.size)


class ForcedRuns:
    """What comes without a choice, up to `most` tokens of it at a time, by the first head of a place: there are none behind a
    head that is one of two. Behind `tokens[head, :count]` lies `states[head, count]`, which for a count of 0 is the place
    itself, though written as the root that it leaves for; `decides` tells where there is a choice."""

    def __init__(self, tables: Tables, most: int, device: torch.device) -> None:
        heads = Heads(tables)
        tokens, lengths, states = heads.runs(most)
        self.tokens, self.lengths, self.states = (on(device, array) for array in (tokens, lengths, states))
        self.decides = on(device, (lengths == 0) & (heads.counts > 0))

    @staticmethod
    @lru_cache(maxsize=8)
    def of(tables: Tables, most: int, device: torch.device) -> ForcedRuns:
        """Those of these tables; made once for each device."""
        return ForcedRuns(tables, most, device)


def on(device: torch.device, array: NDArray[Any]) -> Tensor:
    """A copy of an array on a device."""
    return torch.from_numpy(np.array(array)).to(device)
