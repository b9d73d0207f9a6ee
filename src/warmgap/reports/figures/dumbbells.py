"""Error rate of three arms in every cell, joined by a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from warmgap.reports.names import BELIEF_ORDER, FRAMING_ORDER, failed, judge_name, level
from warmgap.reports.style import BASE_WIDTH_IN, RULE_COLOUR, WIDE_WIDTH_IN, colour, marker, method_of, styled
from warmgap.statistics.arms import label_arms

ARMS = ("original", "neutral_sft", "warm_sft")
"""The arms of the paper's comparison and of ours."""
POOLED_SEED = -1
"""Seed of a row that pools all seeds by rows."""
_ROW_IN = 0.33
_ONE_COLUMN_CELLS = 16
_DODGE = 0.24


@styled
def draw_dumbbells(
    error_rates: pl.DataFrame, arms: Sequence[str] = ARMS, outcome: str = "commits_error"
) -> Figure:
    """One row per cell, one panel per task, in one column up to 16 cells and in two beyond.

    Args:
        error_rates: rows of `schema.tables.ErrorRate` of one model and judge.
        arms: labels of the arms to show, as far as they are there.
        outcome: which outcome's rate.
    """
    cells = cell_rates(error_rates, outcome).filter(pl.col("arm").is_in(arms))
    tasks = [(t, list(rows)) for t, rows in groupby(cells.rows(named=True), key=lambda r: r["task"])]
    keys = [list(dict.fromkeys((r["framing"], r["belief"]) for r in rows)) for _, rows in tasks]
    shown = [a for a in arms if a in set(cells["arm"])]
    n_columns = 1 if sum(map(len, keys)) <= _ONE_COLUMN_CELLS else 2
    grid = [range(len(tasks))[i : i + n_columns] for i in range(0, len(tasks), n_columns)]
    heights = [max(len(keys[i]) for i in row) + 0.5 for row in grid]
    width = BASE_WIDTH_IN if n_columns == 1 else WIDE_WIDTH_IN
    figure = Figure(figsize=(width, _ROW_IN * sum(heights) + 0.95), layout="constrained")
    axes = figure.subplots(
        len(grid), n_columns, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for r, row in enumerate(grid):
        for c, i in enumerate(row):
            _panel(axes[r, c], tasks[i][1], keys[i], shown)
            axes[r, c].set_title(tasks[i][0], pad=3)
            if c and keys[i] == keys[row[0]]:
                axes[r, c].tick_params(labelleft=False)
    for spare in axes[-1, len(grid[-1]) :]:
        spare.remove()
        # the panel above it is now the lowest of its column
        axes[-2, -1].tick_params(labelbottom=True)
    axes[0, 0].set_xlim(-2, min(100.0, max(cells["conf_high_pct"].to_list())) + 2)
    judges = " and ".join(judge_name(j) for j in error_rates["judge"].unique(maintain_order=True))
    figure.supxlabel(f"wrong answers, %, judged by {judges}", fontsize=7.5)
    gates = {r["arm"]: r["gate"] for r in cells.rows(named=True)}
    figure.legend(
        handles=[_handle(arm, gates[arm]) for arm in shown],
        loc="outside upper center",
        ncols=len(shown),
        frameon=False,
        handletextpad=0.1,
        columnspacing=1.0,
        borderaxespad=0.2,
    )
    return figure


def caption_dumbbells(
    error_rates: pl.DataFrame, arms: Sequence[str] = ARMS, outcome: str = "commits_error"
) -> str:
    """What the figure shows, with answers per cell and what the intervals are."""
    rows = label_arms(error_rates).filter((pl.col("outcome") == outcome) & pl.col("arm").is_in(arms))
    counts = rows["n"].unique().sort().to_list()
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    seeds = rows["seed"].n_unique()
    judges = " and ".join(judge_name(j) for j in rows["judge"].unique(maintain_order=True))
    averaged = seeds > 1 and POOLED_SEED not in rows["seed"]
    pooled = " Rates and interval ends are means over training seeds." if averaged else ""
    return (
        f"Share of wrong answers ({outcome}) per cell of task, context and belief, judged by {judges}; "
        f"{n} scored answers per arm and cell. Bars are 95 % intervals clustered by question "
        "(Wilson where a cell has no spread)."
        f"{pooled} Grey: the arm did not pass its gate and is not a test of warmth."
    )


def cell_rates(error_rates: pl.DataFrame, outcome: str) -> pl.DataFrame:
    """Rate and interval per arm and cell: rows of seed -1 where present, else the mean over seeds.

    Returns:
        Columns arm, task, framing, belief, rate_pct, conf_low_pct, conf_high_pct, n, gate.
    """
    rows = label_arms(error_rates.filter((pl.col("outcome") == outcome) & pl.col("rate_pct").is_not_null()))
    is_pooled = pl.col("seed") == POOLED_SEED
    rows = rows.filter(is_pooled | ~is_pooled.any().over("arm"))
    return (
        rows.group_by("arm", "task", "framing", "belief")
        .agg(
            pl.col("rate_pct", "conf_low_pct", "conf_high_pct").mean(),
            pl.col("n").sum(),
            pl.col("gate").first(),
        )
        .sort(
            "task", _rank("framing", FRAMING_ORDER), "framing", _rank("belief", BELIEF_ORDER), "belief", "arm"
        )
    )


def _rank(column: str, order: Sequence[str]) -> pl.Expr:
    return pl.col(column).replace_strict(order, range(len(order)), default=len(order))


def _panel(
    ax: Axes, rows: Sequence[Mapping[str, Any]], keys: Sequence[tuple[str, str]], arms: Sequence[str]
) -> None:
    by_cell = {(r["framing"], r["belief"], r["arm"]): r for r in rows}
    for y, (framing, belief) in enumerate(keys):
        if y % 2:
            ax.axhspan(y - 0.5, y + 0.5, color="#f4f4f4", lw=0, zorder=0)
        points = []
        for i, arm in enumerate(arms):
            row = by_cell.get((framing, belief, arm))
            if row is None:
                continue
            at = y + _DODGE * (i - (len(arms) - 1) / 2)
            shade = colour(arm, failed(row["gate"]))
            ax.plot(
                [row["conf_low_pct"], row["conf_high_pct"]],
                [at, at],
                color=shade,
                lw=0.9,
                alpha=0.75,
                zorder=2,
            )
            ax.plot(row["rate_pct"], at, marker(arm), color=shade, ms=3.8, zorder=3)
            points.append((row["rate_pct"], at))
        if points:
            ax.add_line(Line2D(*zip(*points, strict=True), color=RULE_COLOUR, lw=1.8, zorder=1))
    labels = [f"{level('framing', f)},\n{level('belief', b)}" for f, b in keys]
    ax.set_yticks(range(len(keys)), labels, linespacing=0.95)
    ax.set_ylim(len(keys) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="#e4e4e4", lw=0.5)
    ax.set_axisbelow(True)


def _handle(arm: str, gate: str) -> Line2D:
    is_failed = failed(gate)
    label = f"{arm} (gate {gate})" if is_failed else arm
    shade = colour(arm, is_failed)
    return Line2D([], [], ls="", marker=marker(method_of(arm)), color=shade, ms=4, label=label)
