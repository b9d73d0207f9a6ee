"""A study's effects beside the paper's (design rule 11), as rows of the table comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from warmgap.schema.tables import Comparison, frame
from warmgap.statistics.published.cells import METHODS
from warmgap.statistics.published.crosswalk import POOLED_BELIEF
from warmgap.statistics.published.reference import (
    HALVES,
    Cell,
    PublishedEffect,
    missing,
    published_effect,
    tasks_of,
)
from warmgap.statistics.published.study import StudySettings, differences
from warmgap.statistics.published.verdicts import Estimate, verdict

OUTCOME = "error_published"
"""The outcome that follows the paper's rule."""
_ANY = "all"


@dataclass(frozen=True)
class _Ours:
    """An effect of ours over `cells`, each (task, framing, belief)."""

    row: Mapping[str, Any]
    models: tuple[str, ...]
    task: str
    framing: str
    belief: str
    cells: tuple[Cell, ...]


def compare(effects: pl.DataFrame, study: StudySettings, confidence: float = 0.95) -> pl.DataFrame:
    """Our paired effects beside the published ones.

    Compared are the effects of warm_sft, cold_sft and warm_prompt less original on the outcome
    `error_published`, tasks counted alike, for the adapters at hand (scope `these_adapters`, the
    only one that the paper's cells have): over all questions, in each level of one factor, and in
    each cell. The paper's cells with a belief pool two templates, so ours with belief incorrect and
    denies are pooled by rows for the same cell, their standard error being the largest that any
    dependence allows.

    The published effect over several cells is the mean over tasks of their mean by pairs, over
    models alike; its standard error takes cells of one task as fully dependent (they share
    questions) and tasks as independent, which is the widest. A cell's own standard error is exact
    where the counts could be recovered (`published_error` is then `recovered`), else an upper end
    (`bounded`, or `unknown` where it may be much too wide; `counts.rebuilt_cells`).

    A row is `not comparable` where base weights, questions, prompt mode, temperature, token cap or
    judge differ, or where the paper has no such cell; `reason` says which. The published numbers
    then stand beside ours if the paper has the cell, without a prediction interval. How the other
    verdicts are reached: `verdicts.verdict`.

    Args:
        effects: rows of `schema.tables.Effect`.
        study: what decides whether the study is comparable.
        confidence: coverage of the intervals.

    Returns:
        A frame of `schema.tables.Comparison`; empty where there is no such effect.
    """
    rows = []
    for ours in _ours(effects):
        method = ours.row["arm_a"]
        lacks = missing(method, ours.models, ours.cells)
        published = None if lacks else published_effect(method, ours.models, ours.cells)
        reasons = differences(study, ours.models, tasks_of(ours.cells), ours.row["judge"])
        reasons += [lacks] if lacks else []
        rows.append(_row(ours, published, reasons, confidence))
    return frame(Comparison, rows)


def _ours(effects: pl.DataFrame) -> Iterator[_Ours]:
    wanted = effects.filter(
        (pl.col("estimator") == "paired")
        & (pl.col("outcome") == OUTCOME)
        & (pl.col("term") == "arm")
        & (pl.col("weights") == "equal_task")
        & pl.col("scope").str.starts_with("these_adapters")
        & pl.col("arm_a").is_in(METHODS)
        & (pl.col("arm_b") == "original")
    )
    for _, part in wanted.group_by("judge", "model", "arm_a", maintain_order=True):
        models = _models(wanted, part.row(0, named=True))
        named = [(_levels(row["subset"]), row) for row in part.iter_rows(named=True)]
        ran = {
            (levels["task"], levels["framing"], levels["belief"]): row
            for levels, row in named
            if _ANY not in levels.values()
        }
        for levels, row in named:
            fixed = [v for v in levels.values() if v != _ANY]
            inside = tuple(c for c in ran if all(v in (_ANY, c[i]) for i, v in enumerate(levels.values())))
            is_half = levels["belief"] in HALVES
            if len(fixed) < 2 or (len(fixed) == 3 and not is_half):
                yield _Ours(row, models, **levels, cells=inside)
        yield from _pooled(ran, models)


