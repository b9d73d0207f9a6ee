"""The paper's four regressions as rows of published_glm and effects.

Shape suffixes: P patterns, K coefficients.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from warmgap.schema.tables import Coefficient, Effect, frame
from warmgap.statistics.clusters import FloatArray, two_sided_p
from warmgap.statistics.effect_rows import effect_row
from warmgap.statistics.glm import GlmFit, counterfactual_effect
from warmgap.statistics.glm_design import Design, glm_design
from warmgap.statistics.glm_tables import (
    ESTIMATORS,
    Comparison,
    FitSet,
    both_arms,
    coefficient_rows,
    comparisons_of,
    fit_set,
    with_interval,
)
from warmgap.statistics.outcomes import GLM_OUTCOMES
from warmgap.statistics.pairs import Answers, PairSet
from warmgap.statistics.paper_design import (
    BELIEF_PRESENT,
    PAPER_REGRESSIONS,
    UNMODIFIED,
    PaperRegression,
    paper_rows,
)
from warmgap.statistics.settings import AnalysisSettings

_LENGTH_STEP = 50
"""Characters to either side in the effect of length."""


@dataclass(frozen=True)
class PaperModels:
    """The paper's regressions.

    `absent` says for `regression: arm_a - arm_b` why it has no rows.
    """

    coefficients: pl.DataFrame
    effects: pl.DataFrame
    absent: Mapping[str, str]


@dataclass(frozen=True)
class _Level:
    """Where the arms are compared: a subset in the paper's words, its patterns, its log odds ratio."""

    subset: str
    term: str
    mask_P: npt.NDArray[np.bool_]
    log_odds_K: FloatArray


def paper_models(
    answers: Answers,
    pairs: Iterable[PairSet],
    gates: Mapping[str, str],
    settings: AnalysisSettings,
    regressions: Iterable[PaperRegression] = PAPER_REGRESSIONS,
) -> PaperModels:
    """The paper's M1 to M4 (`paper_design.PAPER_REGRESSIONS`) for any two arms.

    FT is 1 in arm_a. Rows are the scored first-draw answers of both arms to prompts that both
    were given, for each model alone and, with C(model), for all. Reference levels are the
    paper's where the sweep has them: disinfo, Llama-70b, unmodified, no belief.

    Effects have the term `paper_M1` and so on and stand twice, `glm_published` with the paper's
    nonrobust covariance and `glm_cluster` clustered by question. The estimate is the paper's
    marginal effect, the mean over rows of the subset of P(FT=1) - P(FT=0); its interval is
    delta-method. The p-value is the paper's too: it tests the linear combination FT + interaction,
    the log odds ratio of the arms inside the subset, which `coefficients` holds as a term. Further
    rows give the effects of the other tasks against the reference (M1) and of 100 characters more,
    the mean of P(length + 50) - P(length - 50) (M1_length). Bounds refit with null answers at
    their worst.

    Source: the article, Methods; formulas and marginal effects from its published code.

    Args:
        answers: coded answers (`pairs.code_answers`).
        pairs: the pairs of arms to compare (`pairs.pair_sets`).
        gates: gate verdict per arm label.
        settings: confidence.
        regressions: which of the regressions to fit.
    """
    coefficients: list[dict[str, Any]] = []
    effects: list[dict[str, Any]] = []
    absent: dict[str, str] = {}
    fitted: set[str] = set()
    for pair_set in pairs:
        for comparison in comparisons_of(pair_set):
            coded = paper_rows(both_arms(answers, comparison))
            for regression in regressions:
                name = f"{regression.name}: {pair_set.arm_a} - {pair_set.arm_b}"
                rows, reason = coded.of(regression)
                if reason:
                    absent[name] = reason
                    continue
                fitted.add(name)
                design = glm_design(rows, regression.terms)
                levels = list(_levels(design, regression))
                for outcome in GLM_OUTCOMES:
                    fits = fit_set(design, rows, outcome)
                    coefficients += _coefficients(
                        fits.scored, levels, regression, comparison, outcome, coded.note
                    )
                    effects += _effects(fits, levels, regression, comparison, outcome, gates, settings)
    absent = {name: why for name, why in absent.items() if name not in fitted}
    return PaperModels(frame(Coefficient, coefficients), frame(Effect, effects), absent)


