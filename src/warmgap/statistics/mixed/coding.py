"""Columns of the data as numbers, checked: nothing is dropped silently.

Suffix A: rows of the data as given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
from scipy.special import gammaln

from warmgap.errors import did_you_mean
from warmgap.statistics.clusters import FloatArray, IntArray
from warmgap.statistics.mixed.formula import RandomTerm
from warmgap.statistics.mixed.problems import MixedModelError


def check_columns(data: pl.DataFrame, used: Iterable[str], text: str) -> None:
    """Refuse columns that do not exist or hold null, NaN or infinity.

    Raises:
        MixedModelError: names the column, how many rows, and the first of them.
    """
    for name in used:
        if name not in data.columns:
            near = did_you_mean(name, data.columns)
            raise MixedModelError("missing column", (name,), f"`{text}` names '{name}'.{near}")
        column = data[name]
        bad = column.is_null()
        if column.dtype.is_float():
            bad = bad | ~column.is_finite().fill_null(False)
        if count := int(bad.sum()):
            first = int(bad.arg_max() or 0)
            raise MixedModelError(
                "missing values",
                (name,),
                f"{count} of {column.len()} rows of '{name}' are null, NaN or infinite (first in row {first}). "
                "Nothing is dropped silently: filter them out, for example "
                f"data.filter(pl.col('{name}').is_not_null()), and report how many.",
            )


def read_response(data: pl.DataFrame, response: str, trials: str | None) -> tuple[FloatArray, FloatArray]:
    """Events and trials of every row.

    Raises:
        MixedModelError: not 0 or 1, not a count up to its total, or constant.
    """
    if not (data[response].dtype.is_numeric() or data[response].dtype == pl.Boolean):
        raise MixedModelError(
            "response", (response,), f"'{response}' must be 0 or 1; it is {data[response].dtype}."
        )
    events_A = data[response].cast(pl.Float64).to_numpy()
    trials_A = np.ones(events_A.size) if trials is None else data[trials].cast(pl.Float64).to_numpy()
    wrong_A = (events_A < 0) | (events_A > trials_A) | (events_A != np.round(events_A)) | (trials_A < 0)
    if wrong_A.any():
        row = int(np.argmax(wrong_A))
        what = "0 or 1" if trials is None else f"whole numbers from 0 to '{trials}'"
        raise MixedModelError(
            "response",
            (response,),
            f"'{response}' must hold {what}; row {row} holds {events_A[row]:g}. "
            "Counts need their totals: trials='column'.",
        )
    if events_A.sum() in (0.0, trials_A.sum()):
        constant = "0" if events_A.sum() == 0 else "1"
        raise MixedModelError(
            "constant response",
            (response,),
            f"'{response}' is {constant} in all {events_A.size} rows, so no effect on it has a finite estimate. "
            "Report the rate with its interval (warmgap.statistics.rates) instead.",
        )
    return events_A, trials_A


def check_levels(group: str, levels: tuple[str, ...], terms: list[RandomTerm], trials_A: FloatArray) -> None:
    """Refuse a group with one level, or with one answer per level.

    Raises:
        MixedModelError: names the group and the terms to leave out.
    """
    written = " and ".join(f"`{t}`" for t in terms)
    if len(levels) == 1:
        raise MixedModelError(
            "one level",
            (group,),
            f"the group '{group}' has one level, '{levels[0]}', so nothing varies over it. Leave out {written}.",
        )
    if len(levels) == trials_A.size and trials_A.max() == 1:
        raise MixedModelError(
            "one answer per level",
            (group,),
            f"every level of '{group}' has one answer: its variance cannot be told from chance. Leave out {written}.",
        )


def distinct_rows(data: pl.DataFrame, variables: Sequence[str]) -> tuple[IntArray, pl.DataFrame]:
    """Which distinct combination of the variables each row has, and the combinations."""
    key_A, count = np.zeros(data.height, dtype=np.int64), 1
    for name in variables:
        code_A, values = _codes(data[name])
        if count * values.len() > 2**62:
            distinct, key_A = np.unique(key_A, return_inverse=True)
            count = distinct.size
        key_A, count = key_A * values.len() + code_A, count * values.len()
    _, first, code_A = np.unique(key_A, return_index=True, return_inverse=True)
    rows = data.select(variables)[first] if variables else pl.DataFrame({"_": np.zeros(1)})
    return code_A, rows


def group_levels(data: pl.DataFrame, group: tuple[str, ...]) -> tuple[IntArray, tuple[str, ...]]:
    """Level of each row and the names of the levels that occur, parts joined by a colon."""
    key_A, parts = np.zeros(data.height, dtype=np.int64), []
    for name in group:
        code_A, values = _codes(data[name])
        key_A = key_A * values.len() + code_A
        parts.append([str(v) for v in values.to_list()])
    found, code_A = np.unique(key_A, return_inverse=True)
    positions = np.unravel_index(found, [len(p) for p in parts])
    names = zip(*([p[i] for i in index] for p, index in zip(parts, positions, strict=True)), strict=True)
    return code_A, tuple(":".join(n) for n in names)


def _codes(column: pl.Series) -> tuple[IntArray, pl.Series]:
    """Positions of the values among the sorted distinct values."""
    distinct = column.unique().sort()
    lookup = pl.DataFrame({"value": distinct, "code": np.arange(distinct.len())})
    coded = pl.DataFrame({"value": column}).join(lookup, on="value", how="left", maintain_order="left")
    return coded["code"].to_numpy(), distinct


def log_binomial(events_A: FloatArray, trials_A: FloatArray) -> float:
    """Sum of the log binomial coefficients, the constant of a likelihood of counts."""
    return float(np.sum(gammaln(trials_A + 1) - gammaln(events_A + 1) - gammaln(trials_A - events_A + 1)))
