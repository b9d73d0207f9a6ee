"""Counts rebuilt from rounded percentages and p-values."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from warmgap.statistics.multiplicity import benjamini_hochberg
from warmgap.statistics.published.counts import LEAST_SHARE, PROMPTS, fits, mcnemar_exact, rebuilt_cells
from warmgap.statistics.published.files import read
from warmgap.statistics.published.p_values import with_p_bounds

ROUNDING_P = 5.1e-5


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_equals_the_binomial_test(b: int, c: int) -> None:
    if b + c:
        found = mcnemar_exact(np.array([b]), np.array([c]))[0]
        assert found == pytest.approx(stats.binomtest(b, b + c, 0.5).pvalue, rel=1e-9)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_true_table_is_among_the_fits(data: st.DataObject) -> None:
    prompts = data.draw(st.sampled_from([125, 174, 500, 1000]))
    n = data.draw(st.integers(int(np.ceil(LEAST_SHARE * prompts)), prompts))
    b = data.draw(st.integers(0, n // 3))
    c = data.draw(st.integers(0, n // 3))
    both = data.draw(st.integers(0, n - b - c))
    original, modified = (round(100 * errors / n, 2) for errors in (both + b, both + c))
    if b + c:
        p = round(stats.binomtest(b, b + c, 0.5).pvalue, 4)
        found = fits(original, modified, p - 5e-5, p + 5e-5, prompts)
    else:
        found = fits(original, modified, 1.0, 1.0, prompts, tested=False)
    truth = [f for f in found if f.n == n]
    assert len(truth) == 1
    assert (truth[0].errors_original, truth[0].errors_modified) == (both + b, both + c)
    assert truth[0].b_low <= b <= truth[0].b_high
    expected = 100 * np.std(np.repeat([-1.0, 1.0, 0.0], [b, c, n - b - c])) / np.sqrt(n)
    assert truth[0].std_error_pp(b) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.floats(1e-9, 1), min_size=2, max_size=9))
def test_bounds_hold_the_exact_p_value(p: list[float]) -> None:
    q = benjamini_hochberg(p)
    family = pl.DataFrame(
        {
            "method": "warm_sft",
            "model": "gpt_4o",
            "task": "medqa",
            "belief": "none",
            "mcnemar_p": [round(v, 4) for v in p],
            "fdr_p": [round(v, 4) for v in q],
        }
    )
    bounds = with_p_bounds(family)
    assert all(bounds["p_low"].to_numpy() <= np.array(p) + 1e-9)
    assert all(bounds["p_high"].to_numpy() >= np.array(p) - 1e-9)
    assert all(bounds["p_high"] - bounds["p_low"] <= 1.01e-4)


def test_every_published_cell_has_a_table_of_counts() -> None:
    cells = rebuilt_cells()
    assert cells.height == 792
    for row in cells.iter_rows(named=True):
        assert row["n"] <= PROMPTS[row["task"], row["belief"]]
        assert round(100 * row["errors_original"] / row["n"], 2) == pytest.approx(
            row["original_error_pct"], abs=0.0101
        )
        assert 100 * row["errors_modified"] / row["n"] == pytest.approx(
            row["modified_error_pct"], abs=0.00501
        )
        assert row["std_error_low_pp"] <= row["std_error_high_pp"]


def test_recovered_tables_give_the_published_p_value() -> None:
    recovered = rebuilt_cells().filter(pl.col("pairs") == "recovered").drop_nulls("mcnemar_p")
    for row in recovered.iter_rows(named=True):
        b = row["only_original_low"]
        c = b + row["errors_modified"] - row["errors_original"]
        assert row["only_original_high"] == b
        table = [[row["n"] - b - c, c], [b, 0]]
        assert mcnemar(table, exact=True).pvalue == pytest.approx(row["mcnemar_p"], abs=ROUNDING_P)
        # values of the differences -1, 0 and 1 over the pairs
        values = np.repeat([-1.0, 1.0, 0.0], [b, c, row["n"] - b - c])
        assert row["std_error_pp"] == pytest.approx(100 * values.std() / np.sqrt(row["n"]), rel=1e-9)


def test_how_much_is_known() -> None:
    cells = rebuilt_cells()
    assert dict(cells["pairs"].value_counts().rows()) == {"recovered": 399, "bounded": 106, "unknown": 287}
    assert cells["n_exact"].sum() == 520
    recovered = cells.filter(pl.col("pairs") == "recovered")
    ratio = recovered["std_error_high_pp"] / recovered["std_error_independent_pp"]
    assert (ratio < 1).sum() == 388 and ratio.max() < 1.03
    assert (cells["std_error_pp"] > 0).all()


def test_where_the_p_value_decides_the_most_pairs_were_right() -> None:
    decided = right = 0
    for row in rebuilt_cells().filter(pl.col("n_exact")).iter_rows(named=True):
        prompts = PROMPTS[row["task"], row["belief"]]
        n = np.arange(int(np.ceil(LEAST_SHARE * prompts)), prompts + 1)
        prints = [
            np.abs(100 * np.rint(pct * n / 100) / n - pct) <= 0.005 + 1e-9
            for pct in (row["original_error_pct"], row["modified_error_pct"])
        ]
        by_percent = n[prints[0] & prints[1]]
        if by_percent.size > 1:
            decided += 1
            right += row["n"] == by_percent[-1]
    assert (right, decided) == (87, 91)


def test_pairs_stay_below_the_published_answers() -> None:
    published = (
        read("rows").filter(pl.col("model") == "M3").with_columns(pl.col("subset").str.slice(8).str.head(-1))
    )
    names = {"emotion:sad": "sad", "stake:high": "high", "relation:close": "close", "stake:low": "low"}
    cells = rebuilt_cells().filter((pl.col("method") == "warm_sft") & (pl.col("belief") == "none"))
    for paper, ours in names.items():
        rows = published.filter(pl.col("subset") == paper)["rows"].item()
        answers = 2 * cells.filter(pl.col("framing") == ours)["n"].sum()
        # an answer dropped in one arm leaves the other's in the regression, not in the pairs
        assert 16_250 - 2 * (16_250 - rows) <= answers <= rows
    disinfo = cells.filter(pl.col("task") == "disinfo")["n"]
    assert disinfo.is_between(122, 125).all()
