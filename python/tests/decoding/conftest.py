"""The tiny model of the repository, its tokenizer, and molecules for it."""

import pytest

from decoding.molecules import SMILES, TINY


@pytest.fixture(scope="session")
def torch():
    torch = pytest.importorskip("torch")
    # Runs beside others, and steps are too small for threads.
    torch.set_num_threads(1)
    return torch


@pytest.fixture(scope="session")
def tokenizer():
    import tplc

    return tplc.Tokenizer.load(TINY)


@pytest.fixture(scope="session")
def artifact(tokenizer):
    import tplc

    return tplc.compile(SMILES, tokenizer, number_format="trimmed4", tags="conformer")


@pytest.fixture(scope="session")
def model(torch):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32).eval()


@pytest.fixture(scope="session")
def prompts(torch):
    """Makes prompts of molecules, padded on the left."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(TINY, padding_side="left")

    def prompts(smiles, before=""):
        made = tokenizer([f"{before}[SMILES]{one}[/SMILES]" for one in smiles], return_tensors="pt", padding=True)
        return {name: made[name] for name in ("input_ids", "attention_mask")}

    return prompts


@pytest.fixture(scope="session")
def audited(artifact, tokenizer):
    """Judges completions: what `tplc audit` says, and on top of it that each text encodes to the same ids."""
    import tplc

    def audited(sequences, prompt, smiles, against=artifact):
        each = len(sequences) // len(smiles)
        generations = [
            {"ids": ids[prompt:].tolist(), "smiles": smiles[row // each]} for row, ids in enumerate(sequences)
        ]
        return tplc.audit(generations, against, tokenizer=tokenizer)

    return audited


@pytest.fixture
def assert_exact(artifact, tokenizer, audited):
    """Every completion is a text of its template, by the auditor, by reading it, and by encoding it again."""
    import tplc

    def assert_exact(sequences, prompt, smiles, against=artifact):
        report = audited(sequences, prompt, smiles, against)
        assert report["verdicts"] == {"valid": len(sequences)}, report
        each = len(sequences) // len(smiles)
        for row, ids in enumerate(sequences[:, prompt:].tolist()):
            end = ids.index(against.eos)
            assert set(ids[end:]) == {against.eos}, "padding is the end-of-sequence token here"
            text = tokenizer.decode(ids[:end])
            copied, positions = tplc.parse(text)
            template = against.template(smiles[row // each])
            assert positions.shape == (template.atoms, 3)
            assert against.encode(text, tokenizer) == ids[: end + 1]
            assert template.encode(text) == ids[: end + 1]
            assert against.template(copied).literals == template.literals

    return assert_exact
