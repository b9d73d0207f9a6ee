"""AUC against scipy and resampling; which meter gates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from warmgap.errors import UserError
from warmgap.schema.config import MeterConfig
from warmgap.schema.tables import MeterValidity, frame
from warmgap.warmth.calibration import Choice, auc, choose, validity, with_roles
from warmgap.warmth.lexicon import LexiconMeter

SCORES = st.lists(st.integers(-5, 5), min_size=2, max_size=25)


@given(st.data())
def test_auc_is_the_mann_whitney_statistic(data: Any) -> None:
    warm = np.array(data.draw(SCORES), dtype=float)
    cold = np.array(
        data.draw(st.lists(st.integers(-5, 5), min_size=len(warm), max_size=len(warm))), dtype=float
    )
    found = auc(warm, cold)
    reference = stats.mannwhitneyu(warm, cold, method="asymptotic").statistic / len(warm) ** 2
    assert found.estimate == pytest.approx(reference)
    assert found.low <= found.estimate + 1e-12
    assert found.high >= found.estimate - 1e-12
    mirrored = auc(cold, warm)
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low))
    stretched = auc(np.exp(warm), np.exp(cold))
    assert (stretched.low, stretched.high) == pytest.approx((found.low, found.high))


@settings(deadline=None)
@given(st.sampled_from([-0.8, 0.0, 0.8]))
def test_auc_interval_agrees_with_resampling_prompts(correlation: float) -> None:
    rng = np.random.default_rng(5)
    scores = rng.multivariate_normal([0.9, 0.0], [[1, correlation], [correlation, 1]], size=150)
    warm, cold = scores.T
    found = auc(warm, cold)
    above = (warm[:, None] > cold).astype(float)
    weights = rng.multinomial(150, [1 / 150] * 150, size=2000) / 150
    resampled = np.einsum("bi,ij,bj->b", weights, above, weights)
    low, high = np.quantile(resampled, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.012)


def gold(values: Mapping[str, Sequence[float | None]]) -> dict[tuple[str, str], dict[str, float | None]]:
    return {("gold", tone): {f"v{i}": x for i, x in enumerate(v)} for tone, v in values.items()}


def test_validity_has_means_over_complete_prompts(warmth_frame: Any) -> None:
    values = gold({"warm": [3, 4, 5], "neutral": [1, 1, 9], "cold": [0, 3.5, 0]})
    values[("gold", "neutral")]["v2"] = None
    table = validity(warmth_frame({"lexicon": values}), [MeterConfig(name="lexicon", kind="lexicon")])
    row = table.row(0, named=True)
    assert (row["n_gold"], row["rank"], row["reference"], row["unit"]) == (
        2,
        1,
        "lexicon.json",
        "markers_per_word",
    )
    assert (row["gold_warm"], row["gold_neutral"], row["gold_cold"], row["gold_lift"]) == (3.5, 1, 1.75, 2.5)
    assert row["auc_warm_cold"] == 0.75


def test_a_meter_without_gold_replies_is_an_error(warmth_frame: Any) -> None:
    with pytest.raises(UserError, match="'lexicon' was given 0 prompts"):
        validity(warmth_frame({"other": gold({"warm": [1]})}), [MeterConfig(name="lexicon", kind="lexicon")])


def test_a_meter_that_scored_no_gold_reply_has_no_role_and_stops_nothing(warmth_frame: Any) -> None:
    silent = {"warm": [5, None, 4], "neutral": [None] * 3, "cold": [None] * 3}
    told = {"warm": [1, 2, 3], "neutral": [0, 0, 1], "cold": [0, 0, 0]}
    names = ("rating:m:points_1_to_5", "lexicon")
    configs = [
        MeterConfig(name=names[0], kind="rating", model="m", engine="transformers"),
        MeterConfig(name=names[1], kind="lexicon"),
    ]
    warmth = warmth_frame(dict(zip(names, (gold(silent), gold(told)), strict=True)))
    table = validity(warmth, configs)
    first = table.select("n_gold", "reference", "auc_warm_cold", "gold_warm", "gold_lift").row(0)
    assert first == (0, "m", None, None, None)
    assert choose(table, 0.75).gating == "lexicon"
    assert with_roles(table, choose(table, 0.75))["role"].to_list() == ["none", "gate"]
    assert choose(table.head(1), 0.75).reason == "no meter scored two prompts in all gold tones"


def meters_table(*rows: tuple[str, float, float, float]) -> pl.DataFrame:
    """Rows of (name, AUC, lower bound, gold lift) in configured order."""
    fixed = {"unit": "u", "reference": "r", "n_gold": 72, "auc_high": 1.0, "gold_neutral": 0.0, "role": ""}
    fixed["is_papers"] = False
    return frame(
        MeterValidity,
        [
            {
                "meter": name,
                "rank": rank,
                "auc_warm_cold": area,
                "auc_low": low,
                "gold_warm": lift,
                "gold_cold": -lift,
                "gold_lift": lift,
                **fixed,
            }
            for rank, (name, area, low, lift) in enumerate(rows, 1)
        ],
    )


@pytest.mark.parametrize(
    ("rows", "gating", "second", "why"),
    [
        ([("a", 0.8, 0.7, 1), ("b", 0.95, 0.9, 1), ("c", 0.99, 0.9, 1)], "a", "b", "first in order"),
        ([("a", 0.6, 0.52, 1), ("b", 0.75, 0.6, 1), ("c", 0.7, 0.6, 1)], "b", "c", "best of the rest"),
        ([("a", 0.6, 0.49, 1), ("b", 0.9, 0.8, 1)], "b", None, "no other meter"),
        ([("a", 0.74, 0.6, 1), ("b", 0.55, 0.4, 1)], None, None, "best has 0.74"),
        ([("a", 0.9, 0.8, -1), ("b", 0.8, 0.7, 1)], "b", "a", "first in order"),
    ],
)
def test_choice_follows_the_order_and_the_auc(
    rows: list[tuple[str, float, float, float]], gating: str | None, second: str | None, why: str
) -> None:
    table = meters_table(*rows)
    choice = choose(table, 0.75)
    assert (choice.gating, choice.second) == (gating, second)
    assert why in choice.reason
    assert choose(table.reverse(), 0.75) == choice
    roles = dict(with_roles(table, choice).select("meter", "role").iter_rows())
    expected = {name: "none" for name, *_ in rows}
    expected |= {name: role for name, role in ((gating, "gate"), (second, "second")) if name is not None}
    assert roles == expected


def test_roles_without_a_gating_meter_are_none() -> None:
    table = with_roles(meters_table(("a", 0.6, 0.5, 1)), Choice(None, None, ""))
    assert table["role"].to_list() == ["none"]


def test_the_lexicon_tells_the_shipped_gold_replies_apart(warmth_frame: Any) -> None:
    folder = resources.files("warmgap.corpora").joinpath("embedded")
    files = [f for f in folder.iterdir() if f.name.startswith("validation_")]
    rows = [json.loads(line) for f in files for line in f.read_text("utf-8").splitlines() if line]
    written = [row for row in rows if row.get("warm") and row.get("cold")]
    assert len(written) >= 60
    scores = {
        ("gold", tone): dict(
            zip([r["id"] for r in written], LexiconMeter().score([r[tone] for r in written]), strict=True)
        )
        for tone in ("warm", "neutral", "cold")
    }
    table = validity(warmth_frame({"lexicon": scores}), [MeterConfig(name="lexicon", kind="lexicon")])
    assert table["auc_low"][0] > 0.75
    assert table["gold_lift"][0] > 0
