"""The paper's logistic regression: fit, covariances, separation, marginal effects.

Shape suffixes: N answers, P patterns of factors, K coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from warmgap.statistics.clusters import FloatArray, IntArray
from warmgap.statistics.glm_design import Design


@dataclass(frozen=True)
class GlmFit:
    """A fitted regression.

    `note` says why there are no numbers (then the arrays are NaN and `log_likelihood` too), or
    what was left out; `usable` tells the two apart. `scored_P` counts answers per pattern.
    """

    design: Design
    params_K: FloatArray
    cov_KK: FloatArray
    cov_cluster_KK: FloatArray
    log_likelihood: float
    scored_P: FloatArray
    note: str
    usable: bool


@dataclass(frozen=True)
class MarginalEffect:
    """Mean over answers of P(FT=1) - P(FT=0), with delta-method standard errors, as proportions."""

    estimate: float
    std_error: float
    std_error_cluster: float
    n: int


def fit_glm(design: Design, y_N: FloatArray, cluster_N: IntArray) -> GlmFit:
    """Binomial GLM by IRLS (statsmodels), as in the paper's Methods.

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
    if problem:
        nan_K, nan_KK = np.full(n_terms, np.nan), np.full((n_terms, n_terms), np.nan)
        return GlmFit(design, nan_K, nan_KK, nan_KK, float("nan"), scored_P, problem, False)

    import statsmodels.api as sm

    count = np.concatenate([events_P, scored_P - events_P])
    used = count > 0
    fitted = sm.GLM(
        np.repeat([1.0, 0.0], n_patterns)[used],
        np.tile(design.x_PK, (2, 1))[used],
        family=sm.families.Binomial(),
        freq_weights=count[used],
    ).fit()
    params_K = np.asarray(fitted.params)
    cov_KK = np.asarray(fitted.cov_params())
    residual_N = y_N - special.expit(design.x_PK @ params_K)[pattern_N]
    cov_cluster_KK = _cluster_cov(cov_KK, residual_N, design.x_PK[pattern_N], cluster_N)
    note = f"determined by other terms, left out: {', '.join(design.dropped)}" if design.dropped else ""
    return GlmFit(design, params_K, cov_KK, cov_cluster_KK, float(fitted.llf), scored_P, note, True)


def _cluster_cov(
    cov_KK: FloatArray, residual_N: FloatArray, x_NK: FloatArray, cluster_N: IntArray
) -> FloatArray:
    """Sandwich covariance; NaN where there is one cluster only."""
    codes, cluster_N = np.unique(cluster_N, return_inverse=True)
    if codes.size < 2:
        return np.full_like(cov_KK, np.nan)
    score_GK = np.zeros((codes.size, x_NK.shape[1]))
    np.add.at(score_GK, cluster_N, residual_N[:, None] * x_NK)
    n, n_terms = x_NK.shape
    correction = codes.size / (codes.size - 1) * (n - 1) / (n - n_terms)
    sandwich: FloatArray = correction * cov_KK @ (score_GK.T @ score_GK) @ cov_KK
    return sandwich


def _problem(design: Design, scored_P: FloatArray, events_P: FloatArray) -> str:
    """Why no finite maximum of the likelihood exists; empty where one does."""
    if scored_P.sum() == 0:
        return "no scored answer"
    if events_P.sum() in (0.0, scored_P.sum()):
        return f"constant response: the outcome is always {int(events_P.sum() > 0)}"
    x_PK = design.x_PK[scored_P > 0]
    if np.linalg.matrix_rank(x_PK) < x_PK.shape[1]:
        return "unscored answers leave terms without data"
    guilty = separating_terms(design, scored_P, events_P)
    return f"separation: no finite estimate of {', '.join(guilty)}" if guilty else ""


def separating_terms(design: Design, scored_P: FloatArray, events_P: FloatArray) -> tuple[str, ...]:
    """Terms along which the likelihood rises without end; empty where the estimate exists.

    A linear program seeks a direction that raises no pattern without events and lowers no pattern
    with nothing but events, leaves mixed patterns alone, and moves at least one of them
    (Konis 2007, after Albert and Anderson 1984).
    """
    mixed = (events_P > 0) & (events_P < scored_P)
    pure = (scored_P > 0) & ~mixed
    sign_P = np.where(events_P > 0, 1.0, -1.0)
    moved_PK = sign_P[pure, None] * design.x_PK[pure]
    if moved_PK.size == 0:
        return ()
    found = optimize.linprog(
        -moved_PK.sum(axis=0),
        A_ub=-moved_PK,
        b_ub=np.zeros(moved_PK.shape[0]),
        A_eq=design.x_PK[mixed] if mixed.any() else None,
        b_eq=np.zeros(int(mixed.sum())) if mixed.any() else None,
        bounds=(-1, 1),
        method="highs",
    )
    if -found.fun < 1e-7:
        return ()
    return tuple(name for name, step in zip(design.names, found.x, strict=True) if abs(step) > 1e-7)


def marginal_effect(fit: GlmFit, subset_P: npt.NDArray[np.bool_]) -> MarginalEffect | None:
    """Marginal effect of FT over the scored answers of some patterns (paper, Methods).

    The mean over both arms' answers of the predicted probability with FT set to 1 minus that
    with FT set to 0; standard errors by the delta method under each covariance. None where the
    fit has no numbers or the subset no answers.
    """
    weight_P = fit.scored_P * subset_P
    n = weight_P.sum()
    if not fit.usable or n == 0:
        return None
    p1_P = special.expit(fit.design.x1_PK @ fit.params_K)
    p0_P = special.expit(fit.design.x0_PK @ fit.params_K)
    gradient_K = (
        (weight_P * p1_P * (1 - p1_P)) @ fit.design.x1_PK - (weight_P * p0_P * (1 - p0_P)) @ fit.design.x0_PK
    ) / n
    return MarginalEffect(
        estimate=float(weight_P @ (p1_P - p0_P) / n),
        std_error=float(np.sqrt(gradient_K @ fit.cov_KK @ gradient_K)),
        std_error_cluster=float(np.sqrt(gradient_K @ fit.cov_cluster_KK @ gradient_K)),
        n=int(n),
    )
