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
from warmgap.statistics.mixed.covariance import Precision, precision
from warmgap.statistics.mixed.design import Design
from warmgap.statistics.mixed.factorise import Factorised, factorise

_MODE_TOLERANCE = 1e-16
"""Squared distance to the mode, in units of the effects' curvature, at which it counts as found."""


@dataclass(frozen=True)
class Effects:
    """Random effects: of the large factor and of the small ones."""

    large_QB: FloatArray
    small_R: FloatArray


@dataclass(frozen=True)
class Mode:
    """The most likely random effects at given parameters, and what belongs to them.

    `value` is F without the binomial constant. `weight_N` is n mu (1 - mu).
    """

    beta_K: FloatArray
    theta_H: FloatArray
    effects: Effects
    priors: tuple[Precision, ...]
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
    """Newton's method for b^ with step halving.

    Raises:
        FloatingPointError: no step lowers h, or h is not finite.
    """
    priors = tuple(precision(b, t) for b, t in zip(design.blocks, split_theta(design, theta_H), strict=True))
    fixed_P = design.x_PK @ beta_K
    effects = start
    eta_N = linear_predictor(design, fixed_P, effects)
    h = _penalised(design, priors, effects, eta_N)
    for _ in range(60):
        mu_N = special.expit(eta_N)
        weight_N = design.trials_N * mu_N * (1 - mu_N)
        factors = factorise(*normal_matrix(design, weight_N, priors))
        residual_N = design.events_N - design.trials_N * mu_N
        pull = transpose(design, residual_N)
        large_QB = pull.large_QB - effects.large_QB @ priors[0].value_BB
        small_R = pull.small_R - _prior_small(design, priors, effects.small_R)
        step = Effects(*factors.solve(large_QB, small_R))
        decrement = float(np.sum(step.large_QB * large_QB) + step.small_R @ small_R)
        if not np.isfinite(decrement):
            raise FloatingPointError("the random effects have no finite mode")
        if decrement < _MODE_TOLERANCE:
            log_det = sum(p.log_det * len(b.levels) for p, b in zip(priors, design.blocks, strict=True))
            value = h + factors.log_det / 2 + log_det
            return Mode(beta_K, theta_H, effects, priors, mu_N, weight_N, factors, value)
        size = 1.0
        while True:
            tried = Effects(effects.large_QB + size * step.large_QB, effects.small_R + size * step.small_R)
            eta_N = linear_predictor(design, fixed_P, tried)
            h_tried = _penalised(design, priors, tried, eta_N)
            if h_tried <= h + 1e-12 * abs(h):
                break
            size /= 2
            if size < 1e-6:
                raise FloatingPointError("the random effects have no mode that Newton's method can find")
        effects, h = tried, h_tried
    raise FloatingPointError("the random effects' mode was not reached in 60 steps")


def linear_predictor(design: Design, fixed_P: FloatArray, effects: Effects) -> FloatArray:
    """eta of every cell."""
    pattern_P = fixed_P + design.small_PR @ effects.small_R if design.n_small else fixed_P
    eta_N = pattern_P[design.pattern_N]
    for j, plain in enumerate(design.plain_B):
        part_N = effects.large_QB[design.level_N, j]
        eta_N += part_N if plain else part_N * design.large_PB[design.pattern_N, j]
    return eta_N


def _penalised(design: Design, priors: tuple[Precision, ...], effects: Effects, eta_N: FloatArray) -> float:
    fit = float(design.trials_N @ np.logaddexp(0.0, eta_N) - design.events_N @ eta_N)
    penalty = np.sum((effects.large_QB @ priors[0].value_BB) * effects.large_QB)
    return fit + (penalty + effects.small_R @ _prior_small(design, priors, effects.small_R)) / 2


def _prior_small(design: Design, priors: tuple[Precision, ...], small_R: FloatArray) -> FloatArray:
    out_R = np.empty_like(small_R)
    offset = 0
    for block, prior in zip(design.small, priors[1:], strict=True):
        part = slice(offset, offset + block.size)
        out_R[part] = (small_R[part].reshape(-1, len(block.columns)) @ prior.value_BB).ravel()
        offset += block.size
    return out_R


def transpose(design: Design, value_N: FloatArray) -> Effects:
    """Z' times a vector over cells."""
    large = [
        np.add.reduceat(value_N if plain else value_N * z_P[design.pattern_N], design.start_Q[:-1])
        for z_P, plain in zip(design.large_PB.T, design.plain_B, strict=True)
    ]
    small_R = design.small_PR.T @ design.per_pattern(value_N) if design.n_small else np.zeros(0)
    return Effects(np.stack(large, axis=1), small_R)


def normal_matrix(
    design: Design, weight_N: FloatArray, priors: tuple[Precision, ...]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The parts D, C and A of Z'WZ + P."""
    z_PB, positions = design.large_PB, small_positions(design)
    n_levels, width = design.start_Q.size - 1, z_PB.shape[1]
    d_QBB = np.empty((n_levels, width, width))
    c_QBR = np.zeros((n_levels, width, design.n_small))
    for i in range(width):
        scaled_N = weight_N if design.plain_B[i] else weight_N * z_PB[design.pattern_N, i]
        for j in range(i + 1):
            both_N = scaled_N if design.plain_B[j] else scaled_N * z_PB[design.pattern_N, j]
            d_QBB[:, i, j] = d_QBB[:, j, i] = np.add.reduceat(both_N, design.start_Q[:-1])
        for slot in range(design.small_index_PS.shape[1]):
            value_P = design.small_value_PS[:, slot]
            linked_N = scaled_N if np.all(value_P == 1.0) else scaled_N * value_P[design.pattern_N]
            sums_L = np.bincount(design.link_SN[slot], linked_N, minlength=design.link_level_L.size)
            np.add.at(c_QBR[:, i], (design.link_level_L, design.link_effect_L), sums_L)
    d_QBB += priors[0].value_BB
    z_PR = design.small_PR
    a_RR = (z_PR.T @ (sparse.diags_array(design.per_pattern(weight_N)) @ z_PR)).toarray()
    for prior, levels_RB in zip(priors[1:], positions, strict=True):
        a_RR[levels_RB[:, :, None], levels_RB[:, None, :]] += prior.value_BB
    return d_QBB, c_QBR, a_RR


def small_positions(design: Design) -> list[IntArray]:
    """Where each small block's effects stand among the R, as levels by columns."""
    out, offset = [], 0
    for block in design.small:
        out.append(offset + np.arange(block.size).reshape(-1, len(block.columns)))
        offset += block.size
    return out
