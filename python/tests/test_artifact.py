"""Artifacts and templates: opened, looked up, sent elsewhere."""

import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import tplc
from conftest import MOLECULES, REPOSITORY, numbers


def test_files_of_earlier_versions_open() -> None:
    path = REPOSITORY / "golden/compat/v1/phi-3-fixed2.tplc"
    artifact = tplc.Artifact.open(path)
    assert (artifact.tokenizer_name, artifact.number_format, len(artifact)) == ("phi-3", "fixed2", 97)
    assert (artifact.eos, artifact.tokenization) == (32000, "canonical")
    assert artifact.path == str(path)
    assert "phi-3 fixed2, 97 molecules" in repr(artifact)
    artifact.check("phi-3")


def test_another_tokenizer_is_an_error(artifact: tplc.Artifact) -> None:
    for use in (
        lambda: artifact.check("llama"),
        lambda: artifact.encode("[C]<0,0,0>", "llama"),
        lambda: artifact.certify("llama"),
        lambda: artifact.template("[13CH4]", "llama"),
        lambda: tplc.Artifact.from_bytes(artifact.to_bytes(), "llama"),
    ):
        with pytest.raises(tplc.WrongTokenizerError, match="was built for tokenizer qwen3"):
            use()
    assert tplc.Artifact.from_bytes(artifact.to_bytes(), "qwen").path is None


