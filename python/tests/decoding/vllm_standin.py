"""The part of vLLM that a logits processor meets, for tests where vLLM cannot be installed: it needs a CUDA machine and some
gigabytes. Written after the documentation of vLLM 0.33; names, fields and order of calls are its, and nothing else.

`install` puts it in the place of vLLM where that cannot be imported. The tests themselves have also been run with the classes
of the wheel of vLLM 0.33.0.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from types import ModuleType
from typing import Any

V1, V2 = "vllm.v1.sample.logits_processor", "vllm.v1.worker.gpu.sample.logits_processor"


@dataclass
class SamplingParams:
    """The one field that matters here."""

    extra_args: dict[str, Any] | None = None


class MoveDirectionality(Enum):
    """Whether a request moves to another's row, or both change places."""

    UNIDIRECTIONAL = auto()
    SWAP = auto()


@dataclass(frozen=True)
class BatchUpdate:
    """What became of the rows of the last step: to be gone through as removed, added, moved."""

    batch_size: int
    removed: Sequence[int] = ()
    # Row, parameters, ids of the prompt, and the list to which the ids of the output are appended.
    added: Sequence[tuple[int, SamplingParams, list[int] | None, list[int]]] = ()
    moved: Sequence[tuple[int, int, MoveDirectionality]] = ()


class LogitsProcessorV1(ABC):
    """What the runner before V2 asks for."""

    @classmethod
    def validate_params(cls, sampling_params):
        return None

    @abstractmethod
    def __init__(self, vllm_config, device, is_pin_memory): ...

    @abstractmethod
    def apply(self, logits): ...

    @abstractmethod
    def is_argmax_invariant(self): ...

    @abstractmethod
    def update_state(self, batch_update): ...


@dataclass(frozen=True)
class LogitsProcRequestState:
    """The runner's own buffers, one entry a slot."""

    device: Any
    max_num_reqs: int
    vocab_size: int
    all_token_ids: Any
    prompt_len: Any
    prefill_len: Any
    total_len: Any


@dataclass(frozen=True)
class LogitsContext:
    """How the rows of one step lie."""

    expanded_idx_mapping: Any
    idx_mapping: Any
    idx_mapping_np: Any
    expanded_local_pos: Any
    input_ids: Any
    pos: Any
    seq_lens_upper_bound_np: Any


class LogitsProcessorV2(ABC):
    """What model runner V2 asks for."""

    def __init__(self, vllm_config, req_states): ...

    @classmethod
    def validate_params(cls, sampling_params): ...

    def add_request(self, req_idx, sampling_params):
        return True

    def apply_staged_writes(self): ...

    @abstractmethod
    def apply(self, logits, ctx): ...


def install():
    """Makes both interfaces importable, if they are not; tells whether vLLM's own are used."""
    try:
        __import__(V1)
        __import__(V2)
        return True
    except ImportError:
        pass
    for name in [name for name in sys.modules if name.split(".")[0] == "vllm"]:
        del sys.modules[name]
    for full in (V1, V2):
        parts = full.split(".")
        for length in range(1, len(parts) + 1):
            sys.modules.setdefault(".".join(parts[:length]), ModuleType(parts[length - 1]))
    sys.modules["vllm"].SamplingParams = SamplingParams
    for name, value in {
        "LogitsProcessor": LogitsProcessorV1,
        "BatchUpdate": BatchUpdate,
        "MoveDirectionality": MoveDirectionality,
    }.items():
        setattr(sys.modules[V1], name, value)
    for name, value in {
        "LogitsProcessor": LogitsProcessorV2,
        "LogitsContext": LogitsContext,
        "LogitsProcRequestState": LogitsProcRequestState,
    }.items():
        setattr(sys.modules[V2], name, value)
    return False
