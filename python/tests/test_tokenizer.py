"""Tokenizers: what they are and what they give."""

import json
import pickle

import pytest

import tplc
from conftest import golden_json

TEXT = "[C]<-1.5,0,2>"


def test_the_embedded_ones_are_listed() -> None:
    names = [entry["name"] for entry in tplc.tokenizers()]
    assert names[:2] == ["qwen3", "qwen3-conf"]
    assert len(names) == 9


def test_what_a_tokenizer_is(qwen: tplc.Tokenizer) -> None:
    report = golden_json("analyze_json")["tokenizers"][0]
    assert (qwen.name, qwen.fingerprint) == (report["name"], report["fingerprint"])
    assert (qwen.vocabulary_size, qwen.digits) == (report["vocabulary"], report["digits"])
    assert qwen.eos == qwen.added_token("<|im_end|>") == 151645
    assert qwen.is_special(151645) and not qwen.is_special(15)
    assert qwen.licence == "Apache-2.0"
    assert (qwen.token(15), qwen.token(-1), qwen.token(10**9)) == ("0", None, None)


def test_text_to_ids_and_back() -> None:
    deepseek = tplc.Tokenizer.load("deepseek")
    ids = deepseek.encode(TEXT)
    assert [deepseek.token(id) for id in ids] == ["[C", "]", "<-", "1", ".", "5", ",", "0", ",", "2", ">"]
    assert [TEXT[start:end] for start, end in deepseek.spans(TEXT)] == [deepseek.token(id) for id in ids]
    assert deepseek.decode(ids) == TEXT
    assert deepseek.decode([*ids, deepseek.eos], skip_special=True) == TEXT


def test_added_tokens_are_laid_over(tmp_path) -> None:
    tags = tmp_path / "tags.json"
    tags.write_text(json.dumps({"name": "tags", "added_tokens": [{"content": "[SMILES]", "id": 151669}]}))
    for files in (tags, [str(tags)]):
        tokenizer = tplc.Tokenizer.load("qwen", files)
        assert tokenizer.name == "qwen3+tags"
        assert tokenizer.encode("[SMILES]") == [151669]


def tiny_json() -> str:
    vocabulary = {token: id for id, token in enumerate([*"0123456789.,-<>[]C=O", "<end>"])}
    model = {"type": "BPE", "vocab": vocabulary, "merges": []}
    added = [{"id": 20, "content": "<end>", "special": True}]
    return json.dumps({"version": "1.0", "model": model, "added_tokens": added})


def test_json_that_is_at_hand(tmp_path) -> None:
    tokenizer = tplc.Tokenizer.from_json(tiny_json(), "tiny", eos="<end>", logits_width=64)
    (tmp_path / "tokenizer.json").write_text(tiny_json())
    file = tplc.Tokenizer.load(tmp_path / "tokenizer.json")
    assert tokenizer.fingerprint == file.fingerprint
    assert (tokenizer.eos, tokenizer.logits_width, file.eos) == (20, 64, None)
    artifact = tplc.compile(["C=O"], tokenizer, number_format="fixed1")
    assert (artifact.logits_width, artifact.mask_words, artifact.eos) == (64, 2, 20)


def test_pickles_load_it_again(qwen: tplc.Tokenizer) -> None:
    for tokenizer in (qwen, tplc.Tokenizer.from_json(tiny_json(), "tiny", eos="<end>")):
        again = pickle.loads(pickle.dumps(tokenizer))
        assert (again.name, again.fingerprint, again.eos) == (
            tokenizer.name,
            tokenizer.fingerprint,
            tokenizer.eos,
        )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("qwem3", "qwen3"),
        ("./nowhere/tokenizer.json", "nowhere"),
        ("hf:not a name", "hf:not a name"),
    ],
)
def test_what_cannot_be_loaded_says_why(source: str, message: str) -> None:
    with pytest.raises(tplc.TokenizerError, match=message):
        tplc.Tokenizer.load(source)


def test_another_kind_of_thing_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="tplc.Tokenizer"):
        tplc.compile(["C"], 7)
