"""Adaptive Gauss-Hermite quadrature for one random effect per level of a single factor.

For level q, in whitened coordinates, with f(b) = sum(y eta - n log(1 + e^eta)) - ½ b² and mode b^,
s = M^(-1/2):
    log integral = log( sqrt(2) s sum_k w_k exp(x_k²) exp f(b^ + sqrt(2) s x_k) ) - ½ log 2 pi
(Pinheiro and Bates 1995). The gradient follows the nodes, which move with b^ and s; the Hessian is
taken from it by central differences. Suffixes as in `design`; D nodes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

from warmgap.statistics.clusters import FloatArray
from warmgap.statistics.mixed.design import Design
from warmgap.statistics.mixed.laplace import Mode, find_mode
from warmgap.statistics.mixed.optimise import Point

_STEP = 1e-4
"""Step of the differences, as a movement of the logit."""


def quadrature_value(mode: Mode, nodes: int) -> float:
    """Negative log-likelihood by quadrature, without the binomial constant."""
    return _evaluate(mode, nodes)[0]


def quadrature_point(design: Design, mode: Mode, nodes: int) -> Point:
    """Objective, exact gradient, and Hessian by central differences of the gradient.

    Args:
        design: as built, not whitened.
        mode: where to evaluate.
        nodes: number of nodes.
    """
    psi_J = np.concatenate([mode.beta_K, mode.theta_H])
    k = mode.beta_K.size

    def gradient_at(moved_J: FloatArray) -> FloatArray:
        return _evaluate(find_mode(design, moved_J[:k], moved_J[k:], mode.effects), nodes)[1]

    value, gradient_J = _evaluate(mode, nodes)
    return Point(psi_J, value, gradient_J, _jacobian(gradient_at, psi_J, _STEP * design.unit_J))


def _jacobian(
    function: Callable[[FloatArray], FloatArray], at_J: FloatArray, step_J: FloatArray
) -> FloatArray:
    rows = [(function(at_J + step) - function(at_J - step)) / (2 * step.sum()) for step in np.diag(step_J)]
    out_JJ: FloatArray = np.array(rows)
    return (out_JJ + out_JJ.T) / 2


def _evaluate(mode: Mode, nodes: int) -> tuple[float, FloatArray]:
    design = mode.design
    x_D, weight_D = np.polynomial.hermite.hermgauss(nodes)
    z_N = design.large_PB[design.pattern_N, 0]
    prior = mode.priors[0]
    mode_Q = mode.effects.large_QB[:, 0]
    curvature_Q = 1.0 / mode.factors.inverse_QBB[:, 0, 0]
    spread_Q = 1.0 / np.sqrt(curvature_Q)
    fixed_N = (design.x_PK @ mode.beta_K)[design.pattern_N]

    n_levels = mode_Q.size
    log_DQ = np.empty((nodes, n_levels))
    pull_DN = np.empty((nodes, z_N.size))
    slope_DQ = np.empty((nodes, n_levels))
    square_DQ = np.empty((nodes, n_levels))
    for d, x in enumerate(x_D):
        b_Q = mode_Q + np.sqrt(2) * spread_Q * x
        eta_N = fixed_N + z_N * b_Q[design.level_N]
        fit_N = design.events_N * eta_N - design.trials_N * np.logaddexp(0.0, eta_N)
        pull_DN[d] = design.events_N - design.trials_N * special.expit(eta_N)
        log_DQ[d] = np.add.reduceat(fit_N, design.start_Q[:-1]) - b_Q**2 / 2
        log_DQ[d] += np.log(weight_D[d]) + x * x
        slope_DQ[d] = np.add.reduceat(pull_DN[d] * z_N, design.start_Q[:-1]) - b_Q
        square_DQ[d] = b_Q**2
    top_Q = log_DQ.max(axis=0)
    total_Q = np.exp(log_DQ - top_Q).sum(axis=0)
    share_DQ = np.exp(log_DQ - top_Q) / total_Q
    value_Q = top_Q + np.log(total_Q) + np.log(spread_Q) - np.log(np.pi) / 2
    value = -float(value_Q.sum())

    # How nodes move: b = b^ + sqrt(2) s x, ds = -s dM / (2 M), dM = sum w' z² e + P_a.
    slope_N = mode.weight_N * (1 - 2 * mode.mu_N)
    centre_Q = (share_DQ * slope_DQ).sum(axis=0)
    stretch_Q = (share_DQ * slope_DQ * (np.sqrt(2) * x_D[:, None])).sum(axis=0)
    spread_pull_Q = -(1 + stretch_Q * spread_Q) / (2 * curvature_Q)
    cube_Q = np.add.reduceat(slope_N * z_N**3, design.start_Q[:-1])
    # d value / d b^ through centre and through M.
    through_Q = centre_Q + spread_pull_Q * cube_Q

    share_N = (share_DQ[:, design.level_N] * pull_DN).sum(axis=0)
    direct_N = share_N + spread_pull_Q[design.level_N] * slope_N * z_N**2
    back_N = -(through_Q / curvature_Q)[design.level_N] * mode.weight_N * z_N
    beta_K = design.x_PK.T @ design.per_pattern(direct_N + back_N)
    theta = []
    for first_BB, log_det in zip(prior.first_HBB, prior.log_det_first_H, strict=True):
        change = first_BB[0, 0]
        own_Q = -change * (share_DQ * square_DQ).sum(axis=0) / 2 + spread_pull_Q * change - log_det
        theta.append(float(np.sum(own_Q - through_Q / curvature_Q * change * mode_Q)))
    return value, -np.concatenate([beta_K, theta])
