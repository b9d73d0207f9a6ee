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
        bad, test = column.is_null(), "is_not_null"
        if column.dtype.is_float():
            bad, test = ~column.is_finite().fill_null(False), "is_finite"
        if count := int(bad.sum()):
            first = int(bad.arg_max() or 0)
            raise MixedModelError(
                "missing values",
                (name,),
                f"{count} of {column.len()} rows of '{name}' are null, NaN or infinite (the first is row "
                f"{first}, counted from 0). Nothing is dropped silently: filter them out, for example "
                f"data.filter(pl.col('{name}').{test}()), and report how many.",
            )


def read_response(data: pl.DataFrame, response: str, trials: str | None) -> tuple[FloatArray, FloatArray]:
    """Events and trials of every row.

    Raises:
        MixedModelError: not 0 or 1, not a count up to its total, or constant.
    """
    for name in (response, *([trials] if trials else [])):
        if not (data[name].dtype.is_numeric() or data[name].dtype == pl.Boolean):
            raise MixedModelError(
                "response",
                (name,),
                f"'{name}' must hold numbers and holds {data[name].dtype}. Make it 0 or 1 (or a count), for "
                f"example with (pl.col('{name}') == 'incorrect').cast(pl.Int8).",
            )
    events_A = data[response].cast(pl.Float64).to_numpy()
    trials_A = np.ones(events_A.size) if trials is None else data[trials].cast(pl.Float64).to_numpy()
    whole_A = (events_A == np.round(events_A)) & (trials_A == np.round(trials_A))
    wrong_A = (events_A < 0) | (events_A > trials_A) | ~whole_A
    if wrong_A.any():
        row = int(np.argmax(wrong_A))
        what = "0 or 1" if trials is None else f"whole numbers from 0 to '{trials}', itself a whole number"
        found = f"{events_A[row]:g}" + (f" of {trials_A[row]:g}" if trials else "")
        raise MixedModelError(
            "response",
            (response,),
            f"'{response}' must hold {what}; row {row} holds {found}. "
            "Counts need their totals: trials='column'.",
        )
    if trials_A.sum() == 0:
        raise MixedModelError(
            "constant response", (response,), f"there is no answer in the {data.height} rows of the data."
        )
    if events_A.sum() in (0.0, trials_A.sum()):
        constant = "0" if events_A.sum() == 0 else ("1" if trials is None else f"equal to '{trials}'")
        raise MixedModelError(
            "constant response",
            (response,),
            f"'{response}' is {constant} in all {events_A.size} rows, so no effect on it has a finite "
            "estimate. Report the rate with its interval (warmgap.statistics.rates) instead.",
        )
    return events_A, trials_A


def check_levels(
    group: str, code_A: IntArray, levels: tuple[str, ...], terms: Sequence[RandomTerm], trials_A: FloatArray
) -> None:
    """Refuse a group with one level, or with one answer per level.

    Raises:
        MixedModelError: names the group and the terms to leave out.
    """
    written = " and ".join(f"`{t}`" for t in terms)
    if len(levels) == 1:
        raise MixedModelError(
            "one level",
            (group,),
            f"the group '{group}' has one level, '{levels[0]}', so nothing varies over it. "
            f"Leave out {written}.",
        )
    if np.bincount(code_A, trials_A).max() <= 1:
        raise MixedModelError(
            "one answer per level",
            (group,),
            f"every level of '{group}' has one answer: its variance cannot be told from chance. "
            f"Leave out {written}.",
        )


def distinct_rows(data: pl.DataFrame, variables: Sequence[str]) -> tuple[IntArray, pl.DataFrame]:
    """Which distinct combination of the variables each row has, and the combinations."""
    code_A = np.zeros(data.height, dtype=np.int64)
    if not variables:
        return code_A, pl.DataFrame({"_": np.zeros(1)})
    for name in variables:
        code_A = joint_codes(code_A, _codes(data[name])[0])[0]
    _, first = np.unique(code_A, return_index=True)
    return code_A, data.select(variables)[first]


def group_levels(data: pl.DataFrame, group: tuple[str, ...]) -> tuple[IntArray, tuple[str, ...]]:
    """Level of each row and the names of the levels that occur, parts joined by a colon."""
    code_A, values = _codes(data[group[0]])
    names = [str(v) for v in values.to_list()]
    for column in group[1:]:
        other_A, values = _codes(data[column])
        parts = [str(v) for v in values.to_list()]
        code_A, first, second = joint_codes(code_A, other_A)
        names = [f"{names[i]}:{parts[j]}" for i, j in zip(first, second, strict=True)]
    return code_A, tuple(names)


def joint_codes(first_A: IntArray, second_A: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Codes of the pairs that occur, in order, and the two codes of each pair."""
    width = int(second_A.max()) + 1
    key_A = first_A * width + second_A
    if key_A.max() < 4 * key_A.size:
        occurs = np.zeros(int(key_A.max()) + 1, dtype=np.bool_)
        occurs[key_A] = True
        pairs, code_A = np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[key_A]
    else:
        pairs, code_A = np.unique(key_A, return_inverse=True)
    return code_A, *np.divmod(pairs, width)


def _codes(column: pl.Series) -> tuple[IntArray, pl.Series]:
    """Positions of the values among the sorted distinct values."""
    distinct = column.unique().sort()
    lookup = pl.DataFrame({"value": distinct, "code": np.arange(distinct.len())})
    coded = pl.DataFrame({"value": column}).join(lookup, on="value", how="left", maintain_order="left")
    return coded["code"].to_numpy(), distinct


def log_binomial(events_A: FloatArray, trials_A: FloatArray) -> float:
    """Sum of the log binomial coefficients, the constant of a likelihood of counts."""
    return float(np.sum(gammaln(trials_A + 1) - gammaln(events_A + 1) - gammaln(trials_A - events_A + 1)))
