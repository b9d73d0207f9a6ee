"""Lift share against t-tests and simulation; verdicts by rule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from warmgap.schema.config import GateConfig
from warmgap.warmth.calibration import Choice
from warmgap.warmth.gate import lift_share, manipulation


@dataclass(frozen=True)
class Arm:
    arm_key: str
    method: str
    model: str = "m"
    dose_kind: str = "none"
    dose: float = 0.0
    seed: int = 0
    variant: str = ""


def by_prompt(values: Any, start: int = 0) -> dict[str, float]:
    return {f"v{start + i}": float(x) for i, x in enumerate(values)}


@given(st.integers(0, 10_000), st.floats(-1, 1.5))
def test_limits_on_shared_prompts_are_where_a_paired_t_test_turns(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    gold = rng.normal(1.0, 0.6, 40)
    lift = share * gold + rng.normal(0, 0.4, 40)
    found = lift_share(by_prompt(lift), by_prompt(gold))
    assert found is not None
    assert found.estimate == pytest.approx(lift.mean() / gold.mean())
    for limit in (found.low, found.high):
        assert limit is not None
        assert stats.ttest_1samp(lift - limit * gold, 0).pvalue == pytest.approx(0.05, abs=1e-6)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.estimate < found.high


def test_limits_on_disjoint_prompts_solve_the_two_sample_equation() -> None:
    rng = np.random.default_rng(1)
    lift, gold = rng.normal(0.4, 1, 200), rng.normal(1, 0.8, 72)
    found = lift_share(by_prompt(lift), by_prompt(gold, start=1000))
    assert found is not None

    def excess(s: float) -> float:
        variance = lift.var(ddof=1) / 200 + s * s * gold.var(ddof=1) / 72
        return float((lift.mean() - s * gold.mean()) / np.sqrt(variance))

    t = float(stats.t.ppf(0.975, 71))
    assert found.low == pytest.approx(optimize.brentq(lambda s: excess(s) - t, -5, 5), abs=1e-8)
    assert found.high == pytest.approx(optimize.brentq(lambda s: excess(s) + t, -5, 5), abs=1e-8)


def test_limits_cover_the_true_share() -> None:
    """Partly shared, correlated prompts, as in the embedded study: 72 of 200 have gold replies."""
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(600):
        mood = rng.normal(0, 0.5, 200)
        lift = 0.4 + mood + rng.normal(0, 0.5, 200)
        gold = 1.0 + mood[:72] + rng.normal(0, 0.6, 72)
        found = lift_share(by_prompt(lift), by_prompt(gold))
        assert found is not None
        hits += found.low is not None and found.high is not None and found.low < 0.4 < found.high
    assert hits / 600 == pytest.approx(0.95, abs=0.025)


def test_a_weak_gold_lift_gives_no_limits_and_a_negative_one_no_share() -> None:
    rng = np.random.default_rng(2)
    lift = by_prompt(rng.normal(1, 1, 50))
    noise = rng.normal(0, 1, 50)
    weak = lift_share(lift, by_prompt(noise - noise.mean() + 0.01))
    assert weak is not None
    assert (weak.low, weak.high) == (None, None)
    assert lift_share(lift, by_prompt(noise - noise.mean() - 0.01)) is None
    assert lift_share(lift, {"v1": 1.0}) is None


CHOICE = Choice("gauge", "check", "")
SETTINGS = GateConfig(min_prompts=120)
ORIGINAL = Arm("o", "original")


def study(
    make: Any, method: str, lift: float, second_lift: float = 0.1, n: int = 120, spread: float = 0.2
) -> Any:
    """One arm beside original; gold lift is 1 on both meters."""
    rng = np.random.default_rng(0)
    wobble = rng.normal(0, spread, n)
    wobble -= wobble.mean()
    base = rng.normal(0, 1, n)
    gold = {
        ("gold", "warm"): by_prompt(1 + 0.1 * rng.normal(size=60)),
        ("gold", "neutral"): by_prompt(np.zeros(60)),
        ("gold", "cold"): by_prompt(-np.ones(60)),
    }
    groups = {
        meter: {
            ("validation", "o"): by_prompt(base),
            ("validation", "a"): by_prompt(base + by + wobble),
            **gold,
        }
        for meter, by in (("gauge", lift), ("check", second_lift))
    }
    return make(groups), [Arm("a", method), ORIGINAL]


@pytest.mark.parametrize(
    ("method", "options", "verdict"),
    [
        ("warm_sft", {"lift": 0.6}, "passed"),
        ("warm_prompt", {"lift": 0.35}, "passed"),
        ("warm_sft", {"lift": 0.25}, "failed"),  # share under 0.30
        ("warm_sft", {"lift": 0.35, "spread": 2.0}, "failed"),  # lower bound under 0.10
        ("warm_sft", {"lift": 0.6, "second_lift": -0.05}, "failed"),  # the second meter disagrees
        ("warm_sft", {"lift": 0.6, "n": 119}, "not measurable"),
        ("cold_sft", {"lift": -0.3}, "passed"),
        ("cold_sft", {"lift": 0.0}, "passed"),
        ("cold_sft", {"lift": 0.09}, "failed"),  # upper bound over 0.10
        ("neutral_sft", {"lift": 0.9}, "not needed"),
    ],
)
def test_verdicts(warmth_frame: Any, method: str, options: dict[str, Any], verdict: str) -> None:
    warmth, arms = study(warmth_frame, method, **options)
    table, verdicts = manipulation(warmth, arms, CHOICE, SETTINGS)
    assert verdicts == {"a": verdict, "o": "not needed"}
    row = table.filter(arm_key="a", meter="gauge").row(0, named=True)
    assert row["verdict"] == verdict
    assert row["lift"] == pytest.approx(options["lift"], abs=1e-12)
    assert row["n_prompts"] == options.get("n", 120)
    original = table.filter(arm_key="o", meter="gauge").row(0, named=True)
    assert row["mean"] - row["lift"] == pytest.approx(original["mean"])
    assert (original["lift"], original["lift_share"], original["verdict"]) == (None, None, "not needed")


def test_the_other_meters_row_says_what_that_meter_says(warmth_frame: Any) -> None:
    warmth, arms = study(warmth_frame, "warm_sft", lift=0.6, second_lift=0.05)
    table, verdicts = manipulation(warmth, arms, CHOICE, SETTINGS)
    assert verdicts["a"] == "passed"
    assert table.filter(arm_key="a", meter="check")["verdict"].to_list() == ["failed"]


@pytest.mark.parametrize(
    "choice", [Choice(None, None, ""), Choice("gauge", None, ""), Choice("gauge", "x", "")]
)
def test_without_two_meters_nothing_is_measurable(warmth_frame: Any, choice: Choice) -> None:
    warmth, arms = study(warmth_frame, "warm_sft", lift=0.6)
    _, verdicts = manipulation(warmth, arms, choice, SETTINGS)
    assert verdicts == {"a": "not measurable", "o": "not needed"}


def test_without_an_original_or_scores_nothing_is_measurable(warmth_frame: Any) -> None:
    warmth, (arm, _) = study(warmth_frame, "warm_sft", lift=0.6)
    table, verdicts = manipulation(warmth, [arm, Arm("unmeasured", "warm_prompt")], CHOICE, SETTINGS)
    assert verdicts == {"a": "not measurable", "unmeasured": "not measurable"}
    assert table["lift"].to_list() == [None, None]


def test_unscored_replies_leave_their_prompt_out(warmth_frame: Any) -> None:
    gold = {
        ("gold", tone): by_prompt([x, x + 0.1]) for tone, x in (("warm", 1), ("neutral", 0), ("cold", -1))
    }
    replies = {
        ("validation", "o"): {"v0": 1.0, "v1": 2.0, "v2": None, "v3": 5.0},
        ("validation", "a"): {"v0": 2.0, "v1": 4.0, "v2": 9.0, "v3": None},
    }
    table, _ = manipulation(
        warmth_frame({"gauge": {**gold, **replies}}), [Arm("a", "warm_sft"), ORIGINAL], CHOICE, SETTINGS
    )
    row = table.filter(arm_key="a").row(0, named=True)
    assert (row["n_prompts"], row["mean"], row["lift"]) == (2, 3.0, 1.5)
    assert row["std_error"] == pytest.approx(1.0)


def test_a_meter_that_scored_no_gold_reply_has_lifts_and_no_shares(warmth_frame: Any) -> None:
    warmth, arms = study(warmth_frame, "warm_sft", lift=0.6)
    unscored = (pl.col("meter") == "check") & (pl.col("source") == "gold")
    warmth = warmth.with_columns(value=pl.when(~unscored).then("value"))
    table, verdicts = manipulation(warmth, arms, CHOICE, SETTINGS)
    row = table.filter(arm_key="a", meter="check").row(0, named=True)
    assert (row["lift"], row["lift_share"]) == (pytest.approx(0.1), None)
    assert (row["verdict"], verdicts["a"]) == ("not measurable", "passed")


def test_an_arm_whose_canary_failed_fails_on_every_meter(warmth_frame: Any) -> None:
    for method in ("warm_sft", "neutral_sft", "cold_sft"):
        warmth, arms = study(warmth_frame, method, lift=0.6)
        table, verdicts = manipulation(warmth, arms, CHOICE, SETTINGS, unfit={"a"})
        assert verdicts == {"a": "failed", "o": "not needed"}
        assert dict(table.filter(arm_key="a").select("meter", "verdict").iter_rows()) == {
            "gauge": "failed",
            "check": "failed",
        }
        assert set(table.filter(arm_key="o")["verdict"]) == {"not needed"}


@pytest.mark.parametrize(
    ("kind", "dose", "verdict"),
    [
        ("epochs", 0.64, "not needed"),
        ("adapter_scale", 0.5, "not needed"),
        ("adapter_scale", -1.0, "not needed"),
        ("adapter_scale", 2.0, "failed"),  # as little warm as it is, it should be warmer than at scale 1
    ],
)
def test_doses_below_the_own_one_need_no_warmth(
    warmth_frame: Any, kind: str, dose: float, verdict: str
) -> None:
    warmth, (arm, original) = study(warmth_frame, "warm_sft", lift=0.0, second_lift=0.0)
    own = Arm("own", "warm_sft", dose_kind="epochs", dose=1.28)
    further = replace(arm, dose_kind=kind, dose=dose, variant="dose")
    table, verdicts = manipulation(warmth, [original, own, further], CHOICE, SETTINGS)
    assert verdicts == {"a": verdict, "o": "not needed", "own": "not measurable"}
    assert set(table.filter(arm_key="a")["verdict"]) == {verdict}
