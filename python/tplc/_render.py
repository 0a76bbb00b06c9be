"""What needs no compiled code: molecules of RDKit, and rows for tables."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from tplc._tplc import TextError, render_smiles


def render(
    molecule: Any,
    coordinates: Any = None,
    number_format: str = "fixed4",
    tags: str = "none",
    *,
    conformer: int = -1,
) -> str:
    """The enriched SMILES of a molecule with a position for every atom, truncated toward zero.

    `molecule` is a SMILES with `coordinates` of shape `(atoms, 3)` in its order; or an RDKit molecule, which brings its own
    (those of `conformer`) unless others are given, in the order of its atoms. RDKit is not needed for anything else.

    Single precision counts as what it prints: `float32(1.1558)` is 1.1558.

        >>> tplc.render("CO", [[0.0, 0.25, -1.0], [1.23456, 0.0, 0.0]])
        '[C]<0.0000,0.2500,-1.0000>[O]<1.2345,0.0000,0.0000>'
    """
    if isinstance(molecule, str):
        if coordinates is None:
            raise TypeError("a SMILES has no coordinates of its own: give them")
        return render_smiles(molecule, coordinates, number_format, tags)
    if not hasattr(molecule, "GetConformer"):
        raise TypeError(f"a molecule is a SMILES or an RDKit molecule, and this is {type(molecule)}")
    if coordinates is None:
        coordinates = molecule.GetConformer(conformer).GetPositions()
    smiles, order = _smiles_and_order(molecule)
    if len(coordinates) != len(order):
        raise TextError(f"{smiles} has {len(order)} atoms, and {len(coordinates)} positions were given")
    return render_smiles(smiles, [coordinates[atom] for atom in order], number_format, tags)


def _smiles_and_order(molecule: Any) -> tuple[str, list[int]]:
    """The SMILES of an RDKit molecule, and for each of its atoms the number it has in the molecule."""
    chem: Any = import_module("rdkit.Chem")
    smiles = chem.MolToSmiles(molecule)
    order = molecule.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"]
    return smiles, [int(atom) for atom in order]


def drift_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A report of `analyze` as flat rows, one for each tokenizer, number format and placeholder: `pandas.DataFrame(rows)`.

    The adaptive placeholder has a row, too, marked by `adaptive`.
    """
    rows = []
    for tokenizer in report["tokenizers"]:
        placeholders = [(False, placeholder) for placeholder in tokenizer["placeholders"]]
        if tokenizer["adaptive"] is not None:
            placeholders.append((True, tokenizer["adaptive"]))
        for adaptive, placeholder in placeholders:
            rows.append(_drift_row(tokenizer, placeholder, adaptive))
    return rows


def _drift_row(tokenizer: Mapping[str, Any], placeholder: Mapping[str, Any], adaptive: bool) -> dict[str, Any]:
    row = {
        "tokenizer": tokenizer["name"],
        "number_format": tokenizer["number_format"],
        "conformers": tokenizer["conformers"],
        "atoms": tokenizer["atoms"],
        "placeholder": placeholder["text"],
        "adaptive": adaptive,
        "under": placeholder["under"]["share"],
        "over": placeholder["over"]["share"],
    }
    row.update({f"drift_{name}": value for name, value in placeholder["drift_distribution"].items()})
    numbers = {name: value for name, value in placeholder.items() if isinstance(value, int | float)}
    return row | numbers | {f"cost_{name}": value for name, value in placeholder["cost"].items()}
