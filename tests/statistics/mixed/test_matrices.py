"""Design matrices: values, rank, and transforms that would depend on other rows."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from warmgap.statistics.mixed.matrices import check_rank, design_matrix, evaluate, terms_of, variables_of
from warmgap.statistics.mixed.problems import MixedModelError

ROWS = pl.DataFrame(
    {
        "x": [1.0, 2.0, 4.0, 8.0],
        "small": pl.Series([200, 3, 100, 17], dtype=pl.UInt8),
        "large": [4_000_000_000, 5_000_000_000, 1, 2],
        "task": ["b", "a", "c", "a"],
        "warm": [True, False, True, False],
        "a b": [1, 2, 3, 5],
    }
)


def column(part: str) -> np.ndarray:
    return design_matrix(f"0 + {part}", ROWS, part)[1][:, -1]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("I(x**2)", [1, 4, 16, 64]),
        ("np.log(x)", np.log([1, 2, 4, 8])),
        ("small:small2", [40_000, 9, 10_000, 289]),
        ("I(small * small)", [40_000, 9, 10_000, 289]),
        ("I(large ** 2)", [1.6e19, 2.5e19, 1, 4]),
        ("warm", [1, 0, 1, 0]),
        ("`a b`:x", [1, 4, 12, 40]),
    ],
)
def test_values(part: str, expected: list[float]) -> None:
    if part == "small:small2":
        rows = ROWS.with_columns(small2=pl.col("small"))
        assert design_matrix(f"0 + {part}", rows, part)[1][:, -1].tolist() == expected
    else:
        np.testing.assert_allclose(column(part), expected, rtol=1e-15)


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["c", "b", "a", "unused"])])
def test_levels_are_alphabetical_whatever_the_type(dtype: pl.DataType) -> None:
    _, matrix, names = design_matrix("task", ROWS.with_columns(pl.col("task").cast(dtype)), "task")
    assert names == ("Intercept", "task[T.b]", "task[T.c]")
    assert matrix.tolist() == [[1, 1, 0], [1, 0, 0], [1, 0, 1], [1, 0, 0]]


def test_other_rows_get_the_first_rows_contrasts() -> None:
    spec, _, _ = design_matrix("C(task) + np.log(x)", ROWS, "")
    other = evaluate(spec, pl.DataFrame({"task": ["c"], "x": [np.e]}))
    assert other.tolist() == [[1, 0, 1, 1]]
    with pytest.raises(MixedModelError, match=r"'d'.*Use levels that the model was fitted on") as raised:
        evaluate(spec, pl.DataFrame({"task": ["d"], "x": [1.0]}))
    assert raised.value.kind == "unknown level"


@pytest.mark.parametrize("part", ["np.log(x - 1)", "I(1 / (x - 2))", "np.sqrt(x - 3)"])
def test_values_that_are_not_finite_are_refused(part: str) -> None:
    with pytest.raises(MixedModelError) as raised:
        design_matrix(part, ROWS, part)
    assert raised.value.kind == "missing values"
    assert len(raised.value.terms) == 1


@pytest.mark.parametrize(
    "part", ["{x - x.mean()}", "I(x / x.max() + x.median())", "I(x.cumsum())", "I(x.shift(1, fill_value=0))"]
)
def test_what_depends_on_other_rows_is_refused(part: str) -> None:
    with pytest.raises(MixedModelError, match="depends on all rows") as raised:
        design_matrix(part, ROWS, part)
    assert raised.value.kind == "formula"


@pytest.mark.parametrize("part", ["x +", "foo bar", "x.nothing", "C(task, Treatment('z'))", "x + ("])
def test_what_formulaic_cannot_read_names_the_part(part: str) -> None:
    def read() -> None:
        variables_of(part, "y ~ ...")
        design_matrix(part, ROWS, "y ~ ...")

    with pytest.raises(MixedModelError) as raised:
        read()
    assert raised.value.kind == "formula"
    assert f"`{part}`" in str(raised.value)


def test_variables_and_terms() -> None:
    assert set(variables_of("np.log(x) * C(task) + `a b`", "")) == {"x", "task", "a b"}
    assert terms_of("`a b` * C(task)", "") == ("1", "`a b`", "C(task)", "`a b`:C(task)")
    assert terms_of("0 + x", "") == ("x",)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_rank_does_not_depend_on_units(unit: float) -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(30), rng.normal(size=(30, 3))])
    names = ("one", "a", "b", "c")
    check_rank(x * [1, unit, 1, 1 / unit], names, "here")
    x[:, 3] = 2 - 3 * x[:, 1] + x[:, 2]
    with pytest.raises(MixedModelError, match="in here c can be written") as raised:
        check_rank(x * [1, unit, 1, 1 / unit], names, "here")
    assert (raised.value.kind, raised.value.terms) == ("rank", ("c",))


def test_every_aliased_column_is_named() -> None:
    x = np.array([[1, 0, 1, 0, 1], [1, 1, 0, 0, 2], [1, 0, 1, 0, 4], [1, 1, 0, 0, 8]], dtype=float)
    with pytest.raises(MixedModelError) as raised:
        check_rank(x, ("one", "a", "not_a", "zero", "z"), "here")
    assert raised.value.terms == ("not_a", "zero")
