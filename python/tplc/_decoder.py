"""Decoding with forced runs, over any causal model of `transformers`.

A pass reads of each row up to `run` tokens that the model has not read: the one that was chosen, and those behind it that
come without a choice. It ends with choosing a token where all were read and there is a choice. A pass is a fixed sequence of
tensor operations without a look at their results, so on a GPU it is recorded once and replayed.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from threading import get_ident

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.generation import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from tplc._cells import Cells
from tplc._heads import ASTRAY, DONE
from tplc._places import Guide, Place, keep_only
from tplc._probe import check_length, layers_of, reader_of
from tplc._tables import ForcedRuns
from tplc._tplc import MatcherError, Template

LOOK_EVERY = 8
"""Passes between two looks at whether all rows are finished, on a GPU."""
BUCKET = {"cuda": 256}
"""Attention looks at a multiple of so many cells; elsewhere of 64. A GPU records a graph for each multiple."""


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen among those that may come."""

    do_sample: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        settings = {name: getattr(self, name) for name in ("temperature", "top_k", "top_p", "min_p")}
        given = [name for name, value in settings.items() if value is not None]
        if given and not self.do_sample:
            raise ValueError(f"{' and '.join(given)} without do_sample=True: a greedy choice takes no notice of it")
        if self.temperature is not None and not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}: give a positive number, or do_sample=False")
        if self.top_k is not None and self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k}: give how many tokens to choose from, or 0 for all")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}: give a share above 0 and up to 1")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p is {self.min_p}: give a share from 0 to 1")

    def warpers(self) -> LogitsProcessorList:
        """Those of `generate`, in its order."""
        warpers = LogitsProcessorList()
        if self.do_sample:
            if self.temperature is not None and self.temperature != 1.0:
                warpers.append(TemperatureLogitsWarper(self.temperature))
            if self.top_k:
                warpers.append(TopKLogitsWarper(self.top_k))
            if self.top_p is not None and self.top_p < 1.0:
                warpers.append(TopPLogitsWarper(self.top_p))
            if self.min_p:
                warpers.append(MinPLogitsWarper(self.min_p))
        return warpers


@lru_cache(maxsize=32)
def recording_stream(device: torch.device, thread: int) -> torch.cuda.Stream:
    """Where a thread records its passes on a device. The same one each time: libraries keep room for every stream they saw."""
    return torch.cuda.Stream(device)


