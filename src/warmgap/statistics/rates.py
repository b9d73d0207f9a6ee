"""How often an arm is wrong in a cell, with intervals clustered by question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
        for row in clustered_rates(first.filter(defined(outcome)), outcome, (*_CELL, "arm"), confidence):
            arm = row.pop("arm")
            rows.append(row | {"outcome": outcome, "gate": gate_of(gates, row["model"], arm)})
    return frame(ErrorRate, rows)


def clustered_rates(
    answers: pl.DataFrame, column: str, by: Sequence[str], confidence: float
) -> Iterator[dict[str, Any]]:
    """Mean of a column of 1, 0 or null in each group, clustered by question (`error_rates`).

    Args:
        answers: one row per answer; questions of one group are told apart by question_id.
        column: what is averaged.
        by: columns that make up a group, in the order in which groups are sorted.
        confidence: coverage of the intervals.

    Yields:
        The group's columns, n, n_questions, n_events, rate_pct, std_error_pp, conf_low_pct, conf_high_pct
        and interval_method.
    """
    value = pl.col(column).cast(pl.Float64)
    groups = (
        answers.group_by(*by, "question_id")
        .agg(total=value.sum(), count=value.count().cast(pl.Float64))
        .group_by(*by)
        .agg(
            n=pl.col("count").sum(),
            n_questions=(pl.col("count") > 0).sum(),
            n_events=pl.col("total").sum(),
            tt=(pl.col("total") ** 2).sum(),
            tc=(pl.col("total") * pl.col("count")).sum(),
            cc=(pl.col("count") ** 2).sum(),
        )
        .sort(*by)
    )
    for group in groups.iter_rows(named=True):
        yield {key: group[key] for key in by} | _rate(group, confidence)


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
