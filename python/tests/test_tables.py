"""Tables: a decoder that knows nothing but the arrays walks as a matcher does."""

import numpy as np
import pytest

import tplc
from conftest import MOLECULES, bits


def behind(template: tplc.Template, number: int) -> int:
    """The root of what follows a number."""
    return template.tables.separator if number % 3 < 2 else int(template.roots[number // 3 + 1])


def edges(tables: tplc.Tables, state: int) -> dict[int, int]:
    span = slice(tables.first_edge[state], tables.first_edge[state + 1])
    return dict(zip(tables.edge_tokens[span].tolist(), tables.edge_targets[span].tolist(), strict=True))


def walk(template: tplc.Template, rng: np.random.Generator) -> list[int]:
    """A random text, by the rules that the documentation of `Tables` states."""
    tables = template.tables
    matcher = tplc.Matcher(template)
    place = (int(template.roots[0]), 0)
    ids = []
    while place[0] != 0:
        state, number = place
        own = edges(tables, state)
        following = edges(tables, behind(template, number)) if tables.ends_number[state] else {}
        assert not own.keys() & following.keys()
        assert matcher.allowed().tolist() == sorted(own.keys() | following.keys())
        assert (matcher.state, matcher.number) == place
        mask = tables.mask_rows[tables.mask_row[state]].copy()
        if tables.ends_number[state]:
            mask |= tables.mask_rows[tables.mask_row[behind(template, number)]]
        assert bits(mask) == matcher.allowed().tolist()
        id = int(rng.choice(matcher.allowed()))
        place = (own[id], number) if id in own else (following[id], number + 1)
        label = matcher.advance(id)
        free = free_of(tables, state, id) if id in own else free_of(tables, behind(template, number), id)
        assert free == (label != "copy")
        ids.append(id)
    assert matcher.is_finished
    return ids


def free_of(tables: tplc.Tables, state: int, id: int) -> bool:
    first, end = tables.first_edge[state], tables.first_edge[state + 1]
    edge = first + np.searchsorted(tables.edge_tokens[first:end], id)
    return bool(tables.edge_free[edge])


def test_arrays_alone_are_enough_to_decode(any_artifact: tuple[tplc.Artifact, tplc.Tokenizer]) -> None:
    artifact, tokenizer = any_artifact
    rng = np.random.default_rng(7)
    for smiles in MOLECULES:
        template = artifact.template(smiles)
        ids = walk(template, rng)
        text = tokenizer.decode(ids, skip_special=True)
        if tokenizer.name == "phi-3":
            text = text.lstrip()
        open_tag, close_tag = artifact.tags
        assert text.startswith(open_tag) and text.endswith(close_tag)
        assert artifact.encode(text, tokenizer) == ids


def test_shapes(artifact: tplc.Artifact) -> None:
    tables = artifact.tables
    edges = len(tables.edge_tokens)
    assert tables.first_edge.shape == (tables.states + 1,)
    assert tables.first_edge[0] == 0 and tables.first_edge[-1] == edges
    assert tables.edge_targets.shape == tables.edge_free.shape == (edges,)
    assert tables.ends_number.shape == tables.mask_row.shape == (tables.states,)
    assert tables.mask_rows.shape[1] == artifact.mask_words == -(-tables.logits_width // 32)
    assert len(np.unique(tables.mask_rows, axis=0)) == len(tables.mask_rows)
    manifest = artifact.manifest()["molecules"]
    assert (tables.states, edges) == (manifest["states"], manifest["edges"])
    assert (len(tables.tokens), len(tables.alphabet)) == (manifest["tokens"], manifest["alphabet"])
    assert set(tables.edge_tokens) == set(tables.tokens)
    # Edges lead down, so there is no loop.
    of_edge = np.repeat(np.arange(tables.states), np.diff(tables.first_edge))
    assert (tables.edge_targets < of_edge).all()
    for array in (tables.tokens, tables.edge_tokens, tables.mask_rows, artifact.template("C").roots):
        assert array.dtype == np.int32
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_every_choice_is_in_the_alphabet(artifact: tplc.Artifact) -> None:
    alphabet = set(artifact.tables.alphabet.tolist())
    rng = np.random.default_rng(3)
    for template in artifact:
        matcher = tplc.Matcher(template)
        while not matcher.is_finished:
            allowed = matcher.allowed()
            if len(allowed) > 1:
                assert set(allowed.tolist()) <= alphabet
            matcher.advance(int(rng.choice(allowed)))


def test_tables_are_one_for_an_artifact(artifact: tplc.Artifact) -> None:
    one, other = artifact.template("CC=O").tables, artifact[0].tables
    assert one == other and hash(one) == hash(other)
    assert {artifact.tables: 1}[one] == 1
    assert one.edge_tokens is other.edge_tokens
    twin = tplc.Artifact.from_bytes(artifact.to_bytes())
    assert twin.tables != artifact.tables and artifact.tables != 7
