"""The Laplace approximation of a logistic mixed model's likelihood, with exact derivatives.

With eta = X beta + Z b, b ~ N(0, G), the negative log-likelihood is approximated by
    F = h(b^) + ½ log|M| + ½ log|G|,
    h(b) = -sum(y eta - n log(1 + e^eta)) + ½ b'Pb,  P = G^-1,  M = Z'WZ + P,
where b^ minimises h (Breslow and Clayton 1993; Skaug and Fournier 2006). Derivatives follow b^
implicitly: with g = Z'(mu - y) + P b = 0, db/dpsi = -M^-1 (Z'W X, P_k b). Suffixes as in
`design`; J all parameters psi = (beta, theta), H those of theta.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse, special

from warmgap.statistics.clusters import FloatArray, IntArray
from warmgap.statistics.mixed.covariance import Prior, prior
from warmgap.statistics.mixed.design import Design
from warmgap.statistics.mixed.factorise import Factorised, factorise

_MODE_TOLERANCE = 1e-20
"""Squared distance to the mode, in units of the effects' curvature, at which it counts as found."""

_MODE_NOISE = 1e-14
"""Where rounding keeps the distance from shrinking further, it counts as found below this one."""

_MOST_STEPS = 60


@dataclass(frozen=True)
class Effects:
    """Random effects, of the large factor and of the small ones; whitened (u, with b = L u) inside a fit."""

    large_QB: FloatArray
    small_R: FloatArray


@dataclass(frozen=True)
class Mode:
    """The most likely random effects at given parameters, and what belongs to them.

    `design` and `effects` are whitened by L at these parameters. `value` is F without the binomial
    constant. `weight_N` is n mu (1 - mu).
    """

    design: Design
    beta_K: FloatArray
    theta_H: FloatArray
    effects: Effects
    priors: tuple[Prior, ...]
    mu_N: FloatArray
    weight_N: FloatArray
    factors: Factorised
    value: float


def split_theta(design: Design, theta_H: FloatArray) -> list[FloatArray]:
    """Theta per block, the large one first."""
    sizes = [len(b.free) for b in design.blocks]
    return np.split(theta_H, np.cumsum(sizes)[:-1])


def no_effects(design: Design) -> Effects:
    """All random effects zero."""
    return Effects(np.zeros((design.start_Q.size - 1, len(design.large.columns))), np.zeros(design.n_small))


def find_mode(design: Design, beta_K: FloatArray, theta_H: FloatArray, start: Effects) -> Mode:
    """Newton's method for the mode with step halving.

    Args:
        design: as built, not whitened.
        beta_K: coefficients.
        theta_H: free entries of the Cholesky factors.
        start: whitened effects to begin from.

    Raises:
        FloatingPointError: no step lowers h, or h is not finite.
    """
    priors = tuple(prior(b, t) for b, t in zip(design.blocks, split_theta(design, theta_H), strict=True))
    design = design.whitened([p.factor_BB for p in priors])
    fixed_P = design.x_PK @ beta_K
    effects = start
    eta_N = linear_predictor(design, fixed_P, effects)
    h = _penalised(design, effects, eta_N)
    last = np.inf
    for _ in range(_MOST_STEPS):
        mu_N = special.expit(eta_N)
        weight_N = design.trials_N * mu_N * (1 - mu_N)
        factors = factorise(*normal_matrix(design, weight_N))
        pull = transpose(design, design.events_N - design.trials_N * mu_N)
        large_QB, small_R = pull.large_QB - effects.large_QB, pull.small_R - effects.small_R
        step = Effects(*factors.solve(large_QB, small_R))
        decrement = float(np.sum(step.large_QB * large_QB) + step.small_R @ small_R)
        if not np.isfinite(decrement):
            raise FloatingPointError("the random effects have no finite mode")
        if decrement < _MODE_TOLERANCE or last / 4 < decrement < _MODE_NOISE:
            value = h + factors.log_det / 2
            return Mode(design, beta_K, theta_H, effects, priors, mu_N, weight_N, factors, value)
        size, last = 1.0, decrement
        while True:
            tried = Effects(effects.large_QB + size * step.large_QB, effects.small_R + size * step.small_R)
            eta_N = linear_predictor(design, fixed_P, tried)
            h_tried = _penalised(design, tried, eta_N)
            if h_tried <= h + 1e-12 * abs(h):
                break
            size /= 2
            if size < 1e-6:
                raise FloatingPointError("the random effects have no mode that Newton's method can find")
        effects, h = tried, h_tried
    raise FloatingPointError(f"the random effects' mode was not reached in {_MOST_STEPS} steps")


def linear_predictor(design: Design, fixed_P: FloatArray, effects: Effects) -> FloatArray:
    """eta of every cell."""
    pattern_P = fixed_P + design.small_PR @ effects.small_R if design.n_small else fixed_P
    eta_N = pattern_P[design.pattern_N]
    for j in range(design.large_PB.shape[1]):
        eta_N += design.times_large(effects.large_QB[design.level_N, j], j)
    return eta_N


def _penalised(design: Design, effects: Effects, eta_N: FloatArray) -> float:
    fit = float(design.trials_N @ np.logaddexp(0.0, eta_N) - design.events_N @ eta_N)
    return fit + (float(np.sum(effects.large_QB**2)) + float(effects.small_R @ effects.small_R)) / 2


def transpose(design: Design, value_N: FloatArray) -> Effects:
    """Z' times a vector over cells."""
    width = design.large_PB.shape[1]
    large = [design.per_large_level(design.times_large(value_N, j)) for j in range(width)]
    small_R = design.small_PR.T @ design.per_pattern(value_N) if design.n_small else np.zeros(0)
    return Effects(np.stack(large, axis=1), small_R)


def normal_matrix(design: Design, weight_N: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The parts D, C and A of Z'WZ + I."""
    n_levels, width = design.start_Q.size - 1, design.large_PB.shape[1]
    d_QBB = np.empty((n_levels, width, width))
    c_QBR = np.zeros((n_levels, width, design.n_small))
    links = design.links
    for i in range(width):
        scaled_N = design.times_large(weight_N, i)
        for j in range(i + 1):
            d_QBB[:, i, j] = d_QBB[:, j, i] = design.per_large_level(design.times_large(scaled_N, j))
        for slot, value_P in enumerate(design.small_value_PS.T):
            linked_N = scaled_N * value_P[design.pattern_N]
            sums_L = np.bincount(links.of_SN[slot], linked_N, minlength=links.level_L.size)
            np.add.at(c_QBR[:, i], (links.level_L, links.effect_L), sums_L)
    d_QBB += np.eye(width)
    z_PR = design.small_PR
    a_RR = (z_PR.T @ (sparse.diags_array(design.per_pattern(weight_N)) @ z_PR)).toarray()
    return d_QBB, c_QBR, a_RR + np.eye(design.n_small)


def small_positions(design: Design) -> list[IntArray]:
    """Where each small block's effects stand among the R, as levels by columns."""
    out, offset = [], 0
    for block in design.small:
        out.append(offset + np.arange(block.size).reshape(-1, len(block.columns)))
        offset += block.size
    return out
