"""Drift: the same report as the program's."""

import json
import signal
import threading
import time

import pytest

import tplc
from conftest import golden_json

GOOD = {"smiles": "CO", "conformers": [[[0, 0, 0], [-1.4, 0, 0]]]}
BAD = {"smiles": "CO", "conformers": [[[0, 0, 0]]]}


def test_the_report_is_that_of_the_program() -> None:
    report = tplc.analyze(["qwen", "deepseek"], corpus="reference:g2", number_format="trimmed4")
    assert report == golden_json("analyze_json")
    loaded = [tplc.Tokenizer.load(name) for name in ("qwen", "deepseek")]
    assert tplc.analyze(loaded, corpus=["reference:g2"], number_format=["trimmed4"], threads=1) == report


def test_rows_are_what_a_table_takes() -> None:
    report = tplc.analyze("qwen", corpus="reference:g2", placeholder="0.00,0.00,0.00")
    # A list of dicts with the same keys in the same order is a table.
    assert len({tuple(tokenizer) for tokenizer in report["tokenizers"]}) == 1
    rows = tplc.drift_rows(report)
    assert len({tuple(row) for row in rows}) == 1
    assert [row["placeholder"] for row in rows[:3]] == [
        "0.0000,0.0000,0.0000",
        "0.000,0.000,0.000",
        "0.00,0.00,0.00",
    ]
    assert [row["adaptive"] for row in rows] == [False, False, False, True]
    for row in rows:
        assert all(isinstance(value, str | int | float) for value in row.values())
    first = report["tokenizers"][0]["placeholders"][0]
    assert rows[0]["over"] == first["over"]["share"]
    assert rows[0]["drift_mean"] == first["drift_distribution"]["mean"]
    assert rows[0]["cost_share"] == first["cost"]["share"]


def test_rows_are_tables_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    report = tplc.analyze("qwen", corpus="reference:g2", placeholder="0.00,0.00,0.00")
    rows = tplc.drift_rows(report)
    table = pandas.DataFrame(rows)
    assert table.to_dict("records") == rows
    kinds = {name: kind.kind for name, kind in table.dtypes.items()}
    texts = {"tokenizer", "number_format", "placeholder"}
    assert {name for name, kind in kinds.items() if kind not in "ifb"} == texts
    assert kinds["adaptive"] == "b"
    assert len(pandas.DataFrame(report["tokenizers"])) == len(report["tokenizers"])


def test_costs_are_counted_anew() -> None:
    report = tplc.analyze("qwen", corpus="reference:g2", cost={"lost_passes": 5, "batch": 16})
    assert (report["cost_model"]["lost_passes"], report["cost_model"]["batch"]) == (5.0, 16)
    for placeholder in report["tokenizers"][0]["placeholders"]:
        expected = placeholder["junk_per_hole"] + 5 * placeholder["lost_per_hole"]
        assert placeholder["cost_per_hole"] == pytest.approx(expected)


def test_faulty_rows_are_told_and_counted(tmp_path) -> None:
    file = tmp_path / "corpus.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in (GOOD, BAD, GOOD)))
    told: list[str] = []
    report = tplc.analyze("qwen", corpus=file, skipped=told.append)
    assert report["input"] == {"rows": 3, "skipped": 1}
    assert len(told) == 1 and told[0].startswith(f"{file}:2:")

    def refuse(row: str) -> None:
        raise LookupError(row)

    with pytest.raises(LookupError, match="corpus.jsonl:2"):
        tplc.analyze("qwen", corpus=file, skipped=refuse)


def test_fields_are_called_as_they_are(tmp_path) -> None:
    file = tmp_path / "corpus.jsonl"
    file.write_text(json.dumps({"smi": GOOD["smiles"], "xyz": GOOD["conformers"]}))
    report = tplc.analyze("qwen", corpus=file, fields={"smiles": "smi", "conformers": "xyz"})
    assert report["tokenizers"][0]["atoms"] == 2


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (tplc.CorpusError, {"corpus": "nowhere.jsonl"}),
        (tplc.CorpusError, {"corpus": "reference:none"}),
        (tplc.CorpusError, {"corpus_format": "pdb"}),
        (tplc.FormatError, {"number_format": "fixed"}),
        (tplc.FormatError, {"placeholder": "<0>"}),
        (tplc.FormatError, {"tags": "smiles"}),
        (tplc.FormatError, {"verify": 2.0}),
        (tplc.FormatError, {"cost": {"pass": 1.0}}),
        (tplc.FormatError, {"cost": {"pass_ms": -1.0}}),
        (tplc.FormatError, {"cost": {"batch": 0.5}}),
        (tplc.FormatError, {"fields": {"smile": "x"}}),
        (tplc.TokenizerError, {"tokenizer": "nobody"}),
    ],
)
def test_what_cannot_run_says_why(error: type[Exception], arguments: dict) -> None:
    with pytest.raises(error) as raised:
        tplc.analyze(**({"tokenizer": "qwen"} | arguments))
    assert isinstance(raised.value, tplc.Error)
    assert len(str(raised.value)) > 20


def test_ctrl_c_is_heard(tmp_path) -> None:
    file = tmp_path / "corpus.jsonl"
    file.write_text((json.dumps(GOOD) + "\n") * 200_000)
    rows = 0

    def interrupt() -> None:
        time.sleep(0.2)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    # A shell lets what it runs in the background ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            # Far more work than a fifth of a second.
            while rows < 100 * 200_000:
                rows += tplc.analyze("qwen", corpus=file, exact=True)["input"]["rows"]
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
