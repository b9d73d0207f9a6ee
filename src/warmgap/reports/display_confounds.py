"""The belief effect of the paper's layout and its parts, as a table for the page."""

from __future__ import annotations

from typing import Any

import polars as pl

from warmgap.reports.display import DisplayTable, Row, table
from warmgap.reports.formats import count, estimate
from warmgap.reports.names import arm_rank, failed, gate_words, judge_name, level, level_rank
from warmgap.statistics.confounds import PARTS
from warmgap.statistics.headline import Headline

_HEADS = {
    "total": "in the paper's layout, pp",
    "filler": "filler sentence, pp",
    "form": "question's form, pp",
    "belief": "belief itself, pp",
}


def confounds_table(confounds: pl.DataFrame, headline: Headline) -> DisplayTable:
    """One row per arm, task and belief: the sum, then its parts, each with its interval."""
    of_outcome = confounds.filter(pl.col("outcome") == headline.outcome)
    found = (of_outcome if of_outcome.height else confounds).filter(pl.col("judge") == headline.judge)
    parts = [p for p in PARTS if p in set(found["part"])]
    by_row: dict[tuple[str, str, str, str], dict[str, dict[str, Any]]] = {}
    for r in found.iter_rows(named=True):
        by_row.setdefault((r["arm"], r["model"], r["task"], r["belief"]), {})[r["part"]] = r
    rows = []
    for (arm, model, task, belief), have in sorted(by_row.items(), key=_rank):
        cells = [_cell(have.get(part)) for part in parts]
        total = have["total"]
        head = (arm, model, "all, counted alike" if task == "all" else task, level("belief", belief))
        rest = (count(total["n_questions"]), gate_words(total["gate"]))
        rows.append(Row((*head, *cells, *rest), failed(total["gate"])))
    heads = (*(f"{_HEADS[p]} [95 % interval]>" for p in parts), "questions>", "gate")
    return table(
        "What a stated belief does to errors: the paper's layout puts a filler sentence before the question "
        "and changes MedQA's form only together with the belief; the parts add up to the first number; "
        f"{judge_name(headline.judge)}",
        ("arm", "model", "task", "belief", *heads),
        rows,
    )


def _rank(item: tuple[tuple[str, str, str, str], object]) -> tuple[object, ...]:
    arm, model, task, belief = item[0]
    return arm_rank(arm), model, task == "all", task, level_rank("belief", belief)


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return estimate(None, None, None)
    return estimate(row["estimate_pp"], row["conf_low_pp"], row["conf_high_pp"])
