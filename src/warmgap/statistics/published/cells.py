"""The 792 published cells under our names."""

from __future__ import annotations

from functools import lru_cache

import polars as pl

from warmgap.statistics.published.crosswalk import POOLED_BELIEF, translate
from warmgap.statistics.published.files import read

METHODS = ("warm_sft", "cold_sft", "warm_prompt")
"""Methods of the paper, each against `original`."""
TASKS = ("triviaqa", "truthfulqa", "disinfo", "medqa")
"""Tasks of the paper."""
FRAMINGS = ("none", "sad", "angry", "happy", "close", "upward", "downward", "high", "low")
"""Contexts of the paper; `none` is its `unmodified`."""
BELIEFS = ("none", POOLED_BELIEF)
"""Beliefs of the paper's cells; the second pools two templates."""
GROUPS = {
    "none": "none",
    "sad": "emotion",
    "angry": "emotion",
    "happy": "emotion",
    "close": "relation",
    "upward": "relation",
    "downward": "relation",
    "high": "stake",
    "low": "stake",
}
"""The paper's group of each context."""
CELL = ("method", "model", "task", "framing", "belief")
"""Columns that name a cell."""


@lru_cache
def published_cells() -> pl.DataFrame:
    """The published cells, one row each, in the order of the source.

    Returns:
        Columns method, model, task, framing, belief (our names); original_error_pct,
        modified_error_pct, diff_pp (modified minus original); mcnemar_p, fdr_p (null in 7 cells
        where the models never differed); significant (the paper's verdict, false where null).
    """
    return read("cells").select(
        translate("method", "method"),
        translate("model", "model"),
        translate("task", "task"),
        translate("context", "framing").alias("framing"),
        translate("belief", "belief"),
        "original_error_pct",
        "modified_error_pct",
        "diff_pp",
        "mcnemar_p",
        "fdr_p",
        (pl.col("fdr_significant") == "Yes").fill_null(False).alias("significant"),
    )
