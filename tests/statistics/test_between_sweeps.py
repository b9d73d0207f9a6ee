"""Two sweeps against each other: by hand, and against the effects that each sweep has alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from warmgap.schema.tables import polars_schema
from warmgap.statistics.between_sweeps import SweepDifference, differences
from warmgap.statistics.paired import effects
from warmgap.statistics.pairs import code_answers, pair_sets
from warmgap.statistics.settings import AnalysisSettings


def _one(table: pl.DataFrame, **known: Any) -> dict[str, Any]:
    known = {"subset": "all", "outcome": "commits_error", "against": ""} | known
    found = table.filter([pl.col(k) == v for k, v in known.items()])
    found = found.filter(pl.col("scope").str.starts_with("these_adapters"))
    assert found.height == 1
    return found.row(0, named=True)


def test_hand_calculation(observation: Any, to_frame: Any) -> None:
    # a - b by question: task t 1, 1, 0, 0 (mean 1/2); task u 1, -1 (mean 0).
    cells = [("t", 0, 1, 0), ("t", 1, 1, 0), ("t", 2, 1, 1), ("t", 3, 0, 0), ("u", 0, 1, 0), ("u", 1, 0, 1)]
    a, b = (
        to_frame([observation(task=c[0], question_id=f"q{c[1]}", commits_error=c[side]) for c in cells])
        for side in (2, 3)
    )
    table = differences(a, b)
    assert dict(table.schema) == polars_schema(SweepDifference)
    got = _one(table, arm="original", model="m1")
    # Variances of the task means: (4 * 0.25) / 3 / 4 = 1/12 and 2 / 1 / 2 = 1.
    std_error = 0.5 * (1 / 12 + 1) ** 0.5
    half = stats.t.ppf(0.975, 4) * std_error
    assert (got["value_a"], got["value_b"]) == pytest.approx(
        (100 * (3 / 4 + 1 / 2) / 2, 100 * (1 / 4 + 1 / 2) / 2)
    )
    assert got["difference_pp"] == pytest.approx(25)
    assert got["std_error_pp"] == pytest.approx(100 * std_error)
    assert (got["conf_low_pp"], got["conf_high_pp"]) == pytest.approx((25 - 100 * half, 25 + 100 * half))
    assert got["changed_pct"] == pytest.approx(100 * 4 / 6)
    assert (got["n"], got["n_models"]) == (6, 1)


def test_a_difference_of_effects_is_the_difference_of_the_sweeps_own_effects(simulate: Any) -> None:
    pair = ("warm_sft", "neutral_sft")
    sides = [
        simulate(lambda row, up=up: up * (row["method"] == "warm_sft"), seed=seed, models=("m1", "m2"))
        for seed, up in ((1, 1.5), (2, 0.2))
    ]
    table = differences(*sides, [pair])
    alone = []
    for side in sides:
        settings = AnalysisSettings()
        found = effects(pair_sets(code_answers(side), settings), {}, settings)
        alone.append(found.filter(pl.col("arm_a") == pair[0], pl.col("arm_b") == pair[1]))
    for model in ("m1", "m2", "all"):
        for subset in ("all", "framing=sad", "belief=incorrect", "task=triviaqa"):
            got = _one(table, arm=pair[0], against=pair[1], model=model, subset=subset)
            own = [
                f.filter(
                    pl.col("model") == model,
                    pl.col("subset") == subset,
                    pl.col("outcome") == "commits_error",
                    pl.col("scope").str.starts_with("these_adapters"),
                )["estimate_pp"].item()
                for f in alone
            ]
            assert (got["value_a"], got["value_b"]) == pytest.approx(own)
            assert got["difference_pp"] == pytest.approx(own[0] - own[1])
            assert got["conf_low_pp"] < own[0] - own[1] < got["conf_high_pp"]


def test_only_common_arms_and_prompts_count(observation: Any, to_frame: Any) -> None:
    def rows(methods: Any, questions: Any) -> pl.DataFrame:
        return to_frame([observation(method=m, question_id=f"q{q}") for m in methods for q in questions])

    a, b = rows(("original", "warm_prompt"), range(6)), rows(("original", "cold_prompt"), range(3, 12))
    table = differences(a, b, [("warm_prompt", "original")])
    assert set(table["arm"]) == {"original"}
    assert _one(table, arm="original", model="m1")["n"] == 3


def test_answers_that_were_not_scored_widen_the_bounds_only(observation: Any, to_frame: Any) -> None:
    values_a, values_b = [1, None, 0, 1], [0, 0, 0, None]
    a, b = (
        to_frame([observation(question_id=f"q{i}", commits_error=v) for i, v in enumerate(values)])
        for values in (values_a, values_b)
    )
    got = _one(differences(a, b), arm="original", model="m1")
    assert got["n"] == 2
    assert got["difference_pp"] == pytest.approx(50)
    # Differences 1, [0, 1], 0, [0, 1].
    assert (got["bound_low_pp"], got["bound_high_pp"]) == pytest.approx((25, 75))


def test_arms_keep_the_label_they_have_in_one_sweep(observation: Any, to_frame: Any) -> None:
    def rows() -> pl.DataFrame:
        arms = [("warm_sft", 1.0, ""), ("warm_sft", 2.0, "dose"), ("warm_sft", 1.0, "training.lr=1")]
        return to_frame(
            [
                observation(method=m, dose_kind="epochs", dose=d, variant=v, question_id=f"q{q}")
                for m, d, v in arms
                for q in range(4)
            ]
        )

    table = differences(rows(), rows())
    assert set(table["arm"]) == {"warm_sft", "warm_sft@2", "warm_sft:training.lr=1"}
    assert np.all(table.filter(pl.col("outcome") == "commits_error")["difference_pp"].to_numpy() == 0)
