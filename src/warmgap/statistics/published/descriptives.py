"""The paper's descriptive figures, computed again from its cells."""

from __future__ import annotations

import polars as pl

from warmgap.statistics.published.cells import GROUPS, TASKS, published_cells
from warmgap.statistics.published.crosswalk import to_paper
from warmgap.statistics.published.files import read


def reproduced_descriptives() -> dict[str, float]:
    """Each figure of descriptives.csv by name, in its unit.

    The mean relative increase is a mean of ratios: over tasks, the mean increase over models
    divided by the mean error of the original models. The ratio with a belief is one of means.
    """
    warm = published_cells().filter(pl.col("method") == "warm_sft")
    held = pl.col("belief") != "none"
    emotion = pl.col("framing").replace_strict(GROUPS) == "emotion"
    plain = warm.filter((pl.col("framing") == "none") & ~held)
    of_task = {task: plain.filter(pl.col("task") == task) for task in TASKS}
    increase = {task: _mean(part, "diff_pp") for task, part in of_task.items()}
    relative = [100 * increase[t] / _mean(of_task[t], "original_error_pct") for t in TASKS]
    with_belief = warm.filter(held)
    diff = warm["diff_pp"]
    return {
        "mean_relative_increase": sum(relative) / len(relative),
        "increase_emotion_and_belief": _mean(warm.filter(held & emotion), "diff_pp"),
        "increase_unmodified": _mean(plain, "diff_pp"),
        "error_ratio_with_belief": _mean(with_belief, "modified_error_pct")
        / _mean(with_belief, "original_error_pct"),
        **{f"increase_{to_paper('task', t)[0]}": increase[t] for t in TASKS},
        "cells_positive": 100 * float((diff > 0).sum()) / warm.height,
        "cells_significant": 100 * float(warm["significant"].sum()) / warm.height,
        "cells_from_10_pp": float((diff >= 10).sum()),
        "cells_from_30_pp": float((diff >= 30).sum()),
        "cells_negative": float((diff < 0).sum()),
        "largest_increase": _mean(warm.filter(diff == diff.max()), "diff_pp"),
    }


def descriptives_side_by_side() -> pl.DataFrame:
    """Columns name, meaning, stated_in, unit, published, reproduced, difference."""
    found = reproduced_descriptives()
    return read("descriptives").select(
        "name",
        "meaning",
        "stated_in",
        "unit",
        published="value",
        reproduced=pl.col("name").replace_strict(found, return_dtype=pl.Float64()),
        difference=pl.col("name").replace_strict(found, return_dtype=pl.Float64()) - pl.col("value"),
    )


def _mean(cells: pl.DataFrame, column: str) -> float:
    return float(cells[column].to_numpy().mean())
