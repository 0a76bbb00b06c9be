"""Building: artifacts and manifests as the program writes them."""

import itertools
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import tplc
from conftest import MOLECULES, golden

SMALL = "(integer_digits: 1, decimals: 1)"


def test_the_artifact_and_its_manifest_are_those_of_the_program(tmp_path) -> None:
    path = tmp_path / "g2.tplc"
    manifest = tplc.build(path, "qwen", corpus="reference:g2", number_format=SMALL)
    # The program's own manifest of the same build, in its snapshot.
    shown = (tmp_path / "g2.ron").read_text()
    assert shown in "\n".join(golden_texts())
    assert f'artifact: "{manifest["artifact"]}"' in shown
    assert manifest["schema"] == "tplc.manifest/1"
    assert manifest["input"] == {"rows": 97, "skipped": 0}
    assert manifest["certificate"] == {"numbers": 199, "number_paths": 199, "literals": 64, "openings": 2}
    opened = tplc.Artifact.open(path, "qwen")
    assert len(opened) == 97
    assert opened.certify("qwen", threads=1) == manifest["certificate"]
    known = {"input": {"rows": 0, "skipped": 0}, "certificate": None}
    assert opened.manifest() == manifest | known


def golden_texts() -> list[str]:
    from conftest import REPOSITORY

    return [(REPOSITORY / "golden" / "cli" / "build_check_inspect.snap").read_text()]


def test_same_molecules_same_bytes(qwen: tplc.Tokenizer, tmp_path) -> None:
    one = tplc.compile(MOLECULES, qwen, number_format=SMALL).to_bytes()
    assert tplc.compile(reversed(MOLECULES), "qwen", number_format=SMALL, threads=1).to_bytes() == one
    file = tmp_path / "molecules.smi"
    file.write_text("\n".join(MOLECULES))
    path = tmp_path / "built.tplc"
    tplc.build(path, qwen, corpus=file, number_format=SMALL, certificate=False)
    assert path.read_bytes() == one
    shards = []
    for shard in range(1, 4):
        path = tmp_path / f"shard{shard}.tplc"
        tplc.build(path, qwen, corpus=file, number_format=SMALL, certificate=False, shard=(shard, 3))
        shards.append(tplc.Artifact.open(path))
    assert tplc.merge(shards).to_bytes() == one
    assert tplc.merge([shards[2], tplc.Artifact.from_bytes(one), shards[0]]).to_bytes() == one


def test_more_threads_than_cores_are_no_more_than_cores(qwen: tplc.Tokenizer) -> None:
    # So many would not start.
    many = 10**6
    artifact = tplc.compile(MOLECULES, qwen, number_format=SMALL, threads=many)
    assert artifact.to_bytes() == tplc.compile(MOLECULES, qwen, number_format=SMALL).to_bytes()
    assert artifact.certify(qwen, threads=many) == artifact.certify(qwen)
    report = tplc.analyze(qwen, corpus="reference:g2", threads=many)
    assert report == tplc.analyze(qwen, corpus="reference:g2")


def test_the_end_of_a_sequence_is_what_is_named(qwen: tplc.Tokenizer) -> None:
    def end(**eos: object) -> int | None:
        return tplc.compile(["C"], qwen, number_format=SMALL, **eos).eos

    assert end() == end(eos="auto") == end(eos=151645) == end(eos="<|im_end|>") == 151645
    assert end(eos=None) is None
    assert end(eos="<|endoftext|>") == 151643
    for nobody in ("</s>", 10**6, -1, 2**40):
        with pytest.raises(tplc.TemplateError, match=f"{nobody}.*to end a sequence with"):
            end(eos=nobody)
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        end(eos=1.5)


def test_tags_and_tokenization_are_kept(qwen: tplc.Tokenizer) -> None:
    ron = '(prompt: None, completion: Some((open: "<c>", close: "</c>")))'
    artifact = tplc.compile(["C"], qwen, number_format=SMALL, tags=ron, tokenization="any")
    assert (artifact.tags, artifact.tokenization, artifact.prompt) == (("<c>", "</c>"), "any", "")
    artifact = tplc.compile(["C"], "qwen3-conf", number_format=SMALL, tags="conformer")
    assert (artifact.tags, artifact.prompt) == (("[CONFORMER]", "[/CONFORMER]"), "[SMILES]C[/SMILES]")
    assert artifact.logits_width == 151936


