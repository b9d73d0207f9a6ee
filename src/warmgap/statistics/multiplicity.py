"""Many tests at once: Holm, Benjamini-Hochberg, families of a sweep, and equivalence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import special

from warmgap.statistics.settings import AnalysisSettings

CONFIRMATORY = "confirmatory_holm"
ALL_CELLS = "all_cells_bh"
NO_FAMILY = "none"


def holm(p_values: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Holm's step-down adjusted p-values, in the given order (Holm 1979)."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    out = np.empty_like(p)
    out[order] = np.minimum(stepped, 1.0)
    return out


def benjamini_hochberg(p_values: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Benjamini-Hochberg adjusted p-values, in the given order (Benjamini and Hochberg 1995)."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")[::-1]
    stepped = np.minimum.accumulate(p[order] * p.size / np.arange(p.size, 0, -1))
    out = np.empty_like(p)
    out[order] = np.minimum(stepped, 1.0)
    return out


def tost(estimate: float, std_error: float, df: float | None, margin: float) -> float:
    """p-value of equivalence: the larger of the one-sided tests against -margin and +margin.

    Estimate, standard error and margin in one unit; `df` None means normal (Schuirmann 1987).
    """
    statistic = (margin - abs(estimate)) / std_error
    return float(special.ndtr(-statistic) if df is None else special.stdtr(df, -statistic))


def adjust(
    effects: pl.DataFrame, contrasts: pl.DataFrame, settings: AnalysisSettings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Effects and contrasts with `family` and `q_value`.

    Confirmatory, by Holm: the primary pair and outcome by the paired estimator, in
    `settings.confirmatory_subsets`, for the mean over models (or the only model). Everything
    else by that estimator, contrasts included, is one Benjamini-Hochberg family over all cells
    of the sweep, with few seeds or many. Another estimator, judge or scope asks the same questions
    again and has families of its own, and so have the effects at controlled length. The steps of
    the published contrast and the paper's own regressions (terms `published_...` and `paper_...`)
    repeat effects and stand outside.
    """
    both = pl.concat([effects.with_columns(_table=pl.lit(0)), contrasts.with_columns(_table=pl.lit(1))])
    primary = (
        (pl.col("estimator") == "paired")
        & (pl.col("outcome") == settings.primary_outcome)
        & (pl.col("arm_a") == settings.primary_pair[0])
        & (pl.col("arm_b") == settings.primary_pair[1])
        & (pl.col("term") == "arm")
        & (pl.col("weights") == "equal_task")
        & pl.col("scope").str.starts_with("these_adapters")
    )
    pooled = both.filter(primary & (pl.col("model") == "all")).height > 0
    top_model = (pl.col("model") == "all") if pooled else pl.lit(True)
    confirmatory = primary & top_model & pl.col("subset").is_in(settings.confirmatory_subsets)
    outside = pl.col("term").str.contains("^(published|paper)_")
    both = both.with_columns(
        family=pl.when(outside)
        .then(pl.lit(NO_FAMILY))
        .when(confirmatory)
        .then(pl.lit(CONFIRMATORY))
        .otherwise(pl.lit(ALL_CELLS)),
        # "conditional on this adapter" is a caveat of a scope and no other scope.
        _scope=pl.col("scope").str.split(":").list.first(),
        _length=pl.col("term").str.starts_with("arm_length"),
    ).with_row_index("_row")
    q_values = np.full(both.height, np.nan)
    tested = both.filter(pl.col("p_value").is_not_null() & (pl.col("family") != NO_FAMILY))
    for (family, *_), part in tested.partition_by(
        "family", "estimator", "judge", "_scope", "_length", as_dict=True
    ).items():
        method: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
        method = holm if family == CONFIRMATORY else benjamini_hochberg
        q_values[part["_row"].to_numpy()] = method(part["p_value"].to_numpy())
    both = both.with_columns(q_value=pl.Series(q_values).fill_nan(None))
    halves = [both.filter(pl.col("_table") == i).select(effects.columns) for i in (0, 1)]
    return halves[0], halves[1]
