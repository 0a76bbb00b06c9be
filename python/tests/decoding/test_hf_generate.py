"""`tplc.hf.generate` beside `TemplateLogitsProcessor` and the program, with the tiny model on the CPU."""

import re
from collections import Counter
from contextlib import contextmanager

import pytest

from decoding.molecules import ROOT, SMILES

pytest.importorskip("transformers")

import tplc
import tplc.hf

WARM = {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20}


def by_processor(model, made, artifact, smiles, **more):
    processor = tplc.hf.TemplateLogitsProcessor(artifact, smiles)
    more = {"do_sample": False, "max_new_tokens": processor.max_new_tokens} | more
    return model.generate(**made, logits_processor=[processor], **more)


@pytest.mark.parametrize("run", [1, 4])
def test_says_what_the_processor_says(torch, model, artifact, prompts, run):
    made = prompts(SMILES)
    expected = by_processor(model, made, artifact, SMILES)
    assert torch.equal(tplc.hf.generate(model, made, artifact, SMILES, run=run), expected)


def test_says_what_the_program_says(torch, model, tokenizer, prompts):
    """The snapshot is held by a test of the program: strategy `restricted`, greedy, f32."""
    lines = (ROOT / "golden/decode/greedy.snap").read_text().split("---\n", 2)[2].splitlines()
    told = {smiles: [int(id) for id in ids.split()] for smiles, ids in (line.split("\t") for line in lines)}
    smiles = list(told)
    artifact = tplc.compile(smiles, tokenizer, number_format="trimmed4", tags="conformer")
    made = prompts(smiles)
    sequences = by_processor(model, made, artifact, smiles)
    assert torch.equal(tplc.hf.generate(model, made, artifact, smiles), sequences)
    for one, ids in zip(smiles, sequences[:, made["input_ids"].shape[1] :].tolist()):
        assert ids[: len(told[one])] == told[one]


@pytest.mark.parametrize(
    "sampling",
    [
        WARM,
        {"do_sample": True},
        {"do_sample": True, "min_p": 0.1},
        {"do_sample": True, "temperature": 1.5, "top_p": 0.4},
    ],
)
def test_zero_junk(torch, model, artifact, prompts, assert_exact, sampling):
    made = prompts(SMILES)
    generator = torch.Generator().manual_seed(5)
    sequences = tplc.hf.generate(
        model, made, artifact, SMILES, num_return_sequences=2, generator=generator, **sampling
    )
    assert len(sequences) == 2 * len(SMILES)
    assert_exact(sequences, made["input_ids"].shape[1], SMILES)


def test_other_formats_and_types(torch, model, tokenizer, prompts, assert_exact):
    made = prompts(SMILES)
    half = model.to(torch.bfloat16)
    try:
        for number_format in ("fixed4", "(integer_digits: 1, decimals: 2)"):
            other = tplc.compile(SMILES, tokenizer, number_format=number_format, tags="conformer")
            sequences = tplc.hf.generate(half, made, other, SMILES)
            assert_exact(sequences, made["input_ids"].shape[1], SMILES, other)
    finally:
        model.to(torch.float32)


def test_padding_on_either_side_changes_nothing(torch, model, artifact, prompts):
    made = prompts(SMILES)
    ids, mask = made["input_ids"], made["attention_mask"]
    length = ids.shape[1]
    expected = tplc.hf.generate(model, made, artifact, SMILES)[:, length:]
    order = mask.logical_not().int().argsort(dim=1, stable=True)
    right = {"input_ids": ids.gather(1, order), "attention_mask": mask.gather(1, order)}
    sequences = tplc.hf.generate(model, right, artifact, SMILES)
    assert torch.equal(sequences[:, :length], right["input_ids"])
    assert torch.equal(sequences[:, length:], expected)
    for row in range(1, len(SMILES), 3):
        smiles = SMILES[row]
        alone = ids[row][mask[row].bool()][None]
        said = tplc.hf.generate(model, alone, artifact, [smiles])[0, alone.shape[1] :]
        assert torch.equal(said, expected[row, : len(said)])


