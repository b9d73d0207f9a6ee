"""Our effects against the published ones, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from warmgap.reports.names import failed, judge_name, listed
from warmgap.reports.style import BASE_WIDTH_IN, FAILED_COLOUR, RULE_COLOUR, legend_above, styled

_LOOKS = {
    "compatible": ("#0072b2", "o"),
    "smaller": ("#e69f00", "v"),
    "larger": ("#d55e00", "^"),
    "opposite": ("#cc79a7", "X"),
    "uninformative": ("#56b4e9", "s"),
}


def comparable(comparison: pl.DataFrame, judge: str) -> pl.DataFrame:
    """The rows of `schema.tables.Comparison` of one judge that can be set beside the paper's."""
    return comparison.filter(
        (pl.col("judge") == judge)
        & (pl.col("verdict") != "not comparable")
        & pl.col("ours_pp").is_not_null()
        & pl.col("published_pp").is_not_null()
    )


def n_comparable(tables: Mapping[str, pl.DataFrame], judge: str) -> int:
    """How many effects of a sweep can be set beside the paper's."""
    return comparable(tables["comparison"], judge).height if "comparison" in tables else 0


@styled
def draw_against_paper(rows: pl.DataFrame) -> Figure:
    """Published effect to the right, ours up, with the diagonal of equal effects; shapes are verdicts.

    Args:
        rows: `comparable`.
    """
    shown = [v for v in _LOOKS if v in set(rows["verdict"])]
    height = BASE_WIDTH_IN + 0.16 * -(-len(shown) // 3)
    figure = Figure(figsize=(BASE_WIDTH_IN, height), layout="constrained")
    ax = figure.subplots()
    ends = [
        v
        for c in (
            "ours_pp",
            "ours_low_pp",
            "ours_high_pp",
            "published_pp",
            "published_low_pp",
            "published_high_pp",
        )
        for v in rows[c].drop_nulls()
    ]
    low, high = min(*ends, 0.0), max(*ends, 0.0)
    pad = 0.05 * (high - low)
    ax.plot([low, high], [low, high], color=RULE_COLOUR, lw=0.9, zorder=1)
    ax.axhline(0, color="#777777", lw=0.6, zorder=1)
    ax.axvline(0, color="#777777", lw=0.6, zorder=1)
    for r in rows.iter_rows(named=True):
        shade, shape = _LOOKS[r["verdict"]]
        shade = FAILED_COLOUR if failed(r["gate"]) else shade
        x, y = r["published_pp"], r["ours_pp"]
        if r["published_low_pp"] is not None:
            ends_x = [r["published_low_pp"], r["published_high_pp"]]
            ax.plot(ends_x, [y, y], color=shade, lw=0.5, alpha=0.6, zorder=2)
        ax.plot([x, x], [r["ours_low_pp"], r["ours_high_pp"]], color=shade, lw=0.5, alpha=0.6, zorder=2)
        ax.plot(x, y, shape, color=shade, ms=3.4, mec="white", mew=0.25, zorder=3)
    ax.set_xlim(low - pad, high + pad)
    ax.set_ylim(low - pad, high + pad)
    ax.set_aspect("equal")
    ax.set_xlabel("published effect, pp")
    ax.set_ylabel("our effect, pp")
    legend_above(figure, [_handle(v) for v in shown], min(3, len(shown)))
    return figure


def caption_against_paper(rows: pl.DataFrame) -> str:
    """What the figure shows, with the number of effects and of each verdict."""
    counts = dict(rows.group_by("verdict").len().rows())
    verdicts = ", ".join(f"{counts[v]} {v}" for v in _LOOKS if v in counts)
    unknown = int(rows["published_low_pp"].is_null().sum())
    without = f" {unknown} published effects have no known error." if unknown else ""
    arms = listed(
        [f"{a} less {b}" for a, b in rows.select("arm_a", "arm_b").unique(maintain_order=True).rows()]
    )
    judges = listed([judge_name(j) for j in rows["judge"].unique(maintain_order=True)])
    return (
        f"{rows.height} effects of ours ({arms}) on {listed(rows['outcome'].unique().sort().to_list())}, "
        f"judged by {judges}, against the published ones, in percentage points: {verdicts}, by "
        "the 95 % prediction interval of a replication. Bars are 95 % intervals; on the diagonal both "
        f"effects are equal.{without} Grey: the arm did not pass its gate and is not a test of warmth."
    )


def _handle(verdict: str) -> Line2D:
    shade, shape = _LOOKS[verdict]
    return Line2D([], [], ls="", marker=shape, color=shade, ms=4, label=verdict)
