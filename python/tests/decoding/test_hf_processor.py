"""`TemplateLogitsProcessor` under `generate` of transformers, with the tiny model on the CPU."""

import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from decoding.baselines import Allowlist, Blocklist
from decoding.molecules import SMILES

pytest.importorskip("transformers")

import tplc
import tplc.hf
from tplc._places import Guide
from tplc._processor import LOOK_EVERY
from tplc._rows import _weights as weights
from tplc.hf import TemplateLogitsProcessor

WARM = {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20}
HOT = {"do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0}


def held(model, prompts, artifact, smiles, **more):
    processor = TemplateLogitsProcessor(artifact, smiles)
    more = {"do_sample": False, "max_new_tokens": processor.max_new_tokens} | more
    return model.generate(**prompts, logits_processor=[processor], **more)


@pytest.mark.parametrize("sampling", [{"do_sample": False}, WARM, HOT])
def test_zero_junk(torch, model, artifact, prompts, assert_exact, sampling):
    torch.manual_seed(1)
    made = prompts(SMILES)
    sequences = held(model, made, artifact, SMILES, **sampling)
    assert_exact(sequences, made["input_ids"].shape[1], SMILES)


def test_processors_by_position_show_junk_and_cut_numbers(torch, model, artifact, tokenizer, prompts, audited):
    torch.manual_seed(2)
    made = prompts(SMILES)
    length = made["input_ids"].shape[1]
    templates = [artifact.template(smiles) for smiles in SMILES]
    found = {}
    for kind in (Blocklist, Allowlist):
        blocked = kind.blocked(tokenizer, artifact.logits_width)
        processor = kind(blocked, tokenizer, templates, length, artifact.eos)
        most = max(len(row.ids) for row in processor.rows) + 1
        sequences = model.generate(**made, logits_processor=[processor], max_new_tokens=most, **WARM)
        found[kind.__name__] = audited(sequences, length, SMILES)
    # `trimmed4` is mostly shorter than four decimals and longer than three.
    assert found["Blocklist"]["junk_tokens"] > 0
    assert found["Allowlist"]["junk_tokens"] + found["Allowlist"]["truncated"] > 0
    assert found["Allowlist"]["truncated"] > 0


def test_a_row_says_the_same_alone(torch, model, artifact, prompts):
    made = prompts(SMILES)
    length = made["input_ids"].shape[1]
    together = held(model, made, artifact, SMILES)[:, length:].tolist()
    for smiles, row in list(zip(SMILES, together))[::3]:
        alone = prompts([smiles])
        ids = held(model, alone, artifact, [smiles])[0, alone["input_ids"].shape[1] :].tolist()
        assert row[: len(ids)] == ids
        assert set(row[len(ids) :]) <= {artifact.eos}


@pytest.mark.parametrize("before", ["", "C", "CCO.CC(=O)[O-]>" * 9])
def test_prompts_of_any_length(torch, model, artifact, prompts, assert_exact, before):
    few = SMILES[:4]
    made = prompts(few, before)
    assert_exact(held(model, made, artifact, few), made["input_ids"].shape[1], few)


def test_beams(torch, model, artifact, prompts, assert_exact):
    few = SMILES[1:5]
    made = prompts(few)
    sequences = held(model, made, artifact, few, num_beams=3, num_return_sequences=2)
    assert len(sequences) == 8
    assert_exact(sequences, made["input_ids"].shape[1], few)
    sampled = held(model, made, artifact, few, num_beams=2, **HOT)
    assert_exact(sampled, made["input_ids"].shape[1], few)


def test_beams_find_what_a_search_on_the_host_finds(torch, model, artifact, prompts):
    """The slow twin: each row led through a matcher from its start, at every call."""

    class Replaying:
        def __init__(self, templates, prompt):
            self.templates, self.prompt = templates, prompt

        def __call__(self, input_ids, scores):
            kept = torch.full_like(scores, -torch.inf)
            for row, ids in enumerate(input_ids[:, self.prompt :].tolist()):
                matcher = tplc.Matcher(self.templates[row * len(self.templates) // len(input_ids)])
                fits = True
                for id in ids:
                    if not matcher.is_finished and fits:
                        fits = matcher.allows(id)
                        if fits:
                            matcher.advance(id)
                allowed = [artifact.eos] if matcher.is_finished or not fits else matcher.allowed().tolist()
                kept[row, allowed] = scores[row, allowed]
            return kept

    few = SMILES[:3]
    made = prompts(few)
    twin = Replaying([artifact.template(smiles) for smiles in few], made["input_ids"].shape[1])
    more = {"num_beams": 3, "num_return_sequences": 3, "max_new_tokens": 90}
    slow = model.generate(**made, logits_processor=[twin], do_sample=False, **more)
    assert torch.equal(held(model, made, artifact, few, **more), slow)


def test_several_sequences_for_each_prompt(torch, model, artifact, prompts, assert_exact):
    torch.manual_seed(3)
    few = SMILES[:3]
    made = prompts(few)
    sequences = held(model, made, artifact, few, num_return_sequences=4, **HOT)
    assert len({tuple(row) for row in sequences.tolist()}) == 12
    assert_exact(sequences, made["input_ids"].shape[1], few)


def test_masks_are_those_of_the_matcher(torch, artifact):
    """Every row of scores at every step, beside the matcher: finished rows, other widths, other types."""
    torch.manual_seed(4)
    templates = [artifact.template(smiles) for smiles in SMILES]
    for dtype, width in [(torch.float32, artifact.logits_width), (torch.bfloat16, artifact.logits_width + 77)]:
        processor = TemplateLogitsProcessor(artifact, SMILES)
        matchers = [tplc.Matcher(template) for template in templates]
        ids = torch.full((len(SMILES), 3), 7)
        while True:
            scores = torch.randn(len(SMILES), width).to(dtype)
            kept = processor(ids, scores)
            assert kept.dtype == dtype
            for row, matcher in enumerate(matchers):
                expected = [artifact.eos] if matcher.is_finished else matcher.allowed().tolist()
                assert kept[row].isfinite().nonzero().flatten().tolist() == sorted(expected)
                assert torch.equal(kept[row, expected], scores[row, expected])
            if all(matcher.is_finished for matcher in matchers):
                break
            chosen = kept.float().softmax(-1).multinomial(1)
            for matcher, id in zip(matchers, chosen[:, 0].tolist()):
                if not matcher.is_finished:
                    matcher.advance(id)
            ids = torch.cat((ids, chosen), 1)


def test_one_processor_for_call_after_call(torch, model, artifact, prompts):
    few = SMILES[:3]
    processor = TemplateLogitsProcessor(artifact, few)
    said = []
    for before in ("", "CC.", ""):
        made = prompts(few, before)
        sequences = model.generate(**made, logits_processor=[processor], do_sample=False, max_new_tokens=300)
        said.append(sequences[:, made["input_ids"].shape[1] :])
    assert torch.equal(said[0], said[2])


def test_a_step_back_is_followed(torch, artifact):
    """Assisted decoding takes tokens back."""
    smiles = SMILES[1:2]
    template = artifact.template(smiles[0])
    text = "[CONFORMER][C]<1.5,-2,0>[C]<-0.25,1,1>=[O]<2,2,-2>[/CONFORMER]"
    ids = torch.tensor([[5, 6, *template.encode(text)]])
    processor = TemplateLogitsProcessor(artifact, smiles)
    scores = torch.zeros(1, artifact.logits_width)
    forward = [processor(ids[:, :length], scores) for length in range(2, ids.shape[1])]
    for length in (20, 9, 10, 11):
        assert torch.equal(processor(ids[:, :length], scores), forward[length - 2])


def test_assisted_decoding_says_the_same_in_few_steps(torch, model, artifact, prompts, monkeypatch):
    """Each token that is tried is one step, however long the text is."""
    smiles = SMILES[2:3]
    steps, calls = [], []
    behind, call = Guide.behind, TemplateLogitsProcessor.__call__
    monkeypatch.setattr(Guide, "behind", lambda *args: steps.append(1) or behind(*args))
    monkeypatch.setattr(TemplateLogitsProcessor, "__call__", lambda *args: calls.append(1) or call(*args))
    expected = held(model, prompts(smiles), artifact, smiles)
    assert len(steps) < len(calls)
    for more in ({"prompt_lookup_num_tokens": 3}, {"assistant_model": model}):
        steps.clear(), calls.clear()
        assert torch.equal(held(model, prompts(smiles), artifact, smiles, **more), expected)
        assert len(steps) < len(calls)


def test_a_default_device_is_left_alone(torch, artifact):
    """As one may be set where models are made."""
    processor = TemplateLogitsProcessor(artifact, SMILES[:1])
    ids = torch.full((2, 3), 7)
    weights.cache_clear()
    with torch.device("meta"):
        for more in ([], [304]):
            ids = torch.cat((ids, torch.tensor([more, more], dtype=torch.long, device="cpu")), 1)
            assert processor(ids, torch.zeros(2, artifact.logits_width, device="cpu")).isfinite().any(1).all()


def test_what_is_refused_is_told(torch, model, artifact, prompts):
    made = prompts(SMILES[:2])
    with pytest.raises(ValueError, match="2 rows for 3 molecules"):
        held(model, made, artifact, SMILES[:3])
    with pytest.raises(tplc.UnknownLiteralError, match="tplc.compile the new molecules with its options, and tplc.merge"):
        TemplateLogitsProcessor(artifact, ["[U]"])
    processor = TemplateLogitsProcessor(artifact, SMILES[:1])
    with pytest.raises(ValueError, match="logits for 100 ids"):
        processor(torch.tensor([[1]]), torch.zeros(1, 100))
    processor.reset()
    scores = torch.zeros(1, artifact.logits_width)
    processor(torch.tensor([[1]]), scores)
    with pytest.raises(tplc.MatcherError, match="row 0 says token 9") as error:
        processor(torch.tensor([[1, 9]]), scores)
    assert (error.value.row, error.value.token, error.value.position) == (0, 9, 0)


@pytest.mark.parametrize("beams", [{}, {"num_beams": 2}])
def test_prompts_of_another_generate(torch, model, artifact, look, beams):
    """Without `reset`: right where the lengths tell, an error where they do not; behind it always right."""
    smiles = SMILES[1:2]
    short = torch.full((1, 5), 304)

    def said(processor, prompt, most):
        made = {"input_ids": prompt, "attention_mask": torch.ones_like(prompt)}
        more = {"logits_processor": [processor], "do_sample": False, "max_new_tokens": most}
        return model.generate(**made, **more, **beams)[:, prompt.shape[1] :]

    def after_another(prompt, reset=False):
        processor = TemplateLogitsProcessor(artifact, smiles)
        # Its last call sees seven ids.
        said(processor, short, 3)
        if reset:
            processor.reset()
        return said(processor, prompt, 60)

    longer = torch.cat((short, torch.full((1, 9), 9)), 1)
    for prompt in (longer, longer[:, 5:], longer[:, 5:10], longer[:, 5:9], longer[:, :7]):
        expected = said(TemplateLogitsProcessor(artifact, smiles), prompt, 60)
        assert torch.equal(after_another(prompt), expected)
        assert torch.equal(after_another(prompt, reset=True), expected)
    for prompt in (longer[:, :8], torch.full((1, 8), 9)):
        with pytest.raises(tplc.MatcherError, match=r"make a processor for each generate, or reset\(\) it"):
            after_another(prompt)
        expected = said(TemplateLogitsProcessor(artifact, smiles), prompt, 60)
        assert torch.equal(after_another(prompt, reset=True), expected)


class Forcing:
    """Another processor behind ours: one id, in some rows, at one length."""

    def __init__(self, length, rows=slice(None), id=5):
        self.length, self.rows, self.id = length, rows, id

    def __call__(self, input_ids, scores):
        if input_ids.shape[1] == self.length:
            scores[self.rows] = -float("inf")
            scores[self.rows, self.id] = 0.0
        return scores


@pytest.fixture(params=[1, 16])
def look(request, monkeypatch):
    """How often it is looked whether a text went astray: as on the CPU, or as on a GPU."""
    monkeypatch.setitem(LOOK_EVERY, "cpu", request.param)


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("more", [{}, {"num_beams": 2}, HOT | {"num_return_sequences": 2}])
def test_texts_that_are_led_astray_are_told(torch, model, artifact, prompts, look, rows, more):
    """Even where all rows were, so that nothing goes on but what they say."""
    few = SMILES[1 : 1 + rows]
    made = prompts(few)
    length = made["input_ids"].shape[1]
    processor = TemplateLogitsProcessor(artifact, few)
    more = {"do_sample": False, "max_new_tokens": processor.max_new_tokens} | more
    with pytest.raises(tplc.MatcherError, match="row 0 says token 5 at position 12") as error:
        model.generate(**made, logits_processor=[processor, Forcing(length + 12)], **more)
    assert (error.value.row, error.value.token, error.value.position) == (0, 5, 12)


@pytest.mark.parametrize("beams", [{}, {"num_beams": 2}, {"num_beams": 3}])
def test_a_setting_that_forbids_what_must_come_is_told(model, artifact, prompts, look, beams):
    with pytest.raises(tplc.MatcherError, match="which its template does not allow"):
        held(model, prompts(SMILES[1:3]), artifact, SMILES[1:3], no_repeat_ngram_size=3, **beams)


def test_check_tells_what_calls_cannot(torch, model, artifact, prompts):
    """One of several sequences for a prompt, and the last token."""
    few = SMILES[1:3]
    made = prompts(few)
    length = made["input_ids"].shape[1]
    processor = TemplateLogitsProcessor(artifact, few)

    def led(forcing, **more):
        return model.generate(**made, logits_processor=[processor, forcing], **more)

    sequences = led(Forcing(length + 12, rows=[3]), max_new_tokens=60, num_return_sequences=2, **HOT)
    with pytest.raises(tplc.MatcherError, match="row 3 says token 5 at position 12"):
        processor.check(sequences)
    with pytest.raises(tplc.MatcherError, match="row 0 says token 5 at position 9"):
        processor.check(led(Forcing(length + 9), max_new_tokens=10, do_sample=False))


def test_check_finds_nothing_where_nothing_is(torch, model, tokenizer, artifact, prompts):
    few = SMILES[:3]
    endless = tplc.compile(few, tokenizer, number_format="trimmed4", tags="conformer", eos=None)
    made = prompts(few)
    for one in (artifact, endless):
        processor = TemplateLogitsProcessor(one, few, eos_token_id=artifact.eos)
        with pytest.raises(ValueError, match="the generate that this processor was used in"):
            processor.check(made["input_ids"])
        for more in ({}, {"max_new_tokens": 9}, {"num_beams": 2, "num_return_sequences": 2}, {"pad_token_id": 0}):
            more = {"do_sample": False, "max_new_tokens": processor.max_new_tokens} | more
            sequences = model.generate(**made, logits_processor=[processor], **more)
            processor.check(sequences)
            processor.reset()
            with pytest.raises(ValueError, match="the generate that this processor was used in"):
                processor.check(sequences)
            processor(made["input_ids"], torch.zeros(len(few), artifact.logits_width))
            sequences[0, -1] = sequences[-1, made["input_ids"].shape[1] + 3] = 9
            with pytest.raises(tplc.MatcherError, match="says token 9"):
                processor.check(sequences)


def test_where_beams_came_from_is_found_in_little_space(torch, artifact):
    """No tensor of a step is much larger than the ids: not all rows of a prompt beside all, token by token."""
    from torch.utils._python_dispatch import TorchDispatchMode

    largest = []

    class Weighing(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            made = operation(*args, **(kwargs or {}))
            largest.append(made.numel() if isinstance(made, torch.Tensor) else 0)
            return made

    processor = TemplateLogitsProcessor(artifact, SMILES[:2])
    ids = torch.randint(5, 9, (2, 900)).repeat_interleave(32, 0)
    scores = torch.zeros(64, artifact.logits_width)
    processor(ids, scores)
    order = torch.cat((torch.randperm(32), 32 + torch.randint(32, (32,))))
    with Weighing():
        kept = processor(torch.cat((ids[order], torch.full((64, 1), 304)), 1), scores)
    assert max(largest) <= 2 * ids.numel()
    assert kept.isfinite().any(1).all()


def test_the_most_tokens_are_those_of_the_longest_text(tokenizer, artifact):
    endless = tplc.compile(SMILES, tokenizer, number_format="trimmed4", tags="conformer", eos=None)
    most = max(artifact.template(smiles).tokens[1] for smiles in SMILES)
    for one in (artifact, endless):
        assert TemplateLogitsProcessor(one, SMILES, eos_token_id=artifact.eos).max_new_tokens == most


def test_fewer_molecules_than_prompts_are_refused(torch, model, artifact, prompts):
    """Though their number is a divisor, as with several sequences for each prompt."""
    with pytest.raises(ValueError, match="other prompts than 2"):
        held(model, prompts(SMILES[:4]), artifact, SMILES[:2])


def test_molecules_come_from_anything_and_outputs_as_anything(torch, model, artifact, prompts):
    few = SMILES[:2]
    processor = TemplateLogitsProcessor(artifact, (smiles for smiles in few))
    more = {"do_sample": False, "max_new_tokens": processor.max_new_tokens, "return_dict_in_generate": True}
    outputs = model.generate(**prompts(few), logits_processor=[processor], **more)
    assert torch.equal(outputs.sequences, held(model, prompts(few), artifact, few))
    assert torch.equal(tplc.hf.generate(model, prompts(few), artifact, map(str, few)), outputs.sequences)
    processor.check(outputs)
    outputs.sequences[0, prompts(few)["input_ids"].shape[1] + 3] = 9
    with pytest.raises(tplc.MatcherError, match="row 0 says token 9"):
        processor.check(outputs)


def test_without_torch_what_is_missing_is_told():
    """In a process of its own, which has imported nothing yet."""
    for absent, shown in [("torch", "tplc.hf needs torch and transformers: pip install 'tplc[hf]'"), ("tplc._tplc", "tplc._tplc")]:
        script = f"import sys; sys.modules[{absent!r}] = None; import tplc.hf"
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert ran.returncode != 0 and shown in ran.stderr.splitlines()[-1]


def test_arguments_that_make_no_sense_are_refused(torch, artifact):
    for make in (TemplateLogitsProcessor, lambda *given: tplc.hf.generate(None, torch.tensor([[1]]), *given)):
        with pytest.raises(ValueError, match="smiles has no molecule"):
            make(artifact, [])
        with pytest.raises(TypeError, match=r"artifact is 'tiny.tplc': give an Artifact, such as tplc.Artifact.open gives"):
            make("tiny.tplc", ["O"])
    with pytest.raises(TypeError, match="smiles is one text, 'CC'"):
        TemplateLogitsProcessor(artifact, "CC")
    with pytest.raises(ValueError, match="eos_token_id is 7, and the texts of the artifact end with"):
        TemplateLogitsProcessor(artifact, ["O"], eos_token_id=7)


def first_mask(processor, torch):
    return processor(torch.tensor([[1]] * len(processor.smiles)), torch.zeros(len(processor.smiles), 312))


def mask_elsewhere(pickled):
    import torch

    return first_mask(pickle.loads(pickled), torch).tolist()


def test_pickles_and_crosses_processes(torch, artifact, tmp_path):
    artifact.save(tmp_path / "tiny.tplc")
    opened = tplc.Artifact.open(tmp_path / "tiny.tplc")
    for one in (artifact, opened):
        processor = TemplateLogitsProcessor(one, SMILES)
        expected = first_mask(processor, torch).tolist()
        assert first_mask(pickle.loads(pickle.dumps(processor)), torch).tolist() == expected
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(mask_elsewhere, pickle.dumps(processor)).result() == expected
