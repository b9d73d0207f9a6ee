"""From a formula and data to the design of a mixed model.

Suffixes as in `design`; A rows of the data as given, U distinct rows of their variables.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from warmgap.statistics.clusters import FloatArray, IntArray
from warmgap.statistics.mixed.coding import (
    check_columns,
    check_levels,
    distinct_rows,
    group_levels,
    joint_codes,
    log_binomial,
    read_response,
)
from warmgap.statistics.mixed.covariance import Block
from warmgap.statistics.mixed.design import Columns, Design, Links
from warmgap.statistics.mixed.formula import MixedFormula, RandomTerm
from warmgap.statistics.mixed.matrices import check_rank, design_matrix, variables_of
from warmgap.statistics.mixed.problems import MixedModelError

MOST_SMALL_EFFECTS = 1500
"""Most random effects outside the largest factor: their matrix is dense."""

_MOST_PAIRS = 20_000_000
"""Most effects of the largest factor times effects outside it: that matrix is dense too."""


@dataclass(frozen=True)
class _Term:
    """A random term: its columns at the distinct rows, and its group's level of each row."""

    term: RandomTerm
    spec: Any
    z_UB: FloatArray
    names: tuple[str, ...]
    level_A: IntArray
    levels: tuple[str, ...]


def build_design(formula: MixedFormula, data: pl.DataFrame, trials: str | None) -> Design:
    """The design of a formula on data.

    Rows with zero trials hold no answer and take no part.

    Raises:
        MixedModelError: a column is missing or holds nulls, NaN or infinity; the response is not
            0/1 (or a count up to `trials`); a group has one level; columns are collinear.
    """
    text, groups = formula.text, list(dict.fromkeys(t.group for t in formula.random))
    parts = (formula.fixed, *(t.design for t in formula.random))
    variables = tuple(sorted({v for part in parts for v in variables_of(part, text)}))
    used = [formula.response, *variables, *(c for g in groups for c in g), *([trials] if trials else [])]
    check_columns(data, dict.fromkeys(used), text)
    if formula.response in used[1:]:
        raise MixedModelError(
            "formula",
            (formula.response,),
            f"`{text}` has the response '{formula.response}' on its right side too.",
        )
    events_A, trials_A = read_response(data, formula.response, trials)
    answered_A = trials_A > 0
    data, events_A, trials_A = data.filter(answered_A), events_A[answered_A], trials_A[answered_A]

    row_A, rows = distinct_rows(data, variables)
    levels = {group: group_levels(data, group) for group in groups}
    for group, (level_A, names) in levels.items():
        check_levels(
            ":".join(group), level_A, names, [t for t in formula.random if t.group == group], trials_A
        )
    fixed_spec, x_UK, fixed_names = design_matrix(formula.fixed, rows, text)
    if not fixed_names:
        raise MixedModelError("formula", (), f"`{text}` has no fixed column. Leave the intercept in.")
    check_rank(x_UK, fixed_names, "the fixed part")
    terms = []
    for term in formula.random:
        terms.append(_Term(term, *design_matrix(term.design, rows, text), *levels[term.group]))
        check_rank(terms[-1].z_UB, terms[-1].names, str(term))
    _refuse_repeated(terms)

    blocks, places = _blocks(groups, terms)
    order = sorted(range(len(blocks)), key=lambda i: -blocks[i].size)
    blocks = [blocks[i] for i in order]
    places = [(order.index(block), columns) for block, columns in places]
    _refuse_too_large(blocks)
    z_blocks = [np.zeros((rows.height, len(block.columns))) for block in blocks]
    for term_, (block, columns) in zip(terms, places, strict=True):
        z_blocks[block][:, columns] = term_.z_UB

    # A pattern is a distinct row with levels of the small factors, a cell is a pattern in a large level.
    pattern_A, row_P = row_A, np.arange(rows.height)
    small_level_P: list[IntArray] = []
    for group in (groups[i] for i in order[1:]):
        pattern_A, kept_P, level_P = joint_codes(pattern_A, levels[group][0])
        row_P, small_level_P = row_P[kept_P], [*(known_P[kept_P] for known_P in small_level_P), level_P]
    cell_A, level_N, pattern_N = joint_codes(levels[groups[order[0]]][0], pattern_A)
    index, value, offset = [], [], 0
    for block_, level_P, z_UB in zip(blocks[1:], small_level_P, z_blocks[1:], strict=True):
        width = len(block_.columns)
        index.append(offset + level_P[:, None] * width + np.arange(width))
        value.append(z_UB[row_P])
        offset += block_.size
    none_PS = np.zeros((row_P.size, 0))
    index_PS = np.concatenate(index, axis=1) if index else none_PS.astype(np.int64)
    return Design(
        formula=formula,
        names=fixed_names,
        columns=Columns(fixed_spec, tuple(t.spec for t in terms), variables),
        terms=tuple(places),
        x_PK=x_UK[row_P],
        large=blocks[0],
        large_PB=z_blocks[0][row_P],
        small=tuple(blocks[1:]),
        small_index_PS=index_PS,
        small_value_PS=np.concatenate(value, axis=1) if value else none_PS,
        pattern_N=pattern_N,
        start_Q=np.searchsorted(level_N, np.arange(len(blocks[0].levels) + 1)),
        level_N=level_N,
        links=_links(level_N, pattern_N, index_PS, offset),
        events_N=np.bincount(cell_A, events_A).astype(np.float64),
        trials_N=np.bincount(cell_A, trials_A).astype(np.float64),
        n_rows=data.height,
        log_binomial=log_binomial(events_A, trials_A) if trials else 0.0,
    )


