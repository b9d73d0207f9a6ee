"""Logistic regressions as rows of published_glm and effects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from warmgap.schema.tables import Coefficient, Effect, frame
from warmgap.statistics.arms import is_trained
from warmgap.statistics.clusters import ClusteredMean, FloatArray, IntArray, t_quantile, two_sided_p
from warmgap.statistics.effect_rows import EffectKey, effect_row
from warmgap.statistics.glm import GlmFit, MarginalEffect, counterfactual_effect, fit_glm
from warmgap.statistics.glm_design import Design, glm_design
from warmgap.statistics.outcomes import GLM_OUTCOMES
from warmgap.statistics.pairs import Answers, PairSet, Subset
from warmgap.statistics.settings import AnalysisSettings

ESTIMATORS = ("glm_published", "glm_cluster")
"""The paper's nonrobust covariance, and clustering by question."""


@dataclass(frozen=True)
class Comparison:
    """Two arms under one judge on one model, or on all of them (`model` = all)."""

    judge: str
    model: str
    models: tuple[str, ...]
    arm_a: str
    arm_b: str
    scope: str

    def about(self, outcome: str) -> dict[str, str]:
        """The columns that effects and coefficients share."""
        names = ("judge", "model", "arm_a", "arm_b")
        return {"outcome": outcome} | {name: getattr(self, name) for name in names}

    def key(self, outcome: str, **more: str) -> EffectKey:
        """Key of a row of effects."""
        contrast = f"{self.arm_a} - {self.arm_b}"
        known = {"contrast": contrast, "scope": self.scope, "weights": "rows"}
        return EffectKey(models=self.models, **(self.about(outcome) | known | more))


@dataclass(frozen=True)
class FitSet:
    """A regression on the scored answers and on all, nulls at their worst.

    In `low` a null answer is right in arm_a and wrong in arm_b, in `high` the other way round.
    """

    scored: GlmFit
    low: GlmFit
    high: GlmFit

    @classmethod
    def of(cls, design: Design, y_N: FloatArray, cluster_N: IntArray, ft_N: IntArray) -> FitSet:
        """Fit; outcomes are 1, 0 or NaN."""
        fit = fit_glm(design, y_N, cluster_N)
        if not np.isnan(y_N).any():
            return cls(fit, fit, fit)
        worst = (np.where(np.isnan(y_N), value_N, y_N) for value_N in (1.0 - ft_N, ft_N))
        low, high = (fit_glm(design, filled_N, cluster_N) for filled_N in worst)
        return cls(fit, low, high)

    def effect(
        self, up_PK: FloatArray, down_PK: FloatArray, subset_P: npt.NDArray[np.bool_]
    ) -> tuple[MarginalEffect | None, tuple[float | None, float | None]]:
        """Marginal effect of FT (`glm.counterfactual_effect`) and its worst-case bounds.

        A bound is None where the nulls at their worst separate the outcome.
        """
        found, *ends = (
            counterfactual_effect(fit, up_PK, down_PK, subset_P) for fit in (self.scored, self.low, self.high)
        )
        low, high = (end.estimate if end else None for end in ends)
        return found, (low, high)


