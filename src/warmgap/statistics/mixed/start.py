"""Where the search begins: the plain logistic regression, which also shows separation."""

from __future__ import annotations

import numpy as np
from scipy import special

from warmgap.statistics.clusters import FloatArray
from warmgap.statistics.mixed.design import Design
from warmgap.statistics.mixed.problems import MixedModelError
from warmgap.statistics.separation import separating_terms

_SAFE_LOGIT = 15.0
"""A plain fit whose logits stay below this has a finite maximum."""

_START_SD = 0.5

_NAMED = 6
"""Most terms that a message names."""


def start(design: Design) -> FloatArray:
    """First parameters: coefficients of the logistic regression without random effects, all sd 0.5.

    Raises:
        MixedModelError: complete or quasi-complete separation.
    """
    trials_P = design.per_pattern(design.trials_N)
    events_P = design.per_pattern(design.events_N)
    beta_K, converged = _plain_fit(design.x_PK, trials_P, events_P)
    if not converged or np.abs(design.x_PK @ beta_K).max() > _SAFE_LOGIT:
        _refuse_separation(design, trials_P, events_P)
    diagonal = [1.0 if d else 0.0 for block in design.blocks for d in block.diagonal]
    theta_H = _START_SD * np.array(diagonal) * design.unit_J[beta_K.size :]
    return np.concatenate([beta_K, theta_H])


def _refuse_separation(design: Design, trials_P: FloatArray, events_P: FloatArray) -> None:
    x_UK, row_P = np.unique(design.x_PK, axis=0, return_inverse=True)
    trials_U = np.bincount(row_P, trials_P).astype(np.float64)
    events_U = np.bincount(row_P, events_P).astype(np.float64)
    guilty = separating_terms(design.names, x_UK, trials_U, events_U)
    if guilty:
        more = len(guilty) - _NAMED
        named = ", ".join(guilty[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        raise MixedModelError(
            "separation",
            guilty,
            f"no finite estimate of {named}: some combination of their levels has only right or "
            "only wrong answers. Leave out the interaction or the level, pool levels, or report the rates "
            "with their intervals (error_rates).",
        )


def _plain_fit(x_PK: FloatArray, trials_P: FloatArray, events_P: FloatArray) -> tuple[FloatArray, bool]:
    """Iteratively reweighted least squares; columns are scaled so that units do not matter."""
    scale_K = np.sqrt((trials_P @ x_PK**2) / trials_P.sum())
    z_PK = x_PK / scale_K
    beta_K = np.zeros(x_PK.shape[1])
    for _ in range(40):
        mu_P = special.expit(z_PK @ beta_K)
        information_KK = z_PK.T @ (z_PK * (trials_P * mu_P * (1 - mu_P))[:, None])
        pull_K = z_PK.T @ (events_P - trials_P * mu_P)
        step_K = np.linalg.lstsq(information_KK, pull_K, rcond=None)[0]
        beta_K = beta_K + step_K * min(1.0, 4.0 / max(float(np.abs(z_PK @ step_K).max()), 1e-12))
        if abs(pull_K @ step_K) < 1e-8:
            return beta_K / scale_K, True
    return beta_K / scale_K, False
