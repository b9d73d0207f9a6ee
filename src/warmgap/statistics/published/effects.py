"""Effects of the published study per model, as weighted sums of its cells.

Tasks count alike, and so do the contexts within an effect. Letters: T tasks, C context-and-belief
cells of a task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from warmgap.statistics.published.cells import FRAMINGS, TASKS
from warmgap.statistics.published.crosswalk import POOLED_BELIEF

CONTEXTS = FRAMINGS[1:]
"""Framings other than none."""


@dataclass(frozen=True)
class EffectOfModel:
    """An effect in one model, in percentage points.

    `se_low_pp` and `se_high_pp` are its standard error from answers alone at its least and largest.
    The cells of a task share questions, and how far their answers go together is not published:
    the two ends are for cells of a task independent and fully dependent.
    """

    estimate_pp: float
    se_low_pp: float
    se_high_pp: float


@dataclass(frozen=True)
class EffectOfCells:
    """An effect: a weight for each (framing, belief), applied in each task and averaged over tasks.

    `kind` is `average` (weights sum to 1) or `extra` (they sum to 0: a difference of effects).
    """

    name: str
    kind: str
    words: str
    weights: Mapping[tuple[str, str], float]
    tasks: Sequence[str] = TASKS

    def in_model(self, cells: pl.DataFrame) -> EffectOfModel:
        """The effect from the cells of one model and method (`counts.rebuilt_cells`)."""
        by_cell = {
            (task, framing, belief): (diff, se)
            for task, framing, belief, diff, se in cells.select(
                "task", "framing", "belief", "diff_pp", "std_error_pp"
            ).iter_rows()
        }
        weight_C = np.array(list(self.weights.values()))
        values_TC2 = np.array([[by_cell[(task, *key)] for key in self.weights] for task in self.tasks])
        diff_TC, se_TC = values_TC2[..., 0], values_TC2[..., 1]
        n_tasks = len(self.tasks)
        independent = float(np.sqrt(np.sum((se_TC * weight_C) ** 2))) / n_tasks
        dependent = float(np.sqrt(np.sum((se_TC @ weight_C) ** 2))) / n_tasks
        return EffectOfModel(
            estimate_pp=float((diff_TC @ weight_C).sum() / n_tasks),
            se_low_pp=min(independent, dependent),
            se_high_pp=max(independent, dependent),
        )


def effects() -> tuple[EffectOfCells, ...]:
    """The effects of the reanalysis.

    `main`: mean over the 9 contexts without a belief (36 cells a model). `belief`: the same with
    one. `none`, `sad`, ...: a single context without a belief; `sad+belief`, ... with one.
    `extra:sad`, ...: that context less no context. `extra:belief`: with less without a belief, over
    the 9 contexts; `extra:sad+belief`: sadness and belief together less neither.
    `task:triviaqa`, ...: `main` in one task.
    """
    absent, present = "none", POOLED_BELIEF
    share = 1 / len(FRAMINGS)
    main = {(f, absent): share for f in FRAMINGS}
    held = {(f, present): share for f in FRAMINGS}
    found = [
        EffectOfCells("main", "average", "all contexts, no belief", main),
        EffectOfCells("belief", "average", "all contexts, with a belief", held),
    ]
    found += [EffectOfCells(f, "average", f"{f}, no belief", {(f, absent): 1.0}) for f in FRAMINGS]
    found += [
        EffectOfCells(f"{f}+belief", "average", f"{f}, with a belief", {(f, present): 1.0}) for f in FRAMINGS
    ]
    found += [
        EffectOfCells(
            f"extra:{f}", "extra", f"{f} less no context", {(f, absent): 1.0, ("none", absent): -1.0}
        )
        for f in CONTEXTS
    ]
    found += [
        EffectOfCells(
            "extra:belief", "extra", "with less without a belief", held | {k: -w for k, w in main.items()}
        ),
        EffectOfCells(
            "extra:sad+belief",
            "extra",
            "sad and a belief less neither",
            {("sad", present): 1.0, ("none", absent): -1.0},
        ),
    ]
    found += [EffectOfCells(f"task:{t}", "average", f"{t}, no belief", main, (t,)) for t in TASKS]
    return tuple(found)
