"""One matcher: masks, forced runs, going forward and back."""

import copy
import pickle

import numpy as np
import pytest

import tplc
from conftest import bits


@pytest.fixture
def matcher(artifact: tplc.Artifact) -> tplc.Matcher:
    return tplc.Matcher(artifact.template("CC=O"))


def test_a_decoding_loop(artifact: tplc.Artifact, qwen: tplc.Tokenizer, matcher: tplc.Matcher) -> None:
    ids, passes = [], 0
    mask = np.zeros(artifact.mask_words, dtype=np.int32)
    while True:
        ids += matcher.take_forced_run()
        if not matcher.fill_mask(mask):
            break
        passes += 1
        choice = bits(mask)[0]
        assert matcher.advance(choice) in ("copy", "decided")
        ids.append(choice)
    text = qwen.decode(ids, skip_special=True)
    assert text == "[C]<0,0,0>[C]<0,0,0>=[O]<0,0,0>" or tplc.parse(text)[0] == "[C][C]=[O]"
    assert artifact.encode(text, qwen) == ids
    fewest, most = artifact.template("CC=O").passes
    assert fewest <= passes <= most


def test_masks_are_the_allowed_ids(matcher: tplc.Matcher) -> None:
    rng = np.random.default_rng(11)
    while not matcher.is_finished:
        allowed = matcher.allowed()
        for dtype in (np.int32, np.uint32):
            mask = np.full(5000, -1 if dtype is np.int32 else 2**32 - 1, dtype=dtype)
            assert matcher.fill_mask(mask)
            assert bits(mask) == allowed.tolist()
        assert all(matcher.allows(int(id)) for id in allowed)
        forced = matcher.forced_run()
        assert (len(allowed) == 1) == bool(forced)
        assert forced[:1] == ([int(allowed[0])] if forced else [])
        left = matcher.tokens_left
        matcher.advance(int(rng.choice(allowed)))
        assert matcher.tokens_left[0] >= left[0] - 1 and matcher.tokens_left[1] <= left[1] - 1
    assert matcher.allowed().size == 0 and matcher.tokens_left == (0, 0)
    mask = np.full(5000, 7, dtype=np.int32)
    assert not matcher.fill_mask(mask) and (mask == 7).all()


def test_back_and_forth(artifact: tplc.Artifact, qwen: tplc.Tokenizer, matcher: tplc.Matcher) -> None:
    ids = artifact.encode("[C]<-1.5,0,2>[C]<0,0.5,0>=[O]<1,-10.25,0>", qwen)
    places = []
    for id in ids:
        places.append((matcher.state, matcher.number, matcher.allowed().tolist()))
        matcher.advance(id)
    assert matcher.is_finished and len(matcher) == len(ids)
    for place in reversed(places):
        matcher.rollback(1)
        assert place == (matcher.state, matcher.number, matcher.allowed().tolist())
    assert matcher.validate(ids) == len(ids) and len(matcher) == 0
    assert matcher.validate([*ids[:5], 10**6, *ids]) == 5
    assert matcher.validate(np.array(ids[:4])) == 4
    for id in ids[:9]:
        matcher.advance(id)
    twins = [matcher.copy(), copy.copy(matcher), copy.deepcopy(matcher)]
    matcher.reset()
    assert len(matcher) == 0
    for twin in twins:
        assert len(twin) == 9 and twin.validate(ids[9:]) == len(ids) - 9
        assert twin.template.smiles == "CC=O"
        twin.rollback(100)
        assert len(twin) == 0


def test_a_refused_token_changes_nothing(matcher: tplc.Matcher) -> None:
    run = matcher.take_forced_run()
    for token in (0, -1, 2**40):
        with pytest.raises(tplc.MatcherError) as refused:
            matcher.advance(token)
        assert (refused.value.token, refused.value.position) == (token, len(run))
        assert not matcher.allows(token)
    assert len(matcher) == len(run)


def test_without_forcing(artifact: tplc.Artifact) -> None:
    template = artifact.template("CC=O")
    matcher = tplc.Matcher(template, forcing=False)
    assert matcher.forced_run() == [] and matcher.take_forced_run() == []
    assert matcher.passes_left == template.tokens
    assert tplc.Matcher(template).passes_left == template.passes


