"""Whatever comes in, what comes out is an answer or one of our exceptions: nothing panics."""

import numpy as np
import pytest

import tplc

TEXT = "[CONFORMER][C]<-1.5,0,2>=[O]<10,0.25,0>[/CONFORMER]"


def mutations(text: bytes, count: int, seed: int) -> list[bytes]:
    """Bytes flipped, cut out, doubled."""
    rng = np.random.default_rng(seed)
    mutated = []
    for _ in range(count):
        data = bytearray(text)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(0, len(data)))
            match rng.integers(0, 3):
                case 0:
                    data[at] = int(rng.integers(0, 256))
                case 1:
                    del data[at : at + int(rng.integers(1, 9))]
                case _:
                    data[at:at] = data[at : at + 8]
            data = data or bytearray(b"[")
        mutated.append(bytes(data))
    return mutated


def outcome(call, *arguments: object) -> bool:
    """Whether there is an answer; an exception must be of the family."""
    try:
        call(*arguments)
    except tplc.Error:
        return False
    return True


def test_texts() -> None:
    texts = [data.decode("utf-8", "replace") for data in mutations(TEXT.encode(), 2000, 1)]
    answered = [outcome(tplc.parse, text) for text in texts]
    assert any(answered) and not all(answered)
    for text in texts[:300]:
        outcome(tplc.render, text, [[0, 0, 0]])
        outcome(tplc.render, "C", [[0, 0, 0]], text)
        outcome(tplc.render, "C", [[0, 0, 0]], "fixed4", text)


def test_generations(qwen: tplc.Tokenizer) -> None:
    texts = [data.decode("utf-8", "replace") for data in mutations(TEXT.encode(), 300, 2)]
    ids = np.random.default_rng(3).integers(0, qwen.vocabulary_size + 1000, size=(300, 20))
    generations = [{"text": text} for text in texts] + [{"ids": row} for row in ids]
    report = tplc.audit(generations, tokenizer=qwen, number_format="trimmed4", tags="conformer")
    assert report["generations"] == 600
    assert report["verdicts"].get("valid", 0) < 300
    for row in ids:
        assert isinstance(qwen.decode(row), str)


def test_artifacts(artifact: tplc.Artifact) -> None:
    # A checksum stands at the end, so no change goes unnoticed.
    for data in mutations(artifact.to_bytes(), 300, 4):
        if data != artifact.to_bytes():
            assert not outcome(tplc.Artifact.from_bytes, data)


def test_molecules(artifact: tplc.Artifact) -> None:
    for data in mutations(b"N[C@@H](C)C(=O)O", 1000, 5):
        smiles = data.decode("utf-8", "replace")
        if outcome(artifact.template, smiles):
            template = artifact.template(smiles)
            assert template.tokens[0] <= template.tokens[1]
            assert len(template.literals) == template.atoms + 1


@pytest.mark.parametrize("value", [None, 7, object(), ["CC", 7]])
def test_other_kinds_of_things_are_type_errors(artifact: tplc.Artifact, value: object) -> None:
    for call in (
        lambda: artifact.template(value),
        lambda: tplc.parse(value),
        lambda: tplc.Artifact.open(value),
        lambda: tplc.Matcher(value),
        lambda: tplc.MatcherBatch([value]),
        lambda: tplc.merge([value]),
        lambda: tplc.Tokenizer.load(value),
    ):
        with pytest.raises(TypeError):
            call()
