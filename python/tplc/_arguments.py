"""What both ways to generate are given: an artifact, molecules and an end."""

from __future__ import annotations

from collections.abc import Iterable

from tplc._tplc import Artifact, Template, UnknownLiteralError


def molecules_of(smiles: Iterable[str]) -> list[str]:
    """The SMILES of a batch."""
    if isinstance(smiles, str):
        raise TypeError(f"smiles is one text, {smiles!r}: give a list of them, one for each prompt")
    molecules = list(smiles)
    if not molecules:
        raise ValueError("smiles has no molecule: give one for each prompt")
    return molecules


def templates_of(artifact: Artifact, smiles: Iterable[str]) -> list[Template]:
    """The template of each SMILES; equal ones are made once."""
    smiles = molecules_of(smiles)
    try:
        made = {text: artifact.template(text) for text in dict.fromkeys(smiles)}
    except UnknownLiteralError as error:
        raise UnknownLiteralError(
            f"{error}; decoding takes what the artifact has: tplc.compile the new molecules with its options, and tplc.merge"
        ) from error
    return [made[text] for text in smiles]


def end_of(artifact: Artifact, eos_token_id: int | None) -> int | None:
    """The token that ends a text: the artifact's own, or this where it has none."""
    if not isinstance(artifact, Artifact):
        raise TypeError(f"artifact is {artifact!r}: give an Artifact, such as tplc.Artifact.open gives of a path")
    if artifact.eos is not None and eos_token_id not in (None, artifact.eos):
        raise ValueError(
            f"eos_token_id is {eos_token_id}, and the texts of the artifact end with {artifact.eos}: "
            "leave it out, or build the artifact with eos="
        )
    return eos_token_id if artifact.eos is None else artifact.eos
