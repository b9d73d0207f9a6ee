"""Rows of the tables effects and contrasts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from warmgap.statistics.arms import worst_gate
from warmgap.statistics.clusters import ClusteredMean, FloatArray, IntArray, clustered_mean, weighted_mean
from warmgap.statistics.pairs import Levels


@dataclass(frozen=True)
class EffectKey:
    """What one row is about, apart from its numbers."""

    estimator: str
    outcome: str
    judge: str
    model: str
    models: tuple[str, ...]
    arm_a: str
    arm_b: str
    term: str
    contrast: str
    subset: str
    scope: str
    weights: str


@dataclass(frozen=True)
class Differences:
    """Differences of a bounded outcome per prompt, with what nulls could have made of them.

    `value_N` is NaN where an answer was null; `low_N` and `high_N` take such an answer at its
    worst for and against the difference. Values lie in [-half_range, half_range].
    """

    value_N: FloatArray
    low_N: FloatArray
    high_N: FloatArray
    model_N: IntArray
    cluster_N: IntArray
    half_range: float

    @classmethod
    def of(cls, a_N: FloatArray, b_N: FloatArray, model_N: IntArray, cluster_N: IntArray) -> Differences:
        """a - b of outcomes that are 1, 0 or NaN."""
        low_N = np.nan_to_num(a_N, nan=0.0) - np.nan_to_num(b_N, nan=1.0)
        high_N = np.nan_to_num(a_N, nan=1.0) - np.nan_to_num(b_N, nan=0.0)
        return cls(a_N - b_N, low_N, high_N, model_N, cluster_N, 1.0)


def effect_row(
    key: EffectKey,
    found: ClusteredMean | None,
    bounds: tuple[float | None, float | None],
    gates: Mapping[str, str],
) -> dict[str, Any]:
    """A row of `schema.tables.Effect`, proportions turned into percentage points.

    `family` and `q_value` stay empty until `multiplicity.adjust`. Without an estimate the
    numbers are null and `interval_method` is `none`.
    """
    low, high = bounds
    row: dict[str, Any] = {k: v for k, v in vars(key).items() if k != "models"}
    row |= {
        "estimate_pp": found and 100 * found.estimate,
        "std_error_pp": found and 100 * found.std_error,
        "df": found and found.df,
        "conf_low_pp": found and 100 * found.conf_low,
        "conf_high_pp": found and 100 * found.conf_high,
        "interval_method": found.interval_method if found else "none",
        "bound_low_pp": None if low is None else 100 * low,
        "bound_high_pp": None if high is None else 100 * high,
        "p_value": found and found.p_value,
        "q_value": None,
        "family": "",
        "gate": worst_gate(gates, key.models, (key.arm_a, key.arm_b)),
        "n": found.n if found else 0,
        "n_models": found.n_models if found else 0,
    }
    return row


def mean_row(
    key: EffectKey, differences: Differences, levels: Levels, gates: Mapping[str, str], confidence: float
) -> dict[str, Any]:
    """The row of a mean difference, clustered by question (`clusters.clustered_mean`).

    The estimate is over prompts where every answer is scored, the bounds over all prompts.
    """
    d = differences
    scored_N = ~np.isnan(d.value_N)
    n_tasks = len(levels.tasks)
    found = clustered_mean(
        d.value_N[scored_N],
        d.model_N[scored_N],
        d.cluster_N[scored_N],
        levels.task_G,
        n_models=len(levels.models),
        n_tasks=n_tasks,
        weights=key.weights,
        confidence=confidence,
        half_range=d.half_range,
    )
    if d.value_N.size == 0:
        return effect_row(key, found, (None, None), gates)
    stratum_N = d.model_N * n_tasks + levels.task_G[d.cluster_N]
    low, high = (
        weighted_mean(values_N, stratum_N, len(levels.models) * n_tasks, n_tasks, key.weights)
        for values_N in (d.low_N, d.high_N)
    )
    return effect_row(key, found, (low, high), gates)
