"""Means of paired differences, with the variance that each scope asks for.

An effect is a mean over units (adapters: a model's training with one seed), each answering the same
questions under the same statements. What may have come out otherwise depends on the scope:

- `these_adapters`: questions and statements. Variance of the mean from residuals clustered by
  question and by statement: V(question) + V(statement) - V(both) (Cameron, Gelbach and Miller 2011),
  each with G/(G-1) per task or framing, which are fixed: questions are drawn within a task, statements
  within a framing.
- `new_adapters`: training seeds too, within each model: the variance between a model's seeds.
- `new_models`: models too: the variance between models.

Units share questions and statements, so their errors correlate. With d_u the effect of a unit, s² the
variance of the d_u around their stratum's mean, and c the mean covariance of two units that the shared
questions and statements make,
    Var(mean) = s² / n_units + c
is unbiased: s² / n_units already holds each unit's own noise, c is what averaging over units cannot
remove. Degrees of freedom by Satterthwaite (1946) from those of s² and of the clusters. A few units can
by chance lie so close together that this falls below the variance with the units fixed, which cannot be;
intervals that are then narrower than those of `these_adapters` cover too seldom (77 to 93 % at three
seeds), so the larger variance is taken. Suffixes: N pairs, U units, G clusters, K strata of clusters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from warmgap.statistics.clusters import ClusteredMean, FloatArray, IntArray, t_quantile, two_sided_p

SCOPES = ("these_adapters", "new_adapters", "new_models")
"""Over what an effect generalises, from the narrowest to the widest."""


@dataclass(frozen=True)
class Sample:
    """Paired differences with the codes of what they were taken over.

    `statements` holds the statement of each answer behind a difference: one array for a difference
    of two arms, two for a difference between framings. A code of -1 means no statement. `framing_N`
    is the framing that the statements belong to, one value for a difference between framings. Tasks
    count alike within a unit.
    """

    value_N: FloatArray
    unit_N: IntArray
    model_N: IntArray
    task_N: IntArray
    framing_N: IntArray
    question_N: IntArray
    statements: tuple[IntArray, ...]


@dataclass(frozen=True)
class Units:
    """Effects of units and how the shared questions and statements make them covary."""

    effect_U: FloatArray
    model_U: IntArray
    cov_UU: FloatArray
    cluster_df: float
    n: int


def units_of(sample: Sample) -> Units:
    """Effect of each unit, and the covariance of effects clustered by question and statement."""
    unit_names, unit_N = np.unique(sample.unit_N, return_inverse=True)
    tasks, task_N = np.unique(sample.task_N, return_inverse=True)
    n_units, n_tasks = unit_names.size, tasks.size
    stratum_N = unit_N * n_tasks + task_N
    n_C = np.bincount(stratum_N, minlength=n_units * n_tasks).astype(np.float64)
    mean_C = np.bincount(stratum_N, sample.value_N, minlength=n_C.size) / np.maximum(n_C, 1.0)
    share_U = (n_C.reshape(n_units, n_tasks) > 0).sum(axis=1)
    effect_U = mean_C.reshape(n_units, n_tasks).sum(axis=1) / share_U
    weight_N = 1 / (n_C[stratum_N] * share_U[unit_N])
    residual_N = weight_N * (sample.value_N - mean_C[stratum_N])

    _, question_N = np.unique(sample.question_N, return_inverse=True)
    cov_UU, df = _clustered(residual_N, unit_N, n_units, question_N, task_N)
    # Framings are fixed, so that what differs between them is no spread of statements.
    _, framing_N = np.unique(sample.framing_N, return_inverse=True)
    inside_N = unit_N * (framing_N.max(initial=0) + 1) + framing_N
    shift = np.bincount(inside_N, residual_N) / np.maximum(np.bincount(inside_N, weight_N), 1e-300)
    within_N = residual_N - weight_N * shift[inside_N]
    for given_N in sample.statements:
        # A prompt without a statement belongs to its own question alone.
        _, statement_N = np.unique(np.where(given_N >= 0, given_N, -1 - question_N), return_inverse=True)
        both_N = question_N * (statement_N.max(initial=0) + 1) + statement_N
        by_statement_UU, _ = _clustered(within_N, unit_N, n_units, statement_N, framing_N)
        extra_UU = by_statement_UU - _clustered(within_N, unit_N, n_units, both_N, framing_N)[0]
        shared_N = given_N >= 0
        # Chance can make the difference of estimates negative; statements then add nothing.
        if shared_N.any() and extra_UU.sum() > 0:
            cov_UU = cov_UU + extra_UU
            n_framings = np.unique(framing_N[shared_N]).size
            df = min(df, float(np.unique(given_N[shared_N]).size - n_framings))
    first_U = np.unique(unit_N, return_index=True)[1]
    return Units(effect_U, sample.model_N[first_U], cov_UU, max(df, 1.0), sample.value_N.size)


def mean_in_scope(sample: Sample, scope: str, confidence: float) -> ClusteredMean | None:
    """The mean of paired differences with its interval in a scope; models count alike.

    None where the scope cannot be had: `new_adapters` needs three seeds in every model,
    `new_models` three models.

    Args:
        sample: differences of an outcome, for instance 1, 0 and -1.
        scope: one of `SCOPES`.
        confidence: coverage of the interval, which is Student's t.
    """
    units = units_of(sample)
    models, model_U = np.unique(units.model_U, return_inverse=True)
    n_models, n_units = models.size, units.effect_U.size
    per_model_M = np.bincount(model_U).astype(np.float64)
    weight_U = 1 / (n_models * per_model_M[model_U])
    estimate = float(weight_U @ units.effect_U)
    shared = float(weight_U @ units.cov_UU @ weight_U)
    if scope == "these_adapters":
        return _interval(
            estimate, shared, units.cluster_df, confidence, units.n, n_models, "t_cluster_statement"
        )
    if scope == "new_models":
        if n_models < 3:
            return None
        mean_M = np.bincount(model_U, units.effect_U) / per_model_M
        cov_MM = _by_model(units.cov_UU, model_U, per_model_M)
        between, df_between = float(mean_M.var(ddof=1)) / n_models, n_models - 1.0
        apart = cov_MM.sum() - np.trace(cov_MM)
        common = float(apart) / (n_models * (n_models - 1))
    else:
        if per_model_M.min() < 3:
            return None
        between = common = df_between = 0.0
        squares = 0.0
        for m in range(n_models):
            own = np.flatnonzero(model_U == m)
            part = float(units.effect_U[own].var(ddof=1)) / own.size / n_models**2
            between += part
            squares += part**2 / (own.size - 1)
        same_UU = model_U[:, None] == model_U[None]
        pairs_M = per_model_M * (per_model_M - 1)
        # Within a model: the mean covariance of two seeds; between models: all of it.
        inside_UU = np.where(same_UU & ~np.eye(n_units, dtype=np.bool_), units.cov_UU, 0.0)
        inside_M = np.bincount(model_U, inside_UU.sum(axis=1)) / pairs_M
        outside = float(weight_U @ np.where(same_UU, 0.0, units.cov_UU) @ weight_U)
        common = float(inside_M.sum()) / n_models**2 + outside
        df_between = between**2 / squares if squares > 0 else 1.0
    common = max(common, 0.0)
    variance = between + common
    if variance <= 0:
        return None
    df = variance**2 / (between**2 / df_between + common**2 / units.cluster_df)
    variance = max(variance, shared)
    return _interval(estimate, variance, df, confidence, units.n, n_models, f"t_satterthwaite_{scope}")


def _by_model(cov_UU: FloatArray, model_U: IntArray, per_model_M: FloatArray) -> FloatArray:
    membership_UM = (model_U[:, None] == np.arange(per_model_M.size)) / per_model_M
    out_MM: FloatArray = membership_UM.T @ cov_UU @ membership_UM
    return out_MM


def _clustered(
    residual_N: FloatArray, unit_N: IntArray, n_units: int, cluster_N: IntArray, stratum_N: IntArray
) -> tuple[FloatArray, float]:
    """Covariance of unit means from residuals summed by cluster, and its degrees of freedom.

    Squares count G/(G-1) times, G being the clusters of their stratum, each of which lies in one.
    """
    found, first, cluster_N = np.unique(cluster_N, return_index=True, return_inverse=True)
    sums_GU = np.bincount(cluster_N * n_units + unit_N, residual_N, minlength=found.size * n_units)
    sums_GU = sums_GU.reshape(found.size, n_units)
    n_K = np.bincount(stratum_N[first]).astype(np.float64)
    correction_G = (n_K / np.maximum(n_K - 1, 1))[stratum_N[first]]
    return (sums_GU * correction_G[:, None]).T @ sums_GU, float(found.size - np.count_nonzero(n_K))


def _interval(
    estimate: float, variance: float, df: float, confidence: float, n: int, n_models: int, method: str
) -> ClusteredMean | None:
    if variance <= 0:
        return None
    std_error = math.sqrt(variance)
    half = t_quantile(confidence, df) * std_error
    p_value = two_sided_p(estimate / std_error, df)
    return ClusteredMean(
        estimate, std_error, df, estimate - half, estimate + half, p_value, method, n, n_models
    )
