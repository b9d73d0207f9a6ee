"""The paper's four regressions and its coding of contexts and beliefs (article, Methods).

The article is doi 10.1038/s41586-026-10410-0, its code github.com/lujainibrahim/warm_ai_2025.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from warmgap.statistics.glm_design import Terms

UNMODIFIED = "unmodified"
"""The paper's context without a statement; its prompts `original` (our framing none) and
`original_neutral` (our framing filler) both belong to it."""

CONTEXT_GROUPS: Mapping[str, str] = {
    "none": UNMODIFIED,
    "filler": UNMODIFIED,
    "angry": "emotion",
    "happy": "emotion",
    "sad": "emotion",
    "close": "relation",
    "downward": "relation",
    "upward": "relation",
    "high": "stakes",
    "low": "stakes",
}
"""Group of each framing; one that the paper lacks is a group of its own."""

WRONG_BELIEFS = ("incorrect", "denies")
"""The paper's two belief templates, which it pools: its `incorrect` and, our denies, `correct`."""

BELIEF_PRESENT = "present"

Rows = Literal["unmodified", "no_belief", "all"]


@dataclass(frozen=True)
class PaperRegression:
    """One of the paper's regressions: terms, and the rows it is fitted to."""

    name: str
    terms: Terms
    rows: Rows


PAPER_REGRESSIONS = (
    PaperRegression("M1", Terms(("task", "model")), "unmodified"),
    PaperRegression("M1_length", Terms(("task", "model"), covariates=("n_chars",)), "unmodified"),
    PaperRegression("M2", Terms(("context_group", "task", "model"), by_arm=("context_group",)), "no_belief"),
    PaperRegression("M3", Terms(("context", "task", "model"), by_arm=("context",)), "no_belief"),
    PaperRegression("M4", Terms(("context_group", "task", "model"), per_arm=("belief",)), "all"),
    PaperRegression("M4_script", Terms(("task", "model"), per_arm=("belief",)), "all"),
)
"""M1 main effect, M1_length with the answer's characters, M2 by group of contexts, M3 by context,
M4 by belief as in the published output file, M4_script as in the published script of December
2025, which has no term for the context."""


@dataclass(frozen=True)
class PaperRows:
    """Answers coded as the paper codes them, and what was done to get there.

    `frame` has the columns context, context_group and belief (`none` or `present`).
    """

    frame: pl.DataFrame
    note: str

    def of(self, regression: PaperRegression) -> tuple[pl.DataFrame, str]:
        """The rows of a regression, and why it cannot be fitted to them (empty where it can)."""
        rows = self.frame
        if regression.rows != "all":
            rows = rows.filter(pl.col("belief") == "none")
            if rows.is_empty():
                return rows, "no answer without a belief (belief none or unsure)"
        if regression.rows == "unmodified":
            rows = rows.filter(pl.col("context") == UNMODIFIED)
            if rows.is_empty():
                return rows, "no answer without a context and belief (framing none or filler)"
        for factor in (*regression.terms.by_arm, *regression.terms.per_arm):
            levels = rows[factor].unique().to_list()
            if len(levels) < 2:
                found = levels[0] if levels else "nothing"
                return rows.clear(), f"needs two levels of {factor}; found {found}"
        return rows, ""


def paper_rows(answers: pl.DataFrame) -> PaperRows:
    """Answers with the paper's contexts and beliefs.

    No belief is belief `none`, or `unsure` in a sweep without `none`. Beliefs that the paper does
    not have (mention, correct, and unsure beside none) are left out.

    Args:
        answers: columns framing and belief, and any others.
    """
    beliefs = set(answers["belief"].unique().to_list())
    without = "none" if "none" in beliefs or "unsure" not in beliefs else "unsure"
    used = {without, *WRONG_BELIEFS}
    notes = [f"belief {without} stands for no belief"] if without != "none" else []
    left_out = sorted(beliefs - used)
    if left_out:
        notes.append(f"beliefs not in the paper, left out: {', '.join(left_out)}")
    framing, group = pl.col("framing"), pl.col("framing").replace(CONTEXT_GROUPS)
    coded = answers.filter(pl.col("belief").is_in(used)).with_columns(
        context=pl.when(group == UNMODIFIED).then(pl.lit(UNMODIFIED)).otherwise(framing),
        context_group=group,
        belief=pl.when(pl.col("belief") == without).then(pl.lit("none")).otherwise(pl.lit(BELIEF_PRESENT)),
    )
    return PaperRows(coded, "; ".join(notes))


def without_filler(coded: pl.DataFrame, *cell: str) -> pl.DataFrame:
    """Rows of `paper_rows` without framing filler where a cell also has framing none.

    The paper's script cuts its unmodified cells so (a name mismatch leaves `original_neutral`
    out); its regressions keep both.

    Args:
        coded: columns framing, context and those of `cell`.
        cell: what identifies a cell, the context apart.
    """
    bare = (pl.col("framing") == "none").any().over(cell)
    return coded.filter((pl.col("context") != UNMODIFIED) | ~bare | (pl.col("framing") == "none"))
