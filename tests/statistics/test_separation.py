"""Separation against the definition: a direction that only gains (Albert and Anderson 1984)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmgap.statistics.separation import separating_terms

NAMES = ("one", "x")


def found(x: list[float], y: list[int], trials: list[int] | None = None) -> tuple[str, ...]:
    design = np.column_stack([np.ones(len(x)), x])
    n = np.ones(len(x)) if trials is None else np.array(trials, dtype=float)
    return separating_terms(NAMES, design, n, np.array(y, dtype=float))


def test_complete_separation() -> None:
    assert found([1, 2, 3, 4], [0, 0, 1, 1]) == ("one", "x")


def test_quasi_complete_separation() -> None:
    # At 2.5 there are both outcomes, below only 0 and above only 1.
    assert found([1, 2.5, 2.5, 4], [0, 0, 1, 1]) == ("one", "x")


def test_a_cell_with_only_errors() -> None:
    design = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 1, 1]], dtype=float)
    names = ("one", "warm", "sad", "warm:sad")
    assert separating_terms(names, design, np.full(4, 9.0), np.array([2.0, 4.0, 3.0, 9.0])) == ("warm:sad",)
    assert separating_terms(names, design, np.full(4, 9.0), np.array([2.0, 4.0, 3.0, 8.0])) == ()


def test_overlap_is_no_separation() -> None:
    assert found([1, 2, 3, 4], [0, 1, 0, 1]) == ()
    assert found([1, 2], [3, 4], [5, 5]) == ()


def test_rows_without_trials_say_nothing() -> None:
    assert found([1, 2, 3, 4, 2.5], [0, 0, 1, 1, 0], [1, 1, 1, 1, 0]) == ("one", "x")


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1e3, 1e9])
def test_units_do_not_matter(unit: float) -> None:
    assert found([unit * v for v in (1, 2, 3, 4)], [0, 0, 1, 1]) == ("one", "x")
    assert found([unit * v for v in (1, 2, 3, 4)], [0, 1, 0, 1]) == ()


@given(
    st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 1)), min_size=2, max_size=12).filter(
        lambda rows: len({y for _, y in rows}) == 2 and len({x for x, _ in rows}) > 1
    )
)
def test_one_covariate_by_its_ranges(rows: list[tuple[int, int]]) -> None:
    # With an intercept and one covariate the estimate is finite if and only if the two ranges overlap
    # in more than one point (Albert and Anderson 1984, section 2).
    zeros, ones = ([x for x, y in rows if y == outcome] for outcome in (0, 1))
    overlap = max(zeros) > min(ones) and max(ones) > min(zeros)
    assert (found([float(x) for x, _ in rows], [y for _, y in rows]) == ()) == overlap
