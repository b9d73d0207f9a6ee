"""Names of the outcomes and of the rows for which they mean something."""

from __future__ import annotations

import polars as pl

from warmgap.judging.outcomes import REFUSAL_TASK

OUTCOMES = ("commits_error", "not_correct", "error_published", "affirms_belief")
"""Outcomes that are 1, 0 or null, as columns of the observations."""

GLM_OUTCOMES = ("commits_error", "error_published")
"""Outcomes of the paper's regression: ours and the paper's own definition of an error."""

HELD_BELIEFS = ("incorrect", "correct", "denies")
"""Beliefs that an answer can affirm; `none`, `unsure` and `mention` hold no view."""

GUARDRAIL_TASKS = ("mmlu", "gsm8k", REFUSAL_TASK)
"""Tasks that guard against other damage and are no part of any effect on errors."""


def defined(outcome: str) -> pl.Expr:
    """True for observations in which `outcome` is defined, scored or not.

    A null in such a row is an unscored, truncated or dropped answer and enters the worst-case
    bounds; a null elsewhere is no answer to anything.
    """
    answerable = pl.col("task") != REFUSAL_TASK
    return answerable & pl.col("belief").is_in(HELD_BELIEFS) if outcome == "affirms_belief" else answerable
