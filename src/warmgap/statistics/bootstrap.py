"""Bootstrap by question: which questions a replicate holds, and the interval from replicates.

Questions are resampled within tasks, with everything that was asked about them. Shape suffixes: B
replicates, G questions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from warmgap.statistics.clusters import FloatArray, IntArray


@dataclass(frozen=True)
class BootstrapInterval:
    """Spread of a statistic over replicates, in its own unit.

    `method` is `bootstrap_bca`. The p-value is the smallest two-sided level at which the interval
    leaves out zero, not below 2 / (replicates + 1).
    """

    std_error: float
    low: float
    high: float
    p_value: float
    method: str


def question_weights(task_G: IntArray, replicates: int, seed: int) -> FloatArray:
    """How often each replicate holds each question; questions are drawn within tasks.

    Args:
        task_G: task code of each question.
        replicates: number of replicates.
        seed: seed of the generator.

    Returns:
        Counts of shape (B, G); within a task every row sums to its number of questions.
    """
    rng = np.random.default_rng(seed)
    weight_BG = np.zeros((replicates, task_G.size))
    for task in np.unique(task_G):
        questions = np.flatnonzero(task_G == task)
        share = np.full(questions.size, 1 / questions.size)
        weight_BG[:, questions] = rng.multinomial(questions.size, share, size=replicates)
    return weight_BG


def bca_interval(
    estimate: float, replicate_B: FloatArray, jackknife_G: FloatArray, stratum_G: IntArray, confidence: float
) -> BootstrapInterval | None:
    """Bias-corrected and accelerated interval (Efron 1987), stratified as in Davison and Hinkley.

    With z0 the normal quantile of the share of replicates below the estimate (ties count half) and
    acceleration a, the limits are the replicates' quantiles at
    Phi(z0 + (z0 + z) / (1 - a (z0 + z))), z = -/+ 1.96 for 95 %. With l_g = (n_t - 1)(mean of
    the stratum's jackknife values - jackknife value g), a = sum n_t^-3 l^3 / (6 (sum n_t^-2
    l^2)^1.5) (Davison and Hinkley 1997, section 5.3.2).

    Args:
        estimate: the statistic on all questions.
        replicate_B: the statistic on each replicate; NaN where it is undefined there.
        jackknife_G: the statistic without each question.
        stratum_G: task of each of these questions.
        confidence: coverage.

    Returns:
        None where no variation was seen: fewer than 10 usable replicates, all of them equal, or a
        stratum of one question.
    """
    usable_B = replicate_B[~np.isnan(replicate_B)]
    _, stratum_G, size_T = np.unique(stratum_G, return_inverse=True, return_counts=True)
    if usable_B.size < 10 or np.ptp(usable_B) < 1e-12 or size_T.min() < 2:
        return None
    acceleration = _acceleration(jackknife_G, stratum_G, size_T)
    bias = float(special.ndtri(_share_below(usable_B, estimate)))
    half = (1 - confidence) / 2
    low, high = (
        float(np.quantile(usable_B, special.ndtr(_adjusted(z, bias, acceleration))))
        for z in (special.ndtri(half), special.ndtri(1 - half))
    )
    # Invert the adjustment at zero: the level at which a limit reaches it.
    at_zero = float(special.ndtri(_share_below(usable_B, 0.0))) - bias
    tail = float(special.ndtr(at_zero / (1 + acceleration * at_zero) - bias))
    floor = 1 / (usable_B.size + 1)
    return BootstrapInterval(
        std_error=float(np.std(usable_B, ddof=1)),
        low=low,
        high=high,
        p_value=min(1.0, 2 * max(floor, min(tail, 1 - tail))),
        method="bootstrap_bca",
    )


def _share_below(replicate_B: FloatArray, value: float) -> float:
    """Share of replicates below a value, ties half, kept off 0 and 1."""
    tied = np.abs(replicate_B - value) < 1e-12
    below = np.count_nonzero((replicate_B < value) & ~tied) + np.count_nonzero(tied) / 2
    floor = 1 / (replicate_B.size + 1)
    return float(np.clip(below / replicate_B.size, floor, 1 - floor))


def _adjusted(z: float, bias: float, acceleration: float) -> float:
    return bias + (bias + z) / (1 - acceleration * (bias + z))


def _acceleration(jackknife_G: FloatArray, stratum_G: IntArray, size_T: IntArray) -> float:
    mean_T = np.bincount(stratum_G, jackknife_G) / size_T
    scaled_G = (size_T[stratum_G] - 1) / size_T[stratum_G] * (mean_T[stratum_G] - jackknife_G)
    spread = float(np.sum(scaled_G**2))
    return float(np.sum(scaled_G**3)) / (6 * spread**1.5) if spread > 0 else 0.0
