"""Decoding with forced runs, over any causal model of `transformers`.

A pass reads of each row up to `run` tokens that the model has not read: the one that was chosen, and those behind it that
come without a choice. It ends with choosing a token where all were read and there is a choice. A pass is a fixed sequence of
tensor operations without a look at their results, so on a GPU it is recorded once and replayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
from tplc._head import RestrictedHead, layers_of
from tplc._places import DONE, Guide, Place, keep_only
from tplc._tplc import Template

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
        self.prompt = mask.sum(1)
        longest, most = int(self.prompt.max()), max(template.tokens[1] for template in templates)
        most = most if max_new_tokens is None else min(most, max_new_tokens)
        self.longest_prompt, self.limit = longest, self.prompt + most
        self.bucket = BUCKET.get(device.type, 64)
        # A pass writes behind the end of a row what no token of any row looks at.
        self.cells = Cells(self._rounded(longest + most + run))
        self.most = self.cells.size if max_new_tokens is None else max_new_tokens
        self.tokens = ids.new_zeros(rows, self.cells.size)
        # Prompts begin at the first cell, in their order.
        order = mask.logical_not().int().argsort(dim=1, stable=True)
        self.tokens[:, : ids.shape[1]] = (ids * mask).gather(1, order)[:, : self.cells.size]
        self.length, self.read = self.prompt.clone(), torch.zeros_like(self.prompt)
        self.head = RestrictedHead(model, templates[0].tables.alphabet)
        self.cache = self.cells.cache(layers_of(model, self.cells.size))
        self.pool = torch.cuda.graph_pool_handle() if ids.is_cuda else None

    @property
    def can_record(self) -> bool:
        """Whether the model's class says that a pass can be recorded."""
        return bool(getattr(self.model, "_can_compile_fullgraph", False))

    def decode(self, graphs: bool) -> None:
        """Writes all rows to their ends."""
        look_every = LOOK_EVERY if self.tokens.is_cuda else 1
        recorded: dict[int, torch.cuda.CUDAGraph] = {}
        self._look_at(self.longest_prompt + self.run)
        self._pass(self.longest_prompt + self.run)
        while not bool((self.state == DONE).all()):
            self._look_at(int(self.length.max()) + look_every * self.run)
            for _ in range(look_every):
                if self.cells.columns in recorded:
                    recorded[self.cells.columns].replay()
                    continue
                self._pass(self.run)
                if graphs:
                    recorded[self.cells.columns] = self._record()

    def _look_at(self, cells: int) -> None:
        self.cells.columns = min(self._rounded(cells), self.cells.size)

    def _rounded(self, cells: int) -> int:
        return -(-cells // self.bucket) * self.bucket

    def _record(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        if self.sampling.generator is not None:
            graph.register_generator_state(self.sampling.generator)
        with torch.cuda.graph(graph, pool=self.pool):
            self._pass(self.run)
        return graph

    def _pass(self, width: int) -> None:
        """Reads up to `width` tokens of each row, and chooses the next where that is due."""
        for _ in range(self.run):
            self._force(width)
        position = self.read[:, None] + torch.arange(width, device=self.read.device)
        self.cells.position = position
        logits = self.head(
            self.tokens.gather(1, position),
            position_ids=position,
            attention_mask=self.cells.mask(self.model.dtype),
            past_key_values=self.cache,
            use_cache=True,
        )
        fresh = (self.length - self.read).clamp(max=width)
        last = (fresh - 1).clamp(min=0)[:, None, None].expand(-1, 1, logits.shape[2])
        token = self._choose(logits.gather(1, last)[:, 0].float())
        self.read += fresh
        place, _ = self.guide.behind(Place(self.state, self.number), token)
        self._append(token, place, (self.read == self.length) & ~self.guide.forced(Place(self.state, self.number))[2])

    def _force(self, width: int) -> None:
        """Appends one token to each row that has no choice, and room for it in this pass."""
        token, place, forced = self.guide.forced(Place(self.state, self.number))
        self._append(token, place, forced & (self.length - self.read < width))

    def _append(self, token: Tensor, place: Place, wanted: Tensor) -> None:
        """Appends a token to the rows that want it and are not finished."""
        wanted = wanted & (self.state != DONE)
        at = self.length[:, None]
        self.tokens.scatter_(1, at, torch.where(wanted[:, None], token[:, None], self.tokens.gather(1, at)))
        self.length += wanted
        state = place.state.masked_fill(self.length >= self.limit, DONE)
        self.state.copy_(torch.where(wanted, state, self.state))
        self.number.copy_(torch.where(wanted, place.number, self.number))

    def _choose(self, logits: Tensor) -> Tensor:
        """A token for each row; what it says of rows without a choice means nothing."""
        allowed = self.head.columns(self.guide.allowed(Place(self.state, self.number)))
        scores = self.warpers(self.tokens, keep_only(logits, allowed))
        if self.sampling.do_sample:
            # The first of exponential clocks to ring.
            clocks = torch.empty_like(scores).exponential_(generator=self.sampling.generator)
            scores = scores.softmax(-1) / clocks
        return self.head.alphabet[scores.argmax(-1)]

    def completions(self, pad: int, end: int | None) -> Tensor:
        """What was written behind the prompts, padded; and `end` behind it, where templates have no end of their own."""
        said = self.length - self.prompt
        size = said if end is None else (said + 1).clamp(max=self.most)
        at = torch.arange(int(size.max()), device=size.device)
        written = self.tokens.gather(1, (self.prompt[:, None] + at).clamp(max=self.tokens.shape[1] - 1))
        if end is not None:
            written = written.masked_fill(at == said[:, None], end)
        return written.masked_fill(at >= size[:, None], pad)
