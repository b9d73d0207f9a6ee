"""Verdicts that change between two arms, as paired bars, beside the noise of drawing twice."""

from __future__ import annotations

from typing import Any

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from warmgap.reports.figures.effects import subset_rank
from warmgap.reports.formats import interval, number
from warmgap.reports.names import failed, subset_words
from warmgap.reports.style import BASE_WIDTH_IN, FAILED_COLOUR, legend_above, styled

_WRONG, _RIGHT = "#d55e00", "#0072b2"
_ROW_IN = 0.3


def flip_rows(paired: pl.DataFrame, judge: str, arm_a: str, arm_b: str, outcome: str) -> list[dict[str, Any]]:
    """Rows of `schema.tables.Paired` of one pair of arms, in all questions and each level of one factor."""
    rows = paired.filter(
        (pl.col("judge") == judge)
        & (pl.col("outcome") == outcome)
        & (pl.col("arm_a") == arm_a)
        & (pl.col("arm_b") == arm_b)
        & (pl.col("n_pairs") > 0)
        & ~pl.col("subset").str.contains(",")
    )
    if "all" in rows["model"]:
        rows = rows.filter(pl.col("model") == "all")
    return sorted(rows.iter_rows(named=True), key=lambda r: subset_rank(r["subset"]))


@styled
def draw_flips(rows: list[dict[str, Any]]) -> Figure:
    """A pair of bars per subset: right turned wrong, wrong turned right; at the right the excess over noise.

    Args:
        rows: `flip_rows` of one pair of arms.
    """
    figure = Figure(figsize=(BASE_WIDTH_IN, _ROW_IN * len(rows) + 1.15), layout="constrained")
    ax = figure.subplots()
    top = max(100 * max(r["only_a"], r["only_b"]) / r["n_pairs"] for r in rows)
    noise = [r["noise_pct"] / 2 for r in rows if r["noise_pct"] is not None]
    top = 1.08 * max(top, *noise, 1.0)
    for y, r in enumerate(rows):
        greyed = failed(r["gate"])
        for only, at, shade in (("only_a", y - 0.17, _WRONG), ("only_b", y + 0.17, _RIGHT)):
            hatch = "///" if greyed and only == "only_b" else None
            ax.barh(
                at,
                100 * r[only] / r["n_pairs"],
                height=0.32,
                color=FAILED_COLOUR if greyed else shade,
                hatch=hatch,
                edgecolor="white",
                lw=0.3,
                zorder=2,
            )
        if r["noise_pct"] is not None:
            ax.plot([r["noise_pct"] / 2] * 2, [y - 0.4, y + 0.4], color="black", lw=1.2, zorder=3)
            words = (
                f"{number(r['excess_pp'], signed=True)}\n{interval(r['excess_low_pp'], r['excess_high_pp'])}"
            )
            ax.text(1.02 * top, y, words, va="center", fontsize=6.5, linespacing=0.95)
    ax.set_xlim(0, top)
    if noise:
        ax.text(1.02 * top, -0.95, "excess, pp", fontsize=6.5, va="bottom", color="#555555")
    ax.set_yticks(range(len(rows)), [subset_words(r["subset"]) for r in rows])
    ax.set_ylim(len(rows) - 0.45, -0.55)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("answers whose verdict changes, %")
    a, b = rows[0]["arm_a"], rows[0]["arm_b"]
    handles: list[Any] = [
        _handle(shade, arm, failed(rows[0]["gate"])) for shade, arm in ((_WRONG, a), (_RIGHT, b))
    ]
    if noise:
        handles.append(Line2D([], [], color="black", lw=1.2, label="half of the noise"))
    legend_above(figure, handles, 1 if max(len(a), len(b)) > 8 else 2)
    return figure


def caption_flips(rows: list[dict[str, Any]], outcome: str, judged_by: str) -> str:
    """What the figure shows, with the number of pairs and what the noise and the excess are."""
    whole = rows[0]
    noise = (
        " The black rule is half the share of verdicts that change between two draws of the same prompts by "
        "one arm, the noise; at the right all changes in excess of the noise, with a 95 % bootstrap interval."
        if any(r["noise_pct"] is not None for r in rows)
        else " No cell was drawn twice, so the noise is not known."
    )
    return (
        f"Share of prompts whose {outcome} differs between {whole['arm_a']} and {whole['arm_b']}, judged by "
        f"{judged_by}; {whole['n_pairs']} pairs of answers over all questions.{noise} Grey: a gate did not "
        "pass, not a test of warmth."
    )


def _handle(shade: str, arm: str, greyed: bool) -> Patch:
    hatch = "///" if greyed and shade == _RIGHT else None
    shade = FAILED_COLOUR if greyed else shade
    return Patch(facecolor=shade, edgecolor="white", hatch=hatch, lw=0, label=f"wrong in {arm} only")
