"""The published warmth by checkpoint, and the published arms in the shape of `arms.arm_effects`."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from warmgap.reports.figures.reanalysis import LOOKS, MODEL_NAMES
from warmgap.reports.style import BASE_WIDTH_IN, legend_above, styled
from warmgap.statistics.published import read, to_ours

_SUBSETS = {"main": "belief=none", "belief": "belief=incorrect+denies"}


def published_arms(arms: pl.DataFrame) -> pl.DataFrame:
    """Columns arm, model, subset, estimate_pp, conf_low_pp, conf_high_pp, n (models) and gate.

    Args:
        arms: `statistics.published.reanalysis.arms_table`.
    """
    rows = arms.filter((pl.col("left_out") == "") & ~pl.col("method").str.contains(" - ", literal=True))
    return rows.select(
        pl.col("method").alias("arm"),
        pl.lit("all").alias("model"),
        pl.col("effect").replace_strict(_SUBSETS).alias("subset"),
        *("estimate_pp", "conf_low_pp", "conf_high_pp"),
        pl.col("n_models").alias("n"),
        pl.lit("not needed").alias("gate"),
    )


def published_warmth() -> pl.DataFrame:
    """Columns model (our name), epoch, mean and sem of the released formulation, nats per token."""
    found = read("sociot")
    names = {name: to_ours("model", name)[0] for name in found["model"].unique()}
    return found.with_columns(pl.col("model").replace_strict(names)).sort("model", "epoch")


@styled
def draw_published_warmth(rows: pl.DataFrame) -> Figure:
    """Warmth on epochs, a line per model, bars of one standard error.

    Args:
        rows: `published_warmth`.
    """
    models = [m for m in LOOKS if m in set(rows["model"])]
    figure = Figure(figsize=(BASE_WIDTH_IN, 2.6), layout="constrained")
    ax = figure.subplots()
    for model in models:
        shade, shape = LOOKS[model]
        mine = rows.filter(pl.col("model") == model)
        ax.errorbar(
            mine["epoch"], mine["mean"], yerr=mine["sem"], fmt=f"-{shape}", ms=3.6, lw=1.0, color=shade
        )
    ax.set_xlabel("epochs of training")
    ax.set_ylabel("warmth, nats per token")
    ax.grid(axis="y", color="#eeeeee", lw=0.6)
    ax.set_axisbelow(True)
    handles = [
        Line2D([], [], color=LOOKS[m][0], marker=LOOKS[m][1], lw=1.0, ms=4, label=MODEL_NAMES[m])
        for m in models
    ]
    legend_above(figure, handles, 2)
    return figure


def caption_published_warmth(rows: pl.DataFrame) -> str:
    """What the figure shows, with the number of models and what the bars are."""
    return (
        f"Published warmth of {rows['model'].n_unique()} models by epochs of training on warm replies; epoch "
        "0 is the original model. Released formulation of SocioT, GPT-2 as the reference, nats per token. "
        "Bars are one published standard error of the mean either side."
    )