def test_nothing_is_replaced_but_artifacts_and_manifests(qwen: tplc.Tokenizer, tmp_path) -> None:
    own = tmp_path / "mine.ron"
    own.write_text("my own")
    for write in (
        lambda path: tplc.build(path, qwen, corpus="reference:g2", number_format=SMALL),
        lambda path: tplc.compile(["C"], qwen, number_format=SMALL).save(path),
    ):
        with pytest.raises(tplc.ArtifactError, match="is no manifest"):
            write(tmp_path / "mine.tplc")
        with pytest.raises(tplc.ArtifactError, match="there is no folder"):
            write(tmp_path / "nowhere" / "x.tplc")
        with pytest.raises(ValueError, match="must end in .tplc"):
            write(tmp_path / "x.bin")
    assert own.read_text() == "my own"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.ron"]
    corpus = tmp_path / "corpus.tplc"
    corpus.write_text("C\n")
    with pytest.raises(tplc.ArtifactError, match="is an input"):
        tplc.build(corpus, qwen, corpus=corpus, corpus_format="smiles", number_format=SMALL)


def test_saved_artifacts_have_their_manifest(artifact: tplc.Artifact, tmp_path) -> None:
    path = tmp_path / "saved.tplc"
    manifest = artifact.save(path)
    assert manifest == artifact.manifest()
    assert path.read_bytes() == artifact.to_bytes()
    assert manifest["artifact"] in (tmp_path / "saved.ron").read_text()


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (tplc.TextError, {"smiles": ["C("]}),
        (tplc.CorpusError, {"smiles": []}),
        (tplc.FormatError, {"number_format": "fixed99"}),
        (tplc.FormatError, {"tokenization": "canonic"}),
        (tplc.TemplateError, {"number_format": "fixed9"}),
        (tplc.TokenizerError, {"tokenizer": "nobody"}),
    ],
)
def test_what_cannot_be_compiled_says_why(error: type[Exception], arguments: dict) -> None:
    with pytest.raises(error) as raised:
        tplc.compile(**({"smiles": ["C"], "tokenizer": "qwen"} | arguments))
    assert isinstance(raised.value, tplc.Error)


def test_nothing_to_build_of(tmp_path) -> None:
    (tmp_path / "empty.smi").write_text("")
    with pytest.raises(tplc.CorpusError, match="0 rows"):
        tplc.build(tmp_path / "x.tplc", "qwen", corpus=tmp_path / "empty.smi")
    for shard in ((0, 1), (2, 1)):
        with pytest.raises(ValueError, match="shard"):
            tplc.build(tmp_path / "x.tplc", "qwen", shard=shard)
    with pytest.raises(tplc.TemplateError):
        tplc.merge([])
    parts = [tplc.compile(["C"], "qwen", number_format=f"fixed{decimals}") for decimals in (1, 2)]
    with pytest.raises(tplc.TemplateError, match="number formats"):
        tplc.merge(parts)


def test_exceptions_are_a_family() -> None:
    errors = [value for name, value in vars(tplc).items() if name.endswith("Error")]
    assert len(errors) == 13
    assert all(issubclass(error, tplc.Error) for error in errors)
    assert issubclass(tplc.WrongTokenizerError, tplc.ArtifactError)
    assert issubclass(tplc.CertificateError, tplc.TemplateError)
    for error in itertools.chain(errors):
        assert pickle.loads(pickle.dumps(error("words"))).args == ("words",)


@pytest.mark.parametrize("threads", [-1, -(2**70), 2**70])
def test_threads_that_nobody_has(qwen: tplc.Tokenizer, threads: int) -> None:
    calls = [
        lambda: tplc.compile(["C"], qwen, threads=threads),
        lambda: tplc.analyze("qwen", threads=threads),
        lambda: tplc.audit([], tokenizer=qwen, number_format="fixed4", threads=threads),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"threads is {threads}: give how many, or 0"):
            call()


def test_a_list_that_is_no_texts(qwen: tplc.Tokenizer) -> None:
    with pytest.raises(TypeError, match=r"number 1 \(from 0\) is wrong: a text is a str or a path; this is <class 'float'>"):
        tplc.compile(["C", float("nan")], qwen)


class Enough(Exception):
    pass


@pytest.fixture
def soon() -> Iterator[None]:
    """A signal that raises, in a while."""

    def enough(*_: object) -> None:
        raise Enough

    before = signal.signal(signal.SIGALRM, enough)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_signals_are_heard_while_it_is_proven(qwen: tplc.Tokenizer, tmp_path: Path, soon: None) -> None:
    """Reading two rows is nothing, trying all numbers takes a while."""
    (tmp_path / "two.smi").write_text("CC=O\nC#N\n")
    number_format = "(integer_digits: 2, decimals: 3)"
    with pytest.raises(Enough):
        tplc.build(tmp_path / "two.tplc", qwen, corpus=tmp_path / "two.smi", number_format=number_format, threads=1)
    assert [path.name for path in tmp_path.iterdir()] == ["two.smi"]


def test_signals_are_heard_while_molecules_are_compiled(qwen: tplc.Tokenizer, soon: None) -> None:
    with pytest.raises(Enough):
        # Far more work than the signal waits for.
        for _ in range(1000):
            tplc.compile(["CC=O"], qwen, threads=1)
