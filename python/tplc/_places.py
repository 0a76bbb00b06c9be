"""Where texts are in their templates, as tensors: all rows of a batch move on together, and nothing leaves the device.

A place is a state and how many numbers are complete (see `tplc.Tables`). A row is the template of one text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tplc._tplc import Artifact, Tables, Template, UnknownLiteralError

DONE = 0
"""The state in which a text is complete."""


class Place(NamedTuple):
    """One entry a row."""

    state: Tensor
    number: Tensor


class DeviceTables:
    """The tables of an artifact on one device.

    An edge is found by a search for `state << 32 | token` among all. Allowed ids are one list for each mask row, as long as
    the longest; a shorter one repeats its first id, which changes nothing. A state behind all others, `astray`, is for rows
    that somebody else led away: it has no edge, and may say one id that is no end.
    """

    def __init__(self, tables: Tables, device: torch.device) -> None:
        def put(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.array(array)).to(device)

        self.astray = tables.states
        counts = np.diff(tables.first_edge)
        first = np.minimum(tables.first_edge[:-1], max(len(tables.edge_tokens) - 1, 0))
        states = np.repeat(np.arange(tables.states, dtype=np.int64), counts)
        self.edges = put(states << 32 | tables.edge_tokens)
        self.targets = put(tables.edge_targets.astype(np.int64))
        self.counts = put(np.append(counts, 0).astype(np.int64))
        self.first_token = put(tables.edge_tokens[first].astype(np.int64))
        self.first_target = put(tables.edge_targets[first].astype(np.int64))
        self.ends_number = put(np.append(tables.ends_number, False))
        self.separator = int(tables.separator)
        self.highest = int(tables.tokens[-1])
        # Any state of a mask row has its ids.
        rows, example = np.unique(tables.mask_row, return_index=True)
        lengths = counts[example]
        places = np.arange(max(int(lengths.max()), 1))
        places = np.where(places < lengths[:, None], places, 0)
        lists = tables.edge_tokens[np.minimum(first[example][:, None] + places, len(tables.edge_tokens) - 1)]
        lists = np.vstack((lists, np.full(lists.shape[1], tables.alphabet[0])))
        self.lists = put(lists.astype(np.int64))
        self.list_of = put(np.append(np.searchsorted(rows, tables.mask_row), len(rows)).astype(np.int64))

    @staticmethod
    @lru_cache(maxsize=8)
    def of(tables: Tables, device: torch.device) -> DeviceTables:
        """Those of these tables; made once for each device."""
        return DeviceTables(tables, device)

    def allowed(self, place: Place, root: Tensor) -> Tensor:
        """The ids that may come next, `(rows, ids)`, some of them more than once. `root` is where what follows the number of
        each row begins. What is said of finished rows means nothing."""
        state = place.state
        own, next = self.lists[self.list_of[state]], self.lists[self.list_of[root]]
        next = torch.where(self.ends_number[state][:, None], next, own[:, :1])
        own = torch.where(self.counts[state][:, None] > 0, own, next[:, :1])
        return torch.cat((own, next), 1)

    def behind(self, place: Place, root: Tensor, token: Tensor) -> tuple[Place, Tensor]:
        """The place of each row behind a token, and which rows refuse theirs. A refused token ends its text; a finished row
        takes any and stays."""
        edge = torch.stack((place.state, root)) << 32 | token
        found = torch.searchsorted(self.edges, edge).clamp(max=len(self.edges) - 1)
        taken = self.edges[found] == edge
        own, next = taken[0], taken[1] & self.ends_number[place.state] & ~taken[0]
        targets = self.targets[found]
        # A filled mask costs no copy from the host, which a number in `torch.where` does.
        state = torch.where(own, targets[0], targets[1].masked_fill(~next, DONE))
        return Place(state, place.number + next), ~(own | next | (place.state == DONE))

    def forced(self, place: Place, root: Tensor) -> tuple[Tensor, Place, Tensor]:
        """The token that must come next in each row, the place behind it, and in which rows there is such a token."""
        state = place.state
        ends = self.ends_number[state]
        leaves = ends & (self.counts[state] == 0)
        at = torch.where(leaves, root, state)
        only = (self.counts[at] == 1) & (leaves | ~ends)
        return self.first_token[at], Place(self.first_target[at], place.number + leaves), only


def roots_behind(template: Template) -> Tensor:
    """The root of what follows each number of a template: a separator, or the literal behind its atom. One entry more than
    there are numbers, for finished texts."""
    roots = torch.full((3 * template.atoms + 1,), template.tables.separator, device="cpu")
    roots[2::3] = torch.from_numpy(template.roots[1:].astype(np.int64))
    return roots


def root_of(roots: Tensor, number: Tensor) -> Tensor:
    """The entry of each row for the number at hand, of `roots_behind` row by row."""
    return roots.gather(1, number[:, None])[:, 0]


class Guide:
    """The templates of a batch on a device, one a row."""

    def __init__(self, templates: Sequence[Template], device: torch.device) -> None:
        shared = {template.tables for template in templates}
        if len(shared) != 1:
            raise ValueError("the rows of a batch must be of one artifact, and there must be one at least")
        self.tables = DeviceTables.of(shared.pop(), device)
        self.roots = torch.nn.utils.rnn.pad_sequence([roots_behind(one) for one in templates], batch_first=True).to(device)
        self.first = torch.tensor([int(template.roots[0]) for template in templates], device=device)

    def start(self) -> Place:
        """The beginning of each text."""
        return Place(self.first.clone(), torch.zeros_like(self.first))

    def allowed(self, place: Place) -> Tensor:
        """See `DeviceTables.allowed`."""
        return self.tables.allowed(place, self._root(place))

    def behind(self, place: Place, token: Tensor) -> tuple[Place, Tensor]:
        """See `DeviceTables.behind`."""
        return self.tables.behind(place, self._root(place), token)

    def forced(self, place: Place) -> tuple[Tensor, Place, Tensor]:
        """See `DeviceTables.forced`."""
        return self.tables.forced(place, self._root(place))

    def _root(self, place: Place) -> Tensor:
        return root_of(self.roots, place.number)


def molecules_of(smiles: Iterable[str]) -> list[str]:
    """The SMILES of a batch."""
    if isinstance(smiles, str):
        raise TypeError(f"smiles is one text, {smiles!r}: give a list of them, one for each prompt")
    molecules = list(smiles)
    if not molecules:
        raise ValueError("smiles has no molecule: give one for each prompt")
    return molecules


def templates_of(artifact: Artifact, smiles: Iterable[str]) -> list[Template]:
    """The template of each SMILES; equal ones are made once."""
    smiles = molecules_of(smiles)
    try:
        made = {text: artifact.template(text) for text in dict.fromkeys(smiles)}
    except UnknownLiteralError as error:
        raise UnknownLiteralError(
            f"{error}; decoding takes what the artifact has: tplc.compile the new molecules with its options, and tplc.merge"
        ) from error
    return [made[text] for text in smiles]


def end_of(artifact: Artifact, eos_token_id: int | None) -> int | None:
    """The token that ends a text: the artifact's own, or this where it has none."""
    if not isinstance(artifact, Artifact):
        raise TypeError(f"artifact is {artifact!r}: give an Artifact, such as tplc.Artifact.open gives of a path")
    if artifact.eos is not None and eos_token_id not in (None, artifact.eos):
        raise ValueError(
            f"eos_token_id is {eos_token_id}, and the texts of the artifact end with {artifact.eos}: "
            "leave it out, or build the artifact with eos="
        )
    return eos_token_id if artifact.eos is None else artifact.eos


def keep_only(scores: Tensor, ids: Tensor) -> Tensor:
    """Scores that are minus infinity but for these ids, `(rows, ids)`."""
    return torch.full_like(scores, -torch.inf).scatter_(1, ids, scores.gather(1, ids))
