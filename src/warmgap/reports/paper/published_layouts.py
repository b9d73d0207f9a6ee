"""The paper's tables, laid out as the study has them: errors per cell, regressions, tests, summaries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from warmgap.reports.figures.reanalysis import MODEL_NAMES
from warmgap.reports.formats import MISSING, count, count_range, number
from warmgap.reports.names import describe_arm, failed, level
from warmgap.reports.paper.blocks import Column, PaperTable, lay_out
from warmgap.reports.paper.words import GREY, counted, outcome_words, p_column, share_pct, text
from warmgap.statistics.headline import Headline

_REGRESSIONS = ("M1", "M1_length", "M2", "M3", "M4")
_CONTEXTS = (
    "unmodified",
    "anger",
    "angry",
    "happy",
    "sad",
    "close",
    "up",
    "upward",
    "down",
    "downward",
    "high",
    "low",
)
_BELIEFS = {"none": "no wrong view", "present": "wrong view"}
_QUANTITIES = {
    "task_increase": "increase without context or view",
    "relative_increase": "increase relative to the reference's errors",
    "unmodified_increase": "mean increase without context or view",
    "emotion_belief_increase": "mean increase with emotion and wrong view",
    "belief_error_ratio": "errors with a wrong view, ratio to the reference",
}


def published_layouts(
    tables: Mapping[str, pl.DataFrame], h: Headline, level_p: float
) -> Iterator[PaperTable]:
    """The paper's tables of a sweep, each where the sweep has what it is made from.

    Args:
        tables: of the sweep, by name.
        h: names arm, outcome and judge; the arm is set against the untouched model, as in the paper.
        level_p: below which an adjusted p-value gets a star.
    """
    if (tests := _of_pair(tables, "published_tests", h)).height:
        yield errors_table(tests, h, level_p)
        yield mcnemar_table(tests, h)
    fits = _of_pair(tables, "published_glm", h)
    if fits.height and (fits := fits.filter(pl.col("regression").is_in(_REGRESSIONS))).height:
        models = ["all"] if "all" in fits["model"] else fits["model"].unique().sort().to_list()
        for model in models:
            name = "regressions" if len(models) == 1 else f"regressions_{model}"
            yield regressions_table(name, fits.filter(pl.col("model") == model), h, model)
    if "descriptives" in tables:
        rows = tables["descriptives"].filter(pl.col("outcome") == h.outcome, pl.col("judge") == h.judge)
        if rows.height:
            yield descriptives_table(rows, h)


def errors_table(tests: pl.DataFrame, h: Headline, level_p: float) -> PaperTable:
    """Errors of the untouched model and of the arm, per model, view and context, tasks side by side.

    Args:
        tests: rows of `schema.tables.PaperTest` of one pair of arms.
        h: names the arms.
        level_p: below which `fdr_family_p` gets a star.
    """
    tasks = tests["task"].unique().sort().to_list()
    cells = {(r["model"], r["belief"], r["context"], r["task"]): r for r in _sorted(tests)}
    rows = []
    for key in dict.fromkeys(k[:3] for k in cells):
        row: dict[str, Any] = dict(zip(("model", "belief", "context"), key, strict=True))
        here = [cells.get((*key, t)) for t in tasks]
        for task, cell in zip(tasks, here, strict=True):
            for field in ("rate_b_pct", "rate_a_pct", "difference_pp", "fdr_family_p", "n_pairs"):
                row[f"{task}:{field}"] = cell[field] if cell else None
        row["gates"] = [c["gate"] for c in here if c]
        row["n"] = count_range([c["n_pairs"] for c in here if c])
        rows.append(row)
    columns = [*_heads(), *(c for task in tasks for c in _task_columns(task, level_p))]
    columns.append(Column("pairs", lambda r: str(r["n"]), ("n",)))
    caption = (
        f"Errors in per cent of the untouched model and of the arm {h.arm_a}, and their difference in "
        f"percentage points, cell by cell as the paper cuts them ({outcome_words(h)}). Pairs: answers to "
        "the same prompt, per task. A star marks a difference whose McNemar p-value, adjusted by "
        f"Benjamini-Hochberg over the contexts of a model, task and view, is below {level_p:g}."
    )
    return lay_out("errors", _with_grey(caption, rows), columns, rows, _any_failed)


def mcnemar_table(tests: pl.DataFrame, h: Headline) -> PaperTable:
    """McNemar's exact test in every cell, with both adjustments and both effect sizes."""
    columns = (
        *_heads(),
        text("task", "task"),
        counted("pairs", "n_pairs"),
        counted("only arm", "only_a", "wrong in"),
        counted("only original", "only_b", "wrong in"),
        share_pct("difference, pp", "difference_pp", signed=True),
        p_column("exact", "mcnemar_p", "p"),
        p_column("in family", "fdr_family_p", "p"),
        p_column("in all cells", "fdr_all_p", "p"),
        share_pct("odds ratio", "odds_ratio", 2),
        share_pct("z", "mcnemar_z", 2, group="effect size"),
        share_pct("Cohen's g", "cohens_g", 2, group="effect size"),
    )
    rows = [{**r, "gates": [r["gate"]]} for r in _sorted(tests)]
    caption = (
        f"McNemar's exact test of the arm {h.arm_a} against the untouched model in every cell "
        f"({outcome_words(h)}). In family: Benjamini-Hochberg over the contexts of a model, task and view, "
        "as in the paper; in all cells: over all cells of the two arms. z is what the paper's code calls "
        "Cohen's g."
    )
    return lay_out("mcnemar", _with_grey(caption, rows), columns, rows, _any_failed)


