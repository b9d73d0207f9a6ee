"""Covariance matrices of random effects and their derivatives.

A block holds all random effects of one grouping factor: B columns, equal covariance G for every
level. G = L L' with L lower triangular; theta are the entries of L that are free. Suffixes: B
columns of a block, H parameters of a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from warmgap.statistics.clusters import FloatArray

SMALLEST_SD = 1e-5
"""Lower bound of the diagonal of L, as a movement of the logit: a variance there counts as zero."""


@dataclass(frozen=True)
class Block:
    """The random effects of one grouping factor.

    `free` lists row and column of each parameter in L. Terms written apart (`||`) share no entry.
    `largest_B` is the largest absolute value of each column: an sd times it is a movement of the
    logit, whatever the unit of a covariate.
    """

    group: str
    columns: tuple[str, ...]
    levels: tuple[str, ...]
    free: tuple[tuple[int, int], ...]
    largest_B: tuple[float, ...]

    @property
    def size(self) -> int:
        """Number of random effects of the block."""
        return len(self.levels) * len(self.columns)

    @cached_property
    def diagonal(self) -> tuple[bool, ...]:
        """Which parameters stand on the diagonal of L and are bounded below."""
        return tuple(i == j for i, j in self.free)


@dataclass(frozen=True)
class Prior:
    """The prior of a block's random effects in whitened coordinates: b = L u, u ~ N(0, 1).

    With L held at the current theta, the precision of u is the identity, and `first_HBB` and
    `second_HHBB` are its derivatives as theta moves: L' (dP) L and L' (d2P) L. Unlike P itself
    they stay exact while a variance goes to zero. `log_det_first_H` and the diagonal
    `log_det_second_H` are the derivatives of ½ log|G| per level.
    """

    factor_BB: FloatArray
    first_HBB: FloatArray
    second_HHBB: FloatArray
    log_det_first_H: FloatArray
    log_det_second_H: FloatArray


def factor(block: Block, theta_H: FloatArray) -> FloatArray:
    """The Cholesky factor L."""
    size = len(block.columns)
    out_BB = np.zeros((size, size))
    for value, (i, j) in zip(theta_H, block.free, strict=True):
        out_BB[i, j] = value
    return out_BB


def covariance(block: Block, theta_H: FloatArray) -> FloatArray:
    """G = L L'."""
    l_BB = factor(block, theta_H)
    out_BB: FloatArray = l_BB @ l_BB.T
    return out_BB


def theta_of(block: Block, covariance_BB: FloatArray) -> FloatArray:
    """The parameters of a covariance matrix, which may be singular.

    Raises:
        ValueError: the matrix has another size or a negative eigenvalue, or columns correlate that
            the block keeps apart.
    """
    given_BB = np.asarray(covariance_BB, dtype=np.float64)
    size = len(block.columns)
    if given_BB.shape != (size, size) or not np.allclose(given_BB, given_BB.T, rtol=1e-8, atol=0.0):
        raise ValueError(f"'{block.group}' needs a symmetric {size} x {size} matrix, not {given_BB.tolist()}")
    eigenvalues_B, vectors_BB = np.linalg.eigh(given_BB)
    if eigenvalues_B[0] < -1e-8 * max(1.0, eigenvalues_B[-1]):
        raise ValueError(f"not a covariance matrix: its eigenvalues are {eigenvalues_B}")
    root_BB = vectors_BB * np.sqrt(np.maximum(eigenvalues_B, 0.0))
    l_BB = np.linalg.qr(root_BB.T)[1].T
    l_BB = l_BB * np.where(np.diag(l_BB) < 0, -1.0, 1.0)
    floor_B = SMALLEST_SD / np.array(block.largest_B)
    np.fill_diagonal(l_BB, np.maximum(np.diag(l_BB), floor_B))
    theta_H = np.array([l_BB[i, j] for i, j in block.free])
    sd_B = np.sqrt(np.diag(l_BB @ l_BB.T))
    tolerance_BB = 1e-6 * np.outer(sd_B, sd_B) + 2 * np.outer(floor_B, floor_B)
    if np.any(np.abs(covariance(block, theta_H) - given_BB) > tolerance_BB):
        raise ValueError(
            f"the columns of '{block.group}' that `||` keeps apart have a covariance in the matrix"
        )
    return theta_H


def covariance_derivatives(block: Block, theta_H: FloatArray) -> tuple[FloatArray, FloatArray]:
    """First and second derivatives of G by theta, as HBB and HHBB."""
    l_BB = factor(block, theta_H)
    step_HBB = _units(block)
    half_HBB = step_HBB @ l_BB.T
    half_HHBB = step_HBB[:, None] @ step_HBB.transpose(0, 2, 1)[None]
    return half_HBB + half_HBB.transpose(0, 2, 1), half_HHBB + half_HHBB.transpose(0, 1, 3, 2)


def prior(block: Block, theta_H: FloatArray) -> Prior:
    """The whitened prior, from dP = -P dG P and dG = E L' + L E'."""
    l_BB = factor(block, theta_H)
    a_HBB = np.linalg.inv(l_BB) @ _units(block)
    first_HBB = a_HBB + a_HBB.transpose(0, 2, 1)
    twice_HHBB = first_HBB[:, None] @ first_HBB[None]
    outer_HHBB = a_HBB[:, None] @ a_HBB.transpose(0, 2, 1)[None]
    second_HHBB = twice_HHBB - outer_HHBB
    diagonal_H = np.array(block.diagonal)
    inverse_H = np.where(diagonal_H, 1.0 / np.where(diagonal_H, theta_H, 1.0), 0.0)
    return Prior(
        factor_BB=l_BB,
        first_HBB=-first_HBB,
        second_HHBB=second_HHBB + second_HHBB.transpose(0, 1, 3, 2),
        log_det_first_H=inverse_H,
        log_det_second_H=-(inverse_H**2),
    )


def _units(block: Block) -> FloatArray:
    """Derivatives of L by its free entries."""
    size = len(block.columns)
    out_HBB = np.zeros((len(block.free), size, size))
    for k, (i, j) in enumerate(block.free):
        out_HBB[k, i, j] = 1.0
    return out_HBB