def test_draws_repeat_and_follow_the_model(torch, model, tokenizer, prompts):
    """All texts of one short hole: how often each is drawn, beside its probability under the mask."""
    tiny = tplc.compile(["O"], tokenizer, number_format="(integer_digits: 1, decimals: 0)", tags="conformer")
    made = prompts(["O"])

    def draw(seed, rows):
        more = {"do_sample": True, "num_return_sequences": rows, "generator": torch.Generator().manual_seed(seed)}
        return tplc.hf.generate(model, made, tiny, ["O"], **more)[:, made["input_ids"].shape[1] :]

    assert torch.equal(draw(6, 50), draw(6, 50))
    assert not torch.equal(draw(6, 50), draw(7, 50))
    drawn = draw(6, 1000)
    template = tiny.template("O")
    ends = Counter(tuple(row) for row in drawn.tolist())
    # The first number of each text: its probability by the model's own logits, renormalized token by token.
    first = Counter(tokenizer.decode(row).split("<")[1].split(",")[0] for row in drawn.tolist())
    expected = {}
    prompt = made["input_ids"]

    def walk(matcher, said, share):
        forced = matcher.take_forced_run()
        said = said + forced
        text = tokenizer.decode(said)
        if "," in text:
            number = text.split("<")[1].split(",")[0]
            expected[number] = expected.get(number, 0.0) + share
            return
        with torch.no_grad():
            logits = model(torch.cat((prompt, torch.tensor([said])), 1)).logits[0, -1]
        allowed = matcher.allowed().tolist()
        for id, chance in zip(allowed, logits[allowed].softmax(-1).tolist()):
            further = matcher.copy()
            further.advance(id)
            walk(further, said + [id], share * chance)

    walk(tplc.Matcher(template), [], 1.0)
    assert abs(sum(expected.values()) - 1.0) < 1e-5
    for number, share in expected.items():
        spread = (1000 * share * (1 - share)) ** 0.5
        assert abs(first[number] - 1000 * share) < 5 * spread + 2, (number, share, first[number])
    assert len(ends) > 10


def test_fewer_passes_and_a_narrow_head(torch, model, artifact, prompts, monkeypatch):
    made = prompts(SMILES[6:7])
    expected = tplc.hf.generate(model, made, artifact, SMILES[6:7])
    calls, widths = [], set()
    forward = type(model).forward

    def counted(self, *args, **kwargs):
        output = forward(self, *args, **kwargs)
        calls.append(kwargs["input_ids"].shape[1])
        widths.add(output.logits.shape[-1])
        return output

    monkeypatch.setattr(type(model), "forward", counted)
    sequences = tplc.hf.generate(model, made, artifact, SMILES[6:7])
    ids = sequences[0, made["input_ids"].shape[1] :].tolist()
    decided = artifact.template(SMILES[6]).labels(ids).count("decided")
    assert torch.equal(sequences, expected)
    assert widths == {len(artifact.tables.alphabet)}
    assert decided <= len(calls) < len(ids)


def test_what_generate_returns(torch, model, artifact, prompts):
    few = SMILES[:3]
    made = prompts(few)
    sequences = tplc.hf.generate(model, made, artifact, few)
    output = tplc.hf.generate(model, made, artifact, few, return_dict_in_generate=True)
    assert torch.equal(output.sequences, sequences)
    cut = tplc.hf.generate(model, made, artifact, few, max_new_tokens=11)
    assert torch.equal(cut, sequences[:, : made["input_ids"].shape[1] + 11])
    padded = tplc.hf.generate(model, made, artifact, few, pad_token_id=0)
    length = made["input_ids"].shape[1]
    for row, ids in zip(padded[:, length:].tolist(), sequences[:, length:].tolist()):
        end = ids.index(artifact.eos) + 1
        assert row == ids[:end] + [0] * (len(ids) - end)


