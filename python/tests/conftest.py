"""What several tests use."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tplc

REPOSITORY = Path(__file__).resolve().parents[2]

MOLECULES = [
    "CC=O",
    "C1CC1",
    "C#N",
    "c1ccccc1",
    "C/C=C\\Cl",
    "N[C@@H](C)C(=O)O",
    "[NH4+].[Cl-]",
    "O=S(=O)(N)c1ccc(F)cc1",
]


SKIPS_FAIL = "TPLC_SKIPS_FAIL" in os.environ
"""Where all packages are there to be tested with, a test that is skipped for the lack of one is a failure."""


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:
    return unless_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    return unless_skipped((yield))


def unless_skipped(report: Any) -> Any:
    """The report of a test or of a file of tests; a failure, where it was skipped and must not be."""
    if SKIPS_FAIL and report.skipped:
        report.outcome, report.longrepr = "failed", f"{report.nodeid} was skipped: {report.longrepr[2]}"
    return report


def golden(name: str) -> list[str]:
    """What the program printed on standard output, call by call, in a snapshot of its tests."""
    text = (REPOSITORY / "golden" / "cli" / f"{name}.snap").read_text()
    calls = text.split("\n$ tplc ")[1:]
    return [call.split("--- stdout\n")[1].split("--- stderr\n")[0] for call in calls]


def golden_json(name: str, call: int = 0) -> Any:
    return json.loads(golden(name)[call])


def bits(words: np.ndarray) -> list[int]:
    """The ids of a bitmask, least significant bit first."""
    return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")).tolist()


def numbers(rng: np.random.Generator, atoms: int) -> np.ndarray:
    """Coordinates such as molecules have, those that print strangely among them."""
    coordinates = rng.normal(scale=4.0, size=(atoms, 3)).round(4)
    odd = rng.integers(0, 6, size=coordinates.shape)
    return np.where(odd == 0, 0.0, np.where(odd == 1, coordinates.round(0), coordinates))


@pytest.fixture(scope="session")
def qwen() -> tplc.Tokenizer:
    return tplc.Tokenizer.load("qwen")


@pytest.fixture(scope="session")
def artifact(qwen: tplc.Tokenizer) -> tplc.Artifact:
    return tplc.compile(MOLECULES, qwen, number_format="trimmed4")


@pytest.fixture(scope="session", params=["qwen3-conf", "llama", "deepseek", "phi-3", "gpt-2"])
def any_artifact(request: pytest.FixtureRequest) -> tuple[tplc.Artifact, tplc.Tokenizer]:
    """One artifact for each way in which tokenizers cut numbers and signs; with tags and without."""
    tokenizer = tplc.Tokenizer.load(request.param)
    tags = "conformer" if request.param in ("qwen3-conf", "phi-3") else "none"
    number_format = "fixed4" if request.param == "llama" else "trimmed2"
    return tplc.compile(MOLECULES, tokenizer, number_format=number_format, tags=tags), tokenizer