class Decoder:
    """The rows of a batch while they are written. All tensors stay where they are; a pass changes what is in them."""

    def __init__(
        self,
        model: PreTrainedModel,
        templates: Sequence[Template],
        ids: Tensor,
        mask: Tensor,
        sampling: Sampling,
        run: int,
        max_new_tokens: int | None,
    ) -> None:
        device, rows = ids.device, len(ids)
        self.model, self.sampling, self.run, self.warpers = model, sampling, run, sampling.warpers()
        self.guide = Guide(templates, device)
        known = model.get_input_embeddings().num_embeddings
        if self.guide.tables.highest >= known:
            raise ValueError(f"the model knows {known} ids: the artifact is of another tokenizer")
        self.state, self.number = self.guide.start()
        self.forced = ForcedRuns.of(templates[0].tables, run, device)
        self.ahead = torch.arange(run, device=device)
        self.prompt = mask.sum(1)
        longest, most = int(self.prompt.max()), max(template.tokens[1] for template in templates)
        most = most if max_new_tokens is None else min(most, max_new_tokens)
        self.longest_prompt, self.limit = longest, self.prompt + most
        # The last token of a row is never read: a model with learned positions may have none for it.
        check_length(model, longest + most - 1)
        self.last_position = (self.limit - 2)[:, None]
        self.bucket = BUCKET.get(device.type, 64)
        # A pass writes behind the end of a row what no token of any row looks at.
        self.cells = Cells(self._rounded(longest + most + run))
        self.most = self.cells.size if max_new_tokens is None else max_new_tokens
        self.tokens = ids.new_zeros(rows, self.cells.size)
        # Prompts begin at the first cell, in their order.
        order = mask.logical_not().int().argsort(dim=1, stable=True)
        self.tokens[:, : ids.shape[1]] = (ids * mask).gather(1, order)[:, : self.cells.size]
        self.length, self.read = self.prompt.clone(), torch.zeros_like(self.prompt)
        self.failed = torch.zeros_like(self.prompt, dtype=torch.bool)
        self.cache = self.cells.cache(layers_of(model, self.cells.size))
        self.reader, asks = reader_of(model, templates[0].tables.alphabet, self.cells.size)
        self.can_record = ids.is_cuda and not asks and bool(getattr(model, "_can_compile_fullgraph", False))
        self.pool = torch.cuda.graph_pool_handle() if ids.is_cuda else None

    def decode(self, graphs: bool | None = None) -> None:
        """Writes all rows to their ends: with recorded passes, without, or with them where that can be."""
        look_every = LOOK_EVERY if self.tokens.is_cuda else 1
        recorded: dict[int, torch.cuda.CUDAGraph] = {}
        records = self.can_record if graphs is None else graphs
        self._look_at(self.longest_prompt + self.run)
        self._pass(self.longest_prompt + self.run)
        while longest := self._longest():
            self._look_at(longest + look_every * self.run)
            for _ in range(look_every):
                if self.cells.columns in recorded:
                    recorded[self.cells.columns].replay()
                    continue
                self._pass(self.run)
                if records:
                    try:
                        recorded[self.cells.columns] = self._record()
                    except RuntimeError as error:
                        if graphs:
                            raise
                        records = False
                        warnings.warn(f"a pass cannot be recorded, so there are no CUDA graphs: {error}", stacklevel=3)

    def _longest(self) -> int:
        """The tokens of the longest row that is not finished, 0 if all are; raises where one cannot be. This waits for the
        device."""
        failed, longest = torch.stack((self.failed.any(), (self.length * (self.state != DONE)).max())).tolist()
        if failed:
            row = int(self.failed.int().argmax())
            token, position = int(self.tokens[row, self.length[row] - 1]), int(self.length[row] - self.prompt[row]) - 1
            error = MatcherError(
                f"row {row} has nothing to choose from at position {position}: the logits of all tokens that its template "
                "allows are minus infinity, or one is no finite number; look for overflows or a broken checkpoint"
            )
            error.row, error.token, error.position = row, token, position
            raise error
        return longest

    def _look_at(self, cells: int) -> None:
        self.cells.columns = min(self._rounded(cells), self.cells.size)

    def _rounded(self, cells: int) -> int:
        return -(-cells // self.bucket) * self.bucket

    def _record(self) -> torch.cuda.CUDAGraph:
        """A pass, recorded; nothing of it is run."""
        with suppress(torch.OutOfMemoryError):
            return self._recorded()
        # A recording gets nothing of what the allocator keeps of earlier passes.
        torch.cuda.empty_cache()
        return self._recorded()

    def _recorded(self) -> torch.cuda.CUDAGraph:
        device, graph = self.tokens.device, torch.cuda.CUDAGraph()
        if self.sampling.generator is not None:
            graph.register_generator_state(self.sampling.generator)
        here, aside = torch.cuda.current_stream(device), recording_stream(device, get_ident())
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            # What other threads do meanwhile is theirs.
            graph.capture_begin(pool=self.pool, capture_error_mode="thread_local")
            try:
                self._pass(self.run)
            finally:
                graph.capture_end()
        here.wait_stream(aside)
        return graph

    def _pass(self, width: int) -> None:
        """Reads up to `width` tokens of each row, and chooses the next where that is due."""
        self._force(width)
        position = self.cells.go_to(self.read, width)
        ids = self.tokens.gather(1, position)
        logits = self.reader(ids, position.minimum(self.last_position), self.cells, self.cache)
        fresh = (self.length - self.read).clamp(max=width)
        last = (fresh - 1).clamp(min=0)[:, None, None].expand(-1, 1, logits.shape[2])
        place = self.guide.at(self.state, self.number)
        token, sound = self._choose(logits.gather(1, last)[:, 0].float(), place)
        self.read += fresh
        chooses = (self.read == self.length) & self.forced.decides[place.heads[:, 0]]
        state, number = self.guide.behind(place, token)
        fails = (state == ASTRAY) | ~sound
        self.failed |= chooses & fails
        self._append(token, state.masked_fill(fails, DONE), number, chooses)

    def _force(self, width: int) -> None:
        """Appends to each row what comes without a choice, as far as there is room in this pass. All of the run is written:
        nobody looks at what lies behind the end of a row."""
        head = self.guide.at(self.state, self.number).heads[:, 0]
        room = self.limit.minimum(self.read + width) - self.length
        count = self.forced.lengths[head].minimum(room)
        self.tokens.scatter_(1, self.length[:, None] + self.ahead, self.forced.tokens[head])
        self.length += count
        state = self.forced.states[head, count]
        self.number += state >= self.guide.tables.size
        self.state.copy_(state.masked_fill(self.length >= self.limit, DONE))

    def _append(self, token: Tensor, state: Tensor, number: Tensor, wanted: Tensor) -> None:
        """Appends a token to the rows that want it."""
        at = self.length[:, None]
        self.tokens.scatter_(1, at, torch.where(wanted[:, None], token[:, None], self.tokens.gather(1, at)))
        self.length += wanted
        state = state.masked_fill(self.length >= self.limit, DONE)
        self.state.copy_(torch.where(wanted, state, self.state))
        self.number.copy_(torch.where(wanted, number, self.number))

    def _choose(self, logits: Tensor, place: Place) -> tuple[Tensor, Tensor]:
        """A token for each row, and whether it was there to choose; what is said of rows without a choice means nothing."""
        allowed = self.reader.columns(self.guide.allowed(place))
        scores = self.warpers(self.tokens, keep_only(logits, allowed))
        sound = scores.amax(-1).isfinite()
        if self.sampling.do_sample:
            # The first of exponential clocks to ring.
            clocks = torch.empty_like(scores).exponential_(generator=self.sampling.generator)
            scores = scores.softmax(-1) / clocks
        return self.reader.alphabet[scores.argmax(-1)], sound

    def completions(self, pad: int, end: int | None) -> Tensor:
        """What was written behind the prompts, padded; and `end` behind it, where templates have no end of their own."""
        said = self.length - self.prompt
        size = said if end is None else (said + 1).clamp(max=self.most)
        at = torch.arange(int(size.max()), device=size.device)
        written = self.tokens.gather(1, (self.prompt[:, None] + at).clamp(max=self.tokens.shape[1] - 1))
        if end is not None:
            written = written.masked_fill(at == said[:, None], end)
        return written.masked_fill(at >= size[:, None], pad)
