"""Errors of one arm against those of another, a dot per cell, with the diagonal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from warmgap.reports.figures.reanalysis import MODEL_NAMES
from warmgap.reports.formats import count_range
from warmgap.reports.names import failed, level, level_rank
from warmgap.reports.style import BASE_WIDTH_IN, FAILED_COLOUR, RULE_COLOUR, legend_above, styled

_LOOKS = (
    ("#0072b2", "o"),
    ("#d55e00", "D"),
    ("#009e73", "s"),
    ("#cc79a7", "^"),
    ("#e69f00", "v"),
    ("#56b4e9", "P"),
)
_PANEL_IN = 1.55
_FEW = 60


@styled
def draw_scatter(pairs: pl.DataFrame, arm: str, against: str, by_model: bool = True) -> Figure:
    """A panel of all cells, then one per model where there are several; above the diagonal `arm` errs more.

    Args:
        pairs: `cell_pairs.cell_pairs` or `published_pairs`.
        arm: what stands on the vertical axis.
        against: what stands on the horizontal one.
        by_model: whether models have panels of their own.
    """
    models = pairs["model"].unique().sort().to_list()
    beliefs = sorted(pairs["belief"].unique(), key=lambda b: level_rank("belief", b))
    parts: list[tuple[str, pl.DataFrame]] = [("all models" if len(models) > 1 else models[0], pairs)]
    if by_model and len(models) > 1:
        parts += [(m, pairs.filter(pl.col("model") == m)) for m in models]
    n_columns = min(2, len(parts))
    n_rows = -(-len(parts) // n_columns)
    side = BASE_WIDTH_IN if len(parts) == 1 else _PANEL_IN
    legend_rows = -(-len(beliefs) // 2)
    figure = Figure(figsize=(BASE_WIDTH_IN, n_rows * side + 0.45 + 0.16 * legend_rows), layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    top = 1.05 * max(*pairs["conf_high_pct"], *pairs["conf_high_pct_against"])
    for ax, (name, part) in zip(axes.flat, parts, strict=False):
        _panel(ax, part, beliefs, top)
        ax.set_title(MODEL_NAMES.get(name, name), pad=3)
    for spare in axes.flat[len(parts) :]:
        spare.remove()
    figure.supxlabel(f"errors of {against}, %", fontsize=7.5)
    figure.supylabel(f"errors of {arm}, %", fontsize=7.5)
    legend_above(figure, _handles(pairs, beliefs), 2)
    return figure


def caption_scatter(pairs: pl.DataFrame, arm: str, against: str, what: str) -> str:
    """What the figure shows, with the number of cells; `what` says what is counted and by whom."""
    above = int((pairs["rate_pct"] > pairs["rate_pct_against"]).sum())
    n = count_range([*pairs["n"], *pairs["n_against"]])
    return (
        f"{what} A dot is a cell of model, task, context and belief, {n} answers per arm; in {above} of "
        f"{pairs.height} cells {arm} errs more often than {against} (above the diagonal). Bars are 95 % "
        "intervals of each cell. Grey: the arm did not pass its gate and is not a test of warmth."
    )


def _look(belief: str, beliefs: Sequence[str]) -> tuple[str, str]:
    return _LOOKS[beliefs.index(belief) % len(_LOOKS)]


def _panel(ax: Axes, part: pl.DataFrame, beliefs: Sequence[str], top: float) -> None:
    size = 4.2 if part.height < _FEW else 2.8
    ax.plot([0, top], [0, top], color=RULE_COLOUR, lw=0.8, zorder=1)
    for r in part.iter_rows(named=True):
        shade, shape = _look(r["belief"], beliefs)
        shade = FAILED_COLOUR if failed(r["gate"]) else shade
        x, y = r["rate_pct_against"], r["rate_pct"]
        ax.plot(
            [r["conf_low_pct_against"], r["conf_high_pct_against"]], [y, y], color=shade, lw=0.4, alpha=0.35
        )
        ax.plot([x, x], [r["conf_low_pct"], r["conf_high_pct"]], color=shade, lw=0.4, alpha=0.35)
        ax.plot(x, y, shape, color=shade, ms=size, mec="white", mew=0.25, zorder=3)
    ax.set_xlim(0, top)
    ax.set_ylim(0, top)
    ax.set_aspect("equal")


def _handles(pairs: pl.DataFrame, beliefs: Sequence[str]) -> list[Any]:
    greyed = all(failed(gate) for gate in pairs["gate"])
    return [
        Line2D(
            [],
            [],
            ls="",
            marker=_look(b, beliefs)[1],
            ms=4,
            label=level("belief", b),
            color=FAILED_COLOUR if greyed else _look(b, beliefs)[0],
        )
        for b in beliefs
    ]
