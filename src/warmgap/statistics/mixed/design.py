"""Data of a mixed model with every distinct row kept once.

Answers with the same columns and the same levels of the small grouping factors share a pattern;
answers of one pattern in one level of the large factor share a cell with binomial counts.
Suffixes: N cells, P patterns, K fixed coefficients, Q levels of the large factor, B columns of a
block, R random effects of all small blocks together, S non-zeros of a pattern among these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from warmgap.statistics.clusters import FloatArray, IntArray
from warmgap.statistics.mixed.covariance import Block
from warmgap.statistics.mixed.formula import MixedFormula
from warmgap.statistics.mixed.matrices import evaluate


@dataclass(frozen=True)
class Columns:
    """Design columns as functions of data: what formulaic made of each part of the formula."""

    fixed: Any
    random: tuple[Any, ...]
    variables: tuple[str, ...]

    def fixed_matrix(self, rows: pl.DataFrame) -> FloatArray:
        """The fixed design of other rows, with the levels and contrasts of the data."""
        return evaluate(self.fixed, rows)

    def random_matrix(self, term: int, rows: pl.DataFrame) -> FloatArray:
        """The columns of one random term at other rows."""
        return evaluate(self.random[term], rows)


@dataclass(frozen=True)
class Links:
    """Pairs of a level of the large factor and a small effect that meet in some cell.

    `of_SN` is the link of each cell and non-zero of its pattern; `level_L` and `effect_L` are the pairs.
    """

    of_SN: IntArray
    level_L: IntArray
    effect_L: IntArray


@dataclass(frozen=True)
class Design:
    """Cells, patterns and blocks of a model; `large` is the block whose effects are eliminated."""

    formula: MixedFormula
    names: tuple[str, ...]
    columns: Columns
    terms: tuple[tuple[int, tuple[int, ...]], ...]
    """Per random term: its block (0 is the large one) and its columns there."""
    x_PK: FloatArray
    large: Block
    large_PB: FloatArray
    small: tuple[Block, ...]
    small_index_PS: IntArray
    small_value_PS: FloatArray
    pattern_N: IntArray
    start_Q: IntArray
    """Cells of level q are start_Q[q] to start_Q[q + 1]."""
    level_N: IntArray
    """Level of the large factor of each cell."""
    links: Links
    events_N: FloatArray
    trials_N: FloatArray
    n_rows: int
    log_binomial: float
    """Sum of log binomial coefficients: part of the log-likelihood of counts, as in R."""

    @property
    def n_small(self) -> int:
        """Random effects of all small blocks."""
        return sum(block.size for block in self.small)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The large block, then the small ones."""
        return (self.large, *self.small)

    @cached_property
    def unit_J(self) -> FloatArray:
        """Change of each parameter (coefficients, then theta) that moves a logit by at most 1."""
        fixed_K = 1.0 / np.abs(self.x_PK).max(axis=0)
        theta = [1.0 / block.largest_B[i] for block in self.blocks for i, _ in block.free]
        return np.concatenate([fixed_K, theta])

    def movement(self, change_J: FloatArray) -> float:
        """The most that a change of the parameters moves a logit, by coefficients or by one entry of L."""
        n_fixed = self.x_PK.shape[1]
        fixed = np.abs(self.x_PK @ change_J[:n_fixed]).max()
        return float(max(fixed, np.abs(change_J[n_fixed:] / self.unit_J[n_fixed:]).max()))

    @cached_property
    def small_PR(self) -> sparse.csr_matrix:
        """Design of the small blocks."""
        n_patterns, width = self.small_index_PS.shape
        starts = np.arange(n_patterns + 1) * width
        parts = (self.small_value_PS.ravel(), self.small_index_PS.ravel(), starts)
        return sparse.csr_matrix(parts, shape=(n_patterns, self.n_small))

    @cached_property
    def _constant_B(self) -> tuple[float | None, ...]:
        """Value of each column of the large block that is the same everywhere."""
        return tuple(float(z_P[0]) if np.ptp(z_P) == 0.0 else None for z_P in self.large_PB.T)

    def times_large(self, value_N: FloatArray, column: int) -> FloatArray:
        """Values of cells times a column of the large block."""
        constant = self._constant_B[column]
        if constant is not None:
            return value_N if constant == 1.0 else value_N * constant
        out_N: FloatArray = value_N * self.large_PB[self.pattern_N, column]
        return out_N

    def per_large_level(self, value_N: FloatArray) -> FloatArray:
        """Sums of values over the cells of each level of the large factor."""
        out_Q: FloatArray = np.add.reduceat(value_N, self.start_Q[:-1])
        return out_Q

    def whitened(self, factors: Sequence[FloatArray]) -> Design:
        """The design for u where b = L u, given L of every block."""
        parts, offset = [], 0
        for block, l_BB in zip(self.small, factors[1:], strict=True):
            width = len(block.columns)
            parts.append(self.small_value_PS[:, offset : offset + width] @ l_BB)
            offset += width
        small = np.concatenate(parts, axis=1) if parts else self.small_value_PS
        return replace(self, large_PB=self.large_PB @ factors[0], small_value_PS=small)

    def per_level(self, weight_N: FloatArray) -> sparse.csr_matrix:
        """Weights as a matrix of levels by patterns."""
        shape = (self.start_Q.size - 1, self.x_PK.shape[0])
        return sparse.csr_matrix((weight_N, self.pattern_N, self.start_Q), shape=shape)

    def per_pattern(self, weight_N: FloatArray) -> FloatArray:
        """Sums of weights over the cells of each pattern."""
        sums_P = np.bincount(self.pattern_N, weight_N, minlength=self.x_PK.shape[0])
        return sums_P.astype(np.float64, copy=False)
