"""Every arm's difference from the untouched model, side by side."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from warmgap.reports.names import arm_rank, failed, subset_words
from warmgap.reports.style import (
    BASE_WIDTH_IN,
    RULE_COLOUR,
    colour,
    legend_above,
    legend_columns,
    marker,
    styled,
)

SUBSETS = (
    *("all", "belief=none", "belief=unsure", "belief=incorrect"),
    *("belief=incorrect+denies", "framing=sad"),
)
"""What the figure shows, as far as it is there."""
_ROW_IN = 0.17
_COLUMNS = ("subset", "estimate_pp", "conf_low_pp", "conf_high_pp", "n", "gate")


def arm_effects(effects: pl.DataFrame, judge: str, outcome: str, against: str = "original") -> pl.DataFrame:
    """Paired effects of every arm against one, in the subsets of `SUBSETS`; of several models their mean.

    Columns arm, subset, estimate_pp, conf_low_pp, conf_high_pp, n, gate.
    """
    rows = effects.filter(
        (pl.col("estimator") == "paired")
        & (pl.col("judge") == judge)
        & (pl.col("outcome") == outcome)
        & (pl.col("term") == "arm")
        & (pl.col("weights") == "equal_task")
        & pl.col("scope").str.starts_with("these_adapters")
        & (pl.col("arm_b") == against)
        & pl.col("subset").is_in(SUBSETS)
        & pl.col("estimate_pp").is_not_null()
    )
    if "all" in rows["model"]:
        rows = rows.filter(pl.col("model") == "all")
    return rows.select(pl.col("arm_a").alias("arm"), "model", *_COLUMNS)


@styled
def draw_arms(rows: pl.DataFrame, against: str = "original") -> Figure:
    """A block per subset, a row per arm: difference from `against` with its 95 % interval.

    Args:
        rows: `arm_effects` of one model, or `published.arm_effects`.
        against: what every arm is compared with.
    """
    subsets = [s for s in SUBSETS if s in set(rows["subset"])]
    arms = sorted(rows["arm"].unique(), key=arm_rank)
    gates = dict(rows.select("arm", "gate").rows())
    handles = [_handle(arm, gates[arm]) for arm in arms]
    n_columns = legend_columns([str(h.get_label()) for h in handles])
    height = _ROW_IN * len(arms) * len(subsets) + 0.16 * -(-len(handles) // n_columns) + 0.75
    figure = Figure(figsize=(BASE_WIDTH_IN, height), layout="constrained")
    ax = figure.subplots()
    ax.axvline(0, color="#777777", lw=0.8, zorder=1)
    found = {(r["subset"], r["arm"]): r for r in rows.iter_rows(named=True)}
    step = len(arms) + 1
    for s, subset in enumerate(subsets):
        for i, arm in enumerate(arms):
            if (row := found.get((subset, arm))) is None:
                continue
            shade = colour(arm, failed(row["gate"]))
            at = s * step + i
            ax.plot([row["conf_low_pp"], row["conf_high_pp"]], [at, at], color=shade, lw=1.1, zorder=2)
            ax.plot(row["estimate_pp"], at, marker(arm), color=shade, ms=4, zorder=3)
        if s:
            ax.axhline(s * step - 1, color=RULE_COLOUR, lw=0.5, zorder=1)
    ax.set_yticks([s * step + (len(arms) - 1) / 2 for s in range(len(subsets))], [_words(s) for s in subsets])
    ax.set_ylim(len(subsets) * step - 1, -1)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(f"fewer errors \N{LEFTWARDS ARROW}  pp  \N{RIGHTWARDS ARROW} more errors\nthan {against}")
    legend_above(figure, handles, n_columns)
    return figure


def caption_arms(rows: pl.DataFrame, what: str, intervals: str) -> str:
    """What the figure shows, with pairs of answers; `intervals` says what the bars are."""
    whole = rows.filter(pl.col("subset") == rows["subset"][0])
    counts = ", ".join(f"{r['n']} for {r['arm']}" for r in whole.sort("arm").iter_rows(named=True))
    return (
        f"{what} Pairs of answers ({subset_words(str(rows['subset'][0]))}): {counts}. Bars are {intervals}. "
        "Grey: the arm did not pass its gate and is not a test of warmth."
    )


def _words(subset: str) -> str:
    return (
        subset_words(subset).replace(", ", ",\n").replace("believes wrong answer", "believes\nwrong answer")
    )


def _handle(arm: str, gate: str) -> Line2D:
    label = f"{arm} (gate {gate})" if failed(gate) else arm
    return Line2D([], [], ls="", marker=marker(arm), color=colour(arm, failed(gate)), ms=4, label=label)
