"""Exact gradient and Hessian of the Laplace approximation.

With w' and w'' the derivatives of the weights by eta, v = diag(Z M^-1 Z'), e_a = d eta / d psi_a
and T_a = Z' diag(w' e_a) Z + P_a = dM / d psi_a:

    F_a  = h_a + ½ (sum w' v e_a + tr M^-1 P_a) + ½ d log|G|
    F_ab = dh_a/d psi_b + ½ (sum (w'' v - w' Z q) e_a e_b - q'(P_a b_b + P_b b_a + P_ab b)
           - tr M^-1 T_a M^-1 T_b + tr M^-1 P_ab) + ½ d² log|G|,   q = M^-1 Z'(w' v).

Suffixes as in `design` and `laplace`; L links, J parameters (K coefficients, then theta).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warmgap.statistics.clusters import FloatArray
from warmgap.statistics.mixed.design import Design
from warmgap.statistics.mixed.laplace import Effects, Mode, linear_predictor, small_positions, transpose
from warmgap.statistics.mixed.trace import trace_by_level, trace_products, weighted_sums


@dataclass(frozen=True)
class _Pieces:
    """What gradient and Hessian share at one mode."""

    slope_N: FloatArray
    """w'."""
    leverage_N: FloatArray
    """v."""
    adjoint: Effects
    """q."""
    inverses: tuple[FloatArray, ...]
    """Per block, the diagonal blocks of M^-1, levels by columns by columns."""


def gradient(mode: Mode) -> FloatArray:
    """dF / d psi at a mode."""
    return _gradient(mode.design, mode, _pieces(mode.design, mode))


def gradient_and_hessian(
    mode: Mode, exact: bool = True
) -> tuple[FloatArray, FloatArray, tuple[FloatArray, FloatArray]]:
    """Gradient, Hessian, and how the random effects move with the parameters (QBJ and RJ).

    Args:
        mode: where.
        exact: whether the Hessian has the exact trace of M^-1 T_a M^-1 T_b, which takes most of the
            time with several grouping factors, or that of `trace.trace_by_level`.
    """
    design = mode.design
    pieces = _pieces(design, mode)
    n_fixed = mode.beta_K.size
    move = _moves(design, mode)
    move_QBJ, move_RJ = move
    # Part of e_a that is the same for all cells of a pattern; the rest is z_large times move_QBJ.
    eta_PJ = np.zeros((design.x_PK.shape[0], move_RJ.shape[1]))
    eta_PJ[:, :n_fixed] = design.x_PK
    if design.n_small:
        eta_PJ += design.small_PR @ move_RJ

    adjoint_eta_N = _times(design, pieces.adjoint)
    mu_N = mode.mu_N
    curve_N = mode.weight_N * (1 - 6 * mu_N * (1 - mu_N))
    half_N = (curve_N * pieces.leverage_N - pieces.slope_N * adjoint_eta_N) / 2
    hessian_JJ = _gram(design, half_N, eta_PJ, move_QBJ)
    # dh_a / d psi_b for coefficients: x_a' (w e_b).
    rows_KJ = design.x_PK.T @ weighted_sums(design, mode.weight_N, eta_PJ, move_QBJ)
    hessian_JJ[:n_fixed] += rows_KJ
    hessian_JJ[n_fixed:, :n_fixed] += rows_KJ[:, n_fixed:].T
    hessian_JJ[n_fixed:, n_fixed:] += _prior_hessian(design, mode, pieces, move)
    prior_HJ = _prior_times_moves(design, mode, pieces.adjoint, move)
    hessian_JJ[n_fixed:] -= prior_HJ / 2
    hessian_JJ[:, n_fixed:] -= prior_HJ.T / 2
    if exact:
        trace_JJ = trace_products(mode, pieces.slope_N, eta_PJ, move_QBJ)
    else:
        trace_JJ = trace_by_level(mode, pieces.slope_N, eta_PJ, move_QBJ, pieces.inverses)
    hessian_JJ -= trace_JJ / 2
    return _gradient(design, mode, pieces), (hessian_JJ + hessian_JJ.T) / 2, move