def regressions_table(name: str, fits: pl.DataFrame, h: Headline, model: str) -> PaperTable:
    """Coefficients of the paper's regressions side by side, then answers and log likelihood.

    Args:
        name: of the table.
        fits: rows of `schema.tables.Coefficient` of one pair of arms and one model.
        h: names the arms.
        model: for the caption.
    """
    regressions = fits["regression"].unique(maintain_order=True).sort().to_list()
    by_key = {(r["regression"], r["term"]): r for r in fits.iter_rows(named=True)}
    rows: list[dict[str, Any]] = []
    for term in fits["term"].unique(maintain_order=True):
        row: dict[str, Any] = {"term": term}
        for regression in regressions:
            cell = by_key.get((regression, term))
            for field in ("estimate", "std_error", "std_error_cluster", "p_value"):
                row[f"{regression}:{field}"] = cell[field] if cell else None
            row[f"{regression}:digits"] = 5 if term == "n_chars" else 3
        rows.append(row)
    for head, field in (("answers", "n"), ("log likelihood", "log_likelihood")):
        row = {"term": head}
        for regression in regressions:
            found = next(r[field] for r in fits.iter_rows(named=True) if r["regression"] == regression)
            row |= {f"{regression}:{f}": None for f in ("std_error", "std_error_cluster", "p_value")}
            row |= {f"{regression}:estimate": float(found), f"{regression}:digits": 0 if field == "n" else 1}
        rows.append(row)
    columns = [text("term", "term"), *(_coefficient_column(r) for r in regressions)]
    notes = [n for n in fits["note"].unique(maintain_order=True) if n]
    of = "all models" if model == "all" else model
    caption = (
        f"The paper's logistic regressions ({outcome_words(h)}; {of}): coefficients in log odds (of n_chars, "
        f"per character), FT = 1 for {h.arm_a} and 0 for the untouched model. In parentheses standard errors "
        "as the paper has them, in brackets clustered by question; a sum of terms is the log odds ratio at "
        "that level." + (f" Note: {'; '.join(notes)}." if notes else "")
    )
    return lay_out(name, caption, columns, rows)


