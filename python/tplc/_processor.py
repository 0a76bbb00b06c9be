"""Templates as a logits processor of `transformers`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor
from transformers import LogitsProcessor

from tplc._arguments import end_of, molecules_of, templates_of
from tplc._places import Guide, keep_only
from tplc._rows import BeamRows, Rows, SingleRows
from tplc._tplc import Artifact, Matcher, MatcherError

LOOK_EVERY = {"cpu": 1}
"""Calls between two looks at which texts went astray; elsewhere 16, since a look waits for the device."""


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
    one, on a GPU one within 16 calls. With beams, single rows go astray when they run out of candidates, and have no score; of
    several sequences for one prompt, single rows that were led astray are not told by a call, nor are the last tokens of
    all (one, on a GPU 16). `check` looks at all that `generate` returned.

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
        self._rows: Rows | None = None

    def check(self, outputs: Any) -> None:
        """Raises `MatcherError` where a text that `generate` returned, behind its prompt, is neither a text of its template
        nor the beginning of one."""
        sequences: Tensor = getattr(outputs, "sequences", outputs)
        if self._rows is None or len(sequences) % len(self.templates):
            raise ValueError(f"{len(sequences)} sequences: give those of the generate that this processor was used in")
        for row, ids in enumerate(sequences[:, self._rows.prompt :].tolist()):
            matcher = Matcher(self.templates[row * len(self.templates) // len(sequences)])
            taken = matcher.take(ids)
            # Behind a whole text is padding, and first the end, where the template has none of its own.
            ends = matcher.is_finished and (self.artifact.eos is not None or ids[taken : taken + 1] == [self.eos_token_id])
            if taken < len(ids) and not ends:
                raise astray(row, ids[taken], taken)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores, minus infinity but for what may come next."""
        if len(input_ids) % len(self.templates):
            raise ValueError(f"{len(input_ids)} rows for {len(self.templates)} molecules: give one SMILES for each prompt")
        rows = self._follow(input_ids)
        if max(rows.guide.tables.highest, self.eos_token_id) >= scores.shape[1]:
            raise ValueError(f"the model has logits for {scores.shape[1]} ids: the artifact is of another tokenizer")
        return keep_only(scores, rows.guide.allowed(rows.place))

    def _follow(self, ids: Tensor) -> Rows:
        """The rows at the end of `ids`."""
        rows = self._rows
        if rows is None or not rows.go_on(ids):
            each = len(ids) // len(self.templates)
            guide = Guide(self.templates, ids.device, self.eos_token_id, each)
            self._rows = rows = SingleRows(guide, ids) if each == 1 else BeamRows(guide, ids, each)
            self._calls = 0
        self._calls += 1
        if self._calls % LOOK_EVERY.get(ids.device.type, 16) == 0:
            self._look(rows, ids)
        return rows

    def _look(self, rows: Rows, ids: Tensor) -> None:
        """Raises `MatcherError` if all rows of a prompt are lost: of several, some may be beams that died. This waits for the
        device; what a row said, and where, is found by a matcher."""
        lost = rows.lost(ids).view(len(self.templates), -1).all(1).tolist()
        if True in lost:
            prompt = lost.index(True)
            row = prompt * len(ids) // len(lost)
            said = ids[row, rows.prompt :].tolist()
            position = min(Matcher(self.templates[prompt]).validate(said), len(said) - 1)
            raise astray(row, said[position], position)

    def __getstate__(self) -> dict[str, Any]:
        return {"artifact": self.artifact, "smiles": self.smiles, "eos_token_id": self.eos_token_id}

    def __setstate__(self, state: dict[str, Any]) -> None:
        TemplateLogitsProcessor.__init__(self, **state)


def astray(row: int, token: int, position: int) -> MatcherError:
    """What is raised where a row says what it may not."""
    error = MatcherError(
        f"row {row} says token {token} at position {position}, which its template does not allow: another logits processor "
        "or a forced token is in the way, or the prompts are others: make a processor for each generate, or reset() it"
    )
    error.row, error.token, error.position = row, token, position
    return error
