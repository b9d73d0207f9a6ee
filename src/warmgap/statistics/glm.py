"""The paper's logistic regression: fit, covariances, separation, effects on the probability scale.

Shape suffixes: N answers, P patterns of factors, K coefficients, G questions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from warmgap.statistics.clusters import FloatArray, IntArray
from warmgap.statistics.glm_design import Design, full_rank
from warmgap.statistics.separation import separating_terms

_MAX_STEPS = 60
_DECREMENT = 1e-13
"""Newton decrement at which the iteration ends: squared distance to the optimum, in standard errors."""
_SAFE_LOGIT = 15.0
"""A converged fit with smaller logits cannot be separated: with one it would not have converged."""


@dataclass(frozen=True)
class GlmFit:
    """A fitted regression.

    `note` says why there are no numbers (then the arrays are NaN and `log_likelihood` too), or
    what was left out; `usable` tells the two apart. `scored_P` counts answers per pattern.
    `score_GK` is the gradient of each question's log likelihood.
    """

    design: Design
    params_K: FloatArray
    cov_KK: FloatArray
    cov_cluster_KK: FloatArray
    score_GK: FloatArray
    log_likelihood: float
    scored_P: FloatArray
    note: str
    usable: bool


@dataclass(frozen=True)
class MarginalEffect:
    """Mean over answers of P(one setting) - P(another), as a proportion.

    Standard errors are by the delta method; `gradient_K` is the derivative by the coefficients.
    """

    estimate: float
    std_error: float
    std_error_cluster: float
    n: int
    gradient_K: FloatArray


def fit_glm(design: Design, y_N: FloatArray, cluster_N: IntArray) -> GlmFit:
    """Binomial GLM with logit link by Newton's method, which here is the paper's IRLS (Methods).

    Nonrobust covariance as the paper has it, and clustered by question with the factor
    G/(G-1) x (N-1)/(N-K). A constant outcome, or factors that separate the outcome so that no
    finite estimate exists, give no numbers but a note.

    Args:
        design: patterns and the pattern of each answer.
        y_N: outcome as 1, 0 or NaN; answers with NaN are left out.
        cluster_N: question code of each answer.
    """
    scored_N = ~np.isnan(y_N)
    y_N, cluster_N, pattern_N = y_N[scored_N], cluster_N[scored_N], design.pattern_N[scored_N]
    n_patterns, n_terms = design.x_PK.shape
    scored_P = np.bincount(pattern_N, minlength=n_patterns).astype(np.float64)
    events_P = np.bincount(pattern_N, y_N, minlength=n_patterns).astype(np.float64)
    problem = _problem(design, scored_P, events_P)
    if not problem:
        params_K, cov_KK, converged = _newton(design.x_PK, scored_P, events_P)
        if not converged or np.max(np.abs(design.x_PK[scored_P > 0] @ params_K)) > _SAFE_LOGIT:
            unit_PK = design.x_PK / np.max(np.abs(design.x_PK), axis=0)
            guilty = separating_terms(design.names, unit_PK, scored_P, events_P)
            problem = f"separation: no finite estimate of {', '.join(guilty)}" if guilty else ""
            if not guilty and not converged:
                problem = f"no convergence in {_MAX_STEPS} steps"
    if problem:
        nan_K, nan_KK = np.full(n_terms, np.nan), np.full((n_terms, n_terms), np.nan)
        return GlmFit(design, nan_K, nan_KK, nan_KK, nan_KK[:0], float("nan"), scored_P, problem, False)

    logit_P = design.x_PK @ params_K
    score_GK = _scores(y_N - special.expit(logit_P)[pattern_N], design.x_PK, pattern_N, cluster_N)
    note = f"determined by other terms, left out: {', '.join(design.dropped)}" if design.dropped else ""
    return GlmFit(
        design=design,
        params_K=params_K,
        cov_KK=cov_KK,
        cov_cluster_KK=_cluster_cov(cov_KK, score_GK, y_N.size),
        score_GK=score_GK,
        log_likelihood=float(events_P @ logit_P - scored_P @ np.logaddexp(0.0, logit_P)),
        scored_P=scored_P,
        note=note,
        usable=True,
    )


def _newton(
    x_PK: FloatArray, scored_P: FloatArray, events_P: FloatArray
) -> tuple[FloatArray, FloatArray, bool]:
    """Coefficients, inverse information, and whether the iteration ended at a maximum.

    Columns are scaled to unit length, so that a covariate in characters and a dummy weigh alike.
    """
    used = scored_P > 0
    scored_P, events_P = scored_P[used], events_P[used]
    scale_K = np.sqrt((scored_P @ x_PK[used] ** 2) / scored_P.sum())
    z_PK = x_PK[used] / scale_K
    beta_K = np.zeros(z_PK.shape[1])
    reached = -np.inf
    cov_KK = np.full((beta_K.size, beta_K.size), np.nan)
    step_K = np.zeros_like(beta_K)
    for _ in range(_MAX_STEPS):
        logit_P = z_PK @ (beta_K + step_K)
        log_likelihood = float(events_P @ logit_P - scored_P @ np.logaddexp(0.0, logit_P))
        if log_likelihood < reached - 1e-9 * abs(reached):
            step_K = step_K / 2
            continue
        reached, beta_K = log_likelihood, beta_K + step_K
        p_P = special.expit(logit_P)
        information_KK = z_PK.T @ (z_PK * (scored_P * p_P * (1 - p_P))[:, None])
        try:
            cov_KK = np.linalg.inv(information_KK)
        except np.linalg.LinAlgError:
            break
        gradient_K = z_PK.T @ (events_P - scored_P * p_P)
        step_K = cov_KK @ gradient_K
        if abs(gradient_K @ step_K) < _DECREMENT:
            return (beta_K + step_K) / scale_K, cov_KK / np.outer(scale_K, scale_K), True
    return beta_K / scale_K, cov_KK, False


def _scores(residual_N: FloatArray, x_PK: FloatArray, pattern_N: IntArray, cluster_N: IntArray) -> FloatArray:
    codes, cluster_N = np.unique(cluster_N, return_inverse=True)
    columns = [np.bincount(cluster_N, residual_N * x_P[pattern_N], minlength=codes.size) for x_P in x_PK.T]
    return np.stack(columns, axis=1)


def _cluster_cov(cov_KK: FloatArray, score_GK: FloatArray, n: int) -> FloatArray:
    """Sandwich covariance; NaN where there is one cluster only."""
    n_clusters, n_terms = score_GK.shape
    if n_clusters < 2:
        return np.full_like(cov_KK, np.nan)
    correction = cluster_correction(n_clusters, n, n_terms)
    sandwich: FloatArray = correction * cov_KK @ (score_GK.T @ score_GK) @ cov_KK
    return sandwich


def cluster_correction(n_clusters: int, n: int, n_terms: int) -> float:
    """G/(G-1) x (N-1)/(N-K), the small-sample factor of statsmodels and Stata."""
    return n_clusters / (n_clusters - 1) * (n - 1) / (n - n_terms)


def _problem(design: Design, scored_P: FloatArray, events_P: FloatArray) -> str:
    """Why nothing can be fitted; empty where it can, separation apart."""
    if scored_P.sum() == 0:
        return "no scored answer"
    if events_P.sum() in (0.0, scored_P.sum()):
        return f"constant response: the outcome is always {int(events_P.sum() > 0)}"
    if scored_P.sum() <= design.x_PK.shape[1]:
        return "no more scored answers than terms"
    if not full_rank(design.x_PK[scored_P > 0]):
        return "unscored answers leave terms without data"
    return ""


def marginal_effect(fit: GlmFit, subset_P: npt.NDArray[np.bool_]) -> MarginalEffect | None:
    """Marginal effect of FT over the scored answers of some patterns (paper, Methods).

    The mean over both arms' answers of the predicted probability with FT set to 1 minus that
    with FT set to 0. None where the fit has no numbers or the subset no answers.
    """
    return counterfactual_effect(fit, fit.design.x1_PK, fit.design.x0_PK, subset_P)


def counterfactual_effect(
    fit: GlmFit, up_PK: FloatArray, down_PK: FloatArray, subset_P: npt.NDArray[np.bool_]
) -> MarginalEffect | None:
    """Mean over scored answers of P(y | `up_PK`) - P(y | `down_PK`).

    Args:
        fit: the regression.
        up_PK: each pattern with some columns set to one value (`Design.matrix`).
        down_PK: each pattern with them set to another.
        subset_P: the patterns to average over.

    Returns:
        The effect with delta-method standard errors under each covariance, the rows taken as
        given; None where the fit has no numbers or the subset no answers.
    """
    weight_P = fit.scored_P * subset_P
    n = weight_P.sum()
    if not fit.usable or n == 0:
        return None
    up_P, down_P = special.expit(up_PK @ fit.params_K), special.expit(down_PK @ fit.params_K)
    gradient_K = ((weight_P * up_P * (1 - up_P)) @ up_PK - (weight_P * down_P * (1 - down_P)) @ down_PK) / n
    return MarginalEffect(
        estimate=float(weight_P @ (up_P - down_P) / n),
        std_error=float(np.sqrt(gradient_K @ fit.cov_KK @ gradient_K)),
        std_error_cluster=float(np.sqrt(gradient_K @ fit.cov_cluster_KK @ gradient_K)),
        n=int(n),
        gradient_K=gradient_K,
    )
