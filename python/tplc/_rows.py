"""The texts of a batch from call to call of a processor: which rows go on from which, and where each is in its template."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import pad

from tplc._heads import ASTRAY
from tplc._places import Guide, Place


class Rows(ABC):
    """Rows of ids behind prompts of one length."""

    def __init__(self, guide: Guide, ids: Tensor) -> None:
        """At the start: `ids` are the prompts."""
        self.guide, self.device, self.rows = guide, ids.device, len(ids)
        self.prompt = self.length = ids.shape[1]
        self.places = [guide.at(*guide.start())]

    @property
    def place(self) -> Place:
        """The place of each row."""
        return self.places[-1]

    def go_on(self, ids: Tensor) -> bool:
        """Goes on to the end of `ids`, by their last token; or does not, and says so, where they are other texts."""
        if len(ids) != self.rows or ids.device != self.device or ids.shape[1] <= self.prompt:
            return False
        return self._go_on(ids)

    @abstractmethod
    def _go_on(self, ids: Tensor) -> bool: ...

    def lost(self, ids: Tensor) -> Tensor:
        """Which rows of `ids`, the last that it went on to, are astray."""
        return self.place.heads[:, 0] == ASTRAY


class SingleRows(Rows):
    """One row for each prompt, which stays in its place. The place before each token is kept: assisted decoding takes tokens
    back, and puts another in the place of the last."""

    def __init__(self, guide: Guide, ids: Tensor) -> None:
        super().__init__(guide, ids)
        self.seen = pad(ids, (0, 256))

    def _go_on(self, ids: Tensor) -> bool:
        length = ids.shape[1]
        if length > self.length + 1 or length <= self.length and not torch.equal(ids[:, :-1], self.seen[:, : length - 1]):
            return False
        if length > self.seen.shape[1]:
            self.seen = pad(self.seen, (0, 256))
        # `generate` may write into its own tensor.
        self.seen[:, length - 1] = ids[:, -1]
        at = length - 1 - self.prompt
        behind = self.guide.behind(self.places[at], ids[:, -1])
        self.places[at + 1 :] = [self.guide.at(*behind)]
        self.length = length
        return True

    def lost(self, ids: Tensor) -> Tensor:
        # Ids that are not those that were followed, token by token, are of another prompt.
        return super().lost(ids) | (ids != self.seen[:, : self.length]).any(1)


class BeamRows(Rows):
    """Several rows for each prompt, which change places from call to call. A row goes on from one of the same ids: sums of
    ids, by weights as good as random, tell which. One that goes on from none is astray."""

    def __init__(self, guide: Guide, ids: Tensor, each: int) -> None:
        super().__init__(guide, ids)
        self.shape = self.rows // each, each
        prompts = ids.reshape(*self.shape, self.length)
        if not torch.equal(prompts, prompts[:, :1].expand_as(prompts)):
            raise ValueError(f"other prompts than {self.shape[0]} for as many molecules: give one SMILES for each prompt")
        self.sums = (ids * weights(self.length, ids.device)).sum(1)
        self.first = torch.arange(0, self.rows, each, device=ids.device)[:, None]

    def _go_on(self, ids: Tensor) -> bool:
        if ids.shape[1] != self.length + 1:
            return False
        self.length += 1
        token, weight = ids[:, -1], weights(self.length, self.device)
        sums = (ids[:, :-1] * weight[:-1]).sum(1)
        found, parent = (sums.view(*self.shape, 1) == self.sums.view(self.shape[0], 1, -1)).int().max(-1)
        parent = (parent + self.first).flatten()
        state, number = self.guide.behind(Place(self.place.heads[parent], self.place.number[parent]), token)
        self.places = [self.guide.at(state * found.flatten(), number)]
        self.sums = torch.addcmul(sums, token, weight[-1])
        return True


@lru_cache(maxsize=8)
def _weights(size: int, device: torch.device) -> Tensor:
    drawn = torch.randint(-(2**63), 2**63 - 1, (size,), generator=torch.Generator().manual_seed(0), device="cpu")
    return drawn.to(device)


def weights(length: int, device: torch.device) -> Tensor:
    """Of each position of a text, the same in all calls of a process; made for some hundreds more at a time."""
    return _weights(-(-length // 1024) * 1024, device)[:length]
