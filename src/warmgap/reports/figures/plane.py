"""The plane of calibrated warmth and errors, every arm a point."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from warmgap.reports.formats import count_range
from warmgap.reports.names import arm_rank, failed
from warmgap.reports.style import (
    BASE_WIDTH_IN,
    RULE_COLOUR,
    colour,
    legend_above,
    legend_columns,
    marker,
    styled,
)
from warmgap.statistics.arms import label_arms

_HEIGHT_IN = 2.3


def arm_points(manipulation: pl.DataFrame, meters: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Lift share on the gating meter beside the difference in errors, of every arm that has both.

    Args:
        manipulation: rows of `schema.tables.Manipulation` of one model.
        meters: rows of `schema.tables.MeterValidity`.
        rows: `arms.arm_effects` of the same model.

    Returns:
        Columns arm, share, share_low, share_high (over seeds the mean), estimate_pp, conf_low_pp,
        conf_high_pp, n, gate. Empty where no meter gates.
    """
    gating = meters.filter(pl.col("role") == "gate")["meter"].to_list()
    warm = label_arms(manipulation).filter(pl.col("meter").is_in(gating) & pl.col("lift_share").is_not_null())
    shares = warm.group_by("arm").agg(
        share=pl.col("lift_share").mean(),
        share_low=pl.col("lift_share_low").mean(),
        share_high=pl.col("lift_share_high").mean(),
    )
    whole = rows.filter(pl.col("subset") == "all")
    kept = ("arm", "estimate_pp", "conf_low_pp", "conf_high_pp", "n", "gate")
    return shares.join(whole.select(kept), on="arm", how="inner").sort("arm")


@styled
def draw_plane(points: pl.DataFrame, against: str = "original") -> Figure:
    """Warmth to the right, errors up, both against the untouched model, which stands at zero.

    Args:
        points: `arm_points`.
        against: the arm at zero.
    """
    rows = sorted(points.iter_rows(named=True), key=lambda r: arm_rank(r["arm"]))
    handles = [_handle(against, "not needed"), *(_handle(r["arm"], r["gate"]) for r in rows)]
    n_columns = legend_columns([str(h.get_label()) for h in handles])
    height = _HEIGHT_IN + 0.16 * -(-len(handles) // n_columns)
    figure = Figure(figsize=(BASE_WIDTH_IN, height), layout="constrained")
    ax = figure.subplots()
    ax.axhline(0, color="#777777", lw=0.8, zorder=1)
    ax.axvline(0, color="#777777", lw=0.8, zorder=1)
    ax.axvline(1, color="#555555", lw=0.9, ls=":", zorder=0)
    ax.annotate(
        "gold warm",
        (1, 1),
        xycoords=ax.get_xaxis_transform(),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        fontsize=6.5,
        color="#555555",
    )
    ax.plot(0, 0, marker(against), color=colour(against), ms=5, zorder=4)
    for r in rows:
        shade = colour(r["arm"], failed(r["gate"]))
        ax.plot([r["share_low"], r["share_high"]], [r["estimate_pp"]] * 2, color=shade, lw=0.9, zorder=2)
        ax.plot([r["share"]] * 2, [r["conf_low_pp"], r["conf_high_pp"]], color=shade, lw=0.9, zorder=2)
        ax.plot(r["share"], r["estimate_pp"], marker(r["arm"]), color=shade, ms=5, zorder=3)
    ax.set_xlabel("warmth: share of the gold replies' lift")
    ax.set_ylabel(f"errors against {against}, pp")
    ax.grid(color=RULE_COLOUR, lw=0.3, alpha=0.5)
    ax.set_axisbelow(True)
    legend_above(figure, handles, n_columns)
    return figure


def caption_plane(points: pl.DataFrame, outcome: str, judged_by: str, meter: str) -> str:
    """What the figure shows, with pairs of answers and what the intervals are."""
    n = count_range(points["n"].to_list())
    return (
        f"Warmth of each arm as a share of the lift from written neutral to written warm replies ({meter}), "
        f"against its difference in {outcome} from the untouched model, judged by {judged_by}; {n} pairs of "
        "answers per arm. Bars are 95 % intervals: of warmth over prompts, of errors clustered by question "
        "and context sentence. Grey: the arm did not pass its gate and is not a test of warmth."
    )


def _handle(arm: str, gate: str) -> Line2D:
    label = f"{arm} (gate {gate})" if failed(gate) else arm
    return Line2D([], [], ls="", marker=marker(arm), color=colour(arm, failed(gate)), ms=4.5, label=label)
