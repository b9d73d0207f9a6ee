"""Tables of what is ours: effects, contrasts, equivalence, checks, and the paper beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from warmgap.reports.figures.effects import main_effects
from warmgap.reports.figures.forest import main_contrasts
from warmgap.reports.names import (
    judge_name,
    level,
    subset_words,
)
from warmgap.reports.paper.blocks import Column, PaperTable, lay_out
from warmgap.reports.paper.check_layouts import check_layouts
from warmgap.reports.paper.words import (
    GATE,
    MODEL,
    counted,
    failed_row,
    intervals_of,
    minus_column,
    outcome_words,
    p_column,
    ranged,
    scope_words,
    share_pct,
    subset_column,
    text,
    with_grey,
)
from warmgap.statistics.headline import Headline
from warmgap.statistics.multiplicity import CONFIRMATORY

_FAMILIES = {"confirmatory_holm": "Holm", "all_cells_bh": "BH", "none": ""}
_EFFECT = (
    share_pct("pp", "estimate_pp", signed=True),
    ranged("interval, pp", "conf_low_pp", "conf_high_pp"),
    ranged("worst case, pp", "bound_low_pp", "bound_high_pp"),
    p_column("p", "p_value"),
    p_column("adjusted p", "q_value"),
    Column("by", lambda r: _FAMILIES.get(r["family"], r["family"]), ("family",), False),
    counted("pairs", "n"),
    GATE,
)


def study_layouts(tables: Mapping[str, pl.DataFrame], h: Headline, confidence: float) -> Iterator[PaperTable]:
    """Our tables of a sweep, each where the sweep has what it is made from."""
    pairs = ((h.arm_a, h.arm_b), (h.arm_a, "original"))
    if "effects" in tables:
        rows = tables["effects"].filter(
            pl.col("family") == CONFIRMATORY, pl.col("judge") == h.judge, pl.col("estimator") == "paired"
        )
        if rows.height:
            what = f"Confirmatory effects: difference in {outcome_words(h)}, percentage points."
            yield _effects("confirmatory", what, list(rows.iter_rows(named=True)), confidence, scopes=True)
        rows = main_effects(tables["effects"], h.judge, pairs, h.outcome)
        if rows.height:
            what = f"Effects by subset: difference in {outcome_words(h)}, percentage points."
            yield _effects("effects", what, list(rows.iter_rows(named=True)), confidence)
    if (
        "contrasts" in tables
        and (rows := main_contrasts(tables["contrasts"], h.judge, pairs, h.outcome)).height
    ):
        yield _contrasts(rows, h, confidence)
    if "equivalence" in tables:
        rows = tables["equivalence"].filter(pl.col("judge") == h.judge)
        if rows.height:
            yield _equivalence(rows, h)
    yield from check_layouts(tables, confidence)
    if "comparison" in tables:
        yield _comparison(tables["comparison"], h, confidence)


def _effects(
    name: str, what: str, rows: Sequence[Mapping[str, Any]], confidence: float, scopes: bool = False
) -> PaperTable:
    scope = Column("scope", lambda r: r["scope"].split(":")[0].replace("_", " "), ("scope",), False)
    columns = (minus_column(), subset_column(), MODEL, *((scope,) if scopes else ()), *_EFFECT)
    caption = (
        f"{what} {intervals_of(rows, confidence)}, over {scope_words(r['scope'] for r in rows)}. "
        "Worst case: answers without a verdict counted either way."
    )
    return lay_out(name, with_grey(caption, rows), columns, rows, failed_row)


def _contrasts(twins: pl.DataFrame, h: Headline, confidence: float) -> PaperTable:
    rows = list(twins.iter_rows(named=True))
    against = Column(
        "there minus at its twin",
        lambda r: " against ".join(subset_words(side) for side in r["contrast"].split(" - ")),
        ("contrast",),
        False,
    )
    columns = (minus_column("effect"), against, subset_column("in"), MODEL, *_EFFECT)
    caption = (
        f"Does the effect depend on context or view? Differences of effects in {outcome_words(h)}, "
        f"percentage points. {intervals_of(rows, confidence)}, over {scope_words(r['scope'] for r in rows)}."
    )
    return lay_out("contrasts", with_grey(caption, rows), columns, rows, failed_row)


def _equivalence(table: pl.DataFrame, h: Headline) -> PaperTable:
    rows = list(table.iter_rows(named=True))
    columns = (
        minus_column(),
        subset_column(),
        MODEL,
        share_pct("pp", "estimate_pp", signed=True),
        ranged("interval, pp", "conf_low_pp", "conf_high_pp"),
        p_column("p", "p_value"),
        p_column("by Holm", "p_holm"),
        Column("equivalent", lambda r: "yes" if r["equivalent"] else "not shown", ("equivalent",), False),
        counted("pairs", "n"),
        GATE,
    )
    margins = ", ".join(f"{m:g}" for m in table["margin_pp"].unique().sort())
    caption = (
        f"Are confirmatory effects smaller than {margins} percentage points either way? Two one-sided tests; "
        f"{outcome_words(h)}; the interval lies inside the margin where p is below the level."
    )
    return lay_out("equivalence", with_grey(caption, rows), columns, rows, failed_row)


def _comparison(table: pl.DataFrame, h: Headline, confidence: float) -> PaperTable:
    found = table.filter(pl.col("judge") == h.judge)
    clauses = [r.split("; ") if r else [] for r in found["reason"]]
    shared = [c for c in (clauses[0] if clauses else []) if all(c in other for other in clauses)]
    rows = [
        {**r, "reason": "; ".join(c for c in own if c not in shared)}
        for r, own in zip(found.iter_rows(named=True), clauses, strict=True)
    ]
    any_published = found["published_pp"].is_not_null().any()
    columns = (
        text("arm", "arm_a", varies=True),
        text("model", "model", varies=True),
        text("task", "task"),
        Column("context", lambda r: level("framing", r["framing"]), ("framing",), False),
        Column("view", lambda r: level("belief", r["belief"]), ("belief",), False),
        share_pct("pp", "ours_pp", signed=True, group="ours"),
        ranged("interval", "ours_low_pp", "ours_high_pp", group="ours"),
        counted("pairs", "n"),
        share_pct("pp", "published_pp", signed=True, group="paper's") if any_published else None,
        ranged("interval", "published_low_pp", "published_high_pp", group="paper's")
        if any_published
        else None,
        text("verdict", "verdict", varies=True),
        text("why", "reason", varies=True, share=0.3) if any_published else None,
    )
    arms = ", ".join(dict.fromkeys(f"{r['arm_a']} against {r['arm_b']}" for r in rows))
    said = [
        f"Our effects beside the paper's ({arms}; {', '.join(found['outcome'].unique().sort())}, judged by "
        f"{judge_name(h.judge)}), percentage points, {100 * confidence:g} % intervals."
    ]
    verdicts = found["verdict"].unique().to_list()
    if len(verdicts) == 1:
        said.append(f"All rows: {verdicts[0]}.")
    if shared:
        said.append(f"Of all rows: {'; '.join(shared)}.")
    shown = [c for c in columns if c is not None]
    return lay_out("comparison", with_grey(" ".join(said), rows), shown, rows, failed_row)
