"""What both interfaces of vLLM share: the artifact, the template of a request, and how rows of logits are held."""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tplc._tplc import Artifact, Error, Template

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig

SMILES = "tplc_smiles"
ARTIFACT = "tplc_artifact"
VARIABLE = "TPLC_ARTIFACT"

log = logging.getLogger("tplc.vllm")


@lru_cache(maxsize=4)
def _open(path: str) -> Artifact:
    return Artifact.open(path)


class Requests:
    """Requests under the templates of one artifact."""

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

    def _start(self, config: VllmConfig) -> int:
        """Finds the artifact; returns the id that ends its texts."""
        self.artifact = self._artifact(config)
        if getattr(config, "speculative_config", None) is not None:
            raise ValueError("tplc does not follow speculative decoding: turn it off")
        if self.artifact.eos is None:
            raise ValueError("the artifact ends its texts with no token, and vLLM needs one: build it with --eos")
        return self.artifact.eos

    def _check_width(self, width: int) -> None:
        highest = int(self.artifact.tables.tokens[-1])
        if width <= highest:
            raise ValueError(
                f"the model has {width} logits, and the artifact has token {highest}: it was built for another tokenizer"
            )

    def _admit(self, params: SamplingParams) -> tuple[bool, Template | None]:
        """Whether a request is held, and its template: a request that has none is held to its end, for an error would
        bring down all others."""
        try:
            template = self._template(self.artifact, params)
        except ValueError as error:
            log.error("a request can only say its end: %s", error)
            return True, None
        return template is not None, template


def _smiles(params: SamplingParams) -> str | None:
    smiles = (params.extra_args or {}).get(SMILES)
    if smiles is not None and not isinstance(smiles, str):
        raise ValueError(f"{SMILES} must be the SMILES of the request's molecule, and is {smiles!r}")
    return smiles


def hold(logits: Tensor, rows: Tensor, ids: Tensor) -> None:
    """Leaves minus infinity in these rows but for these ids of each."""
    at = rows[:, None]
    kept = logits[at, ids]
    logits.index_fill_(0, rows, -torch.inf)
    logits[at, ids] = kept


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A copy on the device that nobody waits for."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
