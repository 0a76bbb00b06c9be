"""Templates for vLLM: a logits processor for each of its two interfaces.

    os.environ["TPLC_ARTIFACT"] = "qwen.tplc"
    llm = LLM(model, logits_processors=["tplc.vllm:TemplateLogitsProcessor"])
    llm.generate(prompts, [SamplingParams(extra_args={"tplc_smiles": smiles}, …) for smiles in molecules])

The artifact is named by the environment (`TPLC_ARTIFACT`) or by a subclass (`artifact_path`): then a SMILES without a
template is refused as the request comes. `additional_config={"tplc_artifact": …}` will do too, but the engine alone sees it. A
request without `tplc_smiles` is left alone. The server takes it as `vllm_xargs`, which has no room for nested values.

Within the engine no request brings down the others: one without a template, and one that says what its template refuses
(`logit_bias`, `bad_words` or `min_tokens` can make it), says its end from there on. V1 logs both, V2 the first alone, as it
never waits for the device; `tplc.audit` finds such texts.

`TemplateLogitsProcessor` is for model runner V2, which vLLM uses by itself; `TemplateLogitsProcessorV1` is for the runner
before it (`VLLM_USE_V2_MODEL_RUNNER=0`). Both are tested with vLLM 0.33, the least version they are for. Set
`stop_token_ids` to `artifact.eos` where it is not the model's own end-of-sequence token. Speculative decoding is refused.
"""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tplc._places import DONE, DeviceTables, Place, keep_only, root_of, roots_behind
from tplc._tplc import Artifact, Error, Matcher, MatcherError, Template

try:
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor as _V2
except ImportError:  # A version without that runner, or no vLLM at all.
    _V2 = object
try:
    from vllm.v1.sample.logits_processor import LogitsProcessor as _V1, MoveDirectionality
except ImportError:
    _V1 = object

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig
    from vllm.v1.sample.logits_processor import BatchUpdate
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState

SMILES = "tplc_smiles"
ARTIFACT = "tplc_artifact"
VARIABLE = "TPLC_ARTIFACT"

_log = logging.getLogger(__name__)


@lru_cache(maxsize=4)
def _open(path: str) -> Artifact:
    return Artifact.open(path)


