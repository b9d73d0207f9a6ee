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
from warmgap.statistics.mixed.coding import (
    check_columns,
    check_levels,
    distinct_rows,
    group_levels,
    log_binomial,
    read_response,
)
from warmgap.statistics.mixed.covariance import Block
from warmgap.statistics.mixed.formula import MixedFormula, RandomTerm
from warmgap.statistics.mixed.matrices import check_rank, design_matrix, evaluate, variables_of
from warmgap.statistics.mixed.problems import MixedModelError

MOST_SMALL_EFFECTS = 1500
"""Most random effects outside the largest factor: their matrix is dense."""


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
        return np.bincount(self.pattern_N, weight_N, minlength=self.x_PK.shape[0])

    def small_offset(self, block: int) -> int:
        """Where block number `block` (1 is the first small one) begins among the R effects."""
        return sum(b.size for b in self.small[: block - 1])


def build_design(formula: MixedFormula, data: pl.DataFrame, trials: str | None) -> Design:
    """The design of a formula on data.

    Raises:
        MixedModelError: a column is missing or holds nulls, NaN or infinity; the response is not
            0/1 (or a count up to `trials`); a group has one level; columns are collinear.
    """
    terms = formula.random
    fixed_variables = variables_of(formula.fixed, formula.text)
    random_variables = [variables_of(t.design, formula.text) for t in terms]
    variables = tuple(sorted(set(fixed_variables).union(*random_variables)))
    groups = list(dict.fromkeys(t.group for t in terms))
    used = [formula.response, *variables, *(c for g in groups for c in g), *([trials] if trials else [])]
    check_columns(data, dict.fromkeys(used), formula.text)
    events_A, trials_A = read_response(data, formula.response, trials)

    row_code_A, rows = distinct_rows(data, variables)
    group_codes = [group_levels(data, g) for g in groups]
    for group, (_, levels) in zip(groups, group_codes, strict=True):
        check_levels(":".join(group), levels, [t for t in terms if t.group == group], trials_A)
    fixed_spec, x_UK, names = design_matrix(formula.fixed, rows, formula.text)
    check_rank(x_UK, names, "the fixed part")
    random_specs, z_UB = [], []
    for term in terms:
        spec, z, z_names = design_matrix(term.design, rows, formula.text)
        check_rank(z, z_names, str(term))
        random_specs.append((spec, z_names))
        z_UB.append(z)

    blocks, places = _blocks(groups, terms, [s[1] for s in random_specs], [c[1] for c in group_codes])
    order = sorted(range(len(blocks)), key=lambda i: -blocks[i].size)
    rank = {old: new for new, old in enumerate(order)}
    blocks = [blocks[i] for i in order]
    codes_A = [group_codes[i][0] for i in order]
    places = [(rank[block], columns) for block, columns in places]
    n_small = sum(b.size for b in blocks[1:])
    if n_small > MOST_SMALL_EFFECTS:
        raise MixedModelError(
            "too large",
            tuple(b.group for b in blocks[1:]),
            f"the groups other than {blocks[0].group} have {n_small} random effects together, "
            f"and {MOST_SMALL_EFFECTS} fit. Leave out a term or a slope.",
        )
    z_blocks = []
    for number, block in enumerate(blocks):
        z_full = np.zeros((rows.height, len(block.columns)))
        for z, (owner, columns) in zip(z_UB, places, strict=True):
            if owner == number:
                z_full[:, columns] = z
        z_blocks.append(z_full)

    pattern_key_A, shape = row_code_A, [rows.height]
    for code_A, block in zip(codes_A[1:], blocks[1:], strict=True):
        pattern_key_A = pattern_key_A * len(block.levels) + code_A
        shape.append(len(block.levels))
    patterns, pattern_A = np.unique(pattern_key_A, return_inverse=True)
    row_P, *small_level_P = np.unravel_index(patterns, shape)
    cell_key, cell_A = np.unique(codes_A[0] * patterns.size + pattern_A, return_inverse=True)
    level_N, pattern_N = np.divmod(cell_key, patterns.size)
    index, value, offset = [], [], 0
    for block, level_P, z_U in zip(blocks[1:], small_level_P, z_blocks[1:], strict=True):
        width = len(block.columns)
        index.append(offset + level_P[:, None] * width + np.arange(width))
        value.append(z_U[row_P])
        offset += block.size
    none = np.zeros((patterns.size, 0))
    index_PS = np.concatenate(index, axis=1) if index else none.astype(np.int64)
    return Design(
        formula=formula,
        names=names,
        columns=Columns(fixed_spec, tuple(s[0] for s in random_specs), variables),
        terms=tuple(places),
        x_PK=x_UK[row_P],
        large=blocks[0],
        large_PB=z_blocks[0][row_P],
        small=tuple(blocks[1:]),
        small_index_PS=index_PS,
        small_value_PS=np.concatenate(value, axis=1) if value else none,
        pattern_N=pattern_N,
        start_Q=np.searchsorted(level_N, np.arange(len(blocks[0].levels) + 1)),
        level_N=level_N,
        links=_links(level_N, pattern_N, index_PS, n_small),
        events_N=np.bincount(cell_A, events_A, minlength=cell_key.size),
        trials_N=np.bincount(cell_A, trials_A, minlength=cell_key.size),
        n_rows=data.height,
        log_binomial=log_binomial(events_A, trials_A) if trials else 0.0,
    )


def _blocks(
    groups: Sequence[tuple[str, ...]],
    terms: Sequence[RandomTerm],
    columns: Sequence[tuple[str, ...]],
    levels: Sequence[tuple[str, ...]],
) -> tuple[list[Block], list[tuple[int, tuple[int, ...]]]]:
    """One block per group; each term's columns correlate among themselves only."""
    blocks = []
    found: dict[int, tuple[int, tuple[int, ...]]] = {}
    for number, group in enumerate(groups):
        names: list[str] = []
        free: list[tuple[int, int]] = []
        for t, term in enumerate(terms):
            if term.group == group:
                first = len(names)
                names += columns[t]
                free += [(i, j) for i in range(first, len(names)) for j in range(first, i + 1)]
                found[t] = (number, tuple(range(first, len(names))))
        blocks.append(Block(":".join(group), tuple(names), levels[number], tuple(free)))
    return blocks, [found[t] for t in range(len(terms))]


def _links(level_N: IntArray, pattern_N: IntArray, index_PS: IntArray, n_small: int) -> Links:
    keys = [level_N * n_small + index_P[pattern_N] for index_P in index_PS.T]
    if not keys:
        none = np.zeros(0, dtype=np.int64)
        return Links(none.reshape(0, level_N.size), none, none)
    found, link = np.unique(np.concatenate(keys), return_inverse=True)
    return Links(link.reshape(len(keys), -1), *np.divmod(found, n_small))
