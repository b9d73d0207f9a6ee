"""How well each warmth meter tells written warm from written cold replies."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure

from warmgap.reports.formats import count_range
from warmgap.reports.names import meter_beside_unit
from warmgap.reports.style import BASE_WIDTH_IN, FAILED_COLOUR, styled

_ROW_IN = 0.42


def measurable(meters: pl.DataFrame) -> pl.DataFrame:
    """Rows of `schema.tables.MeterValidity` that have an AUC, in gating order."""
    return meters.filter(pl.col("auc_warm_cold").is_not_null()).sort("rank")


@styled
def draw_meters(rows: pl.DataFrame, min_auc: float = 0.75) -> Figure:
    """A row per meter: area under the curve with its 95 % interval, and the least that may gate.

    Args:
        rows: `measurable`.
        min_auc: the threshold of `warmth.gate.min_auc`.
    """
    figure = Figure(figsize=(BASE_WIDTH_IN, _ROW_IN * rows.height + 0.75), layout="constrained")
    ax = figure.subplots()
    ax.axvline(0.5, color="#777777", lw=0.8, zorder=1)
    ax.axvline(min_auc, color="#555555", lw=0.9, ls=":", zorder=1)
    for y, r in enumerate(rows.iter_rows(named=True)):
        shade = FAILED_COLOUR if r["auc_warm_cold"] < min_auc else "#0072b2"
        if r["auc_low"] is not None:
            ax.plot([r["auc_low"], r["auc_high"]], [y, y], color=shade, lw=1.2, zorder=2)
        ax.plot(r["auc_warm_cold"], y, "D" if r["role"] == "gate" else "o", color=shade, ms=4.5, zorder=3)
    labels = [
        f"{meter_beside_unit(r['meter'], r['unit'], r['is_papers']).replace(':', ':' + chr(10), 1)}"
        + (" (gate)" if r["role"] == "gate" else "")
        for r in rows.iter_rows(named=True)
    ]
    ax.set_yticks(range(rows.height), labels, linespacing=0.95)
    ax.set_ylim(rows.height - 0.5, -0.6)
    ax.tick_params(axis="y", length=0)
    low = min([0.5, *rows["auc_low"].drop_nulls(), *rows["auc_warm_cold"]])
    ax.set_xlim(max(0.0, low - 0.03), 1.02)
    figure.supxlabel("AUC, gold warm against gold cold", fontsize=7.5)
    return figure


def caption_meters(rows: pl.DataFrame, min_auc: float = 0.75) -> str:
    """What the figure shows, with the number of prompts and what the intervals are."""
    n = count_range(rows["n_gold"].to_list())
    return (
        "Probability that a meter scores a written warm reply above a written cold one (area under the ROC "
        f"curve), with 95 % intervals over {n} prompts; 0.5 is chance. Dotted: {min_auc:g}, the least with "
        "which a meter may gate arms; the diamond is the meter that does. Grey: below it. The tone of the "
        "replies was set by their writers, not labelled by independent people."
    )