def test_artifacts_without_an_end(torch, model, tokenizer, artifact, prompts):
    few = SMILES[:3]
    made = prompts(few)
    endless = tplc.compile(few, tokenizer, number_format="trimmed4", tags="conformer", eos=None)
    expected = tplc.hf.generate(model, made, artifact, few)
    assert torch.equal(tplc.hf.generate(model, made, endless, few, eos_token_id=artifact.eos), expected)
    cut = tplc.hf.generate(model, made, endless, few, eos_token_id=artifact.eos, max_new_tokens=11)
    assert torch.equal(cut, expected[:, : made["input_ids"].shape[1] + 11])
    processor = tplc.hf.TemplateLogitsProcessor(endless, few, eos_token_id=artifact.eos)
    said = model.generate(**made, logits_processor=[processor], do_sample=False, max_new_tokens=processor.max_new_tokens)
    assert torch.equal(said, expected)
    with pytest.raises(ValueError, match="eos_token_id"):
        tplc.hf.TemplateLogitsProcessor(endless, few)


def llama(transformers, **more):
    sizes = {"vocab_size": 312, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes | more))


def gpt2(transformers, **more):
    sizes = {"vocab_size": 312, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 2048}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes | more))


def gemma2(transformers, **more):
    """Caps its logits behind the head, and every second layer has a window."""
    sizes = {"vocab_size": 312, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "head_dim": 16}
    sizes |= {"num_attention_heads": 4, "num_key_value_heads": 2, "attn_implementation": "eager"}
    return transformers.Gemma2ForCausalLM(transformers.Gemma2Config(**sizes | more))


def granite(transformers, **more):
    """Divides its logits behind the head."""
    sizes = {"vocab_size": 312, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "num_key_value_heads": 2, "logits_scaling": 8.0}
    return transformers.GraniteForCausalLM(transformers.GraniteConfig(**sizes | more))


@pytest.mark.parametrize("make", [llama, gpt2, gemma2, granite])
@pytest.mark.parametrize("tied", [True, False])
def test_other_models(torch, artifact, prompts, make, tied):
    import transformers

    torch.manual_seed(8)
    model = make(transformers, tie_word_embeddings=tied).eval()
    few = SMILES[:4]
    made = prompts(few)
    more = {"eos_token_id": artifact.eos, "pad_token_id": artifact.eos}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected = by_processor(model, made, artifact, few, **more)
    assert torch.equal(tplc.hf.generate(model, made, artifact, few, pad_token_id=artifact.eos), expected)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_models_that_cannot_be_served_are_refused(torch, model, artifact, prompts):
    import transformers

    made = prompts(SMILES[:1])
    windowed = gemma2(transformers, sliding_window=32).eval()
    with pytest.raises(ValueError, match=re.escape("use TemplateLogitsProcessor")):
        tplc.hf.generate(windowed, made, artifact, SMILES[:1])
    narrow = llama(transformers, vocab_size=300).eval()
    with pytest.raises(ValueError, match="the model knows 300 ids"):
        tplc.hf.generate(narrow, torch.tensor([[7]]), artifact, SMILES[:1])
    with pytest.raises(ValueError, match="1 prompts for 2 molecules"):
        tplc.hf.generate(model, made, artifact, SMILES[:2])


