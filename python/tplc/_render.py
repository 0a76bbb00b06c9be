"""Molecules of RDKit, and coordinates of any kind, as enriched SMILES."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

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

    `molecule` is a SMILES with `coordinates` of shape `(atoms, 3)` in its order, an array or a tensor; or an RDKit molecule, which brings its own
    (those of `conformer`) unless others are given, in the order of its atoms. RDKit is not needed for anything else.

    Single precision counts as what it prints: `float32(1.1558)` is 1.1558.

        >>> tplc.render("CO", [[0.0, 0.25, -1.0], [1.23456, 0.0, 0.0]])
        '[C]<0.0000,0.2500,-1.0000>[O]<1.2345,0.0000,0.0000>'
    """
    if isinstance(molecule, str):
        if coordinates is None:
            raise TypeError("a SMILES has no coordinates of its own: give them")
        return render_smiles(molecule, _array(coordinates), number_format, tags)
    if not hasattr(molecule, "GetConformer"):
        raise TypeError(f"a molecule is a SMILES or an RDKit molecule, and this is {type(molecule)}")
    positions = np.atleast_1d(_array(_positions(molecule, conformer) if coordinates is None else coordinates))
    smiles, order = _smiles_and_order(molecule)
    if len(positions) != len(order):
        raise TextError(f"{smiles} has {len(order)} atoms, and {len(positions)} positions were given")
    return render_smiles(smiles, positions[order], number_format, tags)


def _array(coordinates: Any) -> np.ndarray[Any, Any]:
    """A tensor may ask for gradients, lie on a device, and be of a type that NumPy lacks."""
    if hasattr(coordinates, "detach"):
        coordinates = coordinates.detach().cpu()
        if str(coordinates.dtype) == "torch.bfloat16":
            coordinates = coordinates.float()
    return np.asarray(coordinates)


def _positions(molecule: Any, conformer: int) -> Any:
    try:
        return molecule.GetConformer(conformer).GetPositions()
    except ValueError as error:
        there = ", ".join(str(one.GetId()) for one in molecule.GetConformers())
        has = f"those numbered {there}" if there else "none"
        raise ValueError(f"no conformer {conformer}: the molecule has {has}; embed it, or give coordinates") from error


def _smiles_and_order(molecule: Any) -> tuple[str, list[int]]:
    """The SMILES of an RDKit molecule, and for each of its atoms the number it has in the molecule."""
    chem: Any = import_module("rdkit.Chem")
    smiles = chem.MolToSmiles(molecule)
    order = molecule.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"]
    return smiles, [int(atom) for atom in order]
