"""Enriched SMILES, both ways; molecules of RDKit, real and not."""

import sys
import types

import numpy as np
import pytest

import tplc
from conftest import MOLECULES, numbers

FORMATS = ["fixed4", "trimmed4", "fixed2", "(leading_zeros: none, decimals: 3)"]


@pytest.mark.parametrize("number_format", FORMATS)
@pytest.mark.parametrize("tags", ["none", "conformer"])
def test_parse_undoes_render(artifact: tplc.Artifact, number_format: str, tags: str) -> None:
    rng = np.random.default_rng(9)
    for smiles in MOLECULES:
        atoms = artifact.template(smiles).atoms
        coordinates = numbers(rng, atoms)
        text = tplc.render(smiles, coordinates, number_format, tags)
        copied, read = tplc.parse(text, tags)
        assert (read.dtype, read.shape) == (np.float64, (atoms, 3))
        assert tplc.render(copied, read, number_format, tags) == text
        if number_format in ("fixed4", "trimmed4"):
            # Four decimals were there, and come back as the same floats.
            assert (read == coordinates).all()


def test_decimals_are_cut_as_they_are_written() -> None:
    def written(value: float, precision: type = np.float64) -> str:
        return tplc.render("C", np.array([[value, 0, 0]], dtype=precision))

    # As binary fractions they are a little less, those of single precision by far.
    assert written(1.1558) == written(1.1558, np.float32) == "[C]<1.1558,0.0000,0.0000>"
    assert written(float(np.float32(1.1558))) == "[C]<1.1557,0.0000,0.0000>"
    assert written(-0.00009) == "[C]<0.0000,0.0000,0.0000>"
    assert written(2) == tplc.render("C", [[2, 0, 0]]) == "[C]<2.0000,0.0000,0.0000>"
    strided = np.arange(12.0).reshape(2, 6)[:, ::2]
    assert tplc.render("CC", strided) == "[C]<0.0000,2.0000,4.0000>[C]<6.0000,8.0000,10.0000>"


def test_what_is_around_a_completion_is_left_out() -> None:
    text = "[SMILES]CO[/SMILES][CONFORMER][C]<1,2,3>[O]<-1.5,0,0>[/CONFORMER]<|im_end|>"
    smiles, coordinates = tplc.parse(text)
    assert smiles == "[C][O]"
    assert coordinates.tolist() == [[1.0, 2.0, 3.0], [-1.5, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[C]<1,2>", "2 numbers"),
        ("[C]<1,2,x>", "not a decimal number"),
        ("C<1,2,3>", "not in brackets"),
        ("[C]<1,2,3", "never closed"),
    ],
)
def test_faults_are_told_with_their_place(text: str, message: str) -> None:
    with pytest.raises(tplc.TextError, match=f"at byte .*{message}"):
        tplc.parse(text)


def test_what_cannot_be_rendered_says_why() -> None:
    with pytest.raises(tplc.TextError, match="2 atoms, and the conformer has 1"):
        tplc.render("CC", [[0, 0, 0]])
    with pytest.raises(tplc.TextError, match="integer digits"):
        tplc.render("C", [[100, 0, 0]])
    with pytest.raises(tplc.TextError, match="not finite"):
        tplc.render("C", [[float("nan"), 0, 0]])
    with pytest.raises(tplc.TextError):
        tplc.render("C(", [[0, 0, 0]])
    for shape in ((3,), (1, 2), (1, 1, 3)):
        with pytest.raises(ValueError, match="shape"):
            tplc.render("C", np.zeros(shape))
    with pytest.raises(TypeError, match="coordinates"):
        tplc.render("C")
    with pytest.raises(TypeError, match="RDKit"):
        tplc.render(7, [[0, 0, 0]])


class Molecule:
    """As much of an RDKit molecule as is used: its SMILES writes the atoms in another order."""

    def GetConformer(self, id: int) -> "Molecule":
        self.conformer = id
        return self

    def GetPositions(self) -> np.ndarray:
        return np.array([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [3.0, 0.0, 0.0]])

    def GetPropsAsDict(self, private: bool, computed: bool) -> dict[str, list[int]]:
        assert private and computed
        return {"_smilesAtomOutputOrder": [2, 0, 1]}


def test_a_molecule_brings_smiles_order_and_positions(monkeypatch) -> None:
    chem = types.ModuleType("rdkit.Chem")
    chem.MolToSmiles = lambda molecule: "CC=O"
    monkeypatch.setitem(sys.modules, "rdkit", types.ModuleType("rdkit"))
    monkeypatch.setitem(sys.modules, "rdkit.Chem", chem)
    molecule = Molecule()
    assert tplc.render(molecule, number_format="trimmed4", conformer=3) == "[C]<3,0,0>[C]<1,0,0>=[O]<2,0,0>"
    assert molecule.conformer == 3
    own = [[0, 0, 1], [0, 0, 2], [0, 0, 3]]
    assert tplc.render(molecule, own, "trimmed4") == "[C]<0,0,3>[C]<0,0,1>=[O]<0,0,2>"
    for count in (0, 2, 4):
        with pytest.raises(tplc.TextError, match=f"3 atoms, and {count} positions"):
            tplc.render(molecule, np.zeros((count, 3)))
    for shape in ((3,), (3, 2), (3, 1, 3)):
        with pytest.raises(ValueError, match="shape"):
            tplc.render(molecule, np.zeros(shape))


def test_molecules_of_rdkit() -> None:
    pytest.importorskip("rdkit")
    from rdkit import Chem
    from rdkit.Chem import AllChem

    for smiles in MOLECULES:
        molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
        assert AllChem.EmbedMolecule(molecule, randomSeed=7) == 0
        for written in (molecule, Chem.RemoveHs(molecule)):
            copied, coordinates = tplc.parse(tplc.render(written, number_format="fixed4"))
            # Each atom of the SMILES stands where it did in the molecule.
            order = [int(atom) for atom in written.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"]]
            read = Chem.MolFromSmiles(copied, sanitize=False)
            assert [atom.GetSymbol() for atom in read.GetAtoms()] == [
                written.GetAtomWithIdx(atom).GetSymbol() for atom in order
            ]
            positions = written.GetConformer().GetPositions()[order]
            assert np.abs(positions - coordinates).max() < 1e-4


def test_a_molecule_without_positions_says_so() -> None:
    pytest.importorskip("rdkit")
    from rdkit import Chem

    molecule = Chem.MolFromSmiles("CO")
    with pytest.raises(ValueError, match="no conformer -1: the molecule has none; embed it, or give coordinates"):
        tplc.render(molecule)
    conformer = Chem.Conformer(2)
    conformer.SetId(4)
    molecule.AddConformer(conformer)
    with pytest.raises(ValueError, match="no conformer 9: the molecule has those numbered 4;"):
        tplc.render(molecule, conformer=9)
    assert tplc.render(molecule, conformer=4) == tplc.render("CO", np.zeros((2, 3)))


def test_tensors_of_any_kind() -> None:
    torch = pytest.importorskip("torch")
    positions = torch.tensor([[1.1558, -0.5, 0.25]], requires_grad=True)
    assert tplc.render("C", positions) == tplc.render("C", [[1.1558, -0.5, 0.25]])
    assert tplc.render("C", positions.bfloat16()) == "[C]<1.1562,-0.5000,0.2500>"
    assert tplc.render("C", positions.double()[0][None].half()) == tplc.render("C", positions.half())