def test_damaged_and_absent_files_say_so(artifact: tplc.Artifact, tmp_path) -> None:
    data = bytearray(artifact.to_bytes())
    data[len(data) // 2] ^= 1
    for damaged in (b"", b"no artifact", bytes(data), artifact.to_bytes()[:-1]):
        with pytest.raises(tplc.ArtifactError):
            tplc.Artifact.from_bytes(damaged)
    with pytest.raises(tplc.ArtifactError, match="cannot read .*nowhere.tplc"):
        tplc.Artifact.open(tmp_path / "nowhere.tplc")


def test_molecules_are_a_sequence(artifact: tplc.Artifact) -> None:
    assert len(artifact) == len(MOLECULES)
    templates = list(artifact)
    assert len(templates) == len(MOLECULES)
    assert artifact[-1].literals == templates[-1].literals
    # The order is the file's; each is one of those that were given.
    given = {tuple(artifact.template(smiles).literals) for smiles in MOLECULES}
    assert {tuple(template.literals) for template in templates} == given
    for index in (len(MOLECULES), -len(MOLECULES) - 1):
        with pytest.raises(IndexError):
            artifact[index]
    assert all(smiles in artifact for smiles in MOLECULES)
    assert "CC" not in artifact and "[13CH4]" not in artifact


def test_a_template_by_smiles_and_by_skeleton(artifact: tplc.Artifact) -> None:
    template = artifact.template("CC=O")
    assert template.literals == ["[C]<", ">[C]<", ">=[O]<", ">"]
    assert (template.atoms, template.smiles) == (3, "CC=O")
    assert template.artifact is artifact
    skeleton = artifact.template("[C]<>[C]<>=[O]<>")
    assert skeleton.smiles == "[C][C]=[O]"
    assert skeleton.roots.tolist() == template.roots.tolist()
    # Not in the corpus, but of the same literals.
    assert artifact.template("CCC=O").atoms == 4
    conformers = tplc.compile(["CC=O"], "qwen3-conf", number_format="fixed1", tags="conformer")
    by_skeleton = conformers.template("[CONFORMER][C]<>[C]<>=[O]<>[/CONFORMER]")
    assert by_skeleton.literals == conformers.template("CC=O").literals == conformers[0].literals
    assert conformers[0].smiles == "[C][C]=[O]"


def test_bounds_hold_and_are_met(artifact: tplc.Artifact, qwen: tplc.Tokenizer) -> None:
    template = artifact.template("CC=O")
    rng = np.random.default_rng(1)
    counts = set()
    for _ in range(200):
        text = tplc.render("CC=O", numbers(rng, 3), "trimmed4")
        counts.add(len(artifact.encode(text, qwen)))
    fewest, most = template.tokens
    assert fewest <= min(counts) and max(counts) <= most
    shortest, longest = ("[C]<{0}>[C]<{0}>=[O]<{0}>".format(hole) for hole in ("0,0,0", "-10.0001,-10.0001,-10.0001"))
    assert len(artifact.encode(shortest, qwen)) == fewest
    assert len(artifact.encode(longest, qwen)) == most
    assert template.passes[0] <= template.tokens[0] and template.passes[1] < most


def test_literals_that_are_lacking(artifact: tplc.Artifact, qwen: tplc.Tokenizer) -> None:
    with pytest.raises(tplc.UnknownLiteralError, match=r"\[13CH4\]"):
        artifact.template("[13CH4]")
    with pytest.raises(tplc.TextError, match="no atom"):
        artifact.template("")
    template = artifact.template("[13CH4]", qwen)
    text = tplc.render("[13CH4]", [[1.5, -2.0, 0.0]], "trimmed4")
    assert template.encode(text) == artifact.encode(text, qwen)
    assert template.tables != artifact.tables
    # Without need, nothing is compiled.
    assert artifact.template("CC=O", qwen).tables == artifact.tables


def test_labels_are_a_loss_mask(artifact: tplc.Artifact) -> None:
    template = artifact.template("C#N")
    text = "[C]<-1.5,0,2>#[N]<10,0.25,0>"
    ids = template.encode(text)
    assert ids is not None
    labels = template.labels(ids)
    tokens = [template.tables.token_text(id) for id in ids]
    shown = "".join(f"{token}{label[0]} " for token, label in zip(tokens, labels, strict=True))
    assert shown == (
        "[Cc ]<c -d 1d .d 5d ,d 0d ,d 2d >c #[c Nc ]<c 1d 0d ,d 0d .d 2d 5d ,d 0d >c <|im_end|>c "
    )
    assert template.encode("[C]<-1.5,0,2>#[N]<10,0.25,0.00>") is None
    # Behind a zero of a fixed format nothing but the point can come.
    fixed = tplc.compile(["C"], "qwen", number_format="fixed1").template("C")
    assert fixed.labels(fixed.encode("[C]<0.5,-10.0,2.0>"))[2:6] == ["decided", "forced", "decided", "decided"]
    trace = template.trace(text)
    assert trace is not None and trace.startswith("[C‧]<│-₁₁│1₁₀")
    with pytest.raises(tplc.MatcherError) as refused:
        template.labels([*ids[:3], 10**6])
    assert (refused.value.token, refused.value.position, refused.value.row) == (10**6, 3, None)


def test_pickles(artifact: tplc.Artifact, qwen: tplc.Tokenizer, tmp_path, monkeypatch) -> None:
    again = pickle.loads(pickle.dumps(artifact))
    assert again.to_bytes() == artifact.to_bytes() and again.path is None
    artifact.save(tmp_path / "here.tplc")
    monkeypatch.chdir(tmp_path)
    opened = tplc.Artifact.open("here.tplc")
    sent = pickle.dumps(opened)
    assert len(sent) < 300
    monkeypatch.chdir("/")
    again = pickle.loads(sent)
    assert Path(again.path) == tmp_path / "here.tplc"
    for template in (opened.template("CC=O"), opened[3], artifact.template("[13CH4]", qwen)):
        copy = pickle.loads(pickle.dumps(template))
        assert (copy.smiles, copy.tokens, copy.literals) == (template.smiles, template.tokens, template.literals)


def test_a_pickle_is_of_what_was_pickled(artifact: tplc.Artifact, tmp_path) -> None:
    path = tmp_path / "here.tplc"
    artifact.save(path)
    opened = tplc.Artifact.open(path)
    sent = [pickle.dumps(one) for one in (opened, opened.template("CC=O"))]
    # As good an artifact, of another format.
    tplc.compile(MOLECULES, "qwen", number_format="fixed1").save(path)
    for one in sent:
        with pytest.raises(tplc.ArtifactError, match="here.tplc is another artifact than the one that was pickled"):
            pickle.loads(one)
    artifact.save(path)
    assert [pickle.loads(one) is not None for one in sent] == [True, True]


def work(template: tplc.Template) -> tuple[int, list[int], int]:
    """In another process: the template is used, and another one is compiled on threads of its own."""
    compiled = tplc.compile(MOLECULES, "qwen", number_format="fixed1")
    return os.getpid(), tplc.Matcher(template).take_forced_run(), len(compiled)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes(artifact: tplc.Artifact, method: str) -> None:
    # Threads of this process are not there in a forked one.
    tplc.compile(MOLECULES, "qwen", number_format="fixed1")
    template = artifact.template("CC=O")
    expected = tplc.Matcher(template).forced_run()
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        for pid, run, molecules in pool.map(work, [template] * 4):
            assert pid != os.getpid()
            assert (run, molecules) == (expected, len(MOLECULES))
