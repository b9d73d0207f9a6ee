"""Design matrices of the parts of a formula, by formulaic, and their rank."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from warmgap.statistics.clusters import FloatArray
from warmgap.statistics.mixed.problems import MixedModelError

_RANK_TOLERANCE = 1e-7
"""A column whose part outside the others' span is shorter than this share of it is determined by them."""

_MOST_EXACT = 2**31
"""Larger integers go to formulaic as floats, so that products cannot overflow."""


@contextmanager
def _reading(part: str, text: str) -> Iterator[None]:
    """Turns what formulaic finds wrong with a part into an error that names it."""
    from formulaic.errors import DataMismatchWarning, FormulaicError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", DataMismatchWarning)
            yield
    except DataMismatchWarning as e:
        reason = " ".join(str(e).split())
        raise MixedModelError(
            "unknown level", (), f"`{part}`: {reason} Use levels that the model was fitted on."
        ) from None
    except (FormulaicError, NameError, SyntaxError, ValueError) as e:
        reason = " ".join(re.sub(r"\x1b\[[\d;]*m|[⧛⧚]", "", str(e)).split())
        raise MixedModelError("formula", (), f"`{text}` cannot be read at `{part}`: {reason}") from None


def variables_of(part: str, text: str) -> tuple[str, ...]:
    """Columns that a part of a formula reads.

    Raises:
        MixedModelError: formulaic cannot read it.
    """
    from formulaic import Formula

    with _reading(part, text):
        return tuple(str(v) for v in Formula(part).required_variables)


def terms_of(part: str, text: str) -> tuple[str, ...]:
    """The terms of a part with `*` and `/` written out, "1" for the intercept.

    Raises:
        MixedModelError: formulaic cannot read it.
    """
    from formulaic import Formula

    def written(factor: Any) -> str:
        plain = factor.eval_method.value != "lookup" or re.fullmatch(r"[\w.]+", factor.expr)
        return str(factor.expr) if plain else f"`{factor.expr}`"

    with _reading(part, text):
        return tuple(":".join(written(f) for f in term.factors) for term in Formula(part))


def design_matrix(part: str, rows: pl.DataFrame, text: str) -> tuple[Any, FloatArray, tuple[str, ...]]:
    """formulaic's specification of a part, its matrix on these rows, and the columns' names.

    Raises:
        MixedModelError: formulaic cannot evaluate it, a value is not finite, or values depend on
            which other rows there are.
    """
    from formulaic import model_matrix

    with _reading(part, text):
        found = model_matrix(part, _pandas(rows), context={"np": np}, na_action="ignore")
        names = tuple(str(c) for c in found.columns)
        matrix = np.asarray(found, dtype=np.float64)
    for name, column in zip(names, matrix.T, strict=True):
        if not np.isfinite(column).all():
            raise MixedModelError(
                "missing values",
                (name,),
                f"`{name}` is not finite in some rows, though its columns are. Compute it in the data, where "
                "you can see and filter these rows.",
            )
    if re.search(r"(?!C\b)\b\w+\s*\(|\{", part):
        again = rows[[*range(rows.height - 1, -1, -1), *[0] * rows.height]]
        with _reading(part, text):
            other = model_matrix(part, _pandas(again), context={"np": np}, na_action="ignore")
        moved = np.asarray(other, dtype=np.float64)[: rows.height][::-1]
        if not np.allclose(moved, matrix, rtol=1e-9, atol=0.0):
            raise MixedModelError(
                "formula",
                (),
                f"`{part}` in `{text}` depends on all rows, as a mean does; compute that column in the data "
                "first.",
            )
    return found.model_spec, matrix, names


def evaluate(spec: Any, rows: pl.DataFrame) -> FloatArray:
    """The matrix of a specification on other rows, with the first rows' levels and contrasts.

    Raises:
        MixedModelError: a level that the first rows do not have.
    """
    part = str(spec.formula)
    with _reading(part, part):
        return np.asarray(spec.get_model_matrix(_pandas(rows), context={"np": np}), dtype=np.float64)


def check_rank(x: FloatArray, names: tuple[str, ...], where: str) -> None:
    """Refuse collinear columns.

    Raises:
        MixedModelError: names the columns that those before them determine.
    """
    basis, rank = np.empty_like(x), 0
    aliased = []
    for k, name in enumerate(names):
        length = float(np.linalg.norm(x[:, k]))
        rest = x[:, k] / length if length > 0 else x[:, k]
        for _ in range(2):
            rest = rest - basis[:, :rank] @ (basis[:, :rank].T @ rest)
        left = float(np.linalg.norm(rest))
        if left > _RANK_TOLERANCE:
            basis[:, rank] = rest / left
            rank += 1
        else:
            aliased.append(name)
    if aliased:
        raise MixedModelError(
            "rank",
            tuple(aliased),
            f"in {where} {', '.join(aliased)} can be written by the other columns: some combination of "
            "levels does not occur in the data, two columns say the same, or a covariate hardly varies for "
            "its size (centre it). Leave out a term or filter the level.",
        )


def _pandas(rows: pl.DataFrame) -> Any:
    import pandas as pd

    def values(column: pl.Series) -> npt.NDArray[Any] | list[Any]:
        if column.dtype == pl.Boolean:
            return column.cast(pl.Int64).to_numpy()
        if not column.dtype.is_numeric():
            return column.cast(pl.String).to_list()
        floats = column.cast(pl.Float64).to_numpy()
        exact = column.dtype.is_integer() and np.abs(floats).max() <= _MOST_EXACT
        return column.cast(pl.Int64).to_numpy() if exact else floats

    return pd.DataFrame({name: values(rows[name]) for name in rows.columns})
