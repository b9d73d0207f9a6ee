"""Effects of one arm against another with an interval by bootstrap over questions.

Shape suffixes: N pairs, G questions, C columns (subset x outcome), M models, T tasks, B replicates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from warmgap.schema.tables import Effect, frame
from warmgap.statistics.bootstrap import bca_interval, question_weights
from warmgap.statistics.clusters import ClusteredMean, FloatArray, IntArray, stratum_weights
from warmgap.statistics.effect_rows import Differences, EffectKey, effect_row
from warmgap.statistics.outcomes import OUTCOMES
from warmgap.statistics.pairs import Levels, PairSet, Subset
from warmgap.statistics.settings import AnalysisSettings

_WEIGHTS = "equal_task"


@dataclass(frozen=True)
class _Sums:
    """Sums per question and model: of differences, of scored pairs, of the worst cases, of pairs."""

    value_GM: FloatArray
    count_GM: FloatArray
    low_GM: FloatArray
    high_GM: FloatArray
    all_GM: FloatArray

    @classmethod
    def of(cls, pairs: PairSet, outcome: str) -> _Sums | None:
        """None where the outcome is defined for no pair."""
        d = Differences.of(pairs, outcome)
        if d is None:
            return None
        scored_N = ~np.isnan(d.value_N)
        n_models, n_questions = len(pairs.levels.models), pairs.levels.task_G.size

        def by_question(value_N: FloatArray) -> FloatArray:
            code_N = d.cluster_N * n_models + d.model_N
            sums = np.bincount(code_N, value_N, minlength=n_questions * n_models).astype(np.float64)
            return sums.reshape(-1, n_models)

        return cls(
            by_question(np.where(scored_N, d.value_N, 0.0)),
            by_question(scored_N.astype(np.float64)),
            by_question(d.low_N),
            by_question(d.high_N),
            by_question(np.ones(d.value_N.size)),
        )


def headline_pairs(pairs: Iterable[PairSet], settings: AnalysisSettings) -> tuple[PairSet, ...]:
    """The primary and the published pair of arms, as far as there are such pairs."""
    wanted = (settings.primary_pair, settings.published_pair)
    return tuple(p for p in pairs if (p.arm_a, p.arm_b) in wanted)


def paired_bootstrap(
    pairs: Iterable[PairSet], gates: Mapping[str, str], settings: AnalysisSettings
) -> pl.DataFrame:
    """Mean paired difference of each outcome, with an interval by resampling questions.

    The estimate is that of `paired.effects`: tasks count alike, and models do. Questions are drawn
    with replacement within their task, each with all its framings, beliefs, models and seeds, so
    the interval is conditional on models and adapters. It is BCa (`bootstrap.bca_interval`) from
    `settings.flip_bootstrap` replicates with `settings.seed`; null where no variation was seen.

    Args:
        pairs: pairs of each comparison (`pairs.pair_sets`); `headline_pairs` picks the primary and
            the published one.
        gates: gate verdict per arm label.
        settings: confidence, replicates and seed.

    Returns:
        A frame of `schema.tables.Effect` with estimator `paired_bootstrap` and term `arm`, for all
        pairs, each framing and each belief.
    """
    rows: list[dict[str, Any]] = []
    weight_BG: FloatArray | None = None
    for pair_set in pairs:
        if weight_BG is None:
            weight_BG = question_weights(pair_set.levels.task_G, settings.flip_bootstrap, settings.seed)
        columns = [
            (subset, outcome, sums)
            for subset in _subsets(pair_set)
            for outcome in OUTCOMES
            if (sums := _Sums.of(pair_set.take(pair_set.where(subset)), outcome)) is not None
        ]
        mean_BCMT = _replicates([sums for *_, sums in columns], weight_BG, pair_set.levels)
        for c, (subset, outcome, sums) in enumerate(columns):
            for model, models, used_M in _models(pair_set, sums):
                key = EffectKey(
                    estimator="paired_bootstrap",
                    outcome=outcome,
                    judge=pair_set.judge,
                    model=model,
                    models=models,
                    arm_a=pair_set.arm_a,
                    arm_b=pair_set.arm_b,
                    term="arm",
                    contrast=f"{pair_set.arm_a} - {pair_set.arm_b}",
                    subset=subset.name,
                    scope=pair_set.scope,
                    weights=_WEIGHTS,
                )
                rows.append(_row(key, sums, used_M, mean_BCMT[:, c], pair_set.levels, gates, settings))
    return frame(Effect, rows)


def _subsets(pairs: PairSet) -> tuple[Subset, ...]:
    one_factor = (s for s in pairs.subsets() if s.task is None and None in (s.framing, s.belief))
    return tuple(one_factor)


def _models(pairs: PairSet, sums: _Sums) -> Iterator[tuple[str, tuple[str, ...], IntArray]]:
    """Name in the column `model`, models behind it, their codes; as `PairSet.by_model`."""
    names = pairs.levels.models
    present = np.flatnonzero(sums.all_GM.sum(axis=0))
    for code in present:
        yield names[code], (names[code],), np.array([code])
    if len(pairs.models) > 1:
        yield "all", pairs.models, present


def _replicates(columns: list[_Sums], weight_BG: FloatArray, levels: Levels) -> FloatArray:
    """Mean difference per replicate, column, model and task; NaN where a replicate has none."""
    value_GL, count_GL = (
        np.concatenate([getattr(s, name) for s in columns], axis=1) for name in ("value_GM", "count_GM")
    )
    shape = (weight_BG.shape[0], len(columns), len(levels.models))
    mean_BCMT = np.full((*shape, len(levels.tasks)), np.nan)
    for task in range(len(levels.tasks)):
        of_task = levels.task_G == task
        count_BL = weight_BG[:, of_task] @ count_GL[of_task]
        value_BL = weight_BG[:, of_task] @ value_GL[of_task]
        mean_BL = np.divide(value_BL, count_BL, out=np.full_like(value_BL, np.nan), where=count_BL > 0)
        mean_BCMT[..., task] = mean_BL.reshape(shape)
    return mean_BCMT


def _row(
    key: EffectKey,
    sums: _Sums,
    used_M: IntArray,
    mean_BMT: FloatArray,
    levels: Levels,
    gates: Mapping[str, str],
    settings: AnalysisSettings,
) -> dict[str, Any]:
    n_tasks = len(levels.tasks)

    def by_task(value_GM: FloatArray) -> FloatArray:
        totals = [value_GM[levels.task_G == t][:, used_M].sum(axis=0) for t in range(n_tasks)]
        return np.stack(totals, axis=1)

    def mean(value_MT: FloatArray, count_MT: FloatArray) -> float:
        weight_MT = stratum_weights(count_MT.ravel(), n_tasks, _WEIGHTS).reshape(count_MT.shape)
        return float(np.sum(weight_MT * value_MT / np.where(count_MT > 0, count_MT, 1.0)))

    all_MT = by_task(sums.all_GM)
    bounds = mean(by_task(sums.low_GM), all_MT), mean(by_task(sums.high_GM), all_MT)
    count_MT, value_MT = by_task(sums.count_GM), by_task(sums.value_GM)
    if count_MT.sum() == 0:
        return effect_row(key, None, bounds, gates)
    estimate = mean(value_MT, count_MT)
    weight_MT = stratum_weights(count_MT.ravel(), n_tasks, _WEIGHTS).reshape(count_MT.shape)
    counted_MT = weight_MT > 0
    replicate_B = mean_BMT[:, used_M][:, counted_MT] @ weight_MT[counted_MT]
    seen_G = sums.count_GM[:, used_M].sum(axis=1) > 0
    jackknife_G = _jackknife(sums, used_M, weight_MT, levels, estimate)[seen_G]
    found = bca_interval(estimate, replicate_B, jackknife_G, levels.task_G[seen_G], settings.confidence)
    if found is None:
        return effect_row(key, None, bounds, gates) | {
            "estimate_pp": 100 * estimate,
            "n": int(count_MT.sum()),
            "n_models": int(np.count_nonzero(count_MT.sum(axis=1))),
        }
    numbers = ClusteredMean(
        estimate=estimate,
        std_error=found.std_error,
        df=None,
        conf_low=found.low,
        conf_high=found.high,
        p_value=found.p_value,
        interval_method=found.method,
        n=int(count_MT.sum()),
        n_models=int(np.count_nonzero(count_MT.sum(axis=1))),
    )
    return effect_row(key, numbers, bounds, gates)


def _jackknife(
    sums: _Sums, used_M: IntArray, weight_MT: FloatArray, levels: Levels, estimate: float
) -> FloatArray:
    """The estimate without each question; without the only question of a stratum, unchanged."""
    out_G = np.full(levels.task_G.size, estimate)
    for task in range(len(levels.tasks)):
        of_task = np.flatnonzero(levels.task_G == task)
        value_GM, count_GM = sums.value_GM[of_task][:, used_M], sums.count_GM[of_task][:, used_M]
        total_M, n_M = value_GM.sum(axis=0), count_GM.sum(axis=0)
        left_GM = n_M - count_GM
        whole_M = total_M / np.where(n_M > 0, n_M, 1.0)
        without_GM = np.where(
            left_GM > 0, (total_M - value_GM) / np.where(left_GM > 0, left_GM, 1.0), whole_M
        )
        out_G[of_task] += (without_GM - whole_M) @ weight_MT[:, task]
    return out_G