@pytest.mark.parametrize(
    ("bitmask", "error", "message"),
    [
        (np.zeros(5000, dtype=np.int64), TypeError, "int32"),
        (np.zeros(100, dtype=np.int32), ValueError, "words"),
        (np.zeros((1, 5000), dtype=np.int32), ValueError, "dimensions"),
        (np.zeros(10000, dtype=np.int32)[::2], ValueError, "contiguous"),
        ([0] * 5000, TypeError, "bitmask"),
        (None, TypeError, "bitmask"),
    ],
)
def test_what_is_no_bitmask(matcher: tplc.Matcher, bitmask, error, message: str) -> None:
    with pytest.raises(error, match=message):
        matcher.fill_mask(bitmask)


def test_a_bitmask_that_cannot_be_written(matcher: tplc.Matcher) -> None:
    mask = np.zeros(5000, dtype=np.int32)
    mask.setflags(write=False)
    with pytest.raises(ValueError, match="cannot be written"):
        matcher.fill_mask(mask)


class Tensor:
    """Looks like a torch tensor on the CPU: shares memory by `numpy()`."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def data_ptr(self) -> int:
        return self.array.ctypes.data

    def numpy(self) -> np.ndarray:
        return self.array


class Interface:
    """Anything that tells where its memory is."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.__array_interface__ = array.__array_interface__


def test_other_memory_is_filled_in_place(matcher: tplc.Matcher) -> None:
    import array

    expected = matcher.allowed().tolist()
    memory = np.zeros(5000, dtype=np.int32)
    for wrap in (Tensor, Interface, memoryview):
        memory[:] = 0
        assert matcher.fill_mask(wrap(memory))
        assert bits(memory) == expected
    words = array.array("i", bytes(4 * 5000))
    assert matcher.fill_mask(words)
    assert bits(np.frombuffer(words, dtype=np.int32)) == expected


def test_torch_tensors_are_filled_in_place(matcher: tplc.Matcher) -> None:
    torch = pytest.importorskip("torch")
    mask = torch.zeros((2, 5000), dtype=torch.int32)
    assert matcher.fill_mask(mask[1])
    assert bits(mask[1].numpy()) == matcher.allowed().tolist() and not mask[0].any()


def test_takes_what_it_may(artifact: tplc.Artifact) -> None:
    matcher = tplc.Matcher(artifact.template("CC=O"))
    ids = artifact.template("CC=O").encode("[C]<1,2,3>[C]<-1.5,0,0.25>=[O]<0,0,0>")
    assert matcher.take(ids[:5] + [ids[0]] + ids[5:]) == len(matcher) == 5
    assert matcher.take([]) == 0
    assert matcher.take(np.array(ids[5:])) == len(ids) - 5 and matcher.is_finished
    assert matcher.take(ids) == 0


def test_it_says_why_it_does_not_pickle(artifact: tplc.Artifact) -> None:
    template = artifact.template("CC=O")
    for one, what in [(tplc.Matcher(template), "its template"), (tplc.MatcherBatch([template]), "its templates")]:
        for protocol in (2, pickle.HIGHEST_PROTOCOL):
            with pytest.raises(TypeError, match=f"does not pickle: send {what}"):
                pickle.dumps(one, protocol)


def test_numbers_that_no_id_can_be(artifact: tplc.Artifact) -> None:
    matcher = tplc.Matcher(artifact.template("CC=O"))
    batch = tplc.MatcherBatch([artifact.template("CC=O")])
    with pytest.raises(tplc.MatcherError, match="^-1 is no token, .* at position 0$") as raised:
        matcher.advance(-1)
    assert raised.value.token == -1
    with pytest.raises(tplc.MatcherError, match=r"^row 0: 4294967296 is no token"):
        batch.advance([2**32])
    calls = [matcher.advance, matcher.allows, matcher.rollback, batch.rollback, lambda huge: batch.advance([huge])]
    for call in [*calls, lambda huge: matcher.take([huge]), lambda huge: batch.select([huge])]:
        with pytest.raises(ValueError, match="1180591620717411303424 is far too large"):
            call(2**70)
