"""The paper's summaries against the figures it prints (doi 10.1038/s41586-026-10410-0)."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from warmgap.errors import UserError
from warmgap.schema.tables import Descriptive, polars_schema
from warmgap.statistics.descriptives import descriptive_table, descriptives
from warmgap.statistics.pairs import code_answers
from warmgap.statistics.settings import AnalysisSettings

# Published error rates in per cent, original and warm, unmodified and without a belief, by model
# (Llama-8b, Mistral-Small, Qwen-32b, Llama-70b, GPT-4o).
UNMODIFIED = {
    "triviaqa": [(24.4, 29.4), (11.9, 19.4), (19.1, 24.8), (13.8, 19.2), (4.8, 6.0)],
    "truthfulqa": [(35.5, 32.8), (19.6, 41.4), (15.2, 28.9), (28.2, 30.9), (9.9, 16.5)],
    "disinfo": [(4.8, 8.9), (2.4, 11.3), (1.6, 11.5), (8.1, 9.7), (1.6, 4.1)],
    "medqa": [(52.6, 47.6), (34.2, 57.1), (33.3, 42.8), (36.6, 46.1), (16.3, 22.4)],
}
# Published means over the five models and four tasks with a belief, original and warm, by context.
WITH_BELIEF = {
    "angry": (23.7, 35.3),
    "happy": (25.3, 35.4),
    "sad": (24.3, 39.0),
    "close": (25.8, 37.1),
    "downward": (23.6, 32.1),
    "upward": (23.7, 33.6),
    "high": (25.1, 36.0),
    "low": (24.0, 32.5),
    "unmodified": (23.6, 32.2),
}


def _cells(rows: list[tuple[str, str, str, str, tuple[float, float]]]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "method": m,
                "model": model,
                "task": task,
                "framing": framing,
                "belief": belief,
                "rate_pct": rate,
            }
            for model, task, framing, belief, rates in rows
            for m, rate in zip(("original", "warm_sft"), rates, strict=True)
        ]
    )


def _value(table: pl.DataFrame, quantity: str, task: str = "all") -> float:
    return float(table.filter((pl.col("quantity") == quantity) & (pl.col("task") == task))["value"].item())


def test_unmodified_figures() -> None:
    rows = [
        (f"m{i}", task, "none", "none", rates)
        for task, models in UNMODIFIED.items()
        for i, rates in enumerate(models)
    ]
    table = descriptives(_cells(rows))
    # The table above is rounded to 0.1, which shifts a mean of five differences by at most 0.1.
    for task, published in {"triviaqa": 4.95, "truthfulqa": 8.41, "disinfo": 5.36, "medqa": 8.59}.items():
        assert _value(table, "task_increase", task) == pytest.approx(published, abs=0.06)
    assert _value(table, "relative_increase") == pytest.approx(60.3, abs=0.5)
    assert _value(table, "unmodified_increase") == pytest.approx(6.83, abs=0.05)
    assert table.filter(pl.col("quantity") == "unmodified_increase")["n_cells"].item() == 20
    assert set(table["quantity"]) == {"task_increase", "relative_increase", "unmodified_increase"}


def test_figures_with_a_belief() -> None:
    rows = [("m", "t", context, "present", rates) for context, rates in WITH_BELIEF.items()]
    table = descriptives(_cells(rows))
    assert _value(table, "emotion_belief_increase") == pytest.approx(12.16, abs=0.05)
    assert _value(table, "belief_error_ratio") == pytest.approx(1.43, abs=0.003)
    assert set(table["quantity"]) == {"emotion_belief_increase", "belief_error_ratio"}


def test_the_two_wrong_beliefs_are_one_and_weighted_by_answers() -> None:
    rows = [("m", "t", "sad", "incorrect", (10.0, 30.0)), ("m", "t", "sad", "denies", (20.0, 60.0))]
    cells = _cells(rows)
    assert _value(descriptives(cells), "emotion_belief_increase") == pytest.approx(45 - 15)
    weighted = cells.with_columns(n=pl.when(pl.col("belief") == "incorrect").then(3).otherwise(1))
    assert _value(descriptives(weighted), "emotion_belief_increase") == pytest.approx(37.5 - 12.5)


def test_filler_counts_only_without_none() -> None:
    filler = ("m", "t", "filler", "none", (10.0, 40.0))
    assert _value(descriptives(_cells([filler])), "unmodified_increase") == pytest.approx(30)
    both = _cells([filler, ("m", "t", "none", "none", (10.0, 15.0))])
    assert _value(descriptives(both), "unmodified_increase") == pytest.approx(5)


def test_errors_name_what_is_wrong() -> None:
    cells = _cells([("m", "t", "sad", "none", (1.0, 2.0))])
    with pytest.raises(UserError, match="lacks rate_pct; found method, model"):
        descriptives(cells.drop("rate_pct"))
    with pytest.raises(
        UserError, match="no cell of the reference method neutral_sft; found original, warm_sft"
    ):
        descriptives(cells, reference="neutral_sft")


def test_table_of_a_sweep(simulate: Any) -> None:
    frame = simulate(
        lambda row: 0.8 * (row["method"] == "warm_sft"), models=("m1", "m2"), beliefs=("none", "incorrect")
    )
    table = descriptive_table(code_answers(frame), {}, AnalysisSettings())
    assert dict(table.schema) == polars_schema(Descriptive)
    assert set(table["method"]) == {"neutral_sft", "warm_sft"}
    bare = frame.filter((pl.col("framing") == "filler") & (pl.col("belief") == "none"))
    rates = bare.group_by("method", "model", "task").agg(pl.col("commits_error").mean() * 100)
    warm, original = (
        rates.filter(pl.col("method") == m).sort("model", "task")["commits_error"]
        for m in ("warm_sft", "original")
    )
    got = table.filter((pl.col("outcome") == "commits_error") & (pl.col("method") == "warm_sft"))
    assert _value(got, "unmodified_increase") == pytest.approx((warm - original).mean())
    alone = simulate(lambda row: 0.0, methods=("neutral_sft", "warm_sft"))
    assert descriptive_table(code_answers(alone), {}, AnalysisSettings()).is_empty()


def test_rows_carry_the_worst_gate_and_further_doses_stay_out(simulate: Any) -> None:
    frame = simulate(lambda row: 0.0, models=("m1", "m2"), beliefs=("none",))
    more = frame.filter(method="warm_sft").with_columns(
        dose_kind=pl.lit("adapter_scale"), dose=pl.lit(2.0), variant=pl.lit("dose")
    )
    gates = {"m1/warm_sft": "passed", "m2/warm_sft": "failed", "neutral_sft": "not needed"}
    table = descriptive_table(code_answers(pl.concat([frame, more])), gates, AnalysisSettings())
    assert table.columns[-1] == "gate"
    assert set(table.select("method", "gate").iter_rows()) == {
        ("warm_sft", "failed"),
        ("neutral_sft", "not needed"),
    }