def published_glm(
    answers: Answers, pairs: Iterable[PairSet], gates: Mapping[str, str], settings: AnalysisSettings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Coefficients and marginal effects of the factorial regression, per comparison and model.

    FT is 1 in arm_a. Rows are the scored first-draw answers of both arms to prompts that both
    were given; with several models one more fit has C(model) (`model` = all). Effects are
    weighted by rows and stand twice: `glm_published` with the paper's nonrobust covariance,
    `glm_cluster` clustered by question; both use the normal distribution. Bounds refit with null
    answers at their worst. The paper's own regressions are in `paper_models`.

    Returns:
        A frame of `schema.tables.Coefficient` (NaN with a note where no finite estimate exists,
        null clustered errors where there is one question) and one of `schema.tables.Effect`.
    """
    coefficients: list[dict[str, Any]] = []
    effects: list[dict[str, Any]] = []
    for pair_set in pairs:
        for comparison in comparisons_of(pair_set):
            both = both_arms(answers, comparison)
            design = glm_design(both)
            for outcome in GLM_OUTCOMES:
                fits = fit_set(design, both, outcome)
                about = comparison.about(outcome) | {"regression": "factorial"}
                coefficients += [about | row for row in coefficient_rows(fits.scored, outcome)]
                for subset, mask_P in design_subsets(design):
                    found, bounds = fits.effect(design.x1_PK, design.x0_PK, mask_P)
                    for estimator in ESTIMATORS:
                        key = comparison.key(outcome, estimator=estimator, term="arm", subset=subset.name)
                        mean = with_interval(found, estimator, settings.confidence, len(comparison.models))
                        effects.append(effect_row(key, mean, bounds, gates))
    return frame(Coefficient, coefficients), frame(Effect, effects)


def comparisons_of(pairs: PairSet) -> Iterator[Comparison]:
    """Each model of the pairs alone, then all of them where there are several."""
    models = pairs.models
    for name, used in [(m, (m,)) for m in models] + ([("all", models)] if len(models) > 1 else []):
        yield Comparison(pairs.judge, name, used, pairs.arm_a, pairs.arm_b, pairs.scope)


def both_arms(answers: Answers, comparison: Comparison) -> pl.DataFrame:
    """First-draw answers of both arms to prompts that both were given; ft is 1 in arm_a."""
    labels = (comparison.arm_a, comparison.arm_b)
    sides = [
        answers.of(comparison.judge, label)
        .filter(pl.col("model").is_in(comparison.models))
        .with_columns(ft=pl.lit(ft))
        for label, ft in zip(labels, (1, 0), strict=True)
    ]
    both_trained = all(is_trained(answers.method(label)) for label in labels)
    keys = ["model", "prompt_id", "seed"] if both_trained else ["model", "prompt_id"]
    shared = [side.join(other, on=keys, how="semi") for side, other in (sides, sides[::-1])]
    return pl.concat(shared)


def fit_set(design: Design, both: pl.DataFrame, outcome: str) -> FitSet:
    """The regression of an outcome on the design of these answers."""
    y_N = both[outcome].fill_null(float("nan")).to_numpy()
    return FitSet.of(design, y_N, both["cluster"].to_numpy(), both["ft"].to_numpy())


def coefficient_rows(
    fit: GlmFit, outcome: str, sums: Mapping[str, FloatArray] | None = None
) -> Iterator[dict[str, Any]]:
    """Rows of `schema.tables.Coefficient` without `regression` and the columns of `Comparison.about`.

    Args:
        fit: the regression.
        outcome: its left-hand side.
        sums: linear combinations to add after the coefficients, by name, as weights of the terms.
    """
    wanted = dict(zip(fit.design.names, np.eye(len(fit.design.names)), strict=True)) | dict(sums or {})
    for term, weight_K in wanted.items():
        value = float(weight_K @ fit.params_K)
        std_error, cluster = (
            float(np.sqrt(weight_K @ cov_KK @ weight_K)) for cov_KK in (fit.cov_KK, fit.cov_cluster_KK)
        )
        clustered = np.isfinite(cluster) and cluster > 0
        yield {
            "formula": f"{outcome} {fit.design.formula}",
            "term": term,
            "estimate": value,
            "std_error": std_error,
            "std_error_cluster": cluster if clustered else None,
            "p_value": two_sided_p(value / std_error, None),
            "p_value_cluster": two_sided_p(value / cluster, None) if clustered else None,
            "n": int(fit.scored_P.sum()),
            "log_likelihood": fit.log_likelihood,
            "note": fit.note,
        }


def design_subsets(design: Design) -> Iterator[tuple[Subset, npt.NDArray[np.bool_]]]:
    """All patterns, then those of each framing, belief, task, and framing with belief."""
    task_P, framing_P, belief_P = (design.level_P(name) for name in ("task", "framing", "belief"))
    framings, beliefs = (dict.fromkeys(names_P.tolist()) for names_P in (framing_P, belief_P))
    yield Subset(), np.ones(task_P.size, dtype=np.bool_)
    for framing in framings:
        yield Subset(framing=framing), framing_P == framing
    for belief in beliefs:
        yield Subset(belief=belief), belief_P == belief
    for task in dict.fromkeys(task_P.tolist()):
        yield Subset(task=task), task_P == task
    for framing, belief in dict.fromkeys(zip(framing_P.tolist(), belief_P.tolist(), strict=True)):
        yield Subset(framing=framing, belief=belief), (framing_P == framing) & (belief_P == belief)


def with_interval(
    found: MarginalEffect | None, estimator: str, confidence: float, n_models: int
) -> ClusteredMean | None:
    """The effect with a normal interval under the estimator's covariance; None where it has none."""
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