def test_a_pass_never_looks_at_its_results(torch, model, artifact, prompts):
    """What makes it fit to be recorded: nothing comes to the host, no number goes from there, tensors stay where they are."""
    from torch.utils._python_dispatch import TorchDispatchMode

    from tplc._decoder import Decoder, Sampling

    banned = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal", "item", "scalar_tensor")

    class Watching(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            assert operation.overloadpacket.__name__ not in banned, operation
            return operation(*args, **(kwargs or {}))

    few = SMILES[1:5]
    made = prompts(few)
    templates = [artifact.template(smiles) for smiles in few]
    every = Sampling(do_sample=True, temperature=0.9, top_k=9, top_p=0.9, min_p=0.01)
    decoder = Decoder(model, templates, made["input_ids"], made["attention_mask"].bool(), every, 4, None)
    state = ("tokens", "length", "read", "state", "number", "limit", "failed")
    places = [getattr(decoder, name).data_ptr() for name in state]
    with torch.no_grad():
        decoder._pass(decoder.longest_prompt + 4)
        with Watching():
            for _ in range(30):
                decoder._pass(4)
    assert [getattr(decoder, name).data_ptr() for name in state] == places
    assert (decoder.length > decoder.prompt + 30).all()


class Broken:
    """A model's logits as an overflow or a broken checkpoint leaves them, for all ids or for some."""

    def __init__(self, model, value, ids=slice(None), from_row=0):
        self.hook = lambda module, inputs, output: self.broken(output)
        self.model, self.value, self.ids, self.from_row = model.get_output_embeddings(), value, ids, from_row

    def broken(self, output):
        if output.shape[0] > self.from_row:
            output[self.from_row :, :, self.ids] = self.value
        return output

    def __enter__(self):
        self.handle = self.model.register_forward_hook(self.hook)

    def __exit__(self, *_):
        self.handle.remove()


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), float("inf")])
@pytest.mark.parametrize("do_sample", [False, True])
def test_logits_without_a_choice_are_told(torch, model, artifact, prompts, value, do_sample):
    few = SMILES[1:4]
    for from_row in (0, 2):
        with Broken(model, value, from_row=from_row):
            with pytest.raises(tplc.MatcherError, match=f"row {from_row} has nothing to choose from") as error:
                tplc.hf.generate(model, prompts(few), artifact, few, do_sample=do_sample)
        first = len(tplc.Matcher(artifact.template(few[from_row])).take_forced_run())
        assert (error.value.row, error.value.position) == (from_row, first)


def test_some_ids_may_be_banned(torch, model, artifact, prompts, assert_exact):
    """Minus infinity for a few ids is a choice of the model."""
    few = SMILES[1:4]
    with Broken(model, float("-inf"), ids=[0, 3]):
        sequences = tplc.hf.generate(model, prompts(few), artifact, few)
    assert_exact(sequences, prompts(few)["input_ids"].shape[1], few)


def test_learned_positions_are_used_to_the_last(torch, artifact):
    """A text of 64 tokens for a model that has 64 positions; one more is not read any more, and that is how far `generate`
    of transformers goes too."""
    import transformers

    torch.manual_seed(8)
    small = gpt2(transformers, n_positions=64).eval()
    ids = torch.full((2, 40), 5)
    for most in (24, 25):
        more = {"max_new_tokens": most, "eos_token_id": artifact.eos, "pad_token_id": artifact.eos}
        made = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        expected = by_processor(small, made, artifact, SMILES[1:3], **more)
        assert torch.equal(tplc.hf.generate(small, ids, artifact, SMILES[1:3], max_new_tokens=most), expected)


def test_the_model_is_as_ever_for_other_threads(torch, model, artifact, prompts):
    """Whoever calls it while a pass is read: its output layer is whole."""
    seen = set()

    def look(*_):
        seen.add((model.lm_head.out_features, len(model.lm_head.weight), model.get_output_embeddings() is model.lm_head))

    handle = model.model.register_forward_hook(look)
    try:
        tplc.hf.generate(model, prompts(SMILES[:2]), artifact, SMILES[:2], max_new_tokens=8)
    finally:
        handle.remove()
    assert seen == {(312, 312, True)}


