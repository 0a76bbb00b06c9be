"""Audit: the same judgements as the program's."""

import json

import numpy as np
import pytest

import tplc
from conftest import REPOSITORY, golden

TEXT = "[C]<5.799,-0.2748,-0.9587>=[O]<1,0,-2.5>"
JUNK = TEXT.replace("87>", "87abra>")


@pytest.fixture(scope="module")
def methanal(qwen: tplc.Tokenizer) -> tplc.Artifact:
    return tplc.compile(["C=O"], qwen, number_format="trimmed4")


def test_judgements_are_those_of_the_program(qwen: tplc.Tokenizer) -> None:
    ends = ["", "<|im_end|>", "<|endoftext|>"]
    body = qwen.encode(TEXT)
    ids = [{"ids": body + ([qwen.added_token(end)] if end else [])} for end in ends]
    generations = ids + [{"text": TEXT + end} for end in ends]
    for shown, eos in zip(golden("audit_eos"), ["auto", "<|endoftext|>", None], strict=False):
        report = tplc.audit(
            generations, tokenizer=qwen, number_format="trimmed4", eos=eos, judgements=True
        )
        assert report["judgements"] == [json.loads(line) for line in shown.splitlines()]
        assert report["generations"] == 6


def test_the_readme_file(tmp_path) -> None:
    file = REPOSITORY / "tests" / "data" / "generations.jsonl"
    report = tplc.audit(file, tokenizer="qwen", number_format="fixed4")
    assert report["schema"] == "tplc.audit/1"
    assert report["verdicts"] == {"valid": 1, "truncated": 1, "junk": 2, "structure": 1}
    assert (report["holes"], report["tokens"], report["tokens_range"]) == (14, 337, [48, 73])
    assert "judgements" not in report


def test_generations_of_templates_are_valid(methanal: tplc.Artifact, tmp_path) -> None:
    ids = methanal.template("C=O").encode(TEXT)
    generations = [
        {"ids": np.array(ids), "smiles": "C=O"},
        {"ids": ids, "name": "methanal"},
        {"text": TEXT},
        {"text": JUNK, "name": "methanal"},
    ]
    (tmp_path / "names.smi").write_text("C=O methanal\n")
    methanal.save(tmp_path / "m.tplc")
    reports = [
        tplc.audit(generations, methanal, molecules={"methanal": "C=O"}),
        tplc.audit(iter(generations), tmp_path / "m.tplc", corpus=tmp_path / "names.smi", threads=1),
        tplc.audit(generations, methanal, tokenizer="qwen", molecules={"methanal": "C=O"}),
    ]
    for report in reports:
        assert report == reports[0]
    assert reports[0]["verdicts"] == {"valid": 3, "junk": 1}
    assert reports[0]["junk"] == {"letters": {"tokens": 1, "blocks": 1}}


def test_lines_that_cannot_be_judged_are_told(methanal: tplc.Artifact) -> None:
    told: list[str] = []
    generations = [{"text": TEXT}, {"ids": [1], "name": "nobody"}, {"text": 7}, {}]
    report = tplc.audit(generations, methanal, skipped=told.append)
    assert report["input"] == {"rows": 4, "skipped": 3}
    assert [line.split(":")[1] for line in told] == ["2", "3", "4"]


def test_what_cannot_be_judged_says_why(methanal: tplc.Artifact, tmp_path) -> None:
    with pytest.raises(tplc.WrongTokenizerError):
        tplc.audit([], methanal, tokenizer="llama")
    with pytest.raises(tplc.CorpusError):
        tplc.audit(tmp_path / "nowhere.jsonl", methanal)
    with pytest.raises(tplc.ArtifactError):
        tplc.audit([], tmp_path / "nowhere.tplc")
    for arguments in ({}, {"tokenizer": "qwen"}, {"artifact": methanal, "number_format": "fixed4"}):
        with pytest.raises(TypeError, match="give"):
            tplc.audit([], **arguments)
    own = tplc.compile(["C=O"], tiny(), number_format="fixed1")
    with pytest.raises(tplc.TokenizerError, match="not embedded: give the tokenizer"):
        tplc.audit([], own)
    assert tplc.audit([], own, tokenizer=tiny())["generations"] == 0


def tiny() -> tplc.Tokenizer:
    vocabulary = {token: id for id, token in enumerate("0123456789.,-<>[]C=O")}
    return tplc.Tokenizer.from_json(json.dumps({"model": {"type": "BPE", "vocab": vocabulary, "merges": []}}), "tiny")


def test_nothing_that_can_be_judged(methanal: tplc.Artifact) -> None:
    """Not a report without junk."""
    told: list[str] = []
    for wrong in ([{"token_ids": [1, 2]}] * 3, [[1, 2]], ["[C]<1,2,3>"]):
        with pytest.raises(tplc.CorpusError, match=rf"nothing could be judged: {len(wrong)} rows .* the first as ") as raised:
            tplc.audit(wrong, methanal, skipped=told.append)
        assert str(raised.value).endswith(told[-len(wrong)])
    assert len(told) == 5
    report = tplc.audit([{"token_ids": [1]}, {"text": TEXT}], methanal)
    assert (report["input"], report["verdicts"]) == ({"rows": 2, "skipped": 1}, {"valid": 1})
    assert tplc.audit([], methanal)["verdicts"] == {}
    with pytest.raises(TypeError, match="generations is a mapping"):
        tplc.audit({"ids": [1], "smiles": "C=O"}, methanal)
