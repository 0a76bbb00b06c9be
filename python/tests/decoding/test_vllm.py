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


def runner_v2(torch, artifact, config, chance):
    """Slots are filled as they come free, rows lie in another order each step, prompts are read in two parts now and then,
    and requests are put off and come back to another slot with what they have said."""
    device = torch.device("cpu")
    both = lambda: SimpleNamespace(np=np.zeros(SLOTS, np.int32))
    texts = torch.zeros(SLOTS, LONGEST, dtype=torch.int32)
    lengths = SimpleNamespace(gpu=torch.zeros(SLOTS, dtype=torch.int32))
    prompt, prefill = both(), both()
    prompt.gpu, prefill.gpu = torch.from_numpy(prompt.np), torch.from_numpy(prefill.np)
    states = LogitsProcRequestState(
        device, SLOTS, artifact.logits_width, SimpleNamespace(gpu=texts), prompt, prefill, lengths
    )
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
        mapping = torch.tensor(order)
        context = LogitsContext(
            expanded_idx_mapping=mapping,
            idx_mapping=mapping,
            idx_mapping_np=np.array(order),
            expanded_local_pos=torch.zeros_like(mapping),
            input_ids=texts[mapping, torch.from_numpy(seen) - 1],
            pos=torch.from_numpy(seen) - 1,
            seq_lens_upper_bound_np=seen,
        )
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
    held = lambda smiles: SamplingParams(extra_args={"tplc_smiles": smiles})
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
