"""The package: its types say what is there, and everything says what it is."""

import ast
import doctest
import inspect
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tplc
import tplc._drift
import tplc._render
import tplc._tplc
from conftest import REPOSITORY

STUB = Path(__file__).resolve().parents[1] / "tplc" / "_tplc.pyi"


def test_versions_are_one() -> None:
    def version(path: str) -> str:
        return tomllib.loads((REPOSITORY / path).read_text())["package"]["version"]

    assert tplc.__version__ == version("Cargo.toml") == version("python/Cargo.toml")


def test_types_say_what_is_there() -> None:
    # Names, parameters and defaults, of the module that is installed.
    stubtest = [sys.executable, "-m", "mypy.stubtest", "tplc._tplc"]
    ran = subprocess.run(stubtest, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    public = {name for name in dir(tplc._tplc) if not name.startswith("_")}
    assert public - {"render_smiles"} <= set(tplc.__all__)


TYPED = ["tplc", "tplc._tplc", "tplc._render", "tplc._drift"]
TYPED_WITH_TORCH = [f"tplc.{name}" for name in ("_arguments", "_heads", "_places", "_processor", "_rows", "_tables", "hf")]


@pytest.mark.parametrize("modules", [TYPED, TYPED_WITH_TORCH])
def test_types_are_strict(modules: list[str]) -> None:
    if modules is TYPED_WITH_TORCH:
        pytest.importorskip("transformers")
    mypy = [sys.executable, "-m", "mypy", "--strict", *(word for name in modules for word in ("-m", name))]
    ran = subprocess.run(mypy, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_everything_is_documented() -> None:
    stub = ast.parse(STUB.read_text())
    for node in ast.walk(stub):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("__"):
            assert ast.get_docstring(node), node.name
    for name in tplc.__all__:
        thing = getattr(tplc, name)
        assert name == "__version__" or inspect.getdoc(thing), name
        if inspect.isclass(thing) and not issubclass(thing, Exception):
            for attribute in vars(thing):
                assert attribute.startswith("__") or inspect.getdoc(getattr(thing, attribute)), attribute


def test_examples_in_docstrings_run() -> None:
    for module in (tplc, tplc._render):
        result = doctest.testmod(module, extraglobs={"tplc": tplc})
        assert result.attempted > 0 and result.failed == 0


def test_the_readmes_run_as_written(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = 0
    for readme in (REPOSITORY / "README.md", REPOSITORY / "python" / "README.md"):
        scope: dict[str, object] = {}
        for block in readme.read_text().split("```python\n")[1:]:
            exec(compile(block.split("```")[0], str(readme), "exec"), scope)
            ran += 1
    assert ran >= 2


@pytest.mark.parametrize("fail", [False, True])
def test_skips_are_failures_where_nothing_may_be_missing(tmp_path: Path, fail: bool) -> None:
    """Of one test, and of a whole file."""
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    wants = "pytest.importorskip('no_such_package')"
    (tmp_path / "test_one.py").write_text(f"import pytest\ndef test_two(): pass\ndef test_three(): {wants}\n")
    (tmp_path / "test_file.py").write_text(f"import pytest\n{wants}\n")
    environment = {name: value for name, value in os.environ.items() if name != "TPLC_SKIPS_FAIL"}
    environment |= {"TPLC_SKIPS_FAIL": "1"} if fail else {}
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    ran = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == (1 if fail else 0), ran.stdout + ran.stderr
    told = {line for line in ran.stdout.splitlines() if line.startswith("test_") and "No module named" in line}
    skipped = {"test_file.py", "test_one.py::test_three"} if fail else set()
    assert {line.split(" was skipped: ")[0] for line in told} == skipped
