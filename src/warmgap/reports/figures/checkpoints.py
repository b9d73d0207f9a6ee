"""Warmth on epochs of training, beside the published values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from warmgap.reports.names import arm_rank, greyed, line_of, listed, meter_beside_unit, unit
from warmgap.reports.style import (
    BASE_WIDTH_IN,
    RULE_COLOUR,
    colour,
    legend_above,
    legend_columns,
    marker,
    method_of,
    styled,
)
from warmgap.statistics.published.warmth_band import UNIT, warmth_band

BAND_LABEL = "band: published, GPT-2 reference"
"""What the band of a meter of the released formulation is."""
STAND_IN_LABEL = "ours is a stand-in: not comparable in level"
"""What is said beside it where our reference model or a setting is not the paper's."""
_BAND_COLOUR = "#dcdcdc"
_PANEL_IN = 1.75
_DASHES = ("-", "--", ":", "-.")


def trained(manipulation: pl.DataFrame) -> bool:
    """Whether an arm that was trained for some epochs was measured."""
    return "epochs" in manipulation["dose_kind"]


@styled
def draw_checkpoints(manipulation: pl.DataFrame, meters: pl.DataFrame, gates: Mapping[str, str]) -> Figure:
    """A panel per meter in gating order: mean warmth on epochs, a line per method.

    The untouched model is epoch 0 of every method. Bars are standard errors over prompts. Behind a
    meter of the released formulation stands the range of the published values (five models). A
    method whose own arm did not pass its gate is grey, as is a checkpoint that failed. Variants have
    lines of their own, told apart by their dashes.

    Args:
        manipulation: rows of `schema.tables.Manipulation` of one model.
        meters: rows of `schema.tables.MeterValidity`.
        gates: gate verdict by arm label.
    """
    validity = meters.filter(pl.col("meter").is_in(manipulation["meter"].unique())).sort("rank")
    lines = method_lines(manipulation, meters, gates)
    dashes = _dashes(lines)
    handles = [
        _handle("original", "", False),
        *(_handle(name, dashes[name], bool(p["grey"].all())) for name, p in lines.items()),
    ]
    n_columns = legend_columns([str(h.get_label()) for h in handles])
    n_lines = len(handles) + sum(":" in name for name in lines)
    height = 0.3 + 0.16 * -(-n_lines // n_columns) + _PANEL_IN * validity.height
    figure = Figure(figsize=(BASE_WIDTH_IN, height), layout="constrained")
    axes = figure.subplots(validity.height, 1, sharex=True, squeeze=False)[:, 0]
    last = max(max(points["dose"].to_list()) for points in lines.values())
    for ax, meter in zip(axes, validity.iter_rows(named=True), strict=True):
        words = [meter_beside_unit(meter["meter"], meter["unit"], meter["is_papers"]).replace(":", ":\n", 1)]
        if is_released(meter["meter"], meter["unit"]):
            _band(ax, last)
            words.append(BAND_LABEL)
            if not meter["is_papers"]:
                words.append(STAND_IN_LABEL)
        _title(ax, words)
        for name, points in lines.items():
            _line(ax, name, dashes[name], points.filter(pl.col("meter") == meter["meter"]))
        ax.set_ylabel(unit(meter["unit"]))
        ax.set_xlim(-0.04 * last, 1.04 * last)
        ax.grid(axis="y", color="#eeeeee", lw=0.6)
        ax.set_axisbelow(True)
    axes[-1].set_xlabel("epochs of training")
    legend_above(figure, handles, n_columns)
    return figure


def caption_checkpoints(manipulation: pl.DataFrame, meters: pl.DataFrame) -> str:
    """What the figure shows, with the number of prompts, what the bars are, and what the band is."""
    shown = manipulation.filter(pl.col("dose_kind").is_in(["none", "epochs"]))
    counts = shown["n_prompts"].unique().sort().to_list()
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    said = (
        f"Mean warmth of replies to {n} validation prompts by epochs of training; epoch 0 is the untouched "
        "model. Bars are one standard error over prompts either side."
    )
    released = [r for r in meters.iter_rows(named=True) if is_released(r["meter"], r["unit"])]
    if released:
        n_models = max(warmth_band()["n_models"].to_list())
        said += (
            f" The band is the range of the published means by epoch over {n_models} models (released "
            "formulation, GPT-2 reference, nats per token)."
        )
        if others := [r["meter"] for r in released if not r["is_papers"]]:
            said += (
                f" With another reference model or setting ({listed(others)}) the formulation has a scale "
                "of its own: compare shapes, not levels."
            )
    return f"{said} Grey: the method did not pass its gate and is not a test of warmth."


def is_released(meter: str, unit_name: str) -> bool:
    """Whether a meter is of the formulation whose values by epoch are published."""
    return meter.split(":")[0] == "sociot_released" and unit_name == UNIT


def method_lines(
    manipulation: pl.DataFrame, meters: pl.DataFrame, gates: Mapping[str, str]
) -> dict[str, pl.DataFrame]:
    """Points of each trained method, a line per variant (`names.line_of`); over seeds the mean.

    Columns meter, method, dose in epochs, mean, std_error and grey; the untouched model is dose 0, that
    of the same variant where there is one.
    """
    found = greyed(manipulation, meters, gates)
    named = pl.struct("method", "variant").map_elements(line_of, return_dtype=pl.String)
    pooled = (
        manipulation.with_columns(line=named)
        .group_by("meter", "line", "method", "dose_kind", "dose")
        .agg(pl.col("mean").mean(), std_error=(pl.col("std_error") ** 2).sum().sqrt() / pl.len())
    )
    out = {}
    for line in sorted(pooled.filter(dose_kind="epochs")["line"].unique(), key=arm_rank):
        mine = pooled.filter(line=line, dose_kind="epochs")
        grey = [found.at(line, "epochs", dose) for dose in mine["dose"]]
        untouched = ":".join(["original", *line.split(":", 1)[1:]])
        zero = pooled.filter(line=untouched if untouched in pooled["line"] else "original")
        zero = zero.with_columns(grey=pl.lit(all(grey)))
        out[line] = pl.concat([zero, mine.with_columns(grey=pl.Series(grey))]).sort("dose")
    return out


def _band(ax: Axes, last: float) -> None:
    """Published range, up to our last epoch: linear between the published epochs."""
    band = warmth_band().filter(pl.col("n_models") > 1)
    epochs = band["epoch"].to_numpy()
    x = np.union1d(epochs[epochs < last], [min(last, epochs[-1])])
    low, high = (np.interp(x, epochs, band[c].to_numpy()) for c in ("low", "high"))
    ax.fill_between(x, low, high, color=_BAND_COLOUR, lw=0, zorder=0, label="band")


def _title(ax: Axes, words: Sequence[str]) -> None:
    """The meter in bold, and below it in plain small type what is behind its lines."""
    small = "\n".join(words[1:])
    ax.set_title(words[0], pad=3 + 9 * len(words[1:]))
    if small:
        ax.annotate(
            small,
            (0, 1),
            xycoords="axes fraction",
            xytext=(0, 2),
            textcoords="offset points",
            fontsize=6.5,
            color="#555555",
        )


def _dashes(lines: Iterable[str]) -> dict[str, str]:
    """Dashes by line, a method's first one solid."""
    found: dict[str, str] = {}
    for name in lines:
        before = sum(method_of(other) == method_of(name) for other in found)
        found[name] = _DASHES[before % len(_DASHES)]
    return found


def _line(ax: Axes, name: str, dashes: str, points: pl.DataFrame) -> None:
    grey = bool(points["grey"].all()) if points.height else False
    ax.add_line(
        Line2D(
            points["dose"].to_list(),
            points["mean"].to_list(),
            color=RULE_COLOUR if grey else colour(name),
            ls=dashes,
            lw=1.0,
            zorder=2,
        )
    )
    for r in points.iter_rows(named=True):
        shown = r["method"]
        ax.errorbar(
            r["dose"],
            r["mean"],
            yerr=r["std_error"],
            fmt=marker(shown),
            ms=4,
            lw=1.1,
            color=colour(shown, r["grey"] and shown != "original"),
            zorder=4 if shown == "original" else 3,
        )


def _handle(name: str, dashes: str, grey: bool) -> Line2D:
    label = name.replace(":", ":\n", 1) + (" (gate not passed)" if grey else "")
    shade = colour(name, grey)
    return Line2D([], [], ls=dashes, marker=marker(name), color=shade, lw=1.0, ms=4, label=label)