class _Templates:
    """What both interfaces share: the artifact, and the template of a request."""

    artifact_path: str | None = None
    artifact: Artifact

    @classmethod
    def _artifact(cls, config: VllmConfig | None) -> Artifact:
        settings = getattr(config, "additional_config", None)
        told = settings.get(ARTIFACT) if isinstance(settings, dict) else None
        path = cls.artifact_path or told or os.environ.get(VARIABLE)
        if path is None:
            raise ValueError(f"no artifact: set the variable {VARIABLE}, or {ARTIFACT} in additional_config")
        return _open(path)

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Raises `ValueError` for a SMILES that has no template, where the artifact is known before the engine runs."""
        if cls.artifact_path or os.environ.get(VARIABLE):
            cls._template(cls._artifact(None), sampling_params)
        else:
            _smiles(sampling_params)

    @staticmethod
    def _template(artifact: Artifact, params: SamplingParams) -> Template | None:
        smiles = _smiles(params)
        if smiles is None:
            return None
        try:
            return artifact.template(smiles)
        except Error as error:
            raise ValueError(f"{SMILES}: {error}") from error

    def _admit(self, params: SamplingParams) -> tuple[bool, Template | None]:
        """Whether a request is held, and its template: a request that has none is held to its end, for an error would
        bring down all others."""
        try:
            template = self._template(self.artifact, params)
        except ValueError as error:
            _log.error("a request can only say its end: %s", error)
            return True, None
        return template is not None, template


def _smiles(params: SamplingParams) -> str | None:
    smiles = (params.extra_args or {}).get(SMILES)
    if smiles is not None and not isinstance(smiles, str):
        raise ValueError(f"{SMILES} must be the SMILES of the request's molecule, and is {smiles!r}")
    return smiles


def _check(artifact: Artifact, config: VllmConfig) -> None:
    if getattr(config, "speculative_config", None) is not None:
        raise ValueError("tplc does not follow speculative decoding: turn it off")
    if artifact.eos is None:
        raise ValueError("the artifact ends its texts with no token, and vLLM needs one: build it with --eos")


def _check_width(artifact: Artifact, width: int) -> None:
    highest = int(artifact.tables.tokens[-1])
    if width <= highest:
        raise ValueError(
            f"the model has {width} logits, and the artifact has token {highest}: it was built for another tokenizer"
        )


class TemplateLogitsProcessor(_Templates, _V2):
    """Holds requests to the templates of their molecules, on the device, without waiting for it."""

    def __init__(self, vllm_config: VllmConfig, req_states: LogitsProcRequestState) -> None:
        self.artifact = self._artifact(vllm_config)
        _check(self.artifact, vllm_config)
        _check_width(self.artifact, req_states.vocab_size)
        slots, device = req_states.max_num_reqs, req_states.device
        self.requests = req_states
        self.tables = DeviceTables.of(self.artifact.tables, device)
        self.held = np.zeros(slots, dtype=bool)
        self.taken = np.zeros(slots, dtype=np.int64)
        self.roots = torch.zeros(slots, 1, dtype=torch.long, device=device)
        self.place = Place(*torch.zeros(2, slots, dtype=torch.long, device=device))

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        """A request enters a slot, new or again: what it has said is read when it comes to `apply`."""
        self.held[req_idx], template = self._admit(sampling_params)
        self.place.state[req_idx], self.place.number[req_idx], self.taken[req_idx] = DONE, 0, 0
        if template is not None:
            roots = roots_behind(template).to(self.roots)
            if len(roots) > self.roots.shape[1]:
                self.roots = torch.nn.functional.pad(self.roots, (0, len(roots) - self.roots.shape[1]))
            self.roots[req_idx, : len(roots)] = roots
            self.place.state[req_idx] = int(template.roots[0])
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
        index = torch.from_numpy(np.stack((rows, slots, self.taken[slots], said))).to(self.roots, non_blocking=True)
        rows, slot, taken, length = index
        roots, place = self.roots[slot], Place(self.place.state[slot], self.place.number[slot])
        texts, prompt = self.requests.all_token_ids.gpu, self.requests.prompt_len.gpu[slot]
        # One token as a rule; all of them where a request came back.
        for step in range(int((said - self.taken[slots]).max(initial=0))):
            at = taken + step
            due = at < length
            token = texts[slot, (prompt + at).masked_fill(~due, 0)].long()
            behind, _ = self.tables.behind(place, root_of(roots, place.number), token)
            place = Place(*(torch.where(due, new, old) for new, old in zip(behind, place)))
        self.place.state[slot], self.place.number[slot] = place
        self.taken[slots] = np.maximum(self.taken[slots], said)
        root = root_of(roots, place.number)
        logits[rows] = _held(self.tables, self.artifact, place, root, logits[rows])
        return logits


class TemplateLogitsProcessorV1(_Templates, _V1):
    """Holds requests to the templates of their molecules. Texts are followed on the host, where this interface has them; four
    numbers a row go to the device."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        self.artifact = self._artifact(vllm_config)
        _check(self.artifact, vllm_config)
        self.device = device
        self.tables = DeviceTables.of(self.artifact.tables, torch.device(device))
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
        _check_width(self.artifact, logits.shape[1])
        places = [(index, *row.place()) for index, row in self.rows.items()]
        rows, state, number, root = torch.tensor(places, device=self.device).T
        logits[rows] = _held(self.tables, self.artifact, Place(state, number), root, logits[rows])
        return logits


class _Row:
    """A held request where texts are followed on the host: its matcher, while it has one, and the ids that it has said."""

    def __init__(self, template: Template | None, said: list[int]) -> None:
        self.matcher = template and Matcher(template)
        self.said = said

    def place(self) -> tuple[int, int, int]:
        """State, number, and the root of what follows that number; behind all that has been said."""
        self._catch_up()
        if self.matcher is None:
            return DONE, 0, 0
        number, template = self.matcher.number, self.matcher.template
        if number % 3 < 2:
            return self.matcher.state, number, template.tables.separator
        return self.matcher.state, number, int(template.roots[min(number // 3 + 1, template.atoms)])

    def _catch_up(self) -> None:
        while self.matcher is not None and not self.matcher.is_finished and len(self.matcher) < len(self.said):
            token = self.said[len(self.matcher)]
            # It has been sampled, and is not here yet.
            if token < 0:
                return
            try:
                self.matcher.advance(token)
            except MatcherError as error:
                _log.error("a request can only say its end from here on: %s", error)
                self.matcher = None


def _held(tables: DeviceTables, artifact: Artifact, place: Place, root: Tensor, logits: Tensor) -> Tensor:
    """The logits of held rows. A finished one says its end."""
    finished = (place.state == DONE)[:, None]
    return keep_only(logits, tables.allowed(place, root).masked_fill(finished, artifact.eos))
