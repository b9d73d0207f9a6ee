"""What may make answers unfit: rates by arm."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from warmgap.reports.formats import count_range
from warmgap.reports.names import PASSED, arm_rank, failed
from warmgap.reports.style import BASE_WIDTH_IN, colour, legend_above, legend_columns, marker, styled
from warmgap.statistics.arms import label_arms
from warmgap.statistics.clusters import wilson

RATES = {
    "unscored_pct": "no verdict",
    "refusal_pct": "refused",
    "truncated_pct": "cut, undecided",
    "cut_pct": "cut",
    "empty_pct": "empty",
    "header_leak_pct": "role header inside",
    "duplicate_pct": "same as another",
}
"""Columns of `schema.tables.Quality` and what the figure calls them."""
_ROW_IN = 0.13


def arm_quality(quality: pl.DataFrame) -> pl.DataFrame:
    """Each rate of each arm over all its cells, with Wilson's 95 % interval (answers as if independent).

    Columns arm, rate, pct, low_pct, high_pct, n.
    """
    labelled = label_arms(quality)
    rows = []
    for arm in sorted(labelled["arm"].unique(), key=arm_rank):
        mine = labelled.filter(pl.col("arm") == arm)
        n = int(mine["n"].sum())
        for rate in RATES:
            events = float((mine[rate] * mine["n"] / 100).sum())
            low, high = wilson(events, n, 0.95)
            rows.append((arm, rate, 100 * events / n, 100 * low, 100 * high, n))
    names = ("arm", "rate", "pct", "low_pct", "high_pct", "n")
    return pl.DataFrame(rows, schema=names, orient="row")


@styled
def draw_quality(rates: pl.DataFrame, gates: Mapping[str, str]) -> Figure:
    """A block per rate that is not zero in every arm, a row per arm.

    Args:
        rates: `arm_quality` of one model.
        gates: gate verdict by arm label; grey: an arm that did not pass.
    """
    arms = rates["arm"].unique(maintain_order=True).to_list()
    shown = _shown(rates)
    shades = {a: colour(a, failed(gates.get(a, PASSED[0]))) for a in arms}
    handles = [Line2D([], [], ls="", marker=marker(a), color=shades[a], ms=4, label=a) for a in arms]
    n_columns = legend_columns(arms)
    step = len(arms) + 1
    height = _ROW_IN * step * len(shown) + 0.16 * -(-len(arms) // n_columns) + 0.6
    figure = Figure(figsize=(BASE_WIDTH_IN, height), layout="constrained")
    ax = figure.subplots()
    for r in rates.filter(pl.col("rate").is_in(shown)).iter_rows(named=True):
        at = shown.index(r["rate"]) * step + arms.index(r["arm"])
        ax.plot([r["low_pct"], r["high_pct"]], [at, at], color=shades[r["arm"]], lw=1.0, zorder=2)
        ax.plot(r["pct"], at, marker(r["arm"]), color=shades[r["arm"]], ms=3.6, zorder=3)
    for i in range(1, len(shown)):
        ax.axhline(i * step - 1, color="#dddddd", lw=0.5, zorder=1)
    ax.set_yticks([i * step + (len(arms) - 1) / 2 for i in range(len(shown))], [RATES[s] for s in shown])
    ax.set_ylim(len(shown) * step - 1, -1)
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(left=-0.02 * max(rates["high_pct"]))
    ax.set_xlabel("share of answers, %")
    legend_above(figure, handles, n_columns)
    return figure


def caption_quality(rates: pl.DataFrame) -> str:
    """What the figure shows, with answers per arm and what the intervals are."""
    none = [words for rate, words in RATES.items() if rate not in _shown(rates)]
    never = f" Of no answer: {', '.join(none)}." if none else ""
    n = count_range(rates["n"].to_list())
    return (
        f"Share of answers that may be unfit, by arm; {n} answers per arm over all cells. Bars are 95 % "
        "Wilson intervals that take answers as independent. An answer can be cut and still decided; one the "
        "same as another is a text that the arm gave to two prompts of a cell. Grey: the arm did "
        f"not pass its gate.{never}"
    )


def _shown(rates: pl.DataFrame) -> list[str]:
    """The rates that some arm has; the first alone where none has any."""
    some = set(rates.filter(pl.col("pct") > 0)["rate"])
    return [rate for rate in RATES if rate in some] or list(RATES)[:1]
