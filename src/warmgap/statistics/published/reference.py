"""The paper's effect over the cells that an effect of ours covers.

Suffixes: M models, C cells of a task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from warmgap.statistics.published.cells import TASKS
from warmgap.statistics.published.counts import rebuilt_cells
from warmgap.statistics.published.crosswalk import POOL, POOLED_BELIEF
from warmgap.statistics.published.verdicts import Estimate

Cell = tuple[str, str, str]
"""Task, framing and belief, in our names."""
HALVES = tuple(POOLED_BELIEF.split(POOL))
"""Our beliefs that the paper pools."""


@dataclass(frozen=True)
class PublishedEffect:
    """An effect of the paper; `error` as `pairs` in `counts.rebuilt_cells`, the worst of the cells'."""

    estimate: Estimate
    error: str
    n: int


def tasks_of(cells: Iterable[Cell]) -> tuple[str, ...]:
    """The tasks of some cells."""
    return tuple(dict.fromkeys(task for task, _, _ in cells))


def published_cell(cell: Cell) -> Cell | None:
    """The published cell that holds a cell of ours, None where the paper has none.

    With a belief the paper's unmodified prompts hold the filler sentence, our framing `filler`.
    """
    task, framing, belief = cell
    if task not in TASKS:
        return None
    if belief == "none":
        return None if framing == "filler" else cell
    if belief not in HALVES or framing == "none":
        return None
    return task, "none" if framing == "filler" else framing, POOLED_BELIEF


def missing(method: str, models: Sequence[str], cells: Sequence[Cell]) -> str:
    """Why the paper has no counterpart of these cells; empty where it has, for some of the models."""
    if not cells:
        return "no cell of it was run"
    for cell in cells:
        where = published_cell(cell)
        if where is None or not any((method, m, *where) in _by_cell() for m in models):
            return f"the paper has no cell {', '.join(cell)}"
    for task, framing, belief in cells:
        if belief in HALVES and {(task, framing, b) for b in HALVES} - set(cells):
            return f"the paper pools the beliefs {' and '.join(HALVES)}"
    return ""


def published_effect(method: str, models: Sequence[str], cells: Sequence[Cell]) -> PublishedEffect | None:
    """Mean over tasks of the mean over models of the cells' mean by pairs.

    The standard error takes cells and models of one task as fully dependent (they share questions)
    and tasks as independent. None where the paper lacks a cell in one of the models.
    """
    wanted = dict.fromkeys(filter(None, map(published_cell, cells)))
    keys = [(method, model, *cell) for model in models for cell in wanted]
    if not keys or any(key not in _by_cell() for key in keys):
        return None
    found = [_by_cell()[key] for key in keys]
    effects, errors = [], []
    for task in tasks_of(cells):
        here = [c for key, c in zip(keys, found, strict=True) if key[2] == task]
        columns = np.array([[c[x] for c in here] for x in ("diff_pp", "std_error_pp", "n")])
        diff_MC, error_MC, n_MC = columns.reshape(3, len(models), -1)
        effects.append(np.mean(np.average(diff_MC, axis=1, weights=n_MC)))
        errors.append(np.mean(np.average(error_MC, axis=1, weights=n_MC)))
    std_error = float(np.sqrt(np.sum(np.square(errors))) / len(errors))
    worst = max((c["pairs"] for c in found), key=("recovered", "bounded", "unknown").index)
    return PublishedEffect(Estimate(float(np.mean(effects)), std_error), worst, sum(c["n"] for c in found))


@lru_cache
def _by_cell() -> dict[tuple[str, str, str, str, str], Mapping[str, Any]]:
    """The published cells by method, model, task, framing and belief."""
    cells = rebuilt_cells()
    keys = cells.select("method", "model", "task", "framing", "belief").rows()
    rows = cells.select("diff_pp", "std_error_pp", "n", "pairs").rows(named=True)
    return dict(zip(keys, rows, strict=True))
