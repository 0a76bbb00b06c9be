"""Tokenizers: what they are and what they give."""

import json
import pickle

import pytest

import tplc
from conftest import REPOSITORY, golden_json

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
    flags = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized"], False)
    added = [{"id": 20, "content": "<end>", "special": True} | flags]
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
    with pytest.raises(TypeError, match="a tokenizer is a tplc.Tokenizer, .* this is <class 'int'>"):
        tplc.compile(["C"], 7)


def test_tokenizers_of_transformers() -> None:
    """As they are: their own added tokens and end, whatever they were loaded from; but neither padding nor truncation."""
    transformers = pytest.importorskip("transformers")
    import tokenizers

    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer.from_str(tiny_json()), eos_token="<end>"
    )
    fast.backend_tokenizer.enable_truncation(2)
    fast.backend_tokenizer.enable_padding(length=100)
    written = tplc.Tokenizer.from_json(tiny_json(), "tiny", eos="<end>")
    taken = tplc.Tokenizer.load(fast)
    assert (taken.fingerprint, taken.eos, taken.logits_width) == (written.fingerprint, 20, None)
    assert taken.name == type(fast).__name__
    assert taken.encode("C=O") == written.encode("C=O") == pickle.loads(pickle.dumps(taken)).encode("C=O")
    with pytest.raises(TypeError, match="give it those with add_tokens"):
        tplc.Tokenizer.load(fast, "tags.json")
    artifact = tplc.compile(["C=O"], fast, number_format="fixed1")
    artifact.check(fast)
    assert artifact.eos == 20
    template = artifact.template("CO", tokenizer=fast)
    assert pickle.loads(pickle.dumps(template)).tokens == template.tokens


def test_tokenizers_of_transformers_from_a_model_folder(qwen: tplc.Tokenizer) -> None:
    transformers = pytest.importorskip("transformers")
    folder = REPOSITORY / "models" / "tiny"
    loaded, fast = tplc.Tokenizer.load(folder), transformers.AutoTokenizer.from_pretrained(folder)

    def told(tokenizer: tplc.Tokenizer) -> tuple[object, ...]:
        return tokenizer.fingerprint, tokenizer.name, tokenizer.eos, tokenizer.logits_width

    assert told(tplc.Tokenizer.load(fast)) == told(loaded)
    assert tplc.compile(["CC=O"], fast).to_bytes() == tplc.compile(["CC=O"], loaded).to_bytes()
    names = [one["name"] for one in tplc.analyze([fast, qwen], corpus="reference:g2", placeholder="0")["tokenizers"]]
    assert set(names) == {loaded.name, qwen.name}
    fast.add_tokens(["[NEW]"])
    changed = tplc.Tokenizer.load(fast)
    assert (changed.logits_width, changed.eos) == (None, loaded.eos)
    assert changed.encode("[NEW]") == [changed.added_token("[NEW]")]
    with pytest.raises(tplc.WrongTokenizerError):
        tplc.compile(["CC=O"], loaded).check(fast)
