from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from warmgap.schema.tables import Effect, polars_schema
from warmgap.statistics.paired import effects, published_chain, published_sum
from warmgap.statistics.pairs import code_answers, pair_sets
from warmgap.statistics.settings import AnalysisSettings

GATES = {"warm_sft": "passed", "neutral_sft": "not needed", "original": "not needed"}


def _rate(row: dict[str, Any]) -> float:
    return float(0.8 * (row["method"] == "warm_sft") + 0.5 * (row["framing"] == "sad"))


def _effects(frame: pl.DataFrame, **kw: Any) -> pl.DataFrame:
    settings = AnalysisSettings()
    return effects(pair_sets(code_answers(frame), settings), GATES, settings, **kw)


def _one(
    table: pl.DataFrame, subset: str = "all", outcome: str = "commits_error", **kw: Any
) -> dict[str, Any]:
    known = {"arm_a": "warm_sft", "arm_b": "neutral_sft", "subset": subset, "outcome": outcome} | kw
    found = table.filter([pl.col(k) == v for k, v in known.items()])
    assert found.height == 1
    return found.row(0, named=True)


def test_hand_calculation(observation: Any, to_frame: Any) -> None:
    # warm - neutral by question: task t 1, 1, 0, 0 (mean 1/2); task u 1, -1 (mean 0).
    cells = [("t", 0, 1, 0), ("t", 1, 1, 0), ("t", 2, 1, 1), ("t", 3, 0, 0), ("u", 0, 1, 0), ("u", 1, 0, 1)]
    rows = [
        observation(method=method, task=task, question_id=f"q{q}", commits_error=value)
        for task, q, warm, neutral in cells
        for method, value in (("warm_sft", warm), ("neutral_sft", neutral))
    ]
    table = _effects(to_frame(rows), weights=("equal_task", "rows"))
    assert dict(table.schema) == polars_schema(Effect)
    got = _one(table, weights="equal_task")
    # Variances of the task means: (4 * 0.25) / 3 / 4 = 1/12 and 2 / 1 / 2 = 1.
    std_error = 0.5 * (1 / 12 + 1) ** 0.5
    half = stats.t.ppf(0.975, 4) * std_error
    assert got["estimate_pp"] == pytest.approx(25)
    assert got["std_error_pp"] == pytest.approx(100 * std_error)
    assert (got["conf_low_pp"], got["conf_high_pp"]) == pytest.approx((25 - 100 * half, 25 + 100 * half))
    assert got["p_value"] == pytest.approx(2 * stats.t.sf(0.25 / std_error, 4))
    assert (got["df"], got["n"], got["n_models"], got["gate"]) == (4, 6, 1, "passed")
    assert (got["bound_low_pp"], got["bound_high_pp"]) == pytest.approx((25, 25))
    assert (got["term"], got["contrast"], got["interval_method"]) == (
        "arm",
        "warm_sft - neutral_sft",
        "t_cluster",
    )
    assert _one(table, weights="rows")["estimate_pp"] == pytest.approx(100 * 2 / 6)
    assert _one(table, subset="task=t", weights="rows")["estimate_pp"] == pytest.approx(50)


def test_nulls_widen_the_bounds(observation: Any, to_frame: Any) -> None:
    warm = [1, 1, 0, None, None]
    neutral = [0, 1, 0, 0, None]
    rows = [
        observation(method=m, question_id=f"q{q}", commits_error=v)
        for m, values in (("warm_sft", warm), ("neutral_sft", neutral))
        for q, v in enumerate(values)
    ]
    got = _one(_effects(to_frame(rows)))
    assert got["n"] == 3
    assert got["estimate_pp"] == pytest.approx(100 / 3)
    assert got["bound_low_pp"] == pytest.approx(100 * (1 + 0 + 0 + 0 - 1) / 5)
    assert got["bound_high_pp"] == pytest.approx(100 * (1 + 0 + 0 + 1 + 1) / 5)


def test_all_null_has_bounds_and_no_estimate(observation: Any, to_frame: Any) -> None:
    rows = [observation(method=m, commits_error=None) for m in ("warm_sft", "neutral_sft")]
    got = _one(_effects(to_frame(rows)))
    assert (got["estimate_pp"], got["p_value"], got["interval_method"], got["n"]) == (None, None, "none", 0)
    assert (got["bound_low_pp"], got["bound_high_pp"]) == (-100, 100)


def test_questions_without_a_held_belief_are_no_missing_answers(simulate: Any) -> None:
    table = _effects(simulate(_rate, n_questions=5, beliefs=("none", "incorrect")))
    got = _one(table, outcome="affirms_belief")
    assert got["n"] == 2 * 5 * 2
    assert got["bound_low_pp"] == pytest.approx(got["estimate_pp"])
    assert table.filter(
        (pl.col("outcome") == "affirms_belief") & (pl.col("subset") == "belief=none")
    ).is_empty()


def test_models_count_alike(simulate: Any) -> None:
    frame = simulate(_rate, models=("m1", "m2"), n_questions=12)
    lopsided = frame.filter((pl.col("model") == "m1") | (pl.col("framing") == "sad"))
    table = _effects(lopsided)
    each = [_one(table, model=m)["estimate_pp"] for m in ("m1", "m2")]
    pooled = _one(table, model="all")
    assert pooled["estimate_pp"] == pytest.approx(np.mean(each))
    assert pooled["n_models"] == 2
    assert _one(table, subset="framing=filler", model="all")["n_models"] == 1


@pytest.mark.parametrize("with_raw", [False, True])
def test_published_contrast_is_the_sum_of_its_steps(with_raw: bool, simulate: Any) -> None:
    methods = ["original", "neutral_sft", "warm_sft"] + ["raw_sft"] * with_raw
    answers = code_answers(simulate(_rate, methods=methods, null_share=0.1, seeds=(0, 1)))
    table = published_sum(answers, GATES, AnalysisSettings())
    parts = table.filter(pl.col("outcome") == "commits_error")
    steps = parts.filter(pl.col("term") == "published_step")
    total = parts.filter(pl.col("term") == "published_total").row(0, named=True)
    assert steps.height == 2 + with_raw
    assert steps["estimate_pp"].sum() == pytest.approx(total["estimate_pp"])
    assert steps["n"].unique().to_list() == [total["n"]]
    assert published_chain(answers, AnalysisSettings(published_pair=("cold_sft", "original"))) == ()


def test_coverage_of_the_whole_path(simulate: Any) -> None:
    hits = 0
    small = {"methods": ("neutral_sft", "warm_sft"), "beliefs": ("none",), "n_questions": 25}
    for seed in range(40):
        got = _one(_effects(simulate(lambda row: 0.0, seed=seed, question_sd=2.0, **small)))
        hits += got["conf_low_pp"] <= 0 <= got["conf_high_pp"]
    assert hits >= 34  # fewer has a probability of 0.3 % at 95 % coverage
