"""Forest of contrasts between twins, each in every scope that the data allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from warmgap.reports.formats import count_range
from warmgap.reports.names import failed, subset_words
from warmgap.reports.style import BASE_WIDTH_IN, FAILED_COLOUR, RULE_COLOUR, legend_above, styled
from warmgap.statistics.scopes import SCOPES

_LOOKS = {
    "these_adapters": ("#332288", "o"),
    "new_adapters": ("#0072b2", "s"),
    "new_models": ("#d55e00", "D"),
}
_WORDS = {"these_adapters": "these adapters", "new_adapters": "new adapters", "new_models": "new models"}
_ROW_IN = 0.36


def main_contrasts(
    contrasts: pl.DataFrame, judge: str, pairs: Sequence[tuple[str, str]], outcome: str
) -> pl.DataFrame:
    """The paired contrasts over all questions of these pairs of arms, sorted by pair and contrast.

    Several models: their mean. The column `kind` is the scope without what it is conditional on.
    """
    rows = contrasts.filter(
        (pl.col("estimator") == "paired")
        & (pl.col("judge") == judge)
        & (pl.col("outcome") == outcome)
        & (pl.col("subset") == "all")
        & (pl.col("weights") == "equal_task")
        & pl.col("estimate_pp").is_not_null()
    ).with_columns(kind=pl.col("scope").str.split(":").list.first())
    if "all" in rows["model"]:
        rows = rows.filter(pl.col("model") == "all")
    rank = {pair: i for i, pair in enumerate(pairs)}
    kept = [r for r in rows.iter_rows(named=True) if (r["arm_a"], r["arm_b"]) in rank]
    kept.sort(key=lambda r: rank[r["arm_a"], r["arm_b"]])
    return pl.DataFrame(kept, schema=rows.schema, orient="row")


@styled
def draw_forest(rows: pl.DataFrame, equivalence_pp: float = 3.0) -> Figure:
    """A panel per pair of arms, a row per contrast, one interval per scope.

    Args:
        rows: `main_contrasts`.
        equivalence_pp: half-width of the shaded band of differences called negligible.
    """
    pairs = list(dict.fromkeys(rows.select("arm_a", "arm_b").rows()))
    named = {p: _contrasts(rows, p) for p in pairs}
    height = sum(_ROW_IN * len(of) + 0.3 for of in named.values()) + 0.85
    figure = Figure(figsize=(BASE_WIDTH_IN, height), layout="constrained")
    axes = figure.subplots(
        len(pairs),
        1,
        squeeze=False,
        sharex=True,
        gridspec_kw={"height_ratios": [len(of) for of in named.values()]},
    )[:, 0]
    for ax, pair in zip(axes, pairs, strict=True):
        ax.axvspan(-equivalence_pp, equivalence_pp, color="#efefef", lw=0, zorder=0)
        ax.axvline(0, color="#777777", lw=0.8, zorder=1)
        for y, contrast in enumerate(named[pair]):
            mine = rows.filter(
                (pl.col("arm_a") == pair[0]) & (pl.col("arm_b") == pair[1]) & (pl.col("contrast") == contrast)
            )
            for r in mine.iter_rows(named=True):
                shade, shape = _LOOKS[r["kind"]]
                shade = FAILED_COLOUR if failed(r["gate"]) else shade
                at = y + 0.24 * (SCOPES.index(r["kind"]) - 1)
                ax.plot([r["conf_low_pp"], r["conf_high_pp"]], [at, at], color=shade, lw=1.1, zorder=2)
                ax.plot(r["estimate_pp"], at, shape, color=shade, ms=3.8, zorder=3)
            if y:
                ax.axhline(y - 0.5, color=RULE_COLOUR, lw=0.4, zorder=1)
        ax.set_yticks(range(len(named[pair])), [_words(c) for c in named[pair]], linespacing=0.95)
        ax.set_ylim(len(named[pair]) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
        ax.set_title(f"{pair[0]} \N{MINUS SIGN} {pair[1]}", pad=3)
    axes[-1].set_xlabel("effect smaller \N{LEFTWARDS ARROW}  pp  \N{RIGHTWARDS ARROW} effect larger")
    kinds = [k for k in SCOPES if k in set(rows["kind"])]
    greyed = all(failed(gate) for gate in rows["gate"])
    legend_above(figure, [_handle(k, greyed) for k in kinds], len(kinds))
    return figure


def caption_forest(rows: pl.DataFrame, outcome: str, judged_by: str, equivalence_pp: float = 3.0) -> str:
    """What the figure shows, with the number of pairs and what the intervals are."""
    n = count_range(rows["n"].to_list())
    missing = [_WORDS[k] for k in SCOPES if k not in set(rows["kind"])]
    without = f" Not estimable here: {' and '.join(missing)}." if missing else ""
    return (
        f"How much larger the arms' difference in {outcome} is at a level than at its twin, which differs "
        f"in this factor alone; judged by {judged_by}, {n} matched pairs per contrast, tasks counted alike. "
        "Bars are 95 % intervals; their scope says over what they generalise: these adapters (questions and "
        f"statements vary), new adapters (training seeds too), new models (models too).{without} The "
        f"shaded band is {equivalence_pp:g} percentage points either side of zero. Grey: a gate did not pass."
    )


def _contrasts(rows: pl.DataFrame, pair: tuple[Any, ...]) -> list[str]:
    mine = rows.filter((pl.col("arm_a") == pair[0]) & (pl.col("arm_b") == pair[1]))
    return mine["contrast"].unique(maintain_order=True).to_list()


def _words(contrast: str) -> str:
    up, down = (subset_words(side) for side in contrast.split(" - "))
    return f"{up}\nagainst {down}"


def _handle(kind: str, greyed: bool) -> Line2D:
    shade, shape = _LOOKS[kind]
    return Line2D(
        [], [], marker=shape, color=FAILED_COLOUR if greyed else shade, lw=1.1, ms=4, label=_WORDS[kind]
    )
