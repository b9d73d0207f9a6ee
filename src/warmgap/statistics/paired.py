"""Effects of one arm against another, paired by prompt and clustered by question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from warmgap.schema.tables import Effect, frame
from warmgap.statistics.arms import reference
from warmgap.statistics.effect_rows import Differences, EffectKey, mean_rows
from warmgap.statistics.outcomes import OUTCOMES
from warmgap.statistics.pairs import Answers, PairSet, pair_up
from warmgap.statistics.settings import AnalysisSettings


def effects(
    pairs: Iterable[PairSet],
    gates: Mapping[str, str],
    settings: AnalysisSettings,
    weights: Sequence[str] = ("equal_task",),
) -> pl.DataFrame:
    """Mean difference of each outcome, per comparison, model, subset and weighting.

    Args:
        pairs: pairs of each comparison (`pairs.pair_sets`).
        gates: gate verdict per arm label.
        settings: confidence.
        weights: `equal_task` (tasks count alike) or `rows`; models always count alike.

    Returns:
        A frame of `schema.tables.Effect` with estimator `paired` and term `arm`; `n` counts
        pairs. Subsets without a pair in which the outcome is defined are absent.
    """
    rows: list[dict[str, Any]] = []
    for pair_set in pairs:
        for model, models, part in pair_set.by_model():
            for subset in part.subsets():
                here = part.take(part.where(subset))
                for outcome in OUTCOMES:
                    difference = Differences.of(here, outcome)
                    if difference is None:
                        continue
                    for weighting in weights:
                        key = _key(here, outcome, model, models, subset.name, weighting)
                        rows += mean_rows(key, difference, here.levels, gates, settings.confidence)
    return frame(Effect, rows)


def published_sum(answers: Answers, gates: Mapping[str, str], settings: AnalysisSettings) -> pl.DataFrame:
    """The published contrast as the sum of its steps, on the prompts scored in every arm.

    The steps are (neutral - original) + (warm - neutral), or with a `raw_sft` arm
    (raw - original) + (neutral - raw) + (warm - neutral). All rows use the same prompts, so the
    estimates of term `published_step` add up to that of term `published_total`. Empty where an
    arm is missing.
    """
    chain = published_chain(answers, settings)
    rows: list[dict[str, Any]] = []
    for judge in answers.judges if chain else ():
        steps = [pair_up(answers, judge, a, b) for a, b in pairwise(chain)]
        pairs = [*steps, pair_up(answers, judge, chain[0], chain[-1])]
        for outcome in OUTCOMES:
            rows += _sum_rows(pairs, outcome, gates, settings)
    return frame(Effect, rows)


def published_chain(answers: Answers, settings: AnalysisSettings) -> tuple[str, ...]:
    """Labels from the warm arm down to the untouched one; empty where one is missing."""
    warm, original = settings.published_pair
    by_label = {a.label: a for a in answers.arms}
    if settings.primary_pair[0] != warm or not {*settings.primary_pair, original} <= set(by_label):
        return ()
    neutral = settings.primary_pair[1]
    raw = reference(by_label[neutral], answers.arms, "raw_sft")
    return (warm, neutral, raw.label, original) if raw else (warm, neutral, original)


def _sum_rows(
    pairs: list[PairSet], outcome: str, gates: Mapping[str, str], settings: AnalysisSettings
) -> list[dict[str, Any]]:
    kept = []
    for pair_set in pairs:
        a_N, b_N, where_N = pair_set.outcome(outcome)
        kept.append(pair_set.take(where_N & ~np.isnan(a_N) & ~np.isnan(b_N)))
    keys = [np.stack([p.model_N, p.seed_N, p.prompt_N], axis=1) for p in kept]
    _, code_N = np.unique(np.concatenate(keys), axis=0, return_inverse=True)
    codes = np.split(code_N.ravel(), np.cumsum([len(k) for k in keys])[:-1])
    common = reduce(np.intersect1d, codes)
    if common.size == 0:
        return []
    rows: list[dict[str, Any]] = []
    for i, (pair_set, code_N) in enumerate(zip(kept, codes, strict=True)):
        for model, models, part in pair_set.take(np.isin(code_N, common)).by_model():
            difference = Differences.of(part, outcome)
            if difference is None:
                continue
            term = "published_total" if i == len(kept) - 1 else "published_step"
            key = _key(part, outcome, model, models, "all", "equal_task", term)
            rows += mean_rows(key, difference, part.levels, gates, settings.confidence)
    return rows


def _key(
    pairs: PairSet,
    outcome: str,
    model: str,
    models: tuple[str, ...],
    subset: str,
    weights: str,
    term: str = "arm",
) -> EffectKey:
    return EffectKey(
        estimator="paired",
        outcome=outcome,
        judge=pairs.judge,
        model=model,
        models=models,
        arm_a=pairs.arm_a,
        arm_b=pairs.arm_b,
        term=term,
        contrast=f"{pairs.arm_a} - {pairs.arm_b}",
        subset=subset,
        scope=pairs.scope,
        weights=weights,
    )
