"""Templates as a logits processor of `transformers`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor

from tplc._places import DONE, Guide, Place, end_of, keep_only, molecules_of, templates_of
from tplc._tplc import Artifact, Matcher, MatcherError


class TemplateLogitsProcessor(LogitsProcessor):
    """Holds each text of a batch to the template of its molecule.

    >>> processor = TemplateLogitsProcessor(artifact, smiles)
    >>> more = {"max_new_tokens": processor.max_new_tokens, "eos_token_id": processor.eos_token_id}
    >>> model.generate(**prompts, logits_processor=[processor], **more)

    `smiles` has one SMILES for each prompt of the batch, in order. Prompts may be of any length and padded on the left;
    sampling, beams and several sequences for each prompt work as ever (rows of a molecule whose prompts differ are refused,
    where `generate` has ids and no embeddings of them). A row that is finished may only say its end again, up to the limit
    where `generate` is not told which token that is. Where a row stands is followed on the device of the scores, so a step
    waits for nothing.

    A token that a template does not allow (another processor or a forced token of `generate` is in the way) ends no text:
    such a row says some id that is no end. Once all rows of a prompt have gone astray, a call raises `MatcherError`: the next
    one, on a GPU the one after that. With beams, single rows go astray when they run out of candidates, and have no score; of
    several sequences for one prompt, single rows that were led astray are not told by a call, nor are the last tokens of
    all (one, on a GPU two). `check` looks at all that `generate` returned.

    A processor serves one `generate`. It may serve the next, for the same molecules, behind `reset()`; without, a prompt that
    is not longer than the last one, or longer by two than the last texts, is a beginning too, ids that go on from what was
    said are taken for the same text, and what is neither raises `MatcherError`. It pickles with its artifact and SMILES, at the
    start.
    """

    supports_continuous_batching = False

    def __init__(self, artifact: Artifact, smiles: Iterable[str], *, eos_token_id: int | None = None) -> None:
        """`eos_token_id` ends the texts of an artifact that was built without such a token."""
        end = end_of(artifact, eos_token_id)
        if end is None:
            raise ValueError("the artifact ends its texts with no token: give eos_token_id, or build it with eos=")
        self.artifact, self.smiles, self.eos_token_id = artifact, molecules_of(smiles), end
        self.templates = templates_of(artifact, self.smiles)
        self.reset()

    @property
    def max_new_tokens(self) -> int:
        """The most tokens that a text can have: with as many, `generate` cuts none off."""
        return max(template.tokens[1] for template in self.templates) + (self.artifact.eos is None)

    def reset(self) -> None:
        """Forgets all rows: what comes next is a prompt."""
        self._seen: Tensor | None = None

    def check(self, outputs: Any) -> None:
        """Raises `MatcherError` where a text that `generate` returned, behind its prompt, is neither a text of its template
        nor the beginning of one."""
        sequences: Tensor = getattr(outputs, "sequences", outputs)
        if self._seen is None or len(sequences) % len(self.templates):
            raise ValueError(f"{len(sequences)} sequences: give those of the generate that this processor was used in")
        for row, ids in enumerate(sequences[:, self._prompt :].tolist()):
            matcher = Matcher(self.templates[row * len(self.templates) // len(sequences)])
            taken = matcher.validate(ids)
            for id in ids[:taken]:
                matcher.advance(id)
            # Behind a whole text is padding, and first the end, where the template has none of its own.
            ends = matcher.is_finished and (self.artifact.eos is not None or ids[taken : taken + 1] == [self.eos_token_id])
            if taken < len(ids) and not ends:
                raise astray(row, ids[taken], taken)

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
        elif length <= seen.shape[1] and torch.equal(ids[:, :-1], seen[:, : length - 1]):
            self._step_back(ids, length - 1 - self._prompt)
        else:
            self._begin(ids, length)
        self._seen = ids

    def _begin(self, ids: Tensor, prompt: int) -> None:
        """Goes to the start of the texts behind prompts of this length, and on to the end of `ids`."""
        each = len(ids) // len(self.templates)
        prompts = ids[:, :prompt].view(len(self.templates), each, prompt)
        if each > 1 and not torch.equal(prompts, prompts[:, :1].expand_as(prompts)):
            raise ValueError(f"other prompts than {len(self.templates)} for as many molecules: give one SMILES for each prompt")
        self._guide = Guide([template for template in self.templates for _ in range(each)], ids.device)
        self._place, self._prompt, self._refusals = self._guide.start(), prompt, Refusals(each, ids.device)
        self._first = torch.arange(0, len(ids), each, device=ids.device)[:, None]
        self._places: list[Place] = []
        for position, token in enumerate(ids[:, prompt:].unbind(1)):
            self._advance(self._place, token, torch.zeros_like(token, dtype=torch.bool), position)

    def _step_back(self, ids: Tensor, position: int) -> None:
        """Goes on from the place before a position, where assisted decoding takes tokens back and puts another in the place of
        the last. Beams have changed rows since, and go through their texts again."""
        if len(ids) > len(self.templates):
            self._begin(ids, self._prompt)
        else:
            token = ids[:, -1]
            self._advance(self._places[position], token, torch.zeros_like(token, dtype=torch.bool), position)

    def _parents(self, ids: Tensor, seen: Tensor) -> tuple[Place, Tensor]:
        """The place of the row of the last call that each row goes on from, and whether there is one: one with the same ids.
        Beams change places, within those of a prompt."""
        prompts, each = len(self.templates), len(ids) // len(self.templates)
        if each == 1:
            return self._place, (ids[:, :-1] == seen).all(1)
        # Sums of the ids, by weights as good as random, say which row it is, if any; then the ids are compared.
        now, before = (torch.stack((ids[:, :-1], seen)) * weights(seen.shape[1], seen.device)).sum(-1)
        same = now.view(prompts, each, 1) == before.view(prompts, 1, each)
        parent = (same.int().argmax(-1) + self._first).flatten()
        return Place(self._place.state[parent], self._place.number[parent]), (ids[:, :-1] == seen[parent]).all(1)

    def _advance(self, place: Place, token: Tensor, lost: Tensor, position: int) -> None:
        self._places[position:] = [place]
        place, refused = self._guide.behind(place, token)
        self._place = Place(place.state.masked_fill(refused, self._guide.tables.astray), place.number)
        self._refusals.note(torch.stack((refused, lost)), token, position)

    def __getstate__(self) -> dict[str, Any]:
        return {"artifact": self.artifact, "smiles": self.smiles, "eos_token_id": self.eos_token_id}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)


@lru_cache(maxsize=8)
def _weights(size: int, device: torch.device) -> Tensor:
    drawn = torch.randint(-(2**63), 2**63 - 1, (size,), generator=torch.Generator().manual_seed(0), device="cpu")
    return drawn.to(device)


def weights(length: int, device: torch.device) -> Tensor:
    """Of each position of a text, the same in all calls of a process; made for some hundreds more at a time."""
    return _weights(-(-length // 1024) * 1024, device)[:length]


def astray(row: int, token: int, position: int) -> MatcherError:
    """What is raised where a row says what it may not."""
    error = MatcherError(
        f"row {row} says token {token} at position {position}, which its template does not allow: another logits processor "
        "or a forced token is in the way, or the prompts are others: make a processor for each generate, or reset() it"
    )
    error.row, error.token, error.position = row, token, position
    return error


class Refusals:
    """Tokens that were refused, and rows that go on from none, looked at one step later so that nobody waits for the device."""

    def __init__(self, each: int, device: torch.device) -> None:
        """`each` rows are of one prompt."""
        self._each = each
        self._event = torch.cuda.Event() if device.type == "cuda" else None
        self._noted: tuple[Tensor, Tensor, int] | None = None

    def note(self, told: Tensor, token: Tensor, position: int) -> None:
        """Raises what was noted the last time, and notes this: for each row, whether its token was refused, and whether it is
        lost."""
        self._check()
        self._noted = (told.to("cpu", non_blocking=self._event is not None), token, position)
        if self._event is None:
            self._check()
        else:
            self._event.record(torch.cuda.current_stream(token.device))

    def _check(self) -> None:
        if self._noted is None:
            return
        if self._event is not None:
            self._event.synchronize()
        told, token, position = self._noted
        if told.any():
            # Of several rows for a prompt, some may be beams that died.
            dead = told[0].view(-1, self._each).all(1).repeat_interleave(self._each)
            wrong = (dead | told[1]).tolist()
            if True not in wrong:
                return
            row = wrong.index(True)
            raise astray(row, int(token[row]), position)
