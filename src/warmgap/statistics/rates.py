"""How often an arm is wrong in a cell, with intervals clustered by question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from warmgap.schema.tables import ErrorRate, frame
from warmgap.statistics.arms import gate_of, label_arms
from warmgap.statistics.clusters import t_quantile, wilson
from warmgap.statistics.outcomes import OUTCOMES, defined

_CELL = (
    "model",
    "method",
    "dose_kind",
    "dose",
    "seed",
    "variant",
    "task",
    "framing",
    "belief",
    "judge",
)


def error_rates(
    observations: pl.DataFrame, gates: Mapping[str, str], confidence: float = 0.95
) -> pl.DataFrame:
    """Rate of each outcome per arm, cell and judge, from the first draw.

    The standard error is clustered by question (task and question id) with the factor G/(G-1);
    the interval is t with G-1 degrees of freedom. Where the standard error is zero or there is
    one question, the interval is Wilson's with the number of questions as sample size. Unscored
    answers are in neither `n` nor the rate.

    Args:
        observations: rows of `schema.tables.Observation`.
        gates: gate verdict per arm label (`arms.gate_of`).
        confidence: coverage of the intervals.

    Returns:
        A frame of `schema.tables.ErrorRate`, rates in per cent.
    """
    first = label_arms(observations).filter(pl.col("draw") == 0)
    rows: list[dict[str, Any]] = []
    for outcome in OUTCOMES:
        value = pl.col(outcome).cast(pl.Float64)
        cells = (
            first.filter(defined(outcome))
            .group_by(*_CELL, "arm", "question_id")
            .agg(total=value.sum(), count=value.count().cast(pl.Float64))
            .group_by(*_CELL, "arm")
            .agg(
                n=pl.col("count").sum(),
                n_questions=(pl.col("count") > 0).sum(),
                n_events=pl.col("total").sum(),
                tt=(pl.col("total") ** 2).sum(),
                tc=(pl.col("total") * pl.col("count")).sum(),
                cc=(pl.col("count") ** 2).sum(),
            )
            .sort(*_CELL)
        )
        for cell in cells.iter_rows(named=True):
            row = {key: cell[key] for key in _CELL}
            row |= {"outcome": outcome, "gate": gate_of(gates, cell["model"], cell["arm"])}
            rows.append(row | _rate(cell, confidence))
    return frame(ErrorRate, rows)


def _rate(cell: Mapping[str, Any], confidence: float) -> dict[str, Any]:
    n, questions, events = int(cell["n"]), int(cell["n_questions"]), int(cell["n_events"])
    counts: dict[str, Any] = {"n": n, "n_questions": questions, "n_events": events}
    if n == 0:
        empty = dict.fromkeys(("rate_pct", "std_error_pp", "conf_low_pct", "conf_high_pct"))
        return counts | empty | {"interval_method": "none"}
    rate = events / n
    std_error = None
    if questions > 1:
        squares = max(0.0, cell["tt"] - 2 * rate * cell["tc"] + rate**2 * cell["cc"])
        std_error = (questions / (questions - 1) * squares) ** 0.5 / n
    if std_error is not None and std_error > 1e-9:
        half = t_quantile(confidence, float(questions - 1)) * std_error
        low, high, method = max(0.0, rate - half), min(1.0, rate + half), "t_cluster"
    else:
        low, high = wilson(rate * questions, questions, confidence)
        method = "wilson"
    return counts | {
        "rate_pct": 100 * rate,
        "std_error_pp": None if std_error is None else 100 * std_error,
        "conf_low_pct": 100 * low,
        "conf_high_pct": 100 * high,
        "interval_method": method,
    }