def _pieces(design: Design, mode: Mode) -> _Pieces:
    factors = mode.factors
    slope_N = mode.weight_N * (1 - 2 * mode.mu_N)
    small_inverse_RR = factors.small_inverse()
    # Blocks of M^-1: large-large needs D^-1 + U S^-1 U', large-small -U S^-1, small-small S^-1.
    cross_QBR = -(factors.u_QBR @ small_inverse_RR) if design.n_small else factors.u_QBR
    large_QBB = factors.inverse_QBB
    if design.n_small:
        large_QBB = large_QBB - np.einsum("qir,qjr->qij", cross_QBR, factors.u_QBR)
    cross_LB = cross_QBR[design.links.level_L, :, design.links.effect_L]
    leverage_N = _leverage(design, large_QBB, cross_LB, small_inverse_RR)
    adjoint = Effects(*_solve(mode, transpose(design, slope_N * leverage_N)))
    small = (small_inverse_RR[p[:, :, None], p[:, None, :]] for p in small_positions(design))
    return _Pieces(slope_N, leverage_N, adjoint, (large_QBB, *small))


def _solve(mode: Mode, right: Effects) -> tuple[FloatArray, FloatArray]:
    return mode.factors.solve(right.large_QB, right.small_R)


def _leverage(
    design: Design, large_QBB: FloatArray, cross_LB: FloatArray, small_RR: FloatArray
) -> FloatArray:
    index_PS, value_PS = design.small_index_PS, design.small_value_PS
    pattern_P = np.zeros(design.x_PK.shape[0])
    for s in range(index_PS.shape[1]):
        for t in range(index_PS.shape[1]):
            pattern_P += value_PS[:, s] * value_PS[:, t] * small_RR[index_PS[:, s], index_PS[:, t]]
    out_N = pattern_P[design.pattern_N]
    z_PB = design.large_PB
    for i in range(z_PB.shape[1]):
        inner_N = np.zeros_like(out_N)
        for j in range(z_PB.shape[1]):
            inner_N += design.times_large(large_QBB[design.level_N, i, j], j)
        for s in range(index_PS.shape[1]):
            inner_N += 2 * cross_LB[design.links.of_SN[s], i] * value_PS[design.pattern_N, s]
        out_N += design.times_large(inner_N, i)
    return out_N


def _times(design: Design, effects: Effects) -> FloatArray:
    """Z times random effects, per cell."""
    return linear_predictor(design, np.zeros(design.x_PK.shape[0]), effects)


def _blocks(design: Design, mode: Mode) -> list[FloatArray]:
    """Random effects per block, levels by columns."""
    small = [mode.effects.small_R[p] for p in small_positions(design)]
    return [mode.effects.large_QB, *small]


def _gradient(design: Design, mode: Mode, pieces: _Pieces) -> FloatArray:
    residual_N = design.events_N - design.trials_N * mode.mu_N
    pull_N = pieces.slope_N * pieces.leverage_N - mode.weight_N * _times(design, pieces.adjoint)
    beta_K = design.x_PK.T @ design.per_pattern(pull_N / 2 - residual_N)
    adjoint = [pieces.adjoint.large_QB, *(pieces.adjoint.small_R[p] for p in small_positions(design))]
    theta = []
    for block, prior, b, q, inverse_QBB in zip(
        design.blocks, mode.priors, _blocks(design, mode), adjoint, pieces.inverses, strict=True
    ):
        target_BB = b.T @ b + inverse_QBB.sum(axis=0) - q.T @ b
        theta.append(
            np.einsum("hij,ij->h", prior.first_HBB, target_BB) / 2 + len(block.levels) * prior.log_det_first_H
        )
    return np.concatenate([beta_K, *theta])