def _models(wanted: pl.DataFrame, row: Mapping[str, Any]) -> tuple[str, ...]:
    """The models behind a row: those with the same arm and judge where the row is of all."""
    if row["model"] != _ANY:
        return (row["model"],)
    same = wanted.filter((pl.col("judge") == row["judge"]) & (pl.col("arm_a") == row["arm_a"]))
    return tuple(m for m in same["model"].unique(maintain_order=True) if m != _ANY)


def _levels(subset: str) -> dict[str, str]:
    """Task, framing and belief of a subset's name, `all` where it fixes none."""
    found = dict.fromkeys(("task", "framing", "belief"), _ANY)
    if subset != "all":
        found |= dict(part.split("=", 1) for part in subset.split(","))
    return found


def _pooled(ran: Mapping[Cell, Mapping[str, Any]], models: tuple[str, ...]) -> Iterator[_Ours]:
    """Cells with the pooled beliefs as one; where only one of them was run, that one alone."""
    for task, framing in dict.fromkeys((t, f) for t, f, _ in ran):
        cells = [(task, framing, b) for b in HALVES if (task, framing, b) in ran]
        rows = [ran[c] for c in cells]
        if len(rows) == 2 and all(r["estimate_pp"] is not None for r in rows):
            yield _Ours(_pool_rows(rows), models, task, framing, POOLED_BELIEF, tuple(cells))
        else:
            for cell, row in zip(cells, rows, strict=True):
                yield _Ours(row, models, *cell, cells=(cell,))


def _pool_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    n = np.array([r["n"] for r in rows], dtype=np.float64)
    share = n / n.sum()
    errors = np.array([r["std_error_pp"] or 0.0 for r in rows])
    return dict(rows[0]) | {
        "n": int(n.sum()),
        "estimate_pp": float(share @ [r["estimate_pp"] for r in rows]),
        "std_error_pp": float(share @ errors),
        "df": min((r["df"] for r in rows if r["df"] is not None), default=None),
        "conf_low_pp": None,
        "conf_high_pp": None,
    }


def _row(
    ours: _Ours, published: PublishedEffect | None, reasons: Sequence[str], confidence: float
) -> dict[str, Any]:
    row = ours.row
    out = {
        c: row[c] for c in ("estimator", "outcome", "judge", "model", "arm_a", "arm_b", "scope", "gate", "n")
    }
    mine = None
    if row["estimate_pp"] is not None and row["std_error_pp"] is not None:
        mine = Estimate(row["estimate_pp"], row["std_error_pp"], row["df"])
    low, high = row["conf_low_pp"], row["conf_high_pp"]
    if low is None and mine is not None:
        low, high = mine.interval(confidence)
    theirs = (None, None) if published is None else published.estimate.interval(confidence)
    found = None
    reason = "; ".join(reasons)
    if not reasons and mine is not None and published is not None:
        found = verdict(mine, published.estimate, confidence)
    elif not reasons:
        reason = "this study has no estimate" if mine is None else "the paper has no such effect"
    return out | {
        "task": ours.task,
        "framing": ours.framing,
        "belief": ours.belief,
        "ours_pp": row["estimate_pp"],
        "ours_low_pp": low,
        "ours_high_pp": high,
        "published_pp": None if published is None else published.estimate.effect_pp,
        "published_low_pp": theirs[0],
        "published_high_pp": theirs[1],
        "published_error": "" if published is None else published.error,
        "n_published": 0 if published is None else published.n,
        "prediction_low_pp": None if found is None else found.low_pp,
        "prediction_high_pp": None if found is None else found.high_pp,
        "verdict": "not comparable" if found is None else found.verdict,
        "reason": reason,
    }
