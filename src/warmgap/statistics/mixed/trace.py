"""The term of the Laplace Hessian in which two parameters move the log determinant together.

T_a = Z' diag(w' e_a) Z + P_a is how M moves with parameter a. Suffixes as in `derivatives`; C a
chunk of the R small effects, W all effects (the large factor's, then R), E non-zeros of T_a.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from warmgap.statistics.clusters import FloatArray, IntArray
from warmgap.statistics.mixed.design import Design
from warmgap.statistics.mixed.laplace import Mode, small_positions

_WIDEST = 64
_LARGEST = 4_000_000
"""Most columns of the small effects handled at once, and most numbers in one array of these."""


def weighted_sums(
    design: Design, weight_N: FloatArray, eta_PJ: FloatArray, move_QBJ: FloatArray
) -> FloatArray:
    """Sums of weight times e_a over the cells of each pattern."""
    weights = design.per_level(weight_N)
    out_PJ = design.per_pattern(weight_N)[:, None] * eta_PJ
    for i in range(design.large_PB.shape[1]):
        out_PJ += design.large_PB[:, i : i + 1] * (weights.T @ move_QBJ[:, i])
    return out_PJ


def trace_by_level(
    mode: Mode,
    slope_N: FloatArray,
    eta_PJ: FloatArray,
    move_QBJ: FloatArray,
    inverses: Sequence[FloatArray],
) -> FloatArray:
    """tr(M^-1 T_a M^-1 T_b) as if the effects of different levels were independent.

    It is exact with a single grouping factor, and otherwise close enough to steer the search.

    Args:
        mode: where.
        slope_N: w'.
        eta_PJ: the part of e_a that is the same for all cells of a pattern.
        move_QBJ: how the large factor's effects move.
        inverses: per block, the diagonal blocks of M^-1, levels by columns by columns.
    """
    design = mode.design
    out_JJ = _products(inverses[0], _large_blocks(mode, slope_N, eta_PJ, move_QBJ))
    if not design.small:
        return out_JJ
    sums_PJ = weighted_sums(design, slope_N, eta_PJ, move_QBJ)
    column, slot, offset = mode.beta_K.size + len(design.large.free), 0, 0
    for block, prior, inverse_QBB in zip(design.small, mode.priors[1:], inverses[1:], strict=True):
        width = len(block.columns)
        z_PB = design.small_value_PS[:, slot : slot + width]
        level_P = (design.small_index_PS[:, slot] - offset) // width
        blocks_QBBJ = np.empty((len(block.levels), width, width, sums_PJ.shape[1]))
        for i in range(width):
            for j in range(i + 1):
                entries = (z_PB[:, i] * z_PB[:, j], (level_P, np.arange(level_P.size)))
                by_level = sparse.csr_matrix(entries, shape=(len(block.levels), level_P.size))
                blocks_QBBJ[:, i, j] = blocks_QBBJ[:, j, i] = by_level @ sums_PJ
        for first_BB in prior.first_HBB:
            blocks_QBBJ[:, :, :, column] += first_BB
            column += 1
        out_JJ += _products(inverse_QBB, blocks_QBBJ)
        slot, offset = slot + width, offset + block.size
    return out_JJ


def trace_products(mode: Mode, slope_N: FloatArray, eta_PJ: FloatArray, move_QBJ: FloatArray) -> FloatArray:
    """tr(M^-1 T_a M^-1 T_b) for all pairs of parameters.

    With M^-1 = blockdiag(D^-1, 0) + V V', V = (-U K, K), this is
    sum tr(D^-1 D_a D^-1 D_b) + 2 <H_a, D^-1 H_b> + <V'T_a V, V'T_b V>, H_a the large rows of T_a V.
    Of the symmetric V'T_a V only what lies on and below the diagonal is computed. Arguments as in
    `trace_by_level`.
    """
    design, count = mode.design, move_QBJ.shape[2]
    blocks_QBBJ = _large_blocks(mode, slope_N, eta_PJ, move_QBJ)
    inverse_QBB = mode.factors.inverse_QBB
    out_JJ = _products(inverse_QBB, blocks_QBBJ)
    if not design.n_small:
        return out_JJ

    n_levels, width, _, _ = blocks_QBBJ.shape
    n_large, small = n_levels * width, design.n_small
    row_E, column_E, value_EJ = _entries(mode, slope_N, eta_PJ, move_QBJ, blocks_QBBJ)
    order_E = np.lexsort((column_E, row_E))
    column_E, value_JE = column_E[order_E], np.ascontiguousarray(value_EJ[order_E].T)
    start_W = np.searchsorted(row_E[order_E], np.arange(n_large + small + 1))
    k_RR = mode.factors.small_root()
    v_WR = np.concatenate([-(mode.factors.u_QBR @ k_RR).reshape(n_large, small), k_RR])
    root_QBB = np.linalg.cholesky(inverse_QBB).transpose(0, 2, 1)
    step = max(1, min(_WIDEST, _LARGEST // (count * v_WR.shape[0])))
    for start in range(0, small, step):
        v_WC = np.ascontiguousarray(v_WR[:, start : start + step])
        chunk = v_WC.shape[1]
        inner_JRC = np.empty((count, small - start, chunk))
        rooted_JQBC = np.empty((count, n_levels, width, chunk))
        for a, value_E in enumerate(value_JE):
            t_WW = sparse.csr_matrix((value_E, column_E, start_W), shape=(v_WR.shape[0], v_WR.shape[0]))
            t_WC = t_WW @ v_WC
            np.matmul(root_QBB, t_WC[:n_large].reshape(n_levels, width, chunk), out=rooted_JQBC[a])
            np.matmul(v_WR[:, start:].T, t_WC, out=inner_JRC[a])
        inner_JRC[:, chunk:] *= np.sqrt(2)
        inner, rooted = inner_JRC.reshape(count, -1), rooted_JQBC.reshape(count, -1)
        out_JJ += inner @ inner.T + 2 * (rooted @ rooted.T)
    return out_JJ


def _products(inverse_QBB: FloatArray, blocks_QBBJ: FloatArray) -> FloatArray:
    """Sums over levels of tr(inverse block_a inverse block_b)."""
    count = blocks_QBBJ.shape[3]
    scaled_QBBJ = np.einsum("qij,qjkx->qikx", inverse_QBB, blocks_QBBJ)
    out_JJ: FloatArray = scaled_QBBJ.reshape(-1, count).T @ scaled_QBBJ.transpose(0, 2, 1, 3).reshape(
        -1, count
    )
    return out_JJ


def _large_blocks(mode: Mode, slope_N: FloatArray, eta_PJ: FloatArray, move_QBJ: FloatArray) -> FloatArray:
    """The diagonal blocks of T_a that belong to the large factor's levels."""
    z_PB = mode.design.large_PB
    n_levels, width, count = move_QBJ.shape
    weights = mode.design.per_level(slope_N)
    out_QBBJ = np.empty((n_levels, width, width, count))
    for i in range(width):
        for j in range(i + 1):
            both_P = z_PB[:, i] * z_PB[:, j]
            out_QBBJ[:, i, j] = weights @ (both_P[:, None] * eta_PJ)
            for k in range(width):
                out_QBBJ[:, i, j] += (weights @ (both_P * z_PB[:, k]))[:, None] * move_QBJ[:, k]
            out_QBBJ[:, j, i] = out_QBBJ[:, i, j]
    offset = mode.beta_K.size
    for k, first_BB in enumerate(mode.priors[0].first_HBB):
        out_QBBJ[:, :, :, offset + k] += first_BB
    return out_QBBJ


