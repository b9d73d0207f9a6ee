"""Marginal effects of mixed models in percentage points, with random effects integrated out.

For a row with linear predictor x'b and random-effect variance s² = z'Gz (summed over the factors):
    P = E[expit(x'b + s Z)],  Z standard normal,
and the effect is the weighted mean over rows of P at one value of a variable minus P at another,
each side with its own x, z and so its own variance. Setting random effects to zero instead answers
another question and exaggerates: it describes a question of typical difficulty. Standard errors are
by the delta method over coefficients and variance parameters together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from scipy import special

from warmgap.errors import UserError, did_you_mean
from warmgap.statistics.clusters import FloatArray, t_quantile, two_sided_p
from warmgap.statistics.mixed.covariance import covariance, covariance_derivatives
from warmgap.statistics.mixed.design import Design
from warmgap.statistics.mixed.fit import GlmmFit
from warmgap.statistics.mixed.laplace import split_theta

_NODES = 61
"""Gauss-Hermite nodes of the integral over Z: within 1e-9 of the integral for sd up to 2, 1e-6 for sd 3."""


@dataclass(frozen=True)
class MarginalEffect:
    """A marginal effect or a difference of such, in percentage points.

    `gradient_J` is the derivative by (beta, theta), so that effects of one fit can be subtracted
    with their covariance (`minus`). `high_pct` and `low_pct` are the two mean probabilities.
    """

    estimate_pp: float
    std_error_pp: float
    high_pct: float
    low_pct: float
    n_rows: int
    gradient_J: FloatArray = field(repr=False)
    fit: GlmmFit = field(repr=False)

    def interval_pp(self, confidence: float = 0.95, df: float | None = None) -> tuple[float, float]:
        """Normal interval, or Student's t with `df` degrees of freedom."""
        half = t_quantile(confidence, df) * self.std_error_pp
        return self.estimate_pp - half, self.estimate_pp + half

    def p_value(self, df: float | None = None) -> float:
        """Two-sided p-value against zero."""
        return two_sided_p(self.estimate_pp / self.std_error_pp, df)

    def minus(self, other: MarginalEffect) -> MarginalEffect:
        """The difference of two effects of the same fit, for interactions on the scale of percentages.

        Raises:
            ValueError: the effects come from different fits.
        """
        if other.fit is not self.fit:
            raise ValueError(
                "effects of different fits have no joint covariance: take both from one fit, whose formula "
                "has an interaction for what tells them apart"
            )
        return _effect(
            self.fit,
            self.estimate_pp - other.estimate_pp,
            self.gradient_J - other.gradient_J,
            (self.high_pct - other.high_pct, self.low_pct - other.low_pct),
            self.n_rows + other.n_rows,
        )


def marginal_effect(
    fit: GlmmFit,
    rows: pl.DataFrame,
    variable: str,
    high: Any = 1,
    low: Any = 0,
    *,
    equal_over: str | tuple[str, ...] = (),
) -> MarginalEffect:
    """The mean effect of setting a variable to `high` instead of `low`.

    Args:
        fit: a fitted model.
        rows: the rows to average over: the data or a subset of it (all columns of the formula).
        variable: a column of the formula.
        high: its value on the first side.
        low: its value on the second side.
        equal_over: columns whose levels count alike, for instance "task" or ("model", "task");
            empty to count rows alike.

    Raises:
        UserError: no rows, the variable or a column of `equal_over` is not there, or a value is no
            level of the variable.
    """
    equal_over = (equal_over,) if isinstance(equal_over, str) else equal_over
    variables = fit.model.design.columns.variables
    if variable not in variables:
        near = did_you_mean(variable, variables)
        raise UserError(f"'{variable}' is no column of `{fit.model.design.formula.text}`.{near}")
    for name in equal_over:
        if name not in rows.columns:
            raise UserError(f"the rows have no column '{name}'.{did_you_mean(name, rows.columns)}")
    if rows.is_empty():
        raise UserError(
            "there are no rows to average over: the subset is empty. Filter on values that the data hold."
        )
    is_text = variable in rows.columns and rows[variable].dtype == pl.String
    known = rows[variable].unique().sort().to_list() if is_text else []
    for side, value in (("high", high), ("low", low)):
        if known and not isinstance(value, str):
            raise UserError(
                f"'{variable}' holds text and {side} is {value!r}. Name two of its levels, as "
                f"high='{known[-1]}', low='{known[0]}'. Allowed: {', '.join(known)}."
            )
    kept = list(dict.fromkeys([*(v for v in variables if v != variable), *equal_over]))
    counted = rows.group_by(kept, maintain_order=True).len() if kept else pl.DataFrame({"len": [rows.height]})
    weight_U = _weights(counted, equal_over)
    sides = [
        _side(fit, counted.with_columns(pl.lit(value).alias(variable)), weight_U) for value in (high, low)
    ]
    (high_mean, high_J), (low_mean, low_J) = sides
    return _effect(
        fit,
        100 * (high_mean - low_mean),
        100 * (high_J - low_J),
        (100 * high_mean, 100 * low_mean),
        rows.height,
    )


