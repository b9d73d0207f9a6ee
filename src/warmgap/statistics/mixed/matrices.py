"""Design matrices of the parts of a formula, by formulaic, and their rank."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from warmgap.statistics.clusters import FloatArray
from warmgap.statistics.mixed.problems import MixedModelError


def variables_of(part: str, text: str) -> tuple[str, ...]:
    """Columns that a part of a formula reads.

    Raises:
        MixedModelError: formulaic cannot read it.
    """
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    try:
        return tuple(str(v) for v in Formula(part).required_variables)
    except (FormulaicError, SyntaxError) as e:
        reason = " ".join(str(e).split())
        raise MixedModelError("formula", (), f"`{text}` cannot be read at `{part}`: {reason}") from None


def design_matrix(part: str, rows: pl.DataFrame, text: str) -> tuple[Any, FloatArray, tuple[str, ...]]:
    """formulaic's specification of a part, its matrix on these rows, and the columns' names.

    Raises:
        MixedModelError: formulaic cannot evaluate it.
    """
    from formulaic import model_matrix
    from formulaic.errors import FormulaicError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = model_matrix(part, _pandas(rows))
    except (FormulaicError, NameError) as e:
        reason = " ".join(str(e).split())
        raise MixedModelError("formula", (), f"`{text}` cannot be evaluated at `{part}`: {reason}") from None
    return found.model_spec, np.asarray(found, dtype=np.float64), tuple(str(c) for c in found.columns)


def evaluate(spec: Any, rows: pl.DataFrame) -> FloatArray:
    """The matrix of a specification on other rows, with the first rows' levels and contrasts."""
    return np.asarray(spec.get_model_matrix(_pandas(rows)), dtype=np.float64)


def check_rank(x: FloatArray, names: tuple[str, ...], where: str) -> None:
    """Refuse collinear columns.

    Raises:
        MixedModelError: names the columns that the others determine.
    """
    scale = np.linalg.norm(x, axis=0)
    r = np.abs(np.diag(np.linalg.qr(x / np.where(scale > 0, scale, 1.0), mode="r")))
    if x.shape[0] >= x.shape[1] and r.min(initial=1.0) > 1e-9:
        return
    kept: list[int] = []
    aliased = []
    for k in range(x.shape[1]):
        if np.linalg.matrix_rank(x[:, [*kept, k]]) > len(kept):
            kept.append(k)
        else:
            aliased.append(names[k])
    raise MixedModelError(
        "rank",
        tuple(aliased),
        f"in {where} {', '.join(aliased)} can be written by the other columns: some combination of levels does "
        "not occur in the data, or two columns say the same. Leave out a term or filter the level.",
    )


def _pandas(rows: pl.DataFrame) -> Any:
    import pandas as pd

    def values(column: pl.Series) -> npt.NDArray[Any] | list[Any]:
        if column.dtype == pl.Boolean:
            return column.cast(pl.Int64).to_numpy()
        return column.to_numpy() if column.dtype.is_numeric() else column.cast(pl.String).to_list()

    return pd.DataFrame({name: values(rows[name]) for name in rows.columns})