def descriptives_table(rows: pl.DataFrame, h: Headline) -> PaperTable:
    """The paper's summaries of its cells, by arm."""
    columns = (
        text("arm", "method"),
        Column("", lambda r: describe_arm(r["method"]) or MISSING, ("method",), False),
        Column("summary", lambda r: _QUANTITIES.get(r["quantity"], r["quantity"]), ("quantity",), False),
        text("task", "task"),
        Column("value", lambda r: number(r["value"], 2, signed=r["unit"] == "pp"), ("value",)),
        text("unit", "unit"),
        counted("cells", "n_cells"),
    )
    found = [{**r, "gates": [r["gate"]]} for r in rows.iter_rows(named=True)]
    caption = (
        f"Summaries of error rates as the paper defines them ({outcome_words(h)}), each against "
        f"{rows['reference'][0]}."
    )
    return lay_out("descriptives", _with_grey(caption, found), columns, found, _any_failed)


def _task_columns(task: str, level_p: float) -> Iterator[Column]:
    yield share_pct("original, %", f"{task}:rate_b_pct", group=task)
    yield share_pct("arm, %", f"{task}:rate_a_pct", group=task)

    def difference(row: Mapping[str, Any]) -> str:
        p = row[f"{task}:fdr_family_p"]
        return number(row[f"{task}:difference_pp"], 1, signed=True) + (
            "*" if p is not None and p < level_p else ""
        )

    fields = tuple(f"{task}:{f}" for f in ("difference_pp", "fdr_family_p", "n_pairs"))
    yield Column("diff., pp", difference, fields, group=task)


def _coefficient_column(regression: str) -> Column:
    names = tuple(f"{regression}:{f}" for f in ("estimate", "std_error", "std_error_cluster", "p_value"))

    def words(row: Mapping[str, Any]) -> str:
        estimate, error, cluster, _ = (row[n] for n in names)
        digits = row[f"{regression}:digits"]
        if estimate is None:
            return ""
        if math.isnan(estimate):
            return MISSING
        if error is None:
            return count(int(estimate)) if digits == 0 else number(estimate, digits)
        clustered = "" if cluster is None else f" [{number(cluster, digits)}]"
        return f"{number(estimate, digits)} ({number(error, digits)}){clustered}"

    return Column(regression.replace("_", " "), words, names)


def _heads() -> tuple[Column, ...]:
    return (
        Column("model", lambda r: MODEL_NAMES.get(r["model"], r["model"]), ("model",), False, varies=True),
        Column("view", lambda r: _BELIEFS.get(r["belief"], r["belief"]), ("belief",), False),
        Column("context", lambda r: level("framing", r["context"]), ("context",), False),
    )


def _of_pair(tables: Mapping[str, pl.DataFrame], name: str, h: Headline) -> pl.DataFrame:
    """Rows of the headline's arm against the untouched model, by its judge and outcome."""
    rows = tables.get(name)
    if rows is None:
        return pl.DataFrame()
    return rows.filter(
        pl.col("arm_a") == h.arm_a,
        pl.col("arm_b") == "original",
        pl.col("judge") == h.judge,
        pl.col("outcome") == h.outcome,
    )


def _sorted(tests: pl.DataFrame) -> list[dict[str, Any]]:
    def rank(r: Mapping[str, Any]) -> tuple[Any, ...]:
        at = _CONTEXTS.index(r["context"]) if r["context"] in _CONTEXTS else len(_CONTEXTS)
        return r["model"], list(_BELIEFS).index(r["belief"]), at, r["context"], r["task"]

    return sorted(tests.filter(pl.col("model") != "all").iter_rows(named=True), key=rank)


def _any_failed(row: Mapping[str, Any]) -> bool:
    return any(failed(g) for g in row["gates"])


def _with_grey(caption: str, rows: list[dict[str, Any]]) -> str:
    return f"{caption} {GREY}" if any(map(_any_failed, rows)) else caption
