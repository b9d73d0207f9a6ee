"""What may make a cell's answers unfit, and margins by question."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from warmgap.schema.tables import Quality, frame, polars_schema
from warmgap.statistics.arms import label_arms
from warmgap.statistics.outcomes import GUARDRAIL_TASKS

_HEADER_LEAK = r"(?i)^\s*(assistant|user|system)[ \t]*[:\r\n]"
_CELL = ("arm_key", "model", "method", "dose_kind", "dose", "seed", "variant", "task", "framing", "belief")


def main_judge(observations: pl.DataFrame, judge: str = "") -> str:
    """The named judge, or the first in the observations."""
    return judge or str(observations["judge"][0])


def quality(observations: pl.DataFrame, judge: str = "") -> pl.DataFrame:
    """Shares of unfit answers per arm and cell, first draw, labels by one judge.

    `cut` answers ended by the length limit; `header_leak` ones begin with the word of a chat
    header; `duplicate` ones equal another answer of the cell.

    Args:
        observations: rows of `schema.tables.Observation`.
        judge: whose labels to use; empty means the first in the observations.

    Returns:
        A frame of `schema.tables.Quality`, shares in per cent.
    """
    name = main_judge(observations, judge)
    answer = pl.col("response").str.strip_chars()
    shares = {
        "unscored": pl.col("label") == "unscored",
        "refusal": pl.col("label") == "refusal",
        "truncated": pl.col("label") == "truncated",
        "cut": pl.col("finish_reason") == "length",
        "empty": answer == "",
        "header_leak": pl.col("response").str.contains(_HEADER_LEAK),
        "duplicate": answer.is_duplicated(),
    }
    cells = (
        observations.filter((pl.col("draw") == 0) & (pl.col("judge") == name))
        .group_by(_CELL)
        .agg(
            n=pl.len(),
            **{f"{share}_pct": 100 * true.mean() for share, true in shares.items()},
            mean_tokens=pl.col("n_tokens").mean(),
        )
        .sort(_CELL)
    )
    return frame(Quality, cells.select(list(polars_schema(Quality))).to_dicts())


def unscored_shares(observations: pl.DataFrame, judge: str = "") -> Mapping[tuple[str, str], float]:
    """Percentage of first-draw answers without a verdict, per (model, arm label), one judge.

    Guardrail tasks, which enter no effect, do not dilute it.
    """
    name = main_judge(observations, judge)
    counted = (pl.col("draw") == 0) & (pl.col("judge") == name) & ~pl.col("task").is_in(GUARDRAIL_TASKS)
    shares = (
        label_arms(observations)
        .filter(counted)
        .group_by("model", "arm")
        .agg(pct=100 * (pl.col("label") == "unscored").mean())
    )
    return {(row["model"], row["arm"]): row["pct"] for row in shares.to_dicts()}


def margins(observations: pl.DataFrame, judge: str = "") -> pl.DataFrame:
    """Mean margin of each question per arm and cell, over seeds, first draw.

    Returns:
        Columns model, arm, task, framing, belief, question_id, margin_nats (log probability of
        the right minus that of the target answer) and n; without rows that have no margin.
    """
    keys = ("model", "arm", "task", "framing", "belief", "question_id")
    first = (pl.col("draw") == 0) & (pl.col("judge") == main_judge(observations, judge))
    return (
        label_arms(observations)
        .filter(first & pl.col("margin_nats").is_not_null())
        .group_by(keys)
        .agg(pl.col("margin_nats").mean(), n=pl.len().cast(pl.Int64))
        .sort(keys)
    )
