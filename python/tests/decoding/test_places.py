"""Steps and forced runs by tables, beside a matcher for each row; and how many operations they take."""

import random

import pytest

pytest.importorskip("transformers")

import torch
from torch.utils._python_dispatch import TorchDispatchMode

import tplc
import tplc.hf
from tplc import _tables
from tplc._places import Guide
from tplc._processor import LOOK_EVERY
from tplc._tables import DeviceTables, ForcedRuns

MOLECULES = ["O", "C#N", "[NH4+].[Cl-]", "N", "[F-]"]
KINDS = [("qwen3", "fixed4"), ("qwen3", "trimmed4"), ("llama3-chem", "fixed4"), ("llama3-chem", "trimmed4")]
END = 7


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def made(request):
    """Artifacts for each way to cut numbers; the second of each tokenizer has no end of its own."""
    name, number_format = request.param
    eos = {"trimmed4": {"eos": None}}.get(number_format, {})
    return tplc.compile(MOLECULES, tplc.Tokenizer.load(name), number_format=number_format, **eos)


@pytest.fixture(params=[_tables.DenseEdges, _tables.SparseEdges])
def edges(request, monkeypatch):
    """The edges written out, or searched."""
    monkeypatch.setattr(_tables, "DENSE", _tables.DENSE if request.param is _tables.DenseEdges else 0)
    DeviceTables.of.cache_clear()
    yield request.param
    DeviceTables.of.cache_clear()


def processor_of(artifact, smiles=MOLECULES):
    return tplc.hf.TemplateLogitsProcessor(artifact, smiles, eos_token_id=END if artifact.eos is None else None)


class Twin:
    """What each row may say: its matcher is a copy of that of a row of the last call with the same ids, if there is one."""

    def __init__(self, artifact, smiles, each, end):
        self.each, self.end, self.astray = each, end, int(artifact.tables.alphabet[0])
        self.matchers = {(row, ()): tplc.Matcher(artifact.template(one)) for row, one in enumerate(smiles)}

    def advance(self, texts):
        """Follows each row to the end of its text."""
        last, self.matchers = self.matchers, {}
        for row, text in enumerate(texts):
            matcher = last.get((row // self.each, text[:-1]))
            if matcher is not None and not matcher.is_finished:
                matcher = matcher.copy() if matcher.allows(text[-1]) else None
                if matcher is not None:
                    matcher.advance(text[-1])
            self.matchers[row // self.each, text] = matcher

    def allowed(self, row, text):
        matcher = self.matchers[row // self.each, text]
        if matcher is None:
            return [self.astray]
        return [self.end] if matcher.is_finished else matcher.allowed().tolist()


@pytest.mark.parametrize("each", [1, 4])
def test_masks_are_those_of_matchers(made, edges, each, monkeypatch):
    """Texts at random; rows that say what they may not (an id, one that no template has, one beyond the logits); rows that go
    on when they are done; beams that change places, double and die, and one that goes on from nowhere."""
    monkeypatch.setitem(LOOK_EVERY, "cpu", 1 << 30)
    chance, processor = random.Random(each), processor_of(made)
    assert type(DeviceTables.of(made.tables, processor.eos_token_id, torch.device("cpu")).edges) is edges
    twin = Twin(made, MOLECULES, each, processor.eos_token_id)
    rows = len(MOLECULES) * each
    texts, scores, met = [()] * rows, torch.randn(rows, made.logits_width), set()
    for step in range(200):
        ids = torch.tensor([(5, 6, *text) for text in texts])
        expected = torch.full_like(scores, -torch.inf)
        for row, text in enumerate(texts):
            allowed = twin.allowed(row, text)
            expected[row, allowed] = scores[row, allowed]
        assert torch.equal(processor(ids, scores), expected), step
        standing = {matcher if matcher is None else matcher.is_finished for matcher in twin.matchers.values()}
        met |= standing
        if step > 40 and False not in standing:
            break
        # What row `step` says now and then, and the row that each goes on from.
        wrong = {8: 5, 14: made.logits_width - 1, 20: made.logits_width + 3}.get(step)
        parents = [row - row % each + (chance.randrange(each) if step else 0) for row in range(rows)]
        texts = [
            (*texts[parent], wrong if wrong and row == step % rows else chance.choice(twin.allowed(parent, texts[parent])))
            for row, parent in enumerate(parents)
        ]
        if each > 1 and step == 30:
            texts[-1] = (1, *texts[-1][1:])
        twin.advance(texts)
    assert met == {False, True, None}


@pytest.mark.parametrize("most", [1, 4, 9])
def test_forced_runs_are_those_of_matchers(made, most):
    """At every place of random texts, and at every place within a run."""
    chance, device = random.Random(most), torch.device("cpu")
    forced, lengths = ForcedRuns.of(made.tables, most, device), set()
    for smiles in MOLECULES:
        template = made.template(smiles)
        matcher, guide = tplc.Matcher(template), Guide([template], device)
        while not matcher.is_finished:
            state, number = torch.tensor([[matcher.state + 1], [matcher.number]])
            head = guide.at(state, number).heads[:, 0]
            run = matcher.forced_run()[:most]
            assert forced.lengths[head].item() == len(run)
            assert forced.tokens[head][0, : len(run)].tolist() == run
            assert forced.decides[head].item() == (not run)
            follower = matcher.copy()
            for count in range(len(run) + 1):
                there = forced.states[head, count]
                place = guide.at(there, number + (there >= guide.tables.size))
                if not follower.is_finished:
                    assert set(guide.allowed(place)[0].tolist()) == set(follower.allowed().tolist())
                assert (place.heads[0, 0] == 1) == follower.is_finished
                follower.advance(run[count]) if count < len(run) else None
            lengths.add(len(run))
            matcher.advance(chance.choice(matcher.allowed().tolist()))
    assert {0, 1} <= lengths


class Counting(TorchDispatchMode):
    """Counts the operations that touch what is in tensors: each is a kernel on a GPU."""

    def __init__(self):
        super().__init__()
        self.told = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if not operation.is_view and operation.overloadpacket.__name__ not in ("_unsafe_view", "_reshape_alias"):
            self.told.append(operation.overloadpacket.__name__)
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize(("each", "most"), [(1, 16), (4, 25)])
def test_a_step_of_the_processor_takes_few_operations(made, edges, each, most, monkeypatch):
    monkeypatch.setitem(LOOK_EVERY, "cpu", 16)
    processor, rows = processor_of(made), len(MOLECULES) * each
    ids, scores = torch.full((rows, 3), 5), torch.zeros(rows, made.logits_width)
    for step in range(15):
        with Counting() as counting:
            kept = processor(ids, scores)
        assert step == 0 or len(counting.told) <= most + 3 * (edges is _tables.SparseEdges), counting.told
        ids = torch.cat((ids, kept.argmax(1, keepdim=True)), 1)


def test_forced_runs_take_few_operations(model, artifact, prompts):
    """Whatever the length of a run."""
    from tplc._decoder import Decoder, Sampling

    few = ["CC=O", "O"]
    made, templates = prompts(few), [artifact.template(smiles) for smiles in few]
    for run in (1, 4, 16):
        decoder = Decoder(model, templates, made["input_ids"], made["attention_mask"].bool(), Sampling(), run, None)
        with Counting() as counting:
            decoder._force(decoder.longest_prompt + run)
        assert len(counting.told) <= 18, counting.told
        forced = [tplc.Matcher(template).forced_run()[:run] for template in templates]
        for row, begun in enumerate(decoder.prompt.tolist()):
            assert decoder.tokens[row, begun : decoder.length[row]].tolist() == forced[row]
