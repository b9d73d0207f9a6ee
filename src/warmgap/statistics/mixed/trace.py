"""The term of the Laplace Hessian in which two parameters move the log determinant together.

Suffixes as in `derivatives`; C a chunk of the R small effects.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from warmgap.statistics.clusters import FloatArray
from warmgap.statistics.mixed.design import Design
from warmgap.statistics.mixed.laplace import Mode, small_positions

_CHUNK = 64
"""Columns of the small factors' effects handled at once: bounds the memory."""


def weighted_sums(
    design: Design, weight_N: FloatArray, eta_PJ: FloatArray, move_QBJ: FloatArray
) -> FloatArray:
    """Sums of weight times e_a over the cells of each pattern."""
    weights = design.per_level(weight_N)
    out_PJ = design.per_pattern(weight_N)[:, None] * eta_PJ
    for i in range(design.large_PB.shape[1]):
        out_PJ += design.large_PB[:, i : i + 1] * (weights.T @ move_QBJ[:, i])
    return out_PJ


def trace_products(
    design: Design, mode: Mode, slope_N: FloatArray, eta_PJ: FloatArray, move_QBJ: FloatArray
) -> FloatArray:
    """tr(M^-1 T_a M^-1 T_b) for all pairs of parameters.

    With M^-1 = blockdiag(D^-1, 0) + V V', V = (-U K, K), this is
    sum tr(D^-1 D_a D^-1 D_b) + 2 <H_a, D^-1 H_b> + <V'T_a V, V'T_b V>, H_a the large rows of T_a V.
    """
    z_PB = design.large_PB
    n_levels, width, count = move_QBJ.shape
    weights = design.per_level(slope_N)
    d_QBBJ = np.empty((n_levels, width, width, count))
    for i in range(width):
        for j in range(i + 1):
            both_P = z_PB[:, i] * z_PB[:, j]
            d_QBBJ[:, i, j] = weights @ (both_P[:, None] * eta_PJ)
            for k in range(width):
                d_QBBJ[:, i, j] += (weights @ (both_P * z_PB[:, k]))[:, None] * move_QBJ[:, k]
            d_QBBJ[:, j, i] = d_QBBJ[:, i, j]
    offset = mode.beta_K.size
    for k, first_BB in enumerate(mode.priors[0].first_HBB):
        d_QBBJ[:, :, :, offset + k] += first_BB
    inverse_QBB = mode.factors.inverse_QBB
    scaled_QBBJ = np.einsum("qij,qjkx->qikx", inverse_QBB, d_QBBJ)
    swapped_QBBJ = scaled_QBBJ.transpose(0, 2, 1, 3)
    out_JJ = scaled_QBBJ.reshape(-1, count).T @ swapped_QBBJ.reshape(-1, count)
    if not design.n_small:
        return out_JJ

    c_LBJ = _link_sums(design, slope_N, eta_PJ, move_QBJ)
    a_RRJ = _small_matrices(design, mode, slope_N, eta_PJ, move_QBJ)
    k_RR = mode.factors.small_root()
    v_QBR = -(mode.factors.u_QBR @ k_RR)
    root_QBB = np.linalg.cholesky(inverse_QBB)
    small = design.n_small
    inner_RRJ = np.empty((small, small, count))
    for start in range(0, small, _CHUNK):
        part = slice(start, min(start + _CHUNK, small))
        v_QBC, k_RC = v_QBR[:, :, part], k_RR[:, part]
        h_JQBC = np.einsum("qijx,qjc->xqic", d_QBBJ, v_QBC, optimize=True)
        bottom_JRC = np.einsum("rsx,sc->xrc", a_RRJ, k_RC, optimize=True)
        for x in range(count):
            for i in range(width):
                link = (c_LBJ[:, i, x], (design.links.level_L, design.links.effect_L))
                c_QR = sparse.csr_matrix(link, shape=(n_levels, small))
                h_JQBC[x, :, i] += c_QR @ k_RC
                bottom_JRC[x] += c_QR.T @ v_QBC[:, i]
        inner_RRJ[:, part] = np.einsum("qir,xqic->rcx", v_QBR, h_JQBC, optimize=True)
        inner_RRJ[:, part] += np.einsum("sr,xsc->rcx", k_RR, bottom_JRC, optimize=True)
        rooted = np.einsum("qji,xqjc->xqic", root_QBB, h_JQBC, optimize=True).reshape(count, -1)
        out_JJ += 2 * rooted @ rooted.T
    flat = inner_RRJ.reshape(-1, count)
    out_JJ += flat.T @ inner_RRJ.transpose(1, 0, 2).reshape(-1, count)
    return out_JJ


def _link_sums(design: Design, slope_N: FloatArray, eta_PJ: FloatArray, move_QBJ: FloatArray) -> FloatArray:
    """The entries of T_a between large and small effects, at the links."""
    z_PB = design.large_PB
    width, count = z_PB.shape[1], move_QBJ.shape[2]
    n_links, n_patterns = design.links.level_L.size, eta_PJ.shape[0]
    out_LBJ = np.zeros((n_links, width, count))
    for slot in range(design.small_index_PS.shape[1]):
        value_N = slope_N * design.small_value_PS[design.pattern_N, slot]
        links = sparse.csr_matrix(
            (value_N, (design.links.of_SN[slot], design.pattern_N)), shape=(n_links, n_patterns)
        )
        for i in range(width):
            out_LBJ[:, i] += links @ (z_PB[:, i : i + 1] * eta_PJ)
            for k in range(width):
                sums_L = links @ (z_PB[:, i] * z_PB[:, k])
                out_LBJ[:, i] += sums_L[:, None] * move_QBJ[design.links.level_L, k]
    return out_LBJ


def _small_matrices(
    design: Design, mode: Mode, slope_N: FloatArray, eta_PJ: FloatArray, move_QBJ: FloatArray
) -> FloatArray:
    """The part of T_a among the small effects."""
    small, count = design.n_small, move_QBJ.shape[2]
    sums_PJ = weighted_sums(design, slope_N, eta_PJ, move_QBJ)
    out_RRJ = np.zeros((small, small, count))
    index_PS, value_PS = design.small_index_PS, design.small_value_PS
    for s in range(index_PS.shape[1]):
        for t in range(index_PS.shape[1]):
            key_P = index_PS[:, s] * small + index_PS[:, t]
            found, position_P = np.unique(key_P, return_inverse=True)
            to_pair = sparse.csr_matrix(
                (value_PS[:, s] * value_PS[:, t], (position_P, np.arange(key_P.size))),
                shape=(found.size, key_P.size),
            )
            out_RRJ.reshape(-1, count)[found] += to_pair @ sums_PJ
    column = mode.beta_K.size + len(design.large.free)
    for prior, place in zip(mode.priors[1:], small_positions(design), strict=True):
        for first_BB in prior.first_HBB:
            out_RRJ[place[:, :, None], place[:, None, :], column] += first_BB
            column += 1
    return out_RRJ
