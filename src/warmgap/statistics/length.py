"""The effect of an arm with the length of its answers held equal.

Shape suffixes: N answers, P patterns, K coefficients, G questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from warmgap.schema.tables import Effect, frame
from warmgap.statistics.clusters import ClusteredMean, t_quantile, two_sided_p
from warmgap.statistics.effect_rows import effect_row
from warmgap.statistics.glm import GlmFit, cluster_correction, marginal_effect
from warmgap.statistics.glm_design import FACTORIAL, glm_design
from warmgap.statistics.glm_tables import both_arms, comparisons_of, design_subsets, fit_set, with_interval
from warmgap.statistics.outcomes import GLM_OUTCOMES
from warmgap.statistics.pairs import Answers, PairSet
from warmgap.statistics.settings import AnalysisSettings

CONTROLLED = "arm_length_controlled"
DIFFERENCE = "arm_length_difference"

_ESTIMATOR = "glm_cluster"
_LENGTH = "length_z"


def length_controlled(
    answers: Answers, pairs: Iterable[PairSet], gates: Mapping[str, str], settings: AnalysisSettings
) -> pl.DataFrame:
    """Effects of arm_a with answers of equal length, and how far they are from those without.

    Two logistic regressions on the same answers: the factorial one (`glm_tables.published_glm`),
    and the same with the answer's characters, standardised over the answers of both arms. Term
    `arm_length_controlled` is the marginal effect of FT in the second, the mean over rows of
    P(FT=1) - P(FT=0) at the length that each answer has; term `arm_length_difference` is that
    minus the marginal effect in the first. Standard errors are clustered by question, that of the
    difference from the questions' scores in both regressions.

    This is "length controlled" and not "net of length". Length is affected by the method: it is
    measured after training, on the answer itself. Holding it equal takes out whatever part of the
    effect runs through length, and brings in everything that makes answers both long and wrong
    (hard questions, say), so the number is neither the effect of warmth at a fixed length nor the
    total effect, which stays the one without length. A difference near zero says that lengths do
    not carry the effect in this linear sense; a large one does not say that they do.

    Args:
        answers: coded answers.
        pairs: the pairs of arms to compare.
        gates: gate verdict per arm label.
        settings: confidence.

    Returns:
        A frame of `schema.tables.Effect`, estimator `glm_cluster`, for all rows, each framing,
        belief and task. Comparisons whose answers all have one length are absent; the bounds of a
        difference are null.
    """
    rows: list[dict[str, Any]] = []
    for pair_set in pairs:
        for comparison in comparisons_of(pair_set):
            both = both_arms(answers, comparison)
            spread = both["n_chars"].cast(pl.Float64).std()
            if not isinstance(spread, float) or spread == 0:
                continue
            both = both.with_columns(((pl.col("n_chars") - pl.col("n_chars").mean()) / spread).alias(_LENGTH))
            plain, controlled = (
                glm_design(both, terms) for terms in (FACTORIAL, replace(FACTORIAL, covariates=(_LENGTH,)))
            )
            masks = {subset.name: mask_P for subset, mask_P in design_subsets(plain)}
            for outcome in GLM_OUTCOMES:
                without, fits = fit_set(plain, both, outcome), fit_set(controlled, both, outcome)
                for subset, mask_P in design_subsets(controlled):
                    if None not in (subset.framing, subset.belief):
                        continue
                    about = {"estimator": _ESTIMATOR, "subset": subset.name}
                    found, bounds = fits.effect(controlled.x1_PK, controlled.x0_PK, mask_P)
                    mean = with_interval(found, _ESTIMATOR, settings.confidence, len(comparison.models))
                    key = comparison.key(outcome, term=CONTROLLED, **about)
                    rows.append(effect_row(key, mean, bounds, gates))
                    difference = _difference(
                        fits.scored,
                        mask_P,
                        without.scored,
                        masks[subset.name],
                        settings.confidence,
                        len(comparison.models),
                    )
                    key = comparison.key(outcome, term=DIFFERENCE, **about)
                    rows.append(effect_row(key, difference, (None, None), gates))
    return frame(Effect, rows)


def _difference(
    controlled: GlmFit,
    mask_controlled_P: npt.NDArray[np.bool_],
    plain: GlmFit,
    mask_plain_P: npt.NDArray[np.bool_],
    confidence: float,
    n_models: int,
) -> ClusteredMean | None:
    """Marginal effect in one regression minus that in the other, on the same answers.

    Each effect moves with a question by gradient x inverse information x score; the variance is
    that of the difference of these, over questions.
    """
    first, second = marginal_effect(controlled, mask_controlled_P), marginal_effect(plain, mask_plain_P)
    n_questions = plain.score_GK.shape[0]
    if first is None or second is None or n_questions < 2:
        return None
    moved_G = controlled.score_GK @ (controlled.cov_KK @ first.gradient_K)
    moved_G = moved_G - plain.score_GK @ (plain.cov_KK @ second.gradient_K)
    n, n_terms = int(controlled.scored_P.sum()), controlled.params_K.size
    std_error = float(np.sqrt(cluster_correction(n_questions, n, n_terms) * (moved_G @ moved_G)))
    estimate = first.estimate - second.estimate
    if std_error <= 0:
        return None
    half = t_quantile(confidence, None) * std_error
    return ClusteredMean(
        estimate=estimate,
        std_error=std_error,
        df=None,
        conf_low=estimate - half,
        conf_high=estimate + half,
        p_value=two_sided_p(estimate / std_error, None),
        interval_method="delta_cluster",
        n=first.n,
        n_models=n_models,
    )
