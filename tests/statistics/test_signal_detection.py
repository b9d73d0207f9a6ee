from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from warmgap.schema.tables import Sensitivity, polars_schema
from warmgap.statistics.bootstrap import question_weights
from warmgap.statistics.pairs import code_answers, pair_sets
from warmgap.statistics.settings import AnalysisSettings
from warmgap.statistics.signal_detection import detection, signal_detection


def test_the_worked_example_of_the_textbook() -> None:
    # Macmillan and Creelman (2005, chapter 1): H = .8 and F = .4 give d' = 1.095 and c = -0.294.
    found = detection(0.8e6, 1e6, 0.4e6, 1e6)
    assert float(found.d_prime) == pytest.approx(1.095, abs=5e-4)
    assert float(found.criterion) == pytest.approx(-0.294, abs=5e-4)


def test_the_log_linear_correction() -> None:
    found = detection(np.array([20.0, 0.0, 10.0]), 20.0, np.array([0.0, 0.0, 20.0]), 20.0)
    z = stats.norm.ppf
    assert found.hit_rate == pytest.approx([20.5 / 21, 0.5 / 21, 0.5])
    assert found.d_prime == pytest.approx([z(20.5 / 21) - z(0.5 / 21), 0, -z(20.5 / 21)])
    assert found.criterion == pytest.approx([0, -z(0.5 / 21), -z(20.5 / 21) / 2], abs=1e-12)


@pytest.fixture(name="make", scope="module")
def _make() -> Any:
    from .conftest import observation, to_frame

    def make(rates: dict[tuple[str, str], float], n: int, models: tuple[str, ...] = ("m1",)) -> pl.DataFrame:
        rng = np.random.default_rng(11)
        rows = [
            observation(
                method=method,
                model=model,
                task=task,
                question_id=f"q{q}",
                belief=belief,
                affirms_belief=int(rng.random() < rate),
                arm_key=method,
            )
            for model, task, q, ((method, belief), rate) in product(
                models, ("triviaqa", "medqa"), range(n), rates.items()
            )
        ]
        return to_frame(rows)

    return make


RATES = {
    ("warm_sft", "correct"): 0.9,
    ("warm_sft", "incorrect"): 0.6,
    ("neutral_sft", "correct"): 0.8,
    ("neutral_sft", "incorrect"): 0.2,
    ("warm_sft", "unsure"): 0.5,
    ("neutral_sft", "unsure"): 0.5,
}


def _table(frame: pl.DataFrame, **kw: Any) -> pl.DataFrame:
    settings = AnalysisSettings(**kw)
    answers = code_answers(frame)
    return signal_detection(answers, pair_sets(answers, settings), {"warm_sft": "passed"}, settings)


def _one(table: pl.DataFrame, **known: Any) -> dict[str, Any]:
    wanted = {"model": "m1", "arm_a": "warm_sft", "arm_b": "", "subset": "all"} | known
    return table.filter([pl.col(k) == v for k, v in wanted.items()]).row(0, named=True)


def test_one_arm_against_the_published_variance(make: Any) -> None:
    table = _table(make(RATES, 300))
    assert dict(table.schema) == polars_schema(Sensitivity)
    hit, false, d_prime, criterion = (
        _one(table, measure=m) for m in ("hit_rate", "false_alarm_rate", "d_prime", "criterion")
    )
    assert hit["n_correct"] == hit["n_incorrect"] == hit["n_questions"] == 600
    assert (hit["unit"], d_prime["unit"], hit["gate"]) == ("%", "z", "passed")
    h, f = hit["estimate"] / 100, false["estimate"] / 100
    z = stats.norm.ppf
    assert d_prime["estimate"] == pytest.approx(z(h) - z(f))
    assert criterion["estimate"] == pytest.approx(-(z(h) + z(f)) / 2)
    # One independent answer per question and belief: Gourevitch and Galanter (1967).
    variance = sum(p * (1 - p) / (600 * stats.norm.pdf(z(p)) ** 2) for p in (h, f))
    assert d_prime["std_error"] == pytest.approx(variance**0.5, rel=0.08)
    assert criterion["std_error"] == pytest.approx(variance**0.5 / 2, rel=0.08)
    assert hit["std_error"] == pytest.approx(100 * (h * (1 - h) / 600) ** 0.5, rel=0.08)
    assert d_prime["conf_low"] < d_prime["estimate"] < d_prime["conf_high"]
    assert d_prime["conf_high"] - d_prime["conf_low"] == pytest.approx(2 * 1.96 * variance**0.5, rel=0.12)


def test_differences_equal_a_resampling_by_hand(make: Any) -> None:
    frame = make(RATES, 15, models=("m1", "m2"))
    settings = {"flip_bootstrap": 200, "seed": 3}
    row = _one(_table(frame, **settings), model="all", arm_b="neutral_sft", measure="d_prime")
    answers = code_answers(frame)
    weights = question_weights(answers.levels.task_G, 200, 3)

    def d_prime(method: str, model: str, times: np.ndarray) -> float:
        rates = []
        for belief in ("correct", "incorrect"):
            part = answers.frame.filter(
                (pl.col("method") == method) & (pl.col("model") == model) & (pl.col("belief") == belief)
            )
            count = times[part["cluster"].to_numpy()]
            rates.append((float(count @ part["affirms_belief"].to_numpy()) + 0.5) / (float(count.sum()) + 1))
        return float(stats.norm.ppf(rates[0]) - stats.norm.ppf(rates[1]))

    def difference(times: np.ndarray) -> float:
        return float(
            np.mean([d_prime("warm_sft", m, times) - d_prime("neutral_sft", m, times) for m in ("m1", "m2")])
        )

    assert row["estimate"] == pytest.approx(difference(np.ones(30)))
    assert row["std_error"] == pytest.approx(np.std([difference(w) for w in weights], ddof=1))
    assert row["n_models"] == 2
    assert _one(_table(frame, **settings), arm_b="neutral_sft", measure="hit_rate")["unit"] == "pp"


def test_answers_without_a_verdict_and_questions_with_one_belief_are_left_out(make: Any) -> None:
    frame = make(RATES, 20)
    first = (pl.col("question_id") == "q0") & (pl.col("task") == "medqa")
    dropped = frame.filter(~(first & (pl.col("belief") == "correct"))).with_columns(
        affirms_belief=pl.when((pl.col("question_id") == "q1") & (pl.col("method") == "warm_sft"))
        .then(None)
        .otherwise(pl.col("affirms_belief"))
    )
    table = _table(dropped, flip_bootstrap=100)
    assert _one(table, measure="hit_rate")["n_questions"] == 40 - 1 - 2
    assert _one(table, measure="hit_rate", arm_a="neutral_sft")["n_questions"] == 40 - 1
    assert _one(table, measure="hit_rate", arm_b="neutral_sft")["n_questions"] == 40 - 1 - 2


def test_without_both_beliefs_there_is_nothing_to_tell(make: Any) -> None:
    only = {k: v for k, v in RATES.items() if k[1] != "correct"}
    table = _table(make(only, 5))
    assert table.is_empty()
    assert dict(table.schema) == polars_schema(Sensitivity)
