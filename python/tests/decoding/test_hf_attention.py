"""Heads that share keys and values: read without a copy of them, beside transformers' own attention."""

from collections import Counter

import pytest

pytest.importorskip("transformers")

import tplc
import tplc.hf
from decoding.molecules import SMILES
from decoding.test_hf_generate import by_processor

SIZES = {"vocab_size": 312, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
SIZES |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
ALONE = SIZES | {"num_key_value_heads": 4}
KINDS = [
    ("llama", SIZES, 2),
    ("qwen2", SIZES, 2),
    ("qwen3", SIZES, 2),
    ("llama", SIZES | {"num_key_value_heads": 1}, 4),
    ("llama", ALONE, 1),
    ("llama", SIZES | {"attn_implementation": "eager"}, 1),
]


def made(torch, artifact, kind="llama", settings=SIZES):
    """A model whose context weighs."""
    import transformers

    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(transformers.CONFIG_MAPPING[kind](**settings)).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(0, 0.15)
    model.generation_config.eos_token_id = model.generation_config.pad_token_id = artifact.eos
    return model


@pytest.mark.parametrize(("heads", "shared"), [(4, 4), (4, 2), (6, 1)])
def test_it_is_what_transformers_computes(torch, heads, shared):
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    from tplc._cells import Cells
    from tplc._grouped import grouped_attention

    torch.manual_seed(heads)
    cells = Cells(24)
    cells.go_to(torch.tensor([0, 9, 17]), 5)
    query = torch.randn(3, 5, heads, 8).transpose(1, 2)
    key, value = torch.randn(3, shared, 40, 8)[:, :, :24], torch.randn(3, shared, 40, 6)[:, :, :24]
    module = torch.nn.Module()
    module.num_key_value_groups = heads // shared
    expected, _ = sdpa_attention_forward(module, query, key, value, cells.mask(torch.float32), scaling=0.3)
    mask = cells.mask(torch.float32, heads // shared)
    told, _ = grouped_attention(module, query, key, value, mask, scaling=0.3)
    assert (told.shape, told.is_contiguous()) == (expected.shape, True)
    assert torch.allclose(told, expected, atol=1e-6)


@pytest.mark.parametrize(("kind", "settings", "groups"), KINDS)
def test_logits_and_texts_are_the_same(torch, artifact, prompts, kind, settings, groups):
    from tplc._cells import Cells
    from tplc._probe import reader_of
    from tplc._reader import Reader

    model = made(torch, artifact, kind, settings)
    ids, cell = torch.randint(0, 300, (2, 6)), torch.tensor([0, 7])

    def read(reader):
        cells = Cells(64)
        return reader(ids, cells.go_to(cell, 6), cells, cells.cache(2))

    with torch.no_grad():
        reader, asks = reader_of(model, artifact.tables.alphabet, 64)
        plain = read(Reader(model, artifact.tables.alphabet, grouped=False))
        assert (reader.groups, asks) == (groups, False)
        assert torch.allclose(read(reader), plain, atol=1e-4)
    made_prompts = prompts(SMILES[:3])
    expected = by_processor(model, made_prompts, artifact, SMILES[:3])
    assert torch.equal(tplc.hf.generate(model, made_prompts, artifact, SMILES[:3]), expected)


@pytest.mark.parametrize("grouped", [True, False])
def test_keys_and_values_are_not_copied(torch, artifact, grouped):
    from torch.utils._python_dispatch import TorchDispatchMode

    from tplc._cells import Cells
    from tplc._reader import Reader

    class Weighing(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            result = operation(*args, **(kwargs or {}))
            if operation.overloadpacket.__name__ in ("clone", "copy_", "contiguous", "repeat"):
                copied[operation.overloadpacket.__name__] += result.nbytes
            return result

    reader = Reader(made(torch, artifact), artifact.tables.alphabet, grouped)
    cells, copied = Cells(512), Counter()
    cache, ids = cells.cache(2), torch.zeros(3, 4, dtype=torch.long)
    with torch.no_grad(), Weighing():
        reader(ids, cells.go_to(torch.tensor([0, 5, 9]), 4), cells, cache)
    kept = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert (copied.total() < kept / 10) is grouped
    assert (copied["clone"] >= 2 * kept) is not grouped


def test_the_model_stays_as_it_is(torch, artifact, prompts):
    model = made(torch, artifact)
    modules, config = dict(model.named_modules()), model.config.to_dict()
    kept = {name: dict(vars(module)) for name, module in modules.items()}
    tplc.hf.generate(model, prompts(SMILES[:2]), artifact, SMILES[:2], max_new_tokens=8)
    assert dict(model.named_modules()) == modules
    assert all(vars(module).keys() == kept[name].keys() for name, module in modules.items())
    assert all(value is kept[name][key] for name, module in modules.items() for key, value in vars(module).items())
    assert (model.config.to_dict(), model.config._attn_implementation) == (config, "sdpa")


def wrong(module, query, key, value, *_, **__):
    return query.transpose(1, 2).contiguous() + 1, None


def failing(*_, **__):
    raise NotImplementedError


@pytest.mark.parametrize("attention", [wrong, failing])
def test_where_it_does_not_serve_all_is_as_before(torch, artifact, prompts, monkeypatch, attention):
    from transformers import AttentionInterface

    from tplc._grouped import NAME
    from tplc._probe import reader_of

    model = made(torch, artifact)
    monkeypatch.setitem(AttentionInterface._global_mapping, NAME, attention)
    for size in (64, 32, 128):
        assert reader_of(model, artifact.tables.alphabet, size)[0].groups == 1
    expected = by_processor(model, prompts(SMILES[:2]), artifact, SMILES[:2])
    assert torch.equal(tplc.hf.generate(model, prompts(SMILES[:2]), artifact, SMILES[:2]), expected)


def test_an_attention_that_was_laid_over_is_still_called(torch, artifact, prompts):
    from tplc._reader import Reader

    model, calls = made(torch, artifact), []
    expected = tplc.hf.generate(model, prompts(SMILES[:2]), artifact, SMILES[:2])
    attention = model.model.layers[1].self_attn
    forward = attention.forward
    attention.forward = lambda *args, **kwargs: calls.append(1) or forward(*args, **kwargs)
    reader = Reader(model, artifact.tables.alphabet)
    assert (reader.groups, reader.is_narrow) == (1, True)
    assert torch.equal(tplc.hf.generate(model, prompts(SMILES[:2]), artifact, SMILES[:2]), expected)
    assert calls
