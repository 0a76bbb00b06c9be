"""`tplc.vllm` against the contract of both interfaces of vLLM, with a runner of our own that does with requests what vLLM's do.

Where vLLM cannot be imported, its classes are those of `vllm_standin.py`.
"""

import random
from types import SimpleNamespace

import numpy as np
import pytest

from decoding import vllm_standin
from decoding.molecules import SMILES

pytest.importorskip("torch")
vllm_standin.install()

import tplc
import tplc.vllm
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState

SLOTS, LONGEST = 6, 1024


@pytest.fixture(scope="module")
def path(artifact, tmp_path_factory):
    path = tmp_path_factory.mktemp("vllm") / "tiny.tplc"
    artifact.save(path)
    return str(path)


@pytest.fixture
def config(path):
    return SimpleNamespace(additional_config={"tplc_artifact": path}, speculative_config=None)


class Request:
    """A request, and the matcher that tells what its row may say; none of one that is not held."""

    def __init__(self, artifact, smiles, number):
        self.params = SamplingParams(extra_args={"tplc_smiles": smiles} if smiles else None)
        self.matcher = tplc.Matcher(artifact.template(smiles)) if smiles else None
        self.prompt = [5] * (1 + number % 4)
        self.said = []

    @property
    def is_finished(self):
        return len(self.said) > 40 if self.matcher is None else self.matcher.is_finished

    def check(self, before, after, eos):
        if self.matcher is None:
            assert after.equal(before)
            return
        allowed = [eos] if self.matcher.is_finished else sorted(self.matcher.allowed().tolist())
        assert after.isfinite().nonzero().flatten().tolist() == allowed
        assert after[allowed].equal(before[allowed])

    def say(self, after, chance):
        ids = after.isfinite().nonzero().flatten().tolist()
        self.said.append(chance.choice(ids))
        if self.matcher is not None and not self.matcher.is_finished:
            self.matcher.advance(self.said[-1])


def requests(artifact):
    return [Request(artifact, smiles, number) for number, smiles in enumerate([*SMILES, None, *SMILES, None])]


def request_states(torch, width):
    """The runner's own buffers, empty."""
    both = lambda: SimpleNamespace(np=np.zeros(SLOTS, np.int32))
    texts = torch.zeros(SLOTS, LONGEST, dtype=torch.int32)
    prompt, prefill = both(), both()
    prompt.gpu, prefill.gpu = torch.from_numpy(prompt.np), torch.from_numpy(prefill.np)
    lengths = SimpleNamespace(gpu=torch.zeros(SLOTS, dtype=torch.int32))
    return LogitsProcRequestState(
        torch.device("cpu"), SLOTS, width, SimpleNamespace(gpu=texts), prompt, prefill, lengths
    )


def context_of(torch, texts, order, seen):
    """A step in which these slots have read as many ids."""
    mapping, position = torch.tensor(order), torch.from_numpy(seen) - 1
    return LogitsContext(
        expanded_idx_mapping=mapping,
        idx_mapping=mapping,
        idx_mapping_np=np.array(order),
        expanded_local_pos=torch.zeros_like(mapping),
        input_ids=texts[mapping, position],
        pos=position,
        seq_lens_upper_bound_np=seen,
    )


def runner_v2(torch, artifact, config, chance):
    """Slots are filled as they come free, rows lie in another order each step, prompts are read in two parts now and then,
    and requests are put off and come back to another slot with what they have said."""
    states = request_states(torch, artifact.logits_width)
    texts, prompt, prefill = states.all_token_ids.gpu, states.prompt_len, states.prefill_len
    lengths = states.total_len
    processor = tplc.vllm.TemplateLogitsProcessor(config, states)
    waiting, slots, steps = requests(artifact), {}, 0
    while waiting or slots:
        steps += 1
        for slot in range(SLOTS):
            if slot not in slots and waiting and chance.random() < 0.5:
                request = slots[slot] = waiting.pop(0)
                known = request.prompt + request.said
                texts[slot] = 9
                texts[slot, : len(known)] = torch.tensor(known)
                prompt.np[slot], prefill.np[slot], lengths.gpu[slot] = len(request.prompt), len(known), len(known)
                assert processor.add_request(slot, request.params) == (request.matcher is not None)
        processor.apply_staged_writes()
        order = chance.sample(sorted(slots), len(slots))
        if not order:
            continue
        partly = {slot for slot in order if not slots[slot].said and chance.random() < 0.3}
        seen = np.array(
            [len(slots[slot].prompt) + len(slots[slot].said) - (slot in partly) for slot in order], dtype=np.int64
        )
        context = context_of(torch, texts, order, seen)
        before = torch.randn(len(order), artifact.logits_width)
        after = processor.apply(before.clone(), context)
        for row, slot in enumerate(order):
            request = slots[slot]
            if slot in partly:
                continue
            request.check(before[row], after[row], artifact.eos)
            request.say(after[row], chance)
            texts[slot, lengths.gpu[slot]] = request.said[-1]
            lengths.gpu[slot] += 1
            if request.is_finished:
                del slots[slot]
            elif chance.random() < 0.02:
                waiting.insert(0, slots.pop(slot))
    return steps