def test_a_laid_over_forward_is_still_called(torch, model, artifact, prompts):
    """As hooks of accelerate are: bound to the module that it was laid over."""
    expected = tplc.hf.generate(model, prompts(SMILES[:2]), artifact, SMILES[:2])
    calls, forward = [], model.lm_head.forward
    model.lm_head.forward = lambda states: calls.append(1) or forward(states)
    try:
        assert torch.equal(tplc.hf.generate(model, prompts(SMILES[:2]), artifact, SMILES[:2]), expected)
    finally:
        del model.lm_head.forward
    assert calls


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"run": 0}, "run is 0"),
        ({"num_return_sequences": -1}, "num_return_sequences is -1"),
        ({"num_return_sequences": 2}, "num_return_sequences is 2 without do_sample=True"),
        ({"temperature": 0.7, "top_p": 0.9}, "temperature and top_p without do_sample=True"),
        ({"do_sample": True, "temperature": 0.0}, "temperature is 0.0"),
        ({"do_sample": True, "temperature": float("nan")}, "temperature is nan"),
        ({"do_sample": True, "top_p": 2.0}, "top_p is 2.0"),
        ({"do_sample": True, "top_k": -1}, "top_k is -1"),
        ({"do_sample": True, "min_p": 1.5}, "min_p is 1.5"),
        ({"eos_token_id": 7}, "eos_token_id is 7, and the texts of the artifact end with"),
    ],
)
def test_settings_that_make_no_sense_are_refused(model, artifact, prompts, more, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        tplc.hf.generate(model, prompts(SMILES[:1]), artifact, SMILES[:1], **more)


def test_prompts_that_make_no_sense_are_refused(torch, model, artifact, prompts):
    made = prompts(SMILES[:1])
    ids = made["input_ids"]
    with pytest.raises(ValueError, match="attention_mask has the shape"):
        tplc.hf.generate(model, ids, artifact, SMILES[:1], attention_mask=torch.ones(1, 2))
    with pytest.raises(ValueError, match="give a row of ids for each prompt"):
        tplc.hf.generate(model, ids[0], artifact, SMILES[:1])
    with pytest.raises(TypeError, match="smiles is one text, 'O'"):
        tplc.hf.generate(model, ids, artifact, "O")
    few = tplc.hf.generate(model, ids, artifact, SMILES[:1], max_new_tokens=9)
    assert torch.equal(tplc.hf.generate(model, ids.int(), artifact, SMILES[:1], max_new_tokens=9), few)


def test_a_recording_that_fails(torch, model, artifact, prompts, monkeypatch):
    """On goes the text without one, unless it was asked for."""
    from tplc._decoder import Decoder, Sampling

    made = prompts(SMILES[:2])
    tried = []

    def failing(self):
        tried.append(1)
        raise RuntimeError("no graph")

    monkeypatch.setattr(Decoder, "_record", failing)
    templates = [artifact.template(smiles) for smiles in SMILES[:2]]

    def decoder():
        decoder = Decoder(model, templates, made["input_ids"], made["attention_mask"].bool(), Sampling(), 4, None)
        decoder.can_record = True
        return decoder

    with torch.no_grad():
        whole = decoder()
        with pytest.warns(UserWarning, match="cannot be recorded, so there are no CUDA graphs: no graph") as warned:
            whole.decode()
        assert (len(tried), len(warned)) == (1, 1)
        with pytest.raises(RuntimeError, match="no graph"):
            decoder().decode(True)
        expected = tplc.hf.generate(model, made, artifact, SMILES[:2])[:, made["input_ids"].shape[1] :]
        assert torch.equal(whole.completions(artifact.eos, None), expected)


class Recordings:
    """CUDA's streams and graphs as a recording sees them, and what it did with them, in order. The first `short` recordings
    find no memory, and one without `sound` cannot be ended."""

    def __init__(self, torch, monkeypatch, short=0, sound=True):
        self.torch, self.did, self.short, self.sound, self.streams = torch, [], short, sound, [Stream(self, "current")]
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: self)
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream(self, "aside"))
        monkeypatch.setattr(torch.cuda, "stream", self.on)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: self.streams[-1])
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: self.did.append("empty"))
        monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: pytest.fail("nothing waits for the device"))

    @contextmanager
    def on(self, stream):
        self.streams.append(stream)
        try:
            yield
        finally:
            self.streams.pop()

    def capture_begin(self, pool, capture_error_mode):
        assert (self.streams[-1].name, capture_error_mode) == ("aside", "thread_local")
        self.did.append("begin")
        self.short -= 1
        if self.short >= 0:
            raise self.torch.OutOfMemoryError("no room")

    def capture_end(self):
        assert self.streams[-1].name == "aside"
        self.did.append("end")
        if not self.sound:
            raise RuntimeError("the recording was invalidated")