def _blocks(
    groups: Sequence[tuple[str, ...]], terms: Sequence[_Term]
) -> tuple[list[Block], list[tuple[int, tuple[int, ...]]]]:
    """One block per group; each term's columns correlate among themselves only."""
    blocks = []
    places: dict[int, tuple[int, tuple[int, ...]]] = {}
    for number, group in enumerate(groups):
        names: list[str] = []
        free: list[tuple[int, int]] = []
        largest: list[float] = []
        members = [(t, term) for t, term in enumerate(terms) if term.term.group == group]
        for t, term in members:
            first = len(names)
            names += term.names
            largest += np.abs(term.z_UB).max(axis=0).tolist()
            free += [(i, j) for i in range(first, len(names)) for j in range(first, i + 1)]
            places[t] = (number, tuple(range(first, len(names))))
        levels = members[0][1].levels
        blocks.append(Block(":".join(group), tuple(names), levels, tuple(free), tuple(largest)))
    return blocks, [places[t] for t in range(len(terms))]


def _refuse_repeated(terms: Sequence[_Term]) -> None:
    """Refuse two terms in which the same column varies over the same sets of answers."""
    for one, two in itertools.combinations(terms, 2):
        n_pairs = joint_codes(one.level_A, two.level_A)[1].size
        if not len(one.levels) == len(two.levels) == n_pairs:
            continue
        ones_UB = one.z_UB / np.linalg.norm(one.z_UB, axis=0)
        twos_UB = two.z_UB / np.linalg.norm(two.z_UB, axis=0)
        same = np.argwhere(np.abs(ones_UB.T @ twos_UB) > 1 - 1e-9)
        if same.size:
            column = one.names[same[0, 0]]
            raise MixedModelError(
                "rank",
                (str(one.term), str(two.term)),
                f"in `{one.term}` and `{two.term}` the column {column} varies over the same sets of answers, "
                "so their variances cannot be told apart. Leave one of them out.",
            )


def _refuse_too_large(blocks: Sequence[Block]) -> None:
    n_small = sum(b.size for b in blocks[1:])
    if n_small > MOST_SMALL_EFFECTS or n_small * blocks[0].size > _MOST_PAIRS:
        raise MixedModelError(
            "too large",
            tuple(b.group for b in blocks[1:]),
            f"the groups other than {blocks[0].group} have {n_small} random effects together, and at most "
            f"{min(MOST_SMALL_EFFECTS, _MOST_PAIRS // blocks[0].size)} fit beside its {blocks[0].size}. "
            "Leave out a term or a slope.",
        )


def _links(level_N: IntArray, pattern_N: IntArray, index_PS: IntArray, n_small: int) -> Links:
    keys = [level_N * n_small + index_P[pattern_N] for index_P in index_PS.T]
    if not keys:
        none = np.zeros(0, dtype=np.int64)
        return Links(none.reshape(0, level_N.size), none, none)
    found, link = np.unique(np.concatenate(keys), return_inverse=True)
    return Links(link.reshape(len(keys), -1), *np.divmod(found, n_small))
