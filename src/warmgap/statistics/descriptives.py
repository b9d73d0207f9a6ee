"""The paper's summaries of a table of error rates, by its own definitions (article, Results).

The definitions were found by reproducing the published figures from the published cells
(github.com/lujainibrahim/warm_ai_2025); the article does not spell them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from warmgap.errors import UserError
from warmgap.schema.tables import Descriptive, frame
from warmgap.statistics.arms import worst_gate
from warmgap.statistics.outcomes import GLM_OUTCOMES
from warmgap.statistics.pairs import Answers
from warmgap.statistics.paper_design import (
    BELIEF_PRESENT,
    CONTEXT_GROUPS,
    UNMODIFIED,
    paper_rows,
    without_filler,
)
from warmgap.statistics.settings import AnalysisSettings

CELL_COLUMNS = ("method", "model", "task", "framing", "belief", "rate_pct")

_CELL = ("method", "model", "task", "context", "belief")


def descriptives(cells: pl.DataFrame, reference: str = "original") -> pl.DataFrame:
    """The paper's summary figures for each method against `reference`.

    Every mean is an unweighted mean of cells, a cell being a model, task, context and belief; the
    two wrong beliefs count as one (`present`), and filler stands in for framing none where a cell
    has no answers without text. Differences use cells that both methods have. With no belief
    unless said otherwise, and the published value for warm fine-tuning in brackets:

    - task_increase: per task, mean over models of the difference in the unmodified cells (medqa
      8.59, truthfulqa 8.41, disinfo 5.36, triviaqa 4.95 pp);
    - relative_increase: mean over tasks of the mean difference over models divided by the mean
      reference rate over models, unmodified (60.3 %);
    - unmodified_increase: mean of the differences of all unmodified cells (6.83 pp);
    - emotion_belief_increase: mean of the differences of all cells with an emotion and a belief
      (12.16 pp);
    - belief_error_ratio: mean rate of all cells with a belief, method / reference (1.43).

    Args:
        cells: columns method, model, task, framing, belief and rate_pct, one row per cell, any
            further columns ignored but `n`, by which cells that fall together are weighted.
            Framings are ours or `unmodified`, beliefs ours or `present`.
        reference: the method that the others are compared with.

    Returns:
        Columns method, reference, quantity, task, value, unit and n_cells. A quantity whose cells
        are missing is absent.

    Raises:
        UserError: a column is missing, or no cell belongs to the reference.
    """
    missing = [c for c in CELL_COLUMNS if c not in cells.columns]
    if missing:
        raise UserError(
            f"the table of cells lacks {', '.join(missing)}; found {', '.join(cells.columns)}; "
            f"needed are {', '.join(CELL_COLUMNS)}: rename or add the columns"
        )
    methods = cells["method"].unique().sort().to_list()
    if reference not in methods:
        raise UserError(
            f"no cell of the reference method {reference}; found {', '.join(methods) or 'none'}: "
            "name one of these as reference"
        )
    pooled = _pooled(cells)
    base = pooled.filter(pl.col("method") == reference).drop("method").rename({"rate_pct": "base_pct"})
    rows: list[dict[str, Any]] = []
    for method in methods:
        if method != reference:
            both = pooled.filter(pl.col("method") == method).join(base, on=_CELL[1:])
            rows += [{"method": method, "reference": reference} | row for row in _quantities(both)]
    schema = {
        "method": pl.String(),
        "reference": pl.String(),
        "quantity": pl.String(),
        "task": pl.String(),
        "value": pl.Float64(),
        "unit": pl.String(),
        "n_cells": pl.Int64(),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _pooled(cells: pl.DataFrame) -> pl.DataFrame:
    """Cells in the paper's contexts and beliefs; those that fall together are averaged."""
    weight = pl.col("n").cast(pl.Float64) if "n" in cells.columns else pl.lit(1.0)
    present = cells.with_columns(
        pl.col("belief").replace(BELIEF_PRESENT, "incorrect"),
        pl.col("framing").replace(UNMODIFIED, "none"),
        weight=weight,
    ).filter(pl.col("rate_pct").is_not_null())
    coded = without_filler(paper_rows(present).frame, "method", "model", "task", "belief")
    rate = (pl.col("rate_pct") * pl.col("weight")).sum() / pl.col("weight").sum()
    return coded.group_by(_CELL).agg(rate_pct=rate).sort(_CELL)


def _quantities(both: pl.DataFrame) -> list[dict[str, Any]]:
    both = both.with_columns(
        difference=pl.col("rate_pct") - pl.col("base_pct"),
        group=pl.col("context").replace(CONTEXT_GROUPS),
    )
    bare = both.filter((pl.col("context") == UNMODIFIED) & (pl.col("belief") == "none"))
    tasks = bare.group_by("task").agg(pl.col("difference", "base_pct").mean(), n=pl.len()).sort("task")
    rows = [
        _row("task_increase", row["difference"], "pp", row["n"], row["task"])
        for row in tasks.iter_rows(named=True)
    ]
    if tasks.height and (tasks["base_pct"] > 0).all():
        relative = (tasks["difference"] / tasks["base_pct"]).to_numpy().mean()
        rows.append(_row("relative_increase", 100 * relative, "%", bare.height))
    with_belief = both.filter(pl.col("belief") == BELIEF_PRESENT)
    emotion = with_belief.filter(pl.col("group") == "emotion")
    for quantity, part in (("unmodified_increase", bare), ("emotion_belief_increase", emotion)):
        if part.height:
            rows.append(_row(quantity, part["difference"].mean(), "pp", part.height))
    if with_belief.height and with_belief["base_pct"].sum() > 0:
        ratio = with_belief["rate_pct"].to_numpy().sum() / with_belief["base_pct"].to_numpy().sum()
        rows.append(_row("belief_error_ratio", ratio, "ratio", with_belief.height))
    return rows


def _row(quantity: str, value: Any, unit: str, n_cells: int, task: str = "all") -> dict[str, Any]:
    return {"quantity": quantity, "task": task, "value": float(value), "unit": unit, "n_cells": n_cells}


def descriptive_table(answers: Answers, gates: Mapping[str, str], settings: AnalysisSettings) -> pl.DataFrame:
    """The paper's summary figures of a sweep: every arm against the published reference.

    Cells are those of the first draw, seeds pooled, per judge and outcome of the regressions; rates
    leave null answers out. Methods are arms' labels; further doses are left out.

    Args:
        answers: coded answers.
        gates: gate verdict per arm label; a row carries the worst of both arms over its models.
        settings: names the published reference.

    Returns:
        A frame of `schema.tables.Descriptive`, empty where the sweep lacks the reference arm.
    """
    reference = settings.published_pair[1]
    labels = [a.label for a in answers.arms if not a.further]
    rows: list[dict[str, Any]] = []
    for judge in answers.judges:
        mine = (pl.col("draw") == 0) & (pl.col("judge") == judge) & pl.col("arm").is_in(labels)
        first = answers.frame.filter(mine)
        for outcome in GLM_OUTCOMES:
            scored = first.filter(pl.col(outcome).is_not_null())
            cells = scored.group_by(pl.col("arm").alias("method"), "model", "task", "framing", "belief").agg(
                rate_pct=100 * pl.col(outcome).mean(), n=pl.len()
            )
            if reference in cells["method"]:
                for row in descriptives(cells, reference).iter_rows(named=True):
                    models = cells.filter(method=row["method"])["model"].unique()
                    gate = worst_gate(gates, models, (row["method"], reference))
                    rows.append({"outcome": outcome, "judge": judge, "gate": gate} | row)
    return frame(Descriptive, rows)