def runner_v1(torch, artifact, config, chance):
    """Rows are without gaps: where one leaves, the last takes its place, and two change places now and then."""
    processor = tplc.vllm.TemplateLogitsProcessorV1(config, torch.device("cpu"), False)
    assert not processor.is_argmax_invariant()
    waiting, rows, steps = requests(artifact), [], 0
    removed = []
    while waiting or rows:
        steps += 1
        added, moved = [], []
        # A new request takes the place of one that left; the rest close up from the end.
        for index in list(removed):
            if waiting and chance.random() < 0.5:
                rows[index] = waiting.pop(0)
                added.append((index, rows[index].params, rows[index].prompt, rows[index].said))
                removed.remove(index)
        gone = list(removed)
        while removed:
            while rows and rows[-1] is None:
                rows.pop()
            removed = [index for index in removed if index < len(rows)]
            if removed:
                index = removed.pop(0)
                moved.append((len(rows) - 1, index, MoveDirectionality.UNIDIRECTIONAL))
                rows[index] = rows.pop()
        if len(rows) < SLOTS and waiting and not gone:
            rows.append(waiting.pop(0))
            added.append((len(rows) - 1, rows[-1].params, rows[-1].prompt, rows[-1].said))
        if len(rows) > 1 and chance.random() < 0.2:
            one, other = chance.sample(range(len(rows)), 2)
            moved.append((one, other, MoveDirectionality.SWAP))
            rows[one], rows[other] = rows[other], rows[one]
        changed = gone or added or moved
        processor.update_state(BatchUpdate(len(rows), gone, added, moved) if changed else None)
        before = torch.randn(len(rows), artifact.logits_width)
        after = processor.apply(before.clone())
        for row, request in enumerate(rows):
            request.check(before[row], after[row], artifact.eos)
            request.say(after[row], chance)
            if request.is_finished:
                rows[row] = None
                removed.append(row)
    return steps


@pytest.mark.parametrize("runner", [runner_v1, runner_v2])
def test_each_row_may_say_what_its_matcher_allows(torch, artifact, config, runner):
    torch.manual_seed(0)
    assert runner(torch, artifact, config, random.Random(1)) > 100


def test_what_is_refused_is_told(torch, config, path, monkeypatch):
    for kind in (tplc.vllm.TemplateLogitsProcessor, tplc.vllm.TemplateLogitsProcessorV1):
        monkeypatch.delenv("TPLC_ARTIFACT", raising=False)
        kind.validate_params(held("[U]"))
        with pytest.raises(ValueError, match="must be the SMILES"):
            kind.validate_params(held(7))
        with pytest.raises(ValueError, match="TPLC_ARTIFACT"):
            kind._artifact(SimpleNamespace(additional_config={}))
        monkeypatch.setenv("TPLC_ARTIFACT", path)
        kind.validate_params(held("CC=O"))
        kind.validate_params(SamplingParams())
        with pytest.raises(ValueError, match=r"tplc_smiles: .*\[U\]"):
            kind.validate_params(held("[U]"))
        config.speculative_config = "draft"
        with pytest.raises(ValueError, match="speculative"):
            kind(config, *(["cpu", False] if kind.__name__.endswith("V1") else [SimpleNamespace()]))
        config.speculative_config = None


