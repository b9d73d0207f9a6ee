"""Forest of the headline contrasts by subset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from warmgap.reports.names import failed, judge_name, level, level_rank
from warmgap.reports.style import BASE_WIDTH_IN, FAILED_COLOUR, RULE_COLOUR, styled
from warmgap.statistics.headline import Headline

PAIRS = (("warm_sft", "neutral_sft"), ("warm_sft", "original"))
"""Our primary contrast and the paper's."""
_COLOURS = ("#d55e00", "#0072b2")
_MARKERS = ("D", "o")
_FACTORS = ("framing", "belief", "task")
_ROW_IN = 0.26


def companion(effects: pl.DataFrame | None, headline: Headline) -> dict[str, Any] | None:
    """The headline's contrast over all questions for the outcome not_correct, if there is one."""
    if effects is None:
        return None
    rows = main_effects(effects, headline.judge, [(headline.arm_a, headline.arm_b)], "not_correct")
    found = rows.filter((pl.col("subset") == "all") & (pl.col("model") == headline.model))
    return found.row(0, named=True) if found.height == 1 else None


def wider_effects(effects: pl.DataFrame | None, headline: Headline) -> list[dict[str, Any]]:
    """The headline's paired contrast over all questions in the scopes wider than its own."""
    if effects is None:
        return []
    h = headline
    found = effects.filter(
        (pl.col("estimator") == "paired")
        & (pl.col("judge") == h.judge)
        & (pl.col("outcome") == h.outcome)
        & (pl.col("term") == "arm")
        & (pl.col("weights") == "equal_task")
        & (pl.col("subset") == "all")
        & (pl.col("arm_a") == h.arm_a)
        & (pl.col("arm_b") == h.arm_b)
        & (pl.col("model") == h.model)
        & pl.col("scope").is_in(["new_adapters", "new_models"])
    )
    return found.sort("scope").to_dicts()


def main_effects(
    effects: pl.DataFrame,
    judge: str,
    pairs: Sequence[tuple[str, str]] = PAIRS,
    outcome: str = "commits_error",
) -> pl.DataFrame:
    """Paired effects of these contrasts in all questions and in each level of one factor.

    Several models: their mean (`model` is `all`). Tasks count alike.

    Returns:
        Rows of `schema.tables.Effect`, sorted by subset (all, framing, belief, task) and pair.
    """
    rows = effects.filter(
        (pl.col("estimator") == "paired")
        & (pl.col("judge") == judge)
        & (pl.col("outcome") == outcome)
        & (pl.col("term") == "arm")
        & (pl.col("weights") == "equal_task")
        & pl.col("scope").str.starts_with("these_adapters")
        & ~pl.col("subset").str.contains(",")
    )
    if rows["model"].eq("all").any():
        rows = rows.filter(pl.col("model") == "all")
    rank = {pair: i for i, pair in enumerate(pairs)}
    kept = [r for r in rows.iter_rows(named=True) if (r["arm_a"], r["arm_b"]) in rank]
    kept.sort(key=lambda r: (subset_rank(r["subset"]), rank[r["arm_a"], r["arm_b"]], r["model"]))
    return pl.DataFrame(kept, schema=effects.schema, orient="row")