def _weights(counted: pl.DataFrame, equal_over: tuple[str, ...]) -> FloatArray:
    """Weights that add up to one; levels of each column of `equal_over` in turn share alike."""
    share = counted.with_columns(weight=pl.col("len").cast(pl.Float64))
    for depth in range(len(equal_over), -1, -1):
        # Within the columns so far, the next column's levels count alike.
        outer, inner = list(equal_over[:depth]), list(equal_over[: depth + 1])
        if depth < len(equal_over):
            total = pl.col("weight").sum().over(inner)
            levels = share.select(inner).unique().group_by(outer).len("levels") if outer else None
            if levels is None:
                share = share.with_columns(weight=pl.col("weight") / total / share[equal_over[0]].n_unique())
            else:
                share = share.join(levels, on=outer, how="left", maintain_order="left")
                share = share.with_columns(weight=pl.col("weight") / total / pl.col("levels")).drop("levels")
    return (share["weight"] / share["weight"].sum()).to_numpy()


def _side(fit: GlmmFit, rows: pl.DataFrame, weight_U: FloatArray) -> tuple[float, FloatArray]:
    """Weighted mean probability and its derivative by (beta, theta)."""
    design = fit.model.design
    x_UK = design.columns.fixed_matrix(rows)
    thetas = split_theta(design, fit.theta_H)
    variance_U = np.zeros(rows.height)
    slopes = []
    for z_UB, block, theta in zip(random_designs(design, rows), design.blocks, thetas, strict=True):
        variance_U += np.einsum("ui,ij,uj->u", z_UB, covariance(block, theta), z_UB)
        first_HBB, _ = covariance_derivatives(block, theta)
        slopes.append(np.einsum("ui,hij,uj->uh", z_UB, first_HBB, z_UB, optimize=True))
    sd_U = np.sqrt(variance_U)
    x_D, weight_D = np.polynomial.hermite_e.hermegauss(_NODES)
    p_UD = special.expit((x_UK @ fit.beta_K)[:, None] + sd_U[:, None] * x_D)
    weight_D = weight_D / math.sqrt(2 * math.pi)
    slope_UD = p_UD * (1 - p_UD)
    by_eta_U = slope_UD @ weight_D
    # d/ds E[expit(m + s Z)] = E[Z expit'], and ds/dtheta = z'(dG)z / 2s.
    by_sd_U = slope_UD @ (weight_D * x_D)
    by_theta_UH = np.concatenate(slopes, axis=1) * (by_sd_U / (2 * np.maximum(sd_U, 1e-12)))[:, None]
    mean = float(weight_U @ (p_UD @ weight_D))
    return mean, np.concatenate([(weight_U * by_eta_U) @ x_UK, weight_U @ by_theta_UH])


def random_designs(design: Design, rows: pl.DataFrame) -> list[FloatArray]:
    """Columns of the random effects at these rows, one matrix per block."""
    out = [np.zeros((rows.height, len(b.columns))) for b in design.blocks]
    for term, (owner, columns) in enumerate(design.terms):
        out[owner][:, columns] = design.columns.random_matrix(term, rows)
    return out


def _effect(
    fit: GlmmFit, estimate_pp: float, gradient_J: FloatArray, sides: tuple[float, float], n_rows: int
) -> MarginalEffect:
    std_error = math.sqrt(max(float(gradient_J @ fit.joint_cov @ gradient_J), 0.0))
    return MarginalEffect(estimate_pp, std_error, *sides, n_rows, gradient_J, fit)


def predicted_rate_pct(fit: GlmmFit, rows: pl.DataFrame, values: Mapping[str, Any]) -> float:
    """The mean probability over rows with some columns set to values, random effects integrated out."""
    set_to = rows.with_columns(pl.lit(v).alias(k) for k, v in values.items())
    return 100 * _side(fit, set_to, np.full(rows.height, 1 / rows.height))[0]
