"""The package: its types say what is there, and everything says what it is."""

import ast
import doctest
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import tplc
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


def test_types_are_strict() -> None:
    mypy = [sys.executable, "-m", "mypy", "--strict", "-m", "tplc", "-m", "tplc._tplc", "-m", "tplc._render"]
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