@styled
def draw_effects(
    effects: pl.DataFrame,
    judge: str,
    pairs: Sequence[tuple[str, str]] = PAIRS,
    outcome: str = "commits_error",
    equivalence_pp: float = 3.0,
) -> Figure:
    """One row per subset, one dot and 95 % interval per contrast; grey where a gate did not pass.

    Args:
        effects: rows of `schema.tables.Effect`.
        judge: whose verdicts.
        pairs: (arm_a, arm_b) of each contrast, at most two.
        outcome: which outcome.
        equivalence_pp: half-width of the shaded band of differences called negligible.
    """
    rows = main_effects(effects, judge, pairs, outcome).filter(pl.col("estimate_pp").is_not_null())
    subsets = list(dict.fromkeys(rows["subset"]))
    y_of, breaks = _positions(subsets)
    height = _ROW_IN * (max(y_of.values(), default=0) + 1) + 0.95
    figure = Figure(figsize=(BASE_WIDTH_IN, height), layout="constrained")
    ax = figure.subplots()
    ax.axvspan(-equivalence_pp, equivalence_pp, color="#efefef", lw=0, zorder=0)
    ax.axvline(0, color="#777777", lw=0.8, zorder=1)
    for y in breaks:
        ax.axhline(y, color=RULE_COLOUR, lw=0.5, zorder=1)
    for row in rows.iter_rows(named=True):
        i = pairs.index((row["arm_a"], row["arm_b"]))
        at = y_of[row["subset"]] + 0.3 * (i - (len(pairs) - 1) / 2)
        shade = FAILED_COLOUR if failed(row["gate"]) else _COLOURS[i]
        ax.plot([row["conf_low_pp"], row["conf_high_pp"]], [at, at], color=shade, lw=1.2, zorder=2)
        ax.plot(row["estimate_pp"], at, _MARKERS[i], color=shade, ms=4, zorder=3)
    ax.set_yticks([y_of[s] for s in subsets], [_words(s) for s in subsets])
    ax.set_ylim(max(y_of.values(), default=0) + 0.6, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(
        "fewer errors \N{LEFTWARDS ARROW}  pp  \N{RIGHTWARDS ARROW} more errors\n"
        f"judged by {judge_name(judge)}"
    )
    shown = {(r["arm_a"], r["arm_b"]): r["gate"] for r in rows.iter_rows(named=True)}
    figure.legend(
        handles=[_handle(pair, i, shown[pair]) for i, pair in enumerate(pairs) if pair in shown],
        loc="outside upper left",
        ncols=1,
        frameon=False,
        borderpad=0,
        handletextpad=0.2,
        labelspacing=0.2,
    )
    return figure


def caption_effects(
    effects: pl.DataFrame,
    judge: str,
    pairs: Sequence[tuple[str, str]] = PAIRS,
    outcome: str = "commits_error",
    equivalence_pp: float = 3.0,
) -> str:
    """What the figure shows, with the number of pairs and what the intervals are."""
    rows = main_effects(effects, judge, pairs, outcome)
    whole = rows.filter(pl.col("subset") == "all")
    counts = ", ".join(f"{r['n']} for {r['contrast']}" for r in whole.iter_rows(named=True))
    scopes = "; ".join(rows["scope"].unique(maintain_order=True)).replace("_", " ")
    return (
        f"Difference in {outcome} by subset, in percentage points, judged by {judge_name(judge)}. "
        f"Pairs of answers to the same prompt: {counts}. Bars are 95 % intervals clustered by question and "
        f"context sentence, tasks counted alike; scope: {scopes}. The shaded band is {equivalence_pp:g} "
        "percentage points either side of zero. Grey: a gate did not pass, not a test of warmth."
    )


def subset_rank(subset: str) -> tuple[int, tuple[int, str]]:
    """Sort key of a subset with at most one factor: all, framings, beliefs, tasks."""
    if subset == "all":
        return -1, (0, "")
    factor, value = subset.split("=", 1)
    return _FACTORS.index(factor), level_rank(factor, value)


def _positions(subsets: Sequence[str]) -> tuple[dict[str, float], list[float]]:
    """Height of each subset's row, half a row apart between factors, and the rules between."""
    y_of: dict[str, float] = {}
    breaks = []
    y, last = 0.0, None
    for subset in subsets:
        factor = subset.split("=")[0]
        if last is not None and factor != last:
            breaks.append(y - 0.25)
            y += 0.5
        y_of[subset] = y
        y, last = y + 1, factor
    return y_of, breaks


def _words(subset: str) -> str:
    return "all questions" if subset == "all" else level(*subset.split("=", 1))


def _handle(pair: tuple[str, str], i: int, gate: str) -> Any:
    shade = FAILED_COLOUR if failed(gate) else _COLOURS[i]
    label = f"{pair[0]} \N{MINUS SIGN} {pair[1]}" + (f" (gate {gate})" if failed(gate) else "")
    return Line2D([], [], marker=_MARKERS[i], color=shade, lw=1.2, ms=4, label=label)