class Stream:
    def __init__(self, recordings, name):
        self.recordings, self.name = recordings, name

    def wait_stream(self, other):
        self.recordings.did.append(f"{self.name} behind {other.name}")


@pytest.fixture
def decoder(torch, model, artifact, prompts):
    """One that has read its prompt."""
    from tplc._decoder import Decoder, Sampling, recording_stream

    made, templates = prompts(SMILES[:1]), [artifact.template(SMILES[0])]
    decoder = Decoder(model, templates, made["input_ids"], made["attention_mask"].bool(), Sampling(), 4, None)
    recording_stream.cache_clear()
    with torch.no_grad():
        decoder._pass(decoder.longest_prompt + 4)
        yield decoder
    recording_stream.cache_clear()


ASIDE = ["aside behind current", "begin", "end", "current behind aside"]


def test_a_recording_has_a_stream_of_its_own_thread_and_device(torch, decoder, monkeypatch):
    from tplc._decoder import recording_stream

    recordings = Recordings(torch, monkeypatch)
    assert decoder._record() is recordings and decoder._record() is recordings
    assert (recordings.did, len(recordings.streams)) == (2 * ASIDE, 1)
    device, other = torch.device("cuda:0"), torch.device("cuda:1")
    streams = [recording_stream(*of) for of in [(device, 1), (other, 1), (device, 2), (device, 1)]]
    assert [streams.index(one) for one in streams] == [0, 1, 2, 0]


def test_a_recording_that_cannot_be_ended_gives_its_stream_back(torch, decoder, monkeypatch):
    recordings = Recordings(torch, monkeypatch, sound=False)
    with pytest.raises(RuntimeError, match="invalidated"):
        decoder._record()
    assert (recordings.did, len(recordings.streams)) == (ASIDE[:3], 1)


def test_a_recording_without_memory_is_tried_once_more(torch, decoder, monkeypatch):
    recordings = Recordings(torch, monkeypatch, short=1)
    assert decoder._record() is recordings
    assert recordings.did == [*ASIDE[:2], "empty", *ASIDE]
    recordings.short = 2
    with pytest.raises(torch.OutOfMemoryError):
        decoder._record()


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_under_autocast(torch, artifact, prompts, assert_exact, kind):
    """The model is f32, its queries and keys are not."""
    import transformers

    torch.manual_seed(8)
    sizes = {"vocab_size": 312, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "head_dim": 16}
    sizes |= {"num_attention_heads": 4, "num_key_value_heads": 2, "eos_token_id": artifact.eos, "pad_token_id": artifact.eos}
    model = transformers.AutoModelForCausalLM.from_config(transformers.CONFIG_MAPPING[kind](**sizes)).eval()
    made = prompts(SMILES[:3])
    with torch.autocast("cpu", torch.bfloat16):
        sequences = tplc.hf.generate(model, made, artifact, SMILES[:3])
    assert_exact(sequences, made["input_ids"].shape[1], SMILES[:3])


def test_arguments_that_it_does_not_take(model, artifact, prompts):
    made = prompts(SMILES[:1])
    with pytest.raises(TypeError, match="takes no num_beams and no streamer: prompts are one argument"):
        tplc.hf.generate(model, made, artifact, SMILES[:1], num_beams=2, streamer=None)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'prompts'"):
        tplc.hf.generate(model, **made, artifact=artifact, smiles=SMILES[:1])