class StepsV1:
    """Two requests in rows 0 and 1, a step at a time."""

    def __init__(self, torch, config, width, smiles):
        self.torch, self.width = torch, width
        self.said = [[] for _ in smiles]
        self.processor = tplc.vllm.TemplateLogitsProcessorV1(config, torch.device("cpu"), False)
        added = [(row, held(one), [5], self.said[row]) for row, one in enumerate(smiles)]
        self.processor.update_state(BatchUpdate(len(smiles), [], added, []))

    def step(self, tokens=()):
        """What each row may say behind these tokens."""
        for said, token in zip(self.said, tokens):
            said.append(token)
        return allowed(self.processor.apply(self.torch.zeros(len(self.said), self.width)))


class StepsV2:
    """The same in slots 0 and 1."""

    def __init__(self, torch, config, width, smiles):
        self.torch, self.width, self.rows, self.seen = torch, width, len(smiles), 1
        states = request_states(torch, width)
        self.texts = states.all_token_ids.gpu
        self.processor = tplc.vllm.TemplateLogitsProcessor(config, states)
        for slot, one in enumerate(smiles):
            self.texts[slot, 0], states.prompt_len.np[slot] = 5, 1
            assert self.processor.add_request(slot, held(one))

    def step(self, tokens=()):
        if tokens:
            self.texts[: self.rows, self.seen] = self.torch.tensor(tokens)
            self.seen += 1
        seen = np.full(self.rows, self.seen, np.int64)
        context = context_of(self.torch, self.texts, list(range(self.rows)), seen)
        return allowed(self.processor.apply(self.torch.zeros(self.rows, self.width), context))


def held(smiles):
    return SamplingParams(extra_args={"tplc_smiles": smiles})


def allowed(logits):
    return [row.isfinite().nonzero().flatten().tolist() for row in logits]


@pytest.mark.parametrize("steps", [StepsV1, StepsV2])
@pytest.mark.parametrize("smiles", ["[U]", 7])
def test_a_request_without_a_template_says_its_end_and_its_neighbour_its_text(torch, artifact, config, steps, smiles):
    # Admission cannot refuse it: the artifact is named where the engine alone sees it.
    steps = steps(torch, config, artifact.logits_width, [smiles, "CC=O"])
    matcher = tplc.Matcher(artifact.template("CC=O"))
    tokens = ()
    for _ in range(20):
        assert steps.step(tokens) == [[artifact.eos], matcher.allowed().tolist()]
        tokens = (artifact.eos, int(matcher.allowed()[0]))
        matcher.advance(tokens[1])


@pytest.mark.parametrize("steps", [StepsV1, StepsV2])
def test_a_refused_token_ends_its_text_alone(torch, artifact, config, steps, caplog):
    steps = steps(torch, config, artifact.logits_width, ["CC=O", "CC=O"])
    matcher = tplc.Matcher(artifact.template("CC=O"))
    first = int(matcher.allowed()[0])
    assert steps.step() == [[first], [first]]
    matcher.advance(first)
    refused = next(id for id in range(artifact.logits_width) if not matcher.allows(id))
    steps.step((first, first))
    for _ in range(2):
        token = int(matcher.allowed()[0])
        matcher.advance(token)
        assert steps.step((refused, token)) == [[artifact.eos], matcher.allowed().tolist()]
    if isinstance(steps, StepsV1):
        (record,) = caplog.records
        assert "token 1 of the text" in record.getMessage()


def test_a_token_that_is_not_there_yet_is_read_later(torch, artifact, config):
    steps = StepsV1(torch, config, artifact.logits_width, ["CC=O", "CC=O"])
    matcher = tplc.Matcher(artifact.template("CC=O"))
    steps.step()
    first = matcher.allowed().tolist()
    matcher.advance(first[0])
    behind = matcher.allowed().tolist()
    assert steps.step((-1, first[0])) == [first, behind]
    steps.said[0][0] = first[0]
    assert steps.step() == [behind, behind]


@pytest.mark.parametrize("steps", [StepsV1, StepsV2])
def test_logits_that_are_narrower_than_the_ids_are_refused(torch, artifact, config, steps):
    highest = int(artifact.tables.tokens[-1])
    steps(torch, config, highest + 1, ["CC=O"]).step()
    with pytest.raises(ValueError, match=f"the model has {highest} logits, and the artifact has token {highest}"):
        steps(torch, config, highest, ["CC=O"]).step()
