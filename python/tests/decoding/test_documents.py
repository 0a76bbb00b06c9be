"""The example and the migration page run as they are written."""

import runpy

import pytest

from decoding.molecules import ROOT, SMILES, TINY

pytest.importorskip("transformers")


def test_the_example_runs(torch, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    scope = runpy.run_path("python/examples/conformers.py")
    # The model alone does go astray; that is what the example shows.
    assert scope["audited"](scope["free"])["verdicts"] != {"valid": 4}
    assert "held: {'verdicts': {'valid': 4}, 'junk_tokens': 0, 'truncated': 0}" in capsys.readouterr().out


def test_the_migration_page_runs(torch, model, prompts):
    from transformers import AutoTokenizer

    scope = {"model": model, "molecules": SMILES, "folder": TINY, "prompts": prompts(SMILES)}
    scope["tokenizer"] = AutoTokenizer.from_pretrained(TINY)
    page = ROOT / "docs" / "python-migration.md"
    blocks = [block.split("```")[0] for block in page.read_text().split("```python\n")[1:]]
    assert len(blocks) == 5
    for block in blocks:
        exec(compile(block, str(page), "exec"), scope)
