"""The published study's tables as they ship with the package."""

from __future__ import annotations

import io
from importlib import resources

import polars as pl

_TEXT = pl.String()
_NUMBER = pl.Float64()
_SCHEMAS: dict[str, dict[str, pl.DataType]] = {
    "cells": {
        "method": _TEXT,
        "model": _TEXT,
        "task": _TEXT,
        "belief": _TEXT,
        "context": _TEXT,
        "original_error_pct": _NUMBER,
        "modified_error_pct": _NUMBER,
        "diff_pp": _NUMBER,
        "mcnemar_p": _NUMBER,
        "fdr_p": _NUMBER,
        "fdr_significant": _TEXT,
    },
    "coefficients": {"model": _TEXT, "term": _TEXT, "estimate": _NUMBER, "std_error": _NUMBER},
    "marginal_effects": {"model": _TEXT, "term": _TEXT, "subset": _TEXT, "effect_pp": _NUMBER},
    "rows": {"model": _TEXT, "subset": _TEXT, "rows": pl.Int64()},
    "descriptives": {
        "name": _TEXT,
        "value": _NUMBER,
        "unit": _TEXT,
        "stated_in": _TEXT,
        "meaning": _TEXT,
    },
    "sociot": {"model": _TEXT, "epoch": _NUMBER, "mean": _NUMBER, "sem": _NUMBER},
    "guardrails": {
        "task": _TEXT,
        "model": _TEXT,
        "original_pct": _NUMBER,
        "warm_pct": _NUMBER,
        "half_width_pp": _NUMBER,
    },
    "crosswalk": {"kind": _TEXT, "file": _TEXT, "paper": _TEXT, "ours": _TEXT},
}


def read(name: str) -> pl.DataFrame:
    """One table under the study's own names; data/README.md states where each number comes from.

    Args:
        name: cells, coefficients, marginal_effects, rows, descriptives, sociot, guardrails or
            crosswalk.
    """
    content = resources.files(__package__).joinpath("data", f"{name}.csv").read_bytes()
    return pl.read_csv(io.BytesIO(content), schema=_SCHEMAS[name], null_values=["", "N/A"])
