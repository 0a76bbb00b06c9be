"""Rows for tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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
