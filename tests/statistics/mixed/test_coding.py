"""Columns as numbers: checks, codes and what is never dropped silently."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from warmgap.statistics.mixed.coding import (
    check_columns,
    distinct_rows,
    group_levels,
    joint_codes,
    log_binomial,
    read_response,
)
from warmgap.statistics.mixed.problems import MixedModelError


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc"), st.booleans()), min_size=1, max_size=40))
def test_distinct_rows_give_every_row_back(values: list[tuple[int, str, bool]]) -> None:
    data = pl.DataFrame(values, schema=["i", "s", "b"], orient="row")
    code, rows = distinct_rows(data, ["i", "s", "b"])
    assert rows[code].equals(data)
    assert rows.is_duplicated().sum() == 0


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=40))
def test_joint_codes_are_the_sorted_pairs(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs).T
    code, ones, twos = joint_codes(first, second)
    assert list(zip(ones.tolist(), twos.tolist(), strict=True)) == sorted(set(pairs))
    assert np.array_equal(ones[code], first) and np.array_equal(twos[code], second)


def test_many_columns_do_not_overflow() -> None:
    # The product of the numbers of levels, 100**12, does not fit into 64 bits.
    rng = np.random.default_rng(0)
    data = pl.DataFrame({f"c{k}": rng.integers(0, 100, 400) for k in range(12)})
    code, rows = distinct_rows(data, data.columns)
    assert rows[code].equals(data)
    levels_code, levels = group_levels(data, tuple(data.columns))
    names = [":".join(str(v) for v in row) for row in data.rows()]
    assert [levels[i] for i in levels_code] == names


@pytest.mark.parametrize(
    ("values", "dtype", "levels"),
    [
        ([2.5, -1.0, 2.5], pl.Float64, ("-1.0", "2.5")),
        ([True, False, True], pl.Boolean, ("False", "True")),
        (["b", "a", "b"], pl.Categorical, ("a", "b")),
        (["b", "a", "b"], pl.Enum(["b", "unused", "a"]), ("b", "a")),
        ([300, -7, 300], pl.Int16, ("-7", "300")),
    ],
)
def test_groups_of_any_type(values: list[object], dtype: pl.DataType, levels: tuple[str, ...]) -> None:
    data = pl.DataFrame({"g": pl.Series(values, dtype=dtype)})
    code, found = group_levels(data, ("g",))
    assert found == levels
    assert [found[i] for i in code] == [str(v) for v in values]


def test_only_levels_that_occur_together() -> None:
    data = pl.DataFrame({"a": ["x", "y", "x"], "b": [1, 2, 1]})
    assert group_levels(data, ("a", "b"))[1] == ("x:1", "y:2")


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf"), float("-inf")])
def test_the_first_bad_row_is_named(bad: float | None) -> None:
    data = pl.DataFrame({"x": [0.0, 1.0, bad, bad]})
    with pytest.raises(MixedModelError, match=r"2 of 4 rows of 'x' .* row 2.*is_finite") as raised:
        check_columns(data, ["x"], "y ~ x")
    assert (raised.value.kind, raised.value.terms) == ("missing values", ("x",))
    assert data.filter(pl.col("x").is_finite()).height == 2


def test_counts_and_their_totals() -> None:
    data = pl.DataFrame({"y": [0, 2, 1], "n": [3, 2, 4], "b": [True, False, True]})
    events, trials = read_response(data, "y", "n")
    assert events.tolist() == [0, 2, 1] and trials.tolist() == [3, 2, 4]
    events, trials = read_response(data, "b", None)
    assert events.tolist() == [1, 0, 1] and trials.tolist() == [1, 1, 1]


def test_log_binomial() -> None:
    events, trials = np.array([0.0, 3.0, 5.0]), np.array([4.0, 7.0, 5.0])
    flat = stats.binom.logpmf(events, trials, 0.5) - trials * np.log(0.5)
    assert log_binomial(events, trials) == pytest.approx(flat.sum(), abs=1e-12)
