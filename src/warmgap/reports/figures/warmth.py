"""Mean warmth by arm and training checkpoint, one panel per meter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from warmgap.reports.names import Grey, arm_rank, dose_words, greyed, line_of, meter_beside_unit, unit
from warmgap.reports.style import BASE_WIDTH_IN, RULE_COLOUR, colour, marker, styled

_Z95 = 1.959964
_ROW_IN = 0.2
_KINDS = ("none", "epochs", "adapter_scale", "coefficient")


@styled
def draw_warmth(manipulation: pl.DataFrame, meters: pl.DataFrame, gates: Mapping[str, str]) -> Figure:
    """One row per arm and checkpoint, one panel per meter in gating order.

    Dots are means over validation prompts (over seeds, where there are several), bars 95 %
    intervals (1.96 standard errors); vertical rules are the gold replies' levels.

    Args:
        manipulation: rows of `schema.tables.Manipulation` of one model.
        meters: rows of `schema.tables.MeterValidity`.
        gates: gate verdict per arm label; grey: an arm that did not pass, and every dose of a method
            whose own arm did not.
    """
    panels = _panels(manipulation, meters)
    grey = greyed(manipulation, meters, gates)
    labels = [_label(row) for row in _rows(manipulation)]
    n_lines = sum(1 + label.count("\n") for label in labels)
    height = len(panels) * (n_lines * _ROW_IN + 0.75)
    figure = Figure(figsize=(BASE_WIDTH_IN, height), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for ax, (meter, validity) in zip(axes, panels, strict=True):
        rows = _rows(manipulation.filter(pl.col("meter") == meter))
        _panel(ax, rows, grey)
        is_papers = bool(validity and validity["is_papers"])
        # Two lines where formulation and reference do not fit beside each other.
        title = meter_beside_unit(meter, rows[0]["unit"], is_papers)
        # From the right edge: long names of arms leave less room than a meter's name takes.
        ax.set_title(title.replace(":", ":\n", 1), loc="right", pad=12 if validity else 4)
        ax.set_xlabel(f"warmth, {unit(rows[0]['unit'])}")
        if validity and validity["n_gold"] > 1:
            _gold(ax, validity)
        ax.set_yticks(range(len(rows)), [_label(row) for row in rows])
        ax.set_ylim(len(rows) - 0.4, -0.6)
    return figure


def caption_warmth(manipulation: pl.DataFrame) -> str:
    """What the figure shows, with the number of prompts and what the intervals are."""
    counts = manipulation["n_prompts"].to_list()
    low, high = min(counts), max(counts)
    n = f"{low}" if low == high else f"{low} to {high}"
    return (
        f"Mean warmth of replies to {n} validation prompts, by arm and training checkpoint. Bars are 95 % "
        "intervals over prompts (1.96 standard errors). Dotted rules are the mean levels of written "
        "replies of known tone (gold). Grey: the arm did not pass its gate and is not a test of warmth."
    )


def _panels(manipulation: pl.DataFrame, meters: pl.DataFrame) -> list[tuple[str, dict[str, Any] | None]]:
    validity = {row["meter"]: row for row in meters.sort("rank").iter_rows(named=True)}
    measured = manipulation["meter"].unique(maintain_order=True).to_list()
    known = [m for m in validity if m in measured]
    return [(m, validity.get(m)) for m in (*known, *(m for m in measured if m not in validity))]


def _rows(part: pl.DataFrame) -> list[dict[str, Any]]:
    """Arms in their order, checkpoints in order of dose, seeds averaged."""
    pooled = part.group_by("method", "dose_kind", "dose", "variant").agg(
        pl.col("unit").first(),
        pl.col("mean").mean(),
        # independent prompts' replies per seed: the mean of k seeds has error sqrt(sum se^2) / k
        std_error=(pl.col("std_error") ** 2).sum().sqrt() / pl.len(),
    )
    return sorted(
        pooled.iter_rows(named=True),
        key=lambda r: (arm_rank(line_of(r)), _KINDS.index(r["dose_kind"]), r["dose"]),
    )


def _label(row: Mapping[str, Any]) -> str:
    """Method and dose, and below them what makes it a variant."""
    method, _, variant = line_of(row).partition(":")
    words = ", ".join(filter(None, (method, dose_words(row["dose_kind"], row["dose"]))))
    return "\n".join(filter(None, (words, variant)))


def _panel(ax: Axes, rows: Sequence[Mapping[str, Any]], grey: Grey) -> None:
    by_line: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for y, row in enumerate(rows):
        line = line_of(row)
        shade = colour(line, grey.at(line, row["dose_kind"], row["dose"]))
        half = _Z95 * row["std_error"]
        ax.errorbar(row["mean"], y, xerr=half, fmt=marker(line), ms=4, lw=1.1, color=shade, zorder=3)
        by_line.setdefault((line, row["dose_kind"]), []).append((row["mean"], y))
    for points in by_line.values():
        ax.add_line(Line2D(*zip(*points, strict=True), color=RULE_COLOUR, lw=0.8, zorder=1))
    ax.grid(axis="y", color="#eeeeee", lw=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)


def _gold(ax: Axes, validity: Mapping[str, Any]) -> None:
    """Rules at the gold levels; their labels part ways where the levels lie close together."""
    at = {tone: validity[f"gold_{tone}"] for tone in ("neutral", "warm")}
    for x in at.values():
        ax.axvline(x, color="#555555", lw=0.9, ls=":", zorder=0)
    left, right = ax.get_xlim()
    close = abs(at["warm"] - at["neutral"]) < 0.4 * (right - left)
    for tone, x in at.items():
        ax.annotate(
            f"gold {tone}",
            (x, 1),
            xycoords=ax.get_xaxis_transform(),
            xytext=(0, 2),
            textcoords="offset points",
            ha=("right" if x == min(at.values()) else "left") if close else "center",
            fontsize=6.5,
            color="#555555",
        )
