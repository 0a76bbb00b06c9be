"""Templates for vLLM's model runner V2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tplc._heads import DONE, roots_behind
from tplc._tables import DeviceTables
from tplc._vllm_requests import Requests, hold, sent

try:
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor as _V2
except ImportError:  # A version without that runner, or no vLLM at all.
    _V2 = object

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState


class TemplateLogitsProcessor(Requests, _V2):
    """Holds requests to the templates of their molecules, on the device, without waiting for it."""

    def __init__(self, vllm_config: VllmConfig, req_states: LogitsProcRequestState) -> None:
        end = self._start(vllm_config)
        self._check_width(req_states.vocab_size)
        slots, device = req_states.max_num_reqs, req_states.device
        self.requests = req_states
        self.tables = DeviceTables.of(self.artifact.tables, end, device)
        self.held = np.zeros(slots, dtype=bool)
        self.taken = np.zeros(slots, dtype=np.int64)
        self.roots = torch.full((slots, 1), DONE, device=device)
        self.heads = torch.full((slots, 2), DONE, device=device)
        self.number = torch.zeros(slots, dtype=torch.long, device=device)

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        """A request enters a slot, new or again: what it has said is read when it comes to `apply`."""
        self.held[req_idx], template = self._admit(sampling_params)
        self.heads[req_idx], self.number[req_idx], self.taken[req_idx] = DONE, 0, 0
        if template is not None:
            roots = torch.from_numpy(roots_behind(template))
            if len(roots) > self.roots.shape[1]:
                self.roots = torch.nn.functional.pad(self.roots, (0, len(roots) - self.roots.shape[1]), value=DONE)
            self.roots[req_idx, : len(roots)] = sent(roots, self.roots.device)
            # No number ends where a text begins.
            self.heads[req_idx] = int(template.roots[0]) + 1
        return bool(self.held[req_idx])

    def apply(self, logits: Tensor, ctx: LogitsContext) -> Tensor:
        """Leaves minus infinity but for what may come next in each held row."""
        if len(logits) != len(ctx.idx_mapping_np):
            raise ValueError("tplc does not follow several rows of logits for one request")
        rows = np.flatnonzero(self.held[ctx.idx_mapping_np])
        if not len(rows):
            return logits
        slots = ctx.idx_mapping_np[rows]
        said = ctx.seq_lens_upper_bound_np[rows] - self.requests.prompt_len.np[slots]
        index = torch.from_numpy(np.stack((rows, slots, self.taken[slots], said)))
        row, slot, taken, length = sent(index, self.roots.device)
        heads, number = self.heads[slot], self.number[slot]
        texts, prompt = self.requests.all_token_ids.gpu, self.requests.prompt_len.gpu[slot]
        # One token as a rule; all of them where a request came back.
        for step in range(int((said - self.taken[slots]).max(initial=0))):
            at = taken + step
            due = at < length
            token = texts[slot, (prompt + at).masked_fill(~due, 0)].long()
            state, behind = self.tables.behind(heads, number, token)
            # One that says what it may not is done.
            state = state.clamp(min=DONE)
            number = torch.where(due, behind, number)
            heads = torch.where(due[:, None], self.tables.heads(state, self.roots[slot, number]), heads)
        self.heads[slot], self.number[slot] = heads, number
        self.taken[slots] = np.maximum(self.taken[slots], said)
        hold(logits, row, self.tables.allowed(heads))
        return logits