def _entries(
    mode: Mode, slope_N: FloatArray, eta_PJ: FloatArray, move_QBJ: FloatArray, blocks_QBBJ: FloatArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Row, column and values of the non-zeros of all T_a."""
    links, count = mode.design.links, move_QBJ.shape[2]
    n_levels, width, _, _ = blocks_QBBJ.shape
    large_QB = np.arange(n_levels * width).reshape(n_levels, width)
    shape = (n_levels, width, width)
    row_D = np.broadcast_to(large_QB[:, :, None], shape).ravel()
    column_D = np.broadcast_to(large_QB[:, None, :], shape).ravel()
    row_L = large_QB[links.level_L].ravel()
    column_L = np.repeat(large_QB.size + links.effect_L, width)
    link_LJ = _link_sums(mode.design, slope_N, eta_PJ, move_QBJ).reshape(-1, count)
    row_S, column_S, small_SJ = _small_entries(mode, slope_N, eta_PJ, move_QBJ)
    return (
        np.concatenate([row_D, row_L, column_L, large_QB.size + row_S]),
        np.concatenate([column_D, column_L, row_L, large_QB.size + column_S]),
        np.concatenate([blocks_QBBJ.reshape(-1, count), link_LJ, link_LJ, small_SJ]),
    )


def _link_sums(design: Design, slope_N: FloatArray, eta_PJ: FloatArray, move_QBJ: FloatArray) -> FloatArray:
    """The entries of T_a between large and small effects, at the links."""
    z_PB, links = design.large_PB, design.links
    width, count = z_PB.shape[1], move_QBJ.shape[2]
    shape = (links.level_L.size, eta_PJ.shape[0])
    out_LBJ = np.zeros((shape[0], width, count))
    for link_N, value_P in zip(links.of_SN, design.small_value_PS.T, strict=True):
        value_N = slope_N * value_P[design.pattern_N]
        sums = sparse.csr_matrix((value_N, (link_N, design.pattern_N)), shape=shape)
        for i in range(width):
            out_LBJ[:, i] += sums @ (z_PB[:, i : i + 1] * eta_PJ)
            for k in range(width):
                sums_L = sums @ (z_PB[:, i] * z_PB[:, k])
                out_LBJ[:, i] += sums_L[:, None] * move_QBJ[links.level_L, k]
    return out_LBJ


def _small_entries(
    mode: Mode, slope_N: FloatArray, eta_PJ: FloatArray, move_QBJ: FloatArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Row, column and values of T_a among the small effects, at the pairs that share a pattern."""
    design, small = mode.design, mode.design.n_small
    index_PS, value_PS = design.small_index_PS, design.small_value_PS
    key_PSS = index_PS[:, :, None] * small + index_PS[:, None, :]
    pairs_S, position = np.unique(key_PSS, return_inverse=True)
    weight_PSS = value_PS[:, :, None] * value_PS[:, None, :]
    pattern = np.repeat(np.arange(index_PS.shape[0]), index_PS.shape[1] ** 2)
    shape = (pairs_S.size, index_PS.shape[0])
    sums = sparse.csr_matrix((weight_PSS.ravel(), (position.ravel(), pattern)), shape=shape)
    out_SJ = sums @ weighted_sums(design, slope_N, eta_PJ, move_QBJ)
    column = mode.beta_K.size + len(design.large.free)
    for prior, place in zip(mode.priors[1:], small_positions(design), strict=True):
        at_QBB = np.searchsorted(pairs_S, place[:, :, None] * small + place[:, None, :])
        for first_BB in prior.first_HBB:
            out_SJ[at_QBB, column] += first_BB
            column += 1
    return *np.divmod(pairs_S, small), out_SJ
