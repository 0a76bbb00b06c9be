"""Templates as a logits processor of `transformers`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor

from tplc._places import DONE, Guide, Place, keep_only, templates_of
from tplc._tplc import Artifact, MatcherError


class TemplateLogitsProcessor(LogitsProcessor):
    """Holds each text of a batch to the template of its molecule.

    >>> processor = TemplateLogitsProcessor(artifact, smiles)
    >>> model.generate(**prompts, logits_processor=[processor], max_new_tokens=processor.max_new_tokens)

    `smiles` has one SMILES for each prompt of the batch, in order. Prompts may be of any length and padded on the left;
    sampling, beams and several sequences for each prompt work as ever. A row that is finished may only say its end again
    (`generate` pads it). Where a row stands is followed on the device of the scores, so a step waits for nothing.

    Without beams, a token that a template does not allow raises `MatcherError` no later than at the next call: another
    processor or a forced token of `generate` is in the way. With beams, such a row is one that has run out of candidates and
    has no score; it may say the end.

    One call of `generate` follows another with the same processor, as long as the molecules are the same. It pickles with
    its artifact and SMILES, at the start.
    """

    supports_continuous_batching = False

    def __init__(self, artifact: Artifact, smiles: Sequence[str], *, eos_token_id: int | None = None) -> None:
        """`eos_token_id` ends the texts of an artifact that was built without such a token."""
        end = artifact.eos if artifact.eos is not None else eos_token_id
        if end is None:
            raise ValueError("the artifact ends its texts with no token: give eos_token_id, or build it with eos=")
        self.artifact, self.smiles, self.eos_token_id = artifact, list(smiles), end
        self.templates = templates_of(artifact, self.smiles)
        self.reset()

    @property
    def max_new_tokens(self) -> int:
        """The most tokens that a text can have: with as many, `generate` cuts none off."""
        return max(template.tokens[1] for template in self.templates) + 1

    def reset(self) -> None:
        """Forgets all rows. Only needed where the prompts of the next `generate` are exactly one token longer than the last
        texts were."""
        self._seen: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores, minus infinity but for what may come next."""
        if len(input_ids) % len(self.templates):
            raise ValueError(f"{len(input_ids)} rows for {len(self.templates)} molecules: give one SMILES for each prompt")
        self._follow(input_ids)
        if max(self._guide.tables.highest, self.eos_token_id) >= scores.shape[1]:
            raise ValueError(f"the model has logits for {scores.shape[1]} ids: the artifact is of another tokenizer")
        finished = (self._place.state == DONE)[:, None]
        return keep_only(scores, self._guide.allowed(self._place).masked_fill(finished, self.eos_token_id))

    def _follow(self, ids: Tensor) -> None:
        """Goes on to the end of `ids`."""
        # `generate` may write into its own tensor.
        ids, seen, length = ids.clone(), self._seen, ids.shape[1]
        if seen is None or len(seen) != len(ids) or seen.device != ids.device or length <= self._prompt:
            self._begin(ids, length)
        elif length == seen.shape[1] + 1:
            place, found = self._parents(ids, seen)
            self._advance(place, ids[:, -1], ~found, length - 1 - self._prompt)
        else:
            again = torch.equal(ids[:, : self._prompt], seen[:, : self._prompt])
            self._begin(ids, self._prompt if again else length)
        self._seen = ids

    def _begin(self, ids: Tensor, prompt: int) -> None:
        """Goes to the start of the texts behind prompts of this length, and on to the end of `ids`."""
        each = len(ids) // len(self.templates)
        self._guide = Guide([template for template in self.templates for _ in range(each)], ids.device)
        self._place, self._prompt, self._refused = self._guide.start(), prompt, Refusals(ids.device)
        for position, token in enumerate(ids[:, prompt:].unbind(1)):
            self._advance(self._place, token, torch.zeros_like(token, dtype=torch.bool), position)

    def _parents(self, ids: Tensor, seen: Tensor) -> tuple[Place, Tensor]:
        """The place of the row of the last call that each row goes on from, and whether there is one: one with the same ids.
        Beams change places, within those of a prompt."""
        prompts = len(self.templates)
        if prompts == len(ids):
            return self._place, (ids[:, :-1] == seen).all(1)
        now, before = (part.view(prompts, -1, part.shape[1]) for part in (ids[:, :-1], seen))
        same = (now[:, :, None] == before[:, None]).all(-1)
        first = torch.arange(prompts, device=ids.device)[:, None] * same.shape[1]
        parent = (same.int().argmax(-1) + first).flatten()
        return Place(self._place.state[parent], self._place.number[parent]), same.any(-1).flatten()

    def _advance(self, place: Place, token: Tensor, lost: Tensor, position: int) -> None:
        self._place, refused = self._guide.behind(place, token)
        if len(token) == len(self.templates):
            self._refused.note(refused | lost, token, position)

    def __getstate__(self) -> dict[str, Any]:
        return {"artifact": self.artifact, "smiles": self.smiles, "eos_token_id": self.eos_token_id}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)


class Refusals:
    """Tokens that were refused, looked at one step later so that nobody waits for the device."""

    def __init__(self, device: torch.device) -> None:
        self._event = torch.cuda.Event() if device.type == "cuda" else None
        self._noted: tuple[Tensor, Tensor, int] | None = None

    def note(self, refused: Tensor, token: Tensor, position: int) -> None:
        """Raises what was noted the last time, and notes this."""
        self._check()
        self._noted = (refused.to("cpu", non_blocking=True), token, position)
        if self._event is None:
            self._check()
        else:
            self._event.record()

    def _check(self) -> None:
        if self._noted is None:
            return
        if self._event is not None:
            self._event.synchronize()
        refused, token, position = self._noted
        if refused.any():
            row = int(refused.int().argmax())
            error = MatcherError(
                f"row {row} says token {int(token[row])} at position {position}, which its template does not allow: "
                "another logits processor or a forced token is in the way, or the prompts are others and reset() is due"
            )
            error.row, error.token, error.position = row, int(token[row]), position
            raise error
