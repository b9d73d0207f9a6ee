"""Rank agreement of meters against scipy, and its interval against resampling by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from warmgap.schema.tables import MeterAgreement, polars_schema
from warmgap.warmth.agreement import meter_agreement, spearman, within_tone

TONES = ("warm", "neutral", "cold")


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 3)), min_size=2, max_size=20)
)
def test_weights_are_copies_and_ties_share_their_rank(rows: list[tuple[int, int, int]]) -> None:
    x, y, weight = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    (found,) = spearman(x, y, weight[None, :])
    copies = weight.astype(int)
    x_copied, y_copied = np.repeat(x, copies), np.repeat(y, copies)
    if len(set(x_copied)) < 2 or len(set(y_copied)) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(x_copied, y_copied).statistic)


def scores(n: int = 40) -> dict[str, dict[str, list[float | None]]]:
    """Two meters that share the tone and a little of each reply; b misses some replies."""
    rng = np.random.default_rng(4)
    out: dict[str, dict[str, list[float | None]]] = {"a": {}, "b": {}}
    for level, tone in zip((1.0, 0.0, -1.0), TONES, strict=True):
        shared = level + rng.normal(size=n)
        out["a"][tone] = [*(shared + 0.5 * rng.normal(size=n)).round(1)]
        out["b"][tone] = [*np.exp(shared + rng.normal(size=n)).round(1)]
    out["b"]["cold"][:5] = [None] * 5
    return out


def table_of(warmth_frame: Any, by_meter: dict[str, dict[str, list[float | None]]], **options: Any) -> Any:
    groups = {
        meter: {("gold", tone): {f"v{i}": x for i, x in enumerate(v)} for tone, v in tones.items()}
        for meter, tones in by_meter.items()
    }
    return meter_agreement(warmth_frame(groups), list(by_meter), **options)


def pairs(by_meter: dict[str, dict[str, list[float | None]]], tones: Any = TONES) -> Any:
    both = [
        (x, y)
        for tone in tones
        for x, y in zip(by_meter["a"][tone], by_meter["b"][tone], strict=True)
        if x is not None and y is not None
    ]
    return zip(*both, strict=True)


def test_correlations_are_scipys_over_all_tones_and_inside_each(warmth_frame: Any) -> None:
    values = scores()
    table = table_of(warmth_frame, values)
    assert dict(table.schema) == polars_schema(MeterAgreement)
    row = table.row(0, named=True)
    assert (row["meter"], row["other"], table.height) == ("a", "b", 1)
    assert (row["n"], row["n_prompts"], row["n_dropped"]) == (115, 40, 5)
    assert row["spearman"] == pytest.approx(stats.spearmanr(*pairs(values)).statistic)
    inside = [stats.spearmanr(*pairs(values, (tone,))).statistic for tone in TONES]
    assert row["within_tone"] == pytest.approx(np.mean(inside))
    assert row["low"] < row["spearman"] < row["high"]
    assert row["within_tone_low"] < row["within_tone"] < row["within_tone_high"]
    assert row["spearman"] > row["within_tone"], "the tones themselves are shared"


def test_limits_agree_with_resampling_prompts_by_hand(warmth_frame: Any) -> None:
    values = scores(60)
    row = table_of(warmth_frame, values).row(0, named=True)
    rng = np.random.default_rng(11)
    found = []
    for _ in range(1500):
        drawn = rng.integers(60, size=60)
        again = {m: {t: [v[i] for i in drawn] for t, v in tones.items()} for m, tones in values.items()}
        found.append(stats.spearmanr(*pairs(again)).statistic)
    low, high = np.quantile(found, [0.025, 0.975])
    # BCa also corrects bias and skewness, both small here
    assert (row["low"], row["high"]) == pytest.approx((low, high), abs=0.03)


def test_replies_to_one_prompt_are_one_cluster(warmth_frame: Any) -> None:
    """Three replies that say the same are worth one: the interval is that of the prompts."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=50)
    y = x + rng.normal(size=50)
    thrice = {"a": {tone: [*x] for tone in TONES}, "b": {tone: [*y] for tone in TONES}}
    once = {"a": {"warm": [*x]}, "b": {"warm": [*y]}}
    one, three = (table_of(warmth_frame, v).row(0, named=True) for v in (once, thrice))
    assert three["n"] == 150
    for column in ("spearman", "low", "high", "within_tone", "within_tone_low"):
        assert three[column] == pytest.approx(one[column], abs=0.01)


def test_a_meter_that_does_not_vary_has_no_correlation(warmth_frame: Any) -> None:
    values = scores()
    values["b"] = {tone: [1.0] * 40 for tone in TONES}
    row = table_of(warmth_frame, values).row(0, named=True)
    assert (row["spearman"], row["low"], row["within_tone"], row["n"]) == (None, None, None, 120)
    # constant inside one tone only: the other two still say something
    values = scores()
    values["b"]["cold"] = [0.0] * 40
    row = table_of(warmth_frame, values).row(0, named=True)
    inside = [stats.spearmanr(*pairs(values, (tone,))).statistic for tone in ("warm", "neutral")]
    assert row["within_tone"] == pytest.approx(np.mean(inside))


def test_each_pair_once_and_none_for_one_meter(warmth_frame: Any) -> None:
    values = scores()
    three = table_of(warmth_frame, {"a": values["a"], "b": values["b"], "c": values["a"]})
    assert three.select("meter", "other").rows() == [("a", "b"), ("a", "c"), ("b", "c")]
    same = three.row(1, named=True)
    assert (same["spearman"], same["within_tone"]) == pytest.approx((1, 1))
    assert table_of(warmth_frame, {"a": values["a"]}).is_empty()


def test_within_tone_is_nan_without_variation() -> None:
    tone, ones = np.array([0, 0, 1, 1]), np.ones((1, 4))
    assert np.isnan(within_tone(np.zeros(4), np.arange(4.0), tone, ones)).all()
