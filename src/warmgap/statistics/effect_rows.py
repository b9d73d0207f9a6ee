"""Rows of the tables effects and contrasts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from warmgap.statistics.arms import worst_gate
from warmgap.statistics.clusters import ClusteredMean, FloatArray, IntArray, clustered_mean, weighted_mean
from warmgap.statistics.pairs import Levels, PairSet
from warmgap.statistics.scopes import Sample, mean_in_scope


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
    worst for and against the difference. Values lie in [-half_range, half_range]. `seed_N` is None
    where no arm was trained; `framing_N` and `statements` are those of `scopes.Sample`.
    """

    value_N: FloatArray
    low_N: FloatArray
    high_N: FloatArray
    model_N: IntArray
    seed_N: IntArray | None
    cluster_N: IntArray
    framing_N: IntArray
    statements: tuple[IntArray, ...]
    half_range: float

    @classmethod
    def of(cls, pairs: PairSet, outcome: str) -> Differences | None:
        """a - b where an outcome is defined; None where it is defined nowhere."""
        a_N, b_N, where_N = pairs.outcome(outcome)
        if not where_N.any():
            return None
        a_N, b_N, here = a_N[where_N], b_N[where_N], pairs.take(where_N)
        low_N = np.nan_to_num(a_N, nan=0.0) - np.nan_to_num(b_N, nan=1.0)
        high_N = np.nan_to_num(a_N, nan=1.0) - np.nan_to_num(b_N, nan=0.0)
        seed_N = None if here.n_seeds is None else here.seed_N
        return cls(
            value_N=a_N - b_N,
            low_N=low_N,
            high_N=high_N,
            model_N=here.model_N,
            seed_N=seed_N,
            cluster_N=here.cluster_N,
            framing_N=here.framing_N,
            statements=(here.statement_N,),
            half_range=1.0,
        )

    def sample(self, scope: str, levels: Levels) -> Sample:
        """The scored differences, with the units of a scope."""
        kept_N = ~np.isnan(self.value_N)
        model_N, cluster_N = self.model_N[kept_N], self.cluster_N[kept_N]
        unit_N = model_N
        if self.seed_N is not None and scope != "these_adapters":
            _, seed_N = np.unique(self.seed_N[kept_N], return_inverse=True)
            unit_N = model_N * (seed_N.max(initial=0) + 1) + seed_N
        return Sample(
            value_N=self.value_N[kept_N],
            unit_N=unit_N,
            model_N=model_N,
            task_N=levels.task_G[cluster_N],
            framing_N=self.framing_N[kept_N],
            question_N=cluster_N,
            statements=tuple(s_N[kept_N] for s_N in self.statements),
        )


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


def mean_rows(
    key: EffectKey, differences: Differences, levels: Levels, gates: Mapping[str, str], confidence: float
) -> Iterator[dict[str, Any]]:
    """The rows of a mean difference, one per scope that the data allow.

    `these_adapters` always; `new_adapters` where arms were trained with three seeds or more per
    model; `new_models` from three models on (`scopes`). The estimate is over prompts where every
    answer is scored, the bounds over all prompts.
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
    stratum_N = d.model_N * n_tasks + levels.task_G[d.cluster_N]
    low, high = (
        weighted_mean(values_N, stratum_N, len(levels.models) * n_tasks, n_tasks, key.weights)
        for values_N in (d.low_N, d.high_N)
    )
    varied = found is not None and found.interval_method == "t_cluster" and key.weights == "equal_task"
    if varied and any(np.any(s_N >= 0) for s_N in d.statements):
        found = mean_in_scope(d.sample("these_adapters", levels), "these_adapters", confidence) or found
    yield effect_row(key, found, (low, high), gates)
    wider = [*(["new_adapters"] if d.seed_N is not None else []), "new_models"]
    for scope in wider if varied else []:
        if wide := mean_in_scope(d.sample(scope, levels), scope, confidence):
            yield effect_row(replace(key, scope=scope), wide, (low, high), gates)
