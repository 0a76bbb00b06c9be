"""Batches: many rows in one call, the same as one by one."""

import array
import copy
import sys
import threading
import time

import numpy as np
import pytest

import tplc
from conftest import MOLECULES, bits


@pytest.fixture
def batch(artifact: tplc.Artifact) -> tplc.MatcherBatch:
    return tplc.MatcherBatch([artifact.template(smiles) for smiles in MOLECULES])


def random_walks(batch: tplc.MatcherBatch, rng: np.random.Generator, words: int) -> list[list[int]]:
    """Takes all rows to their end, forced runs at once, choices by their masks."""
    rows: list[list[int]] = [[] for _ in range(len(batch))]
    mask = np.zeros((len(batch), words), dtype=np.int32)
    while not batch.is_finished:
        for row, run in zip(rows, batch.take_forced_runs(), strict=True):
            row += run
        batch.fill_masks(mask)
        finished = batch.finished
        choices = np.full(len(batch), -1)
        for index in np.flatnonzero(~finished):
            choices[index] = rng.choice(bits(mask[index]))
            rows[index].append(int(choices[index]))
        batch.advance(choices)
    return rows


def test_random_walks_are_canonical(any_artifact: tuple[tplc.Artifact, tplc.Tokenizer]) -> None:
    artifact, tokenizer = any_artifact
    rng = np.random.default_rng(5)
    for _ in range(5):
        batch = tplc.MatcherBatch(artifact.template(smiles) for smiles in MOLECULES)
        for smiles, ids in zip(MOLECULES, random_walks(batch, rng, artifact.mask_words), strict=True):
            text = tokenizer.decode(ids, skip_special=artifact.tags == ("", "")).removesuffix(eos_text(artifact))
            if tokenizer.name == "phi-3":
                text = text.lstrip()
            assert artifact.encode(text, tokenizer) == ids
            copied, coordinates = tplc.parse(text)
            assert tplc.render(smiles, coordinates, artifact.number_format) in text
            assert copied == tplc.parse(tplc.render(smiles, coordinates))[0]


def eos_text(artifact: tplc.Artifact) -> str:
    return "" if artifact.eos is None else artifact.tables.token_text(artifact.eos)


def test_rows_are_those_of_single_matchers(artifact: tplc.Artifact, batch: tplc.MatcherBatch) -> None:
    rng = np.random.default_rng(2)
    singles = [tplc.Matcher(artifact.template(smiles)) for smiles in MOLECULES]
    mask = np.full((len(batch) + 2, artifact.mask_words), -1, dtype=np.int32)
    while not batch.is_finished:
        assert batch.states.tolist() == [single.state for single in singles]
        assert batch.numbers.tolist() == [single.number for single in singles]
        assert batch.lengths.tolist() == [len(single) for single in singles]
        assert batch.forced_runs() == [single.forced_run() for single in singles]
        unfinished = [not single.is_finished for single in singles]
        assert (~batch.finished).tolist() == unfinished
        before = mask.copy()
        assert batch.fill_masks(mask) == sum(unfinished)
        ids = []
        for row, single in enumerate(singles):
            if single.is_finished:
                assert (mask[row] == before[row]).all()
                ids.append(12345)
            else:
                assert bits(mask[row]) == single.allowed().tolist()
                ids.append(int(rng.choice(single.allowed())))
                single.advance(ids[-1])
        batch.advance(ids)
    # Rows that the batch does not have are left alone.
    assert (mask[len(batch) :] == -1).all()


def test_a_refused_token_leaves_all_rows(batch: tplc.MatcherBatch) -> None:
    batch.take_forced_runs()
    ids = [int(batch[row].allowed()[0]) for row in range(len(batch))]
    places = (batch.states.tolist(), batch.lengths.tolist())
    ids[5] = 7
    with pytest.raises(tplc.MatcherError, match="row 5") as refused:
        batch.advance(ids)
    assert (refused.value.row, refused.value.token) == (5, 7)
    assert (batch.states.tolist(), batch.lengths.tolist()) == places
    for wrong in (ids[:-1], [*ids, 1]):
        with pytest.raises(ValueError, match="8 rows"):
            batch.advance(wrong)


