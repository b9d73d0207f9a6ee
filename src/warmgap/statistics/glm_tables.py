"""The paper's regression as rows of published_glm and effects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from warmgap.schema.tables import Coefficient, Effect, frame
from warmgap.statistics.arms import is_trained
from warmgap.statistics.clusters import ClusteredMean, t_quantile, two_sided_p
from warmgap.statistics.effect_rows import EffectKey, effect_row
from warmgap.statistics.glm import GlmFit, MarginalEffect, fit_glm, marginal_effect
from warmgap.statistics.glm_design import Design, glm_design
from warmgap.statistics.outcomes import GLM_OUTCOMES
from warmgap.statistics.pairs import Answers, PairSet, Subset
from warmgap.statistics.settings import AnalysisSettings


def published_glm(
    answers: Answers, pairs: Iterable[PairSet], gates: Mapping[str, str], settings: AnalysisSettings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Coefficients and marginal effects of the paper's regression, per comparison and model.

    FT is 1 in arm_a. Rows are the scored first-draw answers of both arms to prompts that both
    were given; with several models one more fit has C(model) (`model` = all). Effects are
    weighted by rows and stand twice: `glm_published` with the paper's nonrobust covariance,
    `glm_cluster` clustered by question; both use the normal distribution. Bounds refit with null
    answers at their worst.

    Returns:
        A frame of `schema.tables.Coefficient` (NaN with a note where no finite estimate exists,
        null clustered errors where there is one question) and one of `schema.tables.Effect`.
    """
    coefficients: list[dict[str, Any]] = []
    effects: list[dict[str, Any]] = []
    for pair_set in pairs:
        models = pair_set.models
        for name, used in [(m, (m,)) for m in models] + ([("all", models)] if len(models) > 1 else []):
            both = _both_arms(answers, pair_set, used)
            design = glm_design(both)
            cluster_N = both["cluster"].to_numpy()
            ft_N = both["ft"].to_numpy()
            for outcome in GLM_OUTCOMES:
                y_N = both[outcome].fill_null(float("nan")).to_numpy()
                fit = fit_glm(design, y_N, cluster_N)
                low = high = fit
                if np.isnan(y_N).any():
                    low, high = (
                        fit_glm(design, np.where(np.isnan(y_N), worst_N, y_N), cluster_N)
                        for worst_N in (1.0 - ft_N, ft_N)
                    )
                about = {
                    "outcome": outcome,
                    "judge": pair_set.judge,
                    "model": name,
                    "arm_a": pair_set.arm_a,
                    "arm_b": pair_set.arm_b,
                }
                coefficients += [about | row for row in _coefficient_rows(fit, outcome)]
                for subset, mask_P in _subsets(design):
                    found = marginal_effect(fit, mask_P)
                    bounds = (_estimate(low, mask_P), _estimate(high, mask_P))
                    for estimator in ("glm_published", "glm_cluster"):
                        key = EffectKey(
                            **about,
                            estimator=estimator,
                            models=used,
                            term="arm",
                            contrast=f"{pair_set.arm_a} - {pair_set.arm_b}",
                            subset=subset.name,
                            scope=pair_set.scope,
                            weights="rows",
                        )
                        mean = _with_interval(found, estimator, settings.confidence, len(used))
                        effects.append(effect_row(key, mean, bounds, gates))
    return frame(Coefficient, coefficients), frame(Effect, effects)


def _both_arms(answers: Answers, pairs: PairSet, models: tuple[str, ...]) -> pl.DataFrame:
    sides = [
        answers.of(pairs.judge, label).filter(pl.col("model").is_in(models)).with_columns(ft=pl.lit(ft))
        for label, ft in ((pairs.arm_a, 1), (pairs.arm_b, 0))
    ]
    both_trained = all(is_trained(answers.method(label)) for label in (pairs.arm_a, pairs.arm_b))
    keys = ["model", "prompt_id", "seed"] if both_trained else ["model", "prompt_id"]
    shared = [side.join(other, on=keys, how="semi") for side, other in (sides, sides[::-1])]
    return pl.concat(shared)


def _coefficient_rows(fit: GlmFit, outcome: str) -> Iterator[dict[str, Any]]:
    std_error_K = np.sqrt(np.diag(fit.cov_KK))
    cluster_K = np.sqrt(np.diag(fit.cov_cluster_KK))
    for term, value, std_error, cluster in zip(
        fit.design.names, fit.params_K, std_error_K, cluster_K, strict=True
    ):
        clustered = np.isfinite(cluster) and cluster > 0
        yield {
            "formula": f"{outcome} {fit.design.formula}",
            "term": term,
            "estimate": float(value),
            "std_error": float(std_error),
            "std_error_cluster": float(cluster) if clustered else None,
            "p_value": two_sided_p(value / std_error, None),
            "p_value_cluster": two_sided_p(value / cluster, None) if clustered else None,
            "n": int(fit.scored_P.sum()),
            "log_likelihood": fit.log_likelihood,
            "note": fit.note,
        }


def _subsets(design: Design) -> Iterator[tuple[Subset, npt.NDArray[np.bool_]]]:
    task_P, framing_P, belief_P = (
        np.array(names) for names in (design.task_P, design.framing_P, design.belief_P)
    )
    framings, beliefs = dict.fromkeys(design.framing_P), dict.fromkeys(design.belief_P)
    yield Subset(), np.ones(task_P.size, dtype=np.bool_)
    for framing in framings:
        yield Subset(framing=framing), framing_P == framing
    for belief in beliefs:
        yield Subset(belief=belief), belief_P == belief
    for task in dict.fromkeys(design.task_P):
        yield Subset(task=task), task_P == task
    for framing, belief in dict.fromkeys(zip(design.framing_P, design.belief_P, strict=True)):
        yield Subset(framing=framing, belief=belief), (framing_P == framing) & (belief_P == belief)


def _estimate(fit: GlmFit, mask_P: npt.NDArray[np.bool_]) -> float | None:
    found = marginal_effect(fit, mask_P)
    return found.estimate if found else None


def _with_interval(
    found: MarginalEffect | None, estimator: str, confidence: float, n_models: int
) -> ClusteredMean | None:
    if found is None:
        return None
    published = estimator == "glm_published"
    std_error = found.std_error if published else found.std_error_cluster
    if not np.isfinite(std_error) or std_error <= 0:
        return None
    half = t_quantile(confidence, None) * std_error
    return ClusteredMean(
        estimate=found.estimate,
        std_error=std_error,
        df=None,
        conf_low=found.estimate - half,
        conf_high=found.estimate + half,
        p_value=two_sided_p(found.estimate / std_error, None),
        interval_method="delta_nonrobust" if published else "delta_cluster",
        n=found.n,
        n_models=n_models,
    )