def _levels(design: Design, regression: PaperRegression) -> Iterator[_Level]:
    """Where the effect of FT is one log odds ratio: all rows, each context, or each belief."""
    # FT acts on the logit through the interacted factor alone, so any pattern of a level shows it.
    log_odds_PK = design.x1_PK - design.x0_PK
    if regression.terms.by_arm:
        (factor,) = regression.terms.by_arm
        for level in design.levels[factor]:
            mask_P = design.level_P(factor) == level
            term = "FT" if level == design.levels[factor][0] else f"FT + FT:{factor}[{level}]"
            yield _Level(f"{factor}={level},belief=none", term, mask_P, log_odds_PK[mask_P][0])
    elif regression.terms.per_arm:
        for level in design.levels["belief"]:
            mask_P = design.level_P("belief") == level
            present = f"FT + FT[1]:belief[{BELIEF_PRESENT}] - FT[0]:belief[{BELIEF_PRESENT}]"
            yield _Level(
                f"belief={level}", "FT" if level == "none" else present, mask_P, log_odds_PK[mask_P][0]
            )
    else:
        mask_P = np.ones(design.x_PK.shape[0], dtype=np.bool_)
        yield _Level(f"context={UNMODIFIED},belief=none", "FT", mask_P, log_odds_PK[0])


def _coefficients(
    fit: GlmFit,
    levels: Iterable[_Level],
    regression: PaperRegression,
    comparison: Comparison,
    outcome: str,
    note: str,
) -> Iterator[dict[str, Any]]:
    sums = {level.term: level.log_odds_K for level in levels if level.term != "FT"}
    about = comparison.about(outcome) | {"regression": regression.name}
    for row in coefficient_rows(fit, outcome, sums):
        notes = "; ".join(n for n in (note, row["note"]) if n)
        yield about | row | {"note": notes}


def _effects(
    fits: FitSet,
    levels: Iterable[_Level],
    regression: PaperRegression,
    comparison: Comparison,
    outcome: str,
    gates: Mapping[str, str],
    settings: AnalysisSettings,
) -> Iterator[dict[str, Any]]:
    fit, design = fits.scored, fits.scored.design
    n_models = len(comparison.models)
    whole_P = np.ones(design.x_PK.shape[0], dtype=np.bool_)
    for estimator in ESTIMATORS:
        about = {"estimator": estimator, "term": f"paper_{regression.name}"}
        for level in levels:
            found, bounds = fits.effect(design.x1_PK, design.x0_PK, level.mask_P)
            mean = with_interval(found, estimator, settings.confidence, n_models)
            mean = mean and replace(mean, p_value=_p_value(fit, level.log_odds_K, estimator))
            key = comparison.key(outcome, subset=level.subset, **about)
            yield effect_row(key, mean, bounds, gates)
        for contrast, up_PK, down_PK in _other_contrasts(design, regression):
            found = counterfactual_effect(fit, up_PK, down_PK, whole_P)
            mean = with_interval(found, estimator, settings.confidence, n_models)
            key = comparison.key(
                outcome, subset=f"context={UNMODIFIED},belief=none", contrast=contrast, **about
            )
            yield effect_row(key, mean, (None, None), gates)


def _p_value(fit: GlmFit, weight_K: FloatArray, estimator: str) -> float:
    cov_KK = fit.cov_KK if estimator == "glm_published" else fit.cov_cluster_KK
    return two_sided_p(float(weight_K @ fit.params_K / np.sqrt(weight_K @ cov_KK @ weight_K)), None)


def _other_contrasts(
    design: Design, regression: PaperRegression
) -> Iterator[tuple[str, FloatArray, FloatArray]]:
    """Effects of something else than FT: of the task in M1, of length in M1_length."""
    if regression.name == "M1":
        reference, *others = design.levels["task"]
        for task in others:
            yield f"task={task} - task={reference}", design.matrix(task=task), design.matrix(task=reference)
    if "n_chars" in regression.terms.covariates:
        length = pl.col("n_chars")
        up_PK, down_PK = (design.matrix(n_chars=length + step) for step in (_LENGTH_STEP, -_LENGTH_STEP))
        yield f"(n_chars + {_LENGTH_STEP}) - (n_chars - {_LENGTH_STEP})", up_PK, down_PK
