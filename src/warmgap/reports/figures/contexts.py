"""Errors by task and context: two arms, a panel per task."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from warmgap.reports.figures.cell_pairs import COLUMNS
from warmgap.reports.formats import count_range
from warmgap.reports.names import failed, level, level_rank
from warmgap.reports.style import (
    BASE_WIDTH_IN,
    RULE_COLOUR,
    colour,
    legend_above,
    legend_columns,
    marker,
    styled,
)
from warmgap.statistics.clusters import t_quantile

_ROW_IN = 0.2


@styled
def draw_contexts(pairs: pl.DataFrame, arm: str, against: str, belief: str) -> Figure:
    """A row per context: mean error of both arms over models, tasks in panels, for one belief.

    Bars are 95 % intervals: over models (t) where there are two or more, else of the cell.

    Args:
        pairs: `cell_pairs.cell_pairs` or `published_pairs`.
        arm: label of the arm.
        against: label of the arm that it is compared with.
        belief: which belief's cells.
    """
    part = pairs.filter(pl.col("belief") == belief)
    tasks = sorted(part["task"].unique())
    framings = sorted(part["framing"].unique(), key=lambda f: level_rank("framing", f))
    height = len(tasks) * (_ROW_IN * len(framings) + 0.42) + 0.75
    figure = Figure(figsize=(BASE_WIDTH_IN, height), layout="constrained")
    axes = figure.subplots(len(tasks), 1, squeeze=False, sharex=True)[:, 0]
    for ax, task in zip(axes, tasks, strict=True):
        here = part.filter(pl.col("task") == task)
        rows = [f for f in framings if f in set(here["framing"])]
        for y, framing in enumerate(rows):
            _row(ax, y, here.filter(pl.col("framing") == framing), (arm, against))
        ax.set_yticks(range(len(rows)), [level("framing", f) for f in rows])
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x", color="#e4e4e4", lw=0.5)
        ax.set_axisbelow(True)
        ax.set_title(task, pad=3)
    axes[-1].set_xlabel("wrong answers, %")
    greyed = any(failed(gate) for gate in part["gate"])
    handles = [_handle(against, False), _handle(arm, greyed)]
    legend_above(figure, handles, legend_columns([str(h.get_label()) for h in handles]))
    return figure


def caption_contexts(pairs: pl.DataFrame, belief: str, what: str) -> str:
    """What the figure shows, with answers per cell and what the bars are."""
    part = pairs.filter(pl.col("belief") == belief)
    n_models = part["model"].n_unique()
    n = count_range([*part["n"], *part["n_against"]])
    bars = (
        f"Dots are means over {n_models} models, bars 95 % intervals over models (t, {n_models - 1} degrees "
        "of freedom)"
        if n_models > 1
        else "Bars are 95 % intervals of the cell"
    )
    return (
        f"{what} Belief: {level('belief', belief)}; {n} answers per model, arm and cell. {bars}. Grey: the "
        "arm did not pass its gate and is not a test of warmth."
    )


def mean_over_models(values: list[float], low: float, high: float) -> tuple[float, float, float]:
    """Mean with its 95 % t interval over models; of one model its own interval."""
    n = len(values)
    mean = sum(values) / n
    if n == 1:
        return mean, low, high
    half = t_quantile(0.95, n - 1) * math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n)
    return mean, max(0.0, mean - half), min(100.0, mean + half)


def _row(ax: Axes, y: int, here: pl.DataFrame, arms: tuple[str, str]) -> None:
    if y % 2:
        ax.axhspan(y - 0.5, y + 0.5, color="#f4f4f4", lw=0, zorder=0)
    points = []
    for i, arm in enumerate(arms):
        suffix = "_against" if i else ""
        values = {c: here[f"{c}{suffix}"].to_list() for c in COLUMNS}
        mean, low, high = mean_over_models(
            values["rate_pct"], values["conf_low_pct"][0], values["conf_high_pct"][0]
        )
        at = y + (0.16 if i == 0 else -0.16)
        shade = colour(arm, i == 0 and any(failed(gate) for gate in here["gate"]))
        ax.plot([low, high], [at, at], color=shade, lw=0.9, zorder=2)
        ax.plot(mean, at, marker(arm), color=shade, ms=3.6, zorder=3)
        points.append((mean, at))
    ax.add_line(Line2D(*zip(*points, strict=True), color=RULE_COLOUR, lw=1.2, zorder=1))


def _handle(arm: str, greyed: bool) -> Any:
    label = f"{arm} (gate not passed)" if greyed else arm
    return Line2D([], [], ls="", marker=marker(arm), color=colour(arm, greyed), ms=4, label=label)
