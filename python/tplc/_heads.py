"""The tables of an artifact, arranged so that a step of a text is a few gathers without a branch.

A state is one of `tplc.Tables` plus one: 0 is `ASTRAY`, of texts that said what they may not, and 1 is `DONE`. Neither is left.

Edges are looked up at *heads*. A place has two: its own state's, which is that state, and where a number may end, that of the
root behind the number, which is the root's state plus `size`; both are the same one where the other has no edges. What the edges of
a root's head lead to is written with that `size` too, so where a text got to says whether a number was completed on the way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tplc._tplc import Tables, Template

ASTRAY, DONE = 0, 1

Int64s = NDArray[np.int64]


class Heads:
    """The edges of all heads, `2 * size` of them, by head and token; and how many each head has."""

    def __init__(self, tables: Tables) -> None:
        self.size = size = tables.states + 1
        counts = np.append(0, np.diff(tables.first_edge))
        head = np.repeat(np.arange(size), counts)
        target = tables.edge_targets.astype(np.int64) + 1
        self.edge_heads: Int64s = np.concatenate((head, head + size))
        self.edge_tokens: Int64s = np.tile(tables.edge_tokens.astype(np.int64), 2)
        # Whether the end completes a number matters to nobody.
        self.edge_targets: Int64s = np.concatenate((target, np.where(target == DONE, DONE, target + size)))
        self.counts: Int64s = np.tile(counts, 2)
        self.ends = np.tile(np.append(False, tables.ends_number), 2)

    def of_states(self) -> Int64s:
        """The two heads of each state; one that no head has, and larger, in the place of its root's."""
        own, root = np.tile(np.arange(self.size), 2), 2 * self.size
        return np.stack((np.where(self.ends & (self.counts == 0), root, own), np.where(self.ends, root, own)), 1)

    def lists(self, tables: Tables, end: int | None) -> tuple[Int64s, Int64s]:
        """Lists of ids, all as long as the longest, as a shorter one repeats its first; and the list of each head. A done text
        says its end. One that is astray says some id that is no end."""
        # Any state of a mask row has its ids.
        rows, example = np.unique(tables.mask_row, return_index=True)
        lengths = self.counts[example + 1]
        column = np.arange(max(int(lengths.max()), 1))
        at = np.where(column < lengths[:, None], column, 0) + tables.first_edge[example][:, None]
        lists = tables.edge_tokens[np.minimum(at, len(tables.edge_tokens) - 1)]
        astray = tables.alphabet[0]
        others = np.repeat([[astray], [astray if end is None else end]], lists.shape[1], axis=1)
        list_of = np.append([0, 1], np.searchsorted(rows, tables.mask_row[1:]) + 2)
        return np.vstack((others, lists)).astype(np.int64), np.tile(list_of, 2).astype(np.int64)

    def runs(self, most: int) -> tuple[Int64s, Int64s, Int64s]:
        """From each head, the tokens that come without a choice, up to so many; how many they are; and the state behind each
        count of them. A run ends where a number may end: what follows is another head's."""
        first = np.minimum(np.searchsorted(self.edge_heads, np.arange(2 * self.size)), len(self.edge_heads) - 1)
        at = np.arange(2 * self.size)
        goes_on = (self.counts == 1) & ~self.ends
        tokens, states = np.zeros((len(at), most), np.int64), np.repeat(at[:, None], most + 1, axis=1)
        lengths = np.zeros_like(at)
        for step in range(most):
            goes = goes_on[at]
            lengths += goes
            tokens[:, step] = np.where(goes, self.edge_tokens[first[at]], 0)
            states[:, step + 1] = at = np.where(goes, self.edge_targets[first[at]], at)
        return tokens, lengths, states


def roots_behind(template: Template) -> Int64s:
    """The head of the root of what follows each number of a template: a separator, or the literal behind its atom. One entry
    more than there are numbers, for finished texts."""
    tables = template.tables
    roots = np.full(3 * template.atoms + 1, tables.separator, np.int64)
    roots[2::3] = template.roots[1:]
    size = tables.states + 1
    return roots + 1 + size
