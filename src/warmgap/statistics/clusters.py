"""Means of clustered observations: estimate, standard error, interval.

Questions are the clusters and tasks the strata: a question belongs to one task, and tasks are
fixed. Shape suffixes: N rows, C model-by-task strata, G questions, T tasks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClusteredMean:
    """A weighted mean with its uncertainty, in the unit of the values.

    `df` is None where the interval and the test use the normal distribution.
    """

    estimate: float
    std_error: float
    df: float | None
    conf_low: float
    conf_high: float
    p_value: float
    interval_method: str
    n: int
    n_models: int


@lru_cache(maxsize=4096)
def t_quantile(confidence: float, df: float | None) -> float:
    """Two-sided critical value of Student's t, or of the normal where df is None."""
    upper = 0.5 + confidence / 2
    return float(special.ndtri(upper) if df is None else special.stdtrit(df, upper))


def two_sided_p(statistic: float, df: float | None) -> float:
    """Two-sided p-value of a t (or, where df is None, normal) statistic."""
    lower = -abs(statistic)
    return float(2 * (special.ndtr(lower) if df is None else special.stdtr(df, lower)))


def wilson(events: float, n: float, confidence: float) -> tuple[float, float]:
    """Wilson score interval of a share, in [0, 1] (Wilson 1927)."""
    z = t_quantile(confidence, None)
    centre = (events + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(events * (n - events) / n + z * z / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


def stratum_weights(n_C: FloatArray, n_tasks: int, weights: str) -> FloatArray:
    """Weight of every model-by-task stratum; models always count alike.

    Args:
        n_C: rows per stratum, models outermost.
        n_tasks: number of tasks per model in `n_C`.
        weights: `equal_task` (tasks count alike) or `rows` (tasks count by their rows).
    """
    n_MT = n_C.reshape(-1, n_tasks)
    share_MT = (n_MT > 0).astype(np.float64) if weights == "equal_task" else n_MT
    total_M = share_MT.sum(axis=1, keepdims=True)
    n_models = np.count_nonzero(total_M)
    return (share_MT / (np.where(total_M > 0, total_M, 1.0) * n_models)).ravel()


def weighted_mean(
    value_N: FloatArray, stratum_N: IntArray, n_strata: int, n_tasks: int, weights: str
) -> float:
    """Mean over models of the mean over tasks (or rows) of the values."""
    n_C = np.bincount(stratum_N, minlength=n_strata).astype(np.float64)
    sum_C = np.bincount(stratum_N, weights=value_N, minlength=n_strata)
    weight_C = stratum_weights(n_C, n_tasks, weights)
    return float(np.sum(weight_C * sum_C / np.where(n_C > 0, n_C, 1.0)))


def clustered_mean(
    value_N: FloatArray,
    model_N: IntArray,
    cluster_N: IntArray,
    task_G: IntArray,
    *,
    n_models: int,
    n_tasks: int,
    weights: str,
    confidence: float,
    half_range: float,
) -> ClusteredMean | None:
    """Mean of values clustered by question, stratified by task; None without values.

    The variance is the sum over tasks of G/(G-1) times the sum of squared question totals of
    weighted residuals; the interval is t with (questions - tasks) degrees of freedom. Where that
    variance is zero or a task has one question, no variation was seen rather than none exists:
    each task then gets two further questions, one at each end of the range, which for paired
    binary data is the interval of Bonett and Price (2012).

    Args:
        value_N: values within [-half_range, half_range].
        model_N: model code of each row.
        cluster_N: question code of each row.
        task_G: task code of each question.
        n_models: number of model codes.
        n_tasks: number of task codes.
        weights: `equal_task` or `rows`.
        confidence: coverage of the interval.
        half_range: half of the range that a value can take.
    """
    if value_N.size == 0:
        return None
    stratum_N = model_N * n_tasks + task_G[cluster_N]
    n_C = np.bincount(stratum_N, minlength=n_models * n_tasks).astype(np.float64)
    safe_C = np.where(n_C > 0, n_C, 1.0)
    mean_C = np.bincount(stratum_N, weights=value_N, minlength=n_C.size) / safe_C
    weight_C = stratum_weights(n_C, n_tasks, weights)
    row_weight_N = (weight_C / safe_C)[stratum_N]
    estimate = float(np.sum(weight_C * mean_C))

    residual_G = np.bincount(cluster_N, row_weight_N * (value_N - mean_C[stratum_N]), minlength=task_G.size)
    seen_G = np.bincount(cluster_N, minlength=task_G.size) > 0
    clusters_T = np.bincount(task_G[seen_G], minlength=n_tasks).astype(np.float64)
    squares_T = np.bincount(task_G, residual_G**2, minlength=n_tasks)
    used_T = clusters_T > 0
    present = int(np.count_nonzero(n_C.reshape(-1, n_tasks).sum(axis=1)))
    if np.all(clusters_T[used_T] > 1):
        correction_T = clusters_T[used_T] / (clusters_T[used_T] - 1)
        std_error = math.sqrt(float(np.sum(correction_T * squares_T[used_T])))
        if std_error > 1e-12 * half_range:
            df = float(clusters_T.sum() - np.count_nonzero(used_T))
            half = t_quantile(confidence, df) * std_error
            p_value = two_sided_p(estimate / std_error, df)
            low, high = estimate - half, estimate + half
            return ClusteredMean(
                estimate, std_error, df, low, high, p_value, "t_cluster", value_N.size, present
            )

    total_G = np.bincount(cluster_N, row_weight_N * value_N, minlength=task_G.size)
    weight_G = np.bincount(cluster_N, row_weight_N, minlength=task_G.size)
    mean_G = total_G[seen_G] / weight_G[seen_G]
    task_seen = task_G[seen_G]
    count_T = clusters_T[used_T] + 2
    centre_T = np.bincount(task_seen, mean_G, minlength=n_tasks)[used_T] / count_T
    square_T = np.bincount(task_seen, mean_G**2, minlength=n_tasks)[used_T] + 2 * half_range**2
    weight_T = weight_C.reshape(-1, n_tasks).sum(axis=0)[used_T]
    centre = float(np.sum(weight_T * centre_T))
    std_error = math.sqrt(float(np.sum(weight_T**2 * (square_T / count_T - centre_T**2) / count_T)))
    half = t_quantile(confidence, None) * std_error
    low, high = max(-half_range, centre - half), min(half_range, centre + half)
    p_value = two_sided_p(centre / std_error, None)
    return ClusteredMean(estimate, std_error, None, low, high, p_value, "bonett_price", value_N.size, present)