def _moves(design: Design, mode: Mode) -> tuple[FloatArray, FloatArray]:
    """db / d psi: -M^-1 Z'W X for coefficients, -M^-1 P_k b for theta."""
    n_levels, n_effects = mode.effects.large_QB.shape
    n_theta = mode.theta_H.size
    right_QBJ = np.zeros((n_levels, n_effects, mode.beta_K.size + n_theta))
    right_RJ = np.zeros((design.n_small, mode.beta_K.size + n_theta))
    fixed = slice(0, mode.beta_K.size)
    weights = design.per_level(mode.weight_N)
    for i in range(n_effects):
        right_QBJ[:, i, fixed] = weights @ (design.x_PK * design.large_PB[:, i : i + 1])
    if design.n_small:
        right_RJ[:, fixed] = design.small_PR.T @ (design.per_pattern(mode.weight_N)[:, None] * design.x_PK)
    column = mode.beta_K.size
    places = [None, *small_positions(design)]
    for prior, b, place in zip(mode.priors, _blocks(design, mode), places, strict=True):
        for first_BB in prior.first_HBB:
            if place is None:
                right_QBJ[:, :, column] = b @ first_BB
            else:
                right_RJ[place, column] = b @ first_BB
            column += 1
    large_QBJ, small_RJ = mode.factors.solve(right_QBJ, right_RJ)
    return -large_QBJ, -small_RJ


def _gram(design: Design, weight_N: FloatArray, eta_PJ: FloatArray, move_QBJ: FloatArray) -> FloatArray:
    """Sum over cells of weight e_a e_b."""
    weights = design.per_level(weight_N)
    out_JJ = eta_PJ.T @ (design.per_pattern(weight_N)[:, None] * eta_PJ)
    z_PB = design.large_PB
    for i in range(z_PB.shape[1]):
        mixed_JJ = move_QBJ[:, i].T @ (weights @ (z_PB[:, i : i + 1] * eta_PJ))
        out_JJ += mixed_JJ + mixed_JJ.T
        for j in range(z_PB.shape[1]):
            both_Q = weights @ (z_PB[:, i] * z_PB[:, j])
            out_JJ += (move_QBJ[:, i] * both_Q[:, None]).T @ move_QBJ[:, j]
    return out_JJ


def _prior_hessian(
    design: Design, mode: Mode, pieces: _Pieces, move: tuple[FloatArray, FloatArray]
) -> FloatArray:
    """Terms of theta with theta that come from the prior alone: b, tr M^-1 P_kl and log|G|."""
    out_HH = np.zeros((mode.theta_H.size, mode.theta_H.size))
    first_column = mode.beta_K.size
    offset = 0
    places = [None, *small_positions(design)]
    adjoint = [pieces.adjoint.large_QB, *(pieces.adjoint.small_R[p] for p in small_positions(design))]
    for block, prior, b, q, inverse_QBB, place in zip(
        design.blocks, mode.priors, _blocks(design, mode), adjoint, pieces.inverses, places, strict=True
    ):
        here = slice(offset, offset + len(block.free))
        target_BB = b.T @ b + inverse_QBB.sum(axis=0) - (q.T @ b + b.T @ q) / 2
        out_HH[here, here] += np.einsum("hkij,ij->hk", prior.second_HHBB, target_BB) / 2
        out_HH[here, here] += np.diag(len(block.levels) * prior.log_det_second_H)
        moved = move[0] if place is None else move[1][place]
        pushed_HB = np.einsum("lj,hij->hli", b, prior.first_HBB)
        all_HH = np.einsum("hli,lik->hk", pushed_HB, moved[:, :, first_column:])
        out_HH[here] += all_HH
        offset += len(block.free)
    return out_HH


def _prior_times_moves(
    design: Design, mode: Mode, adjoint: Effects, move: tuple[FloatArray, FloatArray]
) -> FloatArray:
    """q' P_k b_a for every theta k and parameter a."""
    out = []
    places = [None, *small_positions(design)]
    parts = [adjoint.large_QB, *(adjoint.small_R[p] for p in small_positions(design))]
    for prior, q, place in zip(mode.priors, parts, places, strict=True):
        moved = move[0] if place is None else move[1][place]
        out.append(np.einsum("li,hij,ljk->hk", q, prior.first_HBB, moved, optimize=True))
    return np.concatenate(out)
