"""The molecules of these tests, and where the tiny model lies."""

import pathlib

ROOT = pathlib.Path(__file__).parents[3]
TINY = ROOT / "models" / "tiny"

# Bonds, branches, rings, charges, stereo, dots.
SMILES = [
    "O",
    "CC=O",
    "c1ccccc1",
    "C[C@H](N)C(=O)O",
    "Cl/C=C/Br",
    "[O-][N+](=O)c1ccc(F)cc1",
    "C[N+](C)(C)CCO.[Cl-]",
    "CC(=O)Oc1ccccc1C(=O)O",
]