def test_rows_go_back_and_leave_and_come(artifact: tplc.Artifact, batch: tplc.MatcherBatch) -> None:
    lengths = [len(run) for run in batch.take_forced_runs()]
    assert batch.lengths.tolist() == lengths
    batch.rollback(1)
    assert batch.lengths.tolist() == [length - 1 for length in lengths]
    batch.rollback([0, 1, *[100] * 6])
    assert batch.lengths.tolist() == [lengths[0] - 1, lengths[1] - 2, *[0] * 6]
    batch.take_forced_runs()
    batch.reset([1, 3])
    assert batch.lengths.tolist()[:4] == [lengths[0], 0, lengths[2], 0]
    batch.reset()
    assert not batch.lengths.any()
    batch.take_forced_runs()
    batch.replace(2, artifact.template("C#N"))
    batch.append(artifact.template("C"))
    assert len(batch) == 9
    assert (batch[2].template.smiles, len(batch[2]), batch[-1].template.smiles) == ("C#N", 0, "C")
    with pytest.raises(ValueError, match="counts"):
        batch.rollback([1])
    for row, fault in (
        (9, lambda: batch.reset([9])),
        (9, lambda: batch[9]),
        (-10, lambda: batch[-10]),
        (9, lambda: batch.replace(9, artifact.template("C"))),
        (-1, lambda: batch.replace(-1, artifact.template("C"))),
        (-1, lambda: batch.select([-1])),
    ):
        with pytest.raises(IndexError, match=f"no row {row}: the batch has 9"):
            fault()
    for fault in (
        lambda: batch.rollback(-1),
        lambda: batch.rollback([0] * 8 + [-1]),
        lambda: batch[0].rollback(-1),
    ):
        with pytest.raises(ValueError, match="-1 tokens cannot be taken back"):
            fault()
    before = batch.lengths
    for counts in (np.int64(1), np.ones(9, dtype=np.int32), (1,) * 9):
        batch.rollback(counts)
    assert batch.lengths.tolist() == [max(length - 3, 0) for length in before]


def test_beams_are_reordered(batch: tplc.MatcherBatch) -> None:
    batch.take_forced_runs()
    twin = copy.copy(batch)
    batch.advance([int(batch[row].allowed()[0]) for row in range(len(batch))])
    before = [(batch[row].state, batch[row].template.smiles) for row in range(len(batch))]
    beams = np.array([3, 3, 0])
    batch.select(beams)
    assert [(row.state, row.template.smiles) for row in batch] == [before[beam] for beam in beams]
    # A row is a copy, and so is the batch that was copied.
    batch[0].take_forced_run()
    assert batch.states[0] == before[3][0]
    assert len(twin) == 8 and copy.deepcopy(twin).states.tolist() == twin.states.tolist()


def test_faulty_bitmasks(artifact: tplc.Artifact, batch: tplc.MatcherBatch) -> None:
    words = artifact.mask_words
    for bitmask, message in (
        (np.zeros((7, words), dtype=np.int32), "7 rows"),
        (np.zeros((8, 10), dtype=np.int32), "words"),
        (np.zeros(8 * words, dtype=np.int32), "dimensions"),
        (np.zeros((8, words), dtype=np.int32, order="F"), "contiguous"),
        (np.zeros((8, 2 * words), dtype=np.int32)[:, :words], "contiguous"),
        (np.zeros(32 * words + 1, dtype=np.uint8)[1:].view(np.int32).reshape(8, words), "address"),
        (np.zeros(32 * words + 1, dtype=np.uint8)[1:].view(np.uint32).reshape(8, words), "address"),
    ):
        with pytest.raises(ValueError, match=message):
            batch.fill_masks(bitmask)
    empty = tplc.MatcherBatch([])
    assert empty.fill_masks(np.zeros((0, words), dtype=np.int32)) == 0
    assert empty.is_finished and empty.take_forced_runs() == []


def test_torch_tensors_are_filled_in_place(artifact: tplc.Artifact, batch: tplc.MatcherBatch) -> None:
    torch = pytest.importorskip("torch")
    mask = torch.zeros((8, artifact.mask_words), dtype=torch.int32)
    assert batch.fill_masks(mask) == 8
    for row in range(8):
        assert bits(mask[row].numpy()) == batch[row].allowed().tolist()
    batch.advance(torch.tensor([int(row.allowed()[0]) for row in batch]))
    assert batch.lengths.tolist() == [1] * 8


def test_other_threads_run_while_masks_are_filled(artifact: tplc.Artifact) -> None:
    batch = tplc.MatcherBatch([artifact.template("CC=O")] * 1500)
    mask = np.zeros((1500, artifact.mask_words), dtype=np.int32)
    ticks, stop = [0], threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks[0] += 1
            time.sleep(0)

    interval = sys.getswitchinterval()
    # Nobody is made to give the interpreter away: only who lets it go lets others run.
    sys.setswitchinterval(1000)
    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        ran = 0
        for _ in range(200):
            before = ticks[0]
            batch.fill_masks(mask)
            ran += ticks[0] - before
            if ran:
                break
    finally:
        stop.set()
        sys.setswitchinterval(interval)
    assert ran > 0


def test_bitmasks_that_hold_no_words_say_so(artifact: tplc.Artifact) -> None:
    matcher = tplc.Matcher(artifact.template("CC=O"))
    for bitmask in (bytes(4 * artifact.mask_words), bytearray(4 * artifact.mask_words)):
        with pytest.raises(TypeError, match="a bitmask holds int32 words, and this one holds uint8"):
            matcher.fill_mask(bitmask)
    words = array.array("i", bytes(4 * artifact.mask_words))
    assert matcher.fill_mask(words) and bits(np.array(words)) == matcher.allowed().tolist()
    torch = pytest.importorskip("torch")
    for tensor in (torch.zeros(artifact.mask_words, dtype=torch.bfloat16), torch.zeros(9, requires_grad=True)):
        with pytest.raises(TypeError, match="a bitmask holds int32 words on the CPU, and this tensor cannot: "):
            matcher.fill_mask(tensor)
