"""Published effects by context: each model, their mean over models, and what a new model may show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from warmgap.reports.style import BASE_WIDTH_IN, RULE_COLOUR, styled

MODEL_NAMES: Mapping[str, str] = {
    "llama31_8b": "Llama-8b",
    "mistral_small_2409": "Mistral-Small",
    "qwen25_32b": "Qwen-32b",
    "llama31_70b": "Llama-70b",
    "gpt_4o": "GPT-4o",
}
"""The paper's models as it names them."""
LOOKS: Mapping[str, tuple[str, str]] = {
    "llama31_8b": ("#0072b2", "o"),
    "mistral_small_2409": ("#d55e00", "D"),
    "qwen25_32b": ("#009e73", "s"),
    "llama31_70b": ("#cc79a7", "^"),
    "gpt_4o": ("#e69f00", "v"),
}
"""Colour and marker of each of them."""
_ANSWERS = "#4b2e83"
_NEW_MODEL = "#dcdcdc"
_ROW_IN = 0.33


@styled
def draw_effects(
    over_models: pl.DataFrame, models: pl.DataFrame, panels: Sequence[tuple[str, Sequence[tuple[str, str]]]]
) -> Figure:
    """One panel above the other, one row per effect; all panels share the axis.

    Markers are the models. The diamond is their mean, with the 95 % interval over models (black)
    and, above a grey band that says where one more model is expected, the interval if only answers
    were due to chance (violet).

    Args:
        over_models: `statistics.published.reanalysis.over_models_table`, of one method.
        models: `statistics.published.reanalysis.models_table`, of the same method.
        panels: title, and (effect, label) of each row.
    """
    heights = [len(rows) for _, rows in panels]
    figure = Figure(
        figsize=(BASE_WIDTH_IN, _ROW_IN * sum(heights) + 0.35 * len(panels) + 1.15), layout="constrained"
    )
    axes = figure.subplots(
        len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    for ax, (title, rows) in zip(axes, panels, strict=True):
        _panel(ax, over_models, models, rows)
        ax.set_title(title, pad=3)
    axes[-1].set_xlabel("fewer errors \N{LEFTWARDS ARROW}  pp  \N{RIGHTWARDS ARROW} more errors")
    figure.legend(
        handles=_handles(models),
        loc="outside upper left",
        ncols=2,
        frameon=False,
        borderpad=0,
        handletextpad=0.4,
        columnspacing=0.9,
        labelspacing=0.25,
        fontsize=7,
    )
    return figure


def caption_effects(n_models: int, what: str) -> str:
    """What such a figure shows; `what` names the effects."""
    return (
        f"{what} Errors of the warm model less those of the original, in percentage points, from the "
        f"published cells; tasks counted alike. Diamond: mean of {n_models} models, each counted once. "
        f"Black: 95 % interval over models (t, {n_models - 1} degrees of freedom). Violet: 95 % interval if "
        "the models were fixed and only answers due to chance. Grey: where one more model like these is "
        "expected."
    )


def _panel(
    ax: Axes, over_models: pl.DataFrame, models: pl.DataFrame, rows: Sequence[tuple[str, str]]
) -> None:
    pooled = {r["effect"]: r for r in over_models.iter_rows(named=True)}
    ax.axvline(0, color="#777777", lw=0.8, zorder=1)
    for y, (effect, _) in enumerate(rows):
        row = pooled[effect]
        ax.barh(
            y,
            row["prediction_high_pp"] - row["prediction_low_pp"],
            left=row["prediction_low_pp"],
            height=0.84,
            color=_NEW_MODEL,
            lw=0,
            zorder=0,
        )
        here = models.filter(pl.col("effect") == effect)
        values = dict(here.select("model", "estimate_pp").rows())
        for i, model in enumerate(m for m in LOOKS if m in values):
            colour, marker = LOOKS[model]
            at = y - 0.33 + 0.07 * i
            ax.plot(values[model], at, marker, color=colour, ms=3.4, mec="white", mew=0.3, zorder=3)
        _line(ax, row["conf_low_pp"], row["conf_high_pp"], y + 0.14, "black", 1.4)
        ax.plot(row["estimate_pp"], y + 0.14, "D", color="black", ms=3.8, zorder=4)
        _line(ax, row["answers_low_pp"], row["answers_high_pp"], y + 0.32, _ANSWERS, 1.8)
        if effect in ("main", "belief"):
            ax.axhline(y + 0.5, color=RULE_COLOUR, lw=0.5, zorder=1)
    ax.set_yticks(range(len(rows)), [label for _, label in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)


def _line(ax: Axes, low: float, high: float, y: float, colour: str, width: float) -> None:
    ax.plot([low, high], [y, y], color=colour, lw=width, solid_capstyle="butt", zorder=2)


def _handles(models: pl.DataFrame) -> list[Any]:
    here = set(models["model"])
    dots = [
        Line2D([], [], ls="", marker=marker, color=colour, ms=4, label=MODEL_NAMES[model])
        for model, (colour, marker) in LOOKS.items()
        if model in here
    ]
    return [
        *dots,
        Line2D([], [], color="black", marker="D", lw=1.4, ms=4, label="mean, over models"),
        Line2D([], [], color=_ANSWERS, lw=1.8, label="only answers vary"),
        Patch(color=_NEW_MODEL, lw=0, label="one more model"),
    ]
