"""Templates for the runner of vLLM before model runner V2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tplc._heads import DONE, roots_behind
from tplc._tables import DeviceTables
from tplc._tplc import Matcher, MatcherError, Template
from tplc._vllm_requests import Requests, hold, log, sent

try:
    from vllm.v1.sample.logits_processor import LogitsProcessor as _V1, MoveDirectionality
except ImportError:  # A version without that runner, or no vLLM at all.
    _V1 = object

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.v1.sample.logits_processor import BatchUpdate


class TemplateLogitsProcessorV1(Requests, _V1):
    """Holds requests to the templates of their molecules. Texts are followed on the host, where this interface has them; three
    numbers a row go to the device."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        end = self._start(vllm_config)
        self.device = torch.device(device)
        self.tables = DeviceTables.of(self.artifact.tables, end, self.device)
        self.rows: dict[int, _Row] = {}

    def is_argmax_invariant(self) -> bool:
        """It decides what is likeliest."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Requests leave, come and change places, in this order."""
        if batch_update is None:
            return
        for index in batch_update.removed:
            self.rows.pop(index, None)
        for index, params, _, said in batch_update.added:
            self.rows.pop(index, None)
            held, template = self._admit(params)
            if held:
                self.rows[index] = _Row(template, said)
        for one, other, direction in batch_update.moved:
            from_one, from_other = self.rows.pop(one, None), self.rows.pop(other, None)
            if from_one is not None:
                self.rows[other] = from_one
            if from_other is not None and direction == MoveDirectionality.SWAP:
                self.rows[one] = from_other

    def apply(self, logits: Tensor) -> Tensor:
        """Leaves minus infinity but for what may come next in each held row."""
        if not self.rows:
            return logits
        self._check_width(logits.shape[1])
        places = [(index, *row.place()) for index, row in self.rows.items()]
        row, state, root = sent(torch.tensor(places, device="cpu"), self.device).T
        hold(logits, row, self.tables.allowed(self.tables.heads(state, root)))
        return logits


class _Row:
    """A held request where texts are followed on the host: its matcher, while it has one, and the ids that it has said."""

    def __init__(self, template: Template | None, said: list[int]) -> None:
        self.matcher = None if template is None else Matcher(template)
        self.roots = [] if template is None else roots_behind(template).tolist()
        self.said = said

    def place(self) -> tuple[int, int]:
        """The state behind all that has been said, and the root of what follows its number."""
        self._catch_up()
        if self.matcher is None:
            return DONE, DONE
        return self.matcher.state + 1, self.roots[self.matcher.number]

    def _catch_up(self) -> None:
        while self.matcher is not None and not self.matcher.is_finished and len(self.matcher) < len(self.said):
            token = self.said[len(self.matcher)]
            # It has been sampled, and is not here yet.
            if token < 0:
                return
            try:
                self.matcher.advance(token)
            except MatcherError as error:
                log.error("a request can only say its end from here on: %s", error)
                self.matcher = None
