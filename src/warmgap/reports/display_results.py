"""Tables of results for the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from warmgap.reports.display import DisplayTable, Row, table
from warmgap.reports.display_confounds import confounds_table
from warmgap.reports.display_guardrails import guardrails_table
from warmgap.reports.display_scopes import scopes_table
from warmgap.reports.figures.dumbbells import cell_rates
from warmgap.reports.figures.effects import main_effects, subset_rank
from warmgap.reports.formats import count, estimate, interval, number, p_value
from warmgap.reports.names import arm_rank, failed, gate_words, judge_name, level, subset_words
from warmgap.statistics.arms import gate_of, label_arms
from warmgap.statistics.headline import Headline

_EFFECT_HEADERS = ("pp [95 % interval]>", "worst case, pp>", "p>", "adjusted p>", "pairs>", "gate")


def effects_table(effects: pl.DataFrame, headline: Headline) -> DisplayTable:
    """Primary contrast and the paper's, in all questions and in each level of one factor."""
    h = headline
    found = main_effects(effects, h.judge, ((h.arm_a, h.arm_b), (h.arm_a, "original")), h.outcome)
    found = found.sort((pl.col("arm_b") == "original").cast(pl.Int8), maintain_order=True)
    rows = [_effect_row(r, (_minus(r), subset_words(r["subset"]))) for r in found.iter_rows(named=True)]
    return table(
        f"Difference in {h.outcome}, percentage points; {judge_name(h.judge)}",
        ("contrast", "subset", *_EFFECT_HEADERS),
        rows,
    )


def arms_compared_table(effects: pl.DataFrame, headline: Headline) -> DisplayTable:
    """Every comparison of two arms on all questions, every outcome (intention to treat)."""
    found = _paired(effects, headline).filter((pl.col("term") == "arm") & (pl.col("subset") == "all"))
    rows = [_effect_row(r, (_minus(r), r["outcome"], r["model"])) for r in found.iter_rows(named=True)]
    return table(
        "Every pair of arms on all questions, failed gates included",
        ("contrast", "outcome", "model", *_EFFECT_HEADERS),
        rows,
    )


def steps_table(effects: pl.DataFrame, headline: Headline) -> DisplayTable:
    """The published contrast as the sum of its steps."""
    found = _paired(effects, headline).filter(
        pl.col("term").str.starts_with("published_") & (pl.col("outcome") == headline.outcome)
    )
    names = {"published_step": "step", "published_total": "sum of the steps"}
    rows = [_effect_row(r, (_minus(r), names[r["term"]], r["model"])) for r in found.iter_rows(named=True)]
    return table(
        "The paper's contrast as a sum of steps", ("contrast", "part", "model", *_EFFECT_HEADERS), rows
    )


def twins_table(contrasts: pl.DataFrame, headline: Headline) -> DisplayTable:
    """How the primary contrast differs between a level and its twin."""
    found = _paired(contrasts, headline).filter(
        (pl.col("arm_a") == headline.arm_a)
        & (pl.col("arm_b") == headline.arm_b)
        & (pl.col("outcome") == headline.outcome)
    )
    if "all" in found["model"]:
        found = found.filter(pl.col("model") == "all")
    rows = [
        _effect_row(r, (_contrast_words(r["contrast"]), r["term"], subset_words(r["subset"])))
        for r in found.iter_rows(named=True)
    ]
    return table(
        f"Does the effect ({headline.arm_a} \N{MINUS SIGN} {headline.arm_b}) depend on context or belief?",
        ("effect there minus effect at its twin", "question", "subset", *_EFFECT_HEADERS),
        rows,
    )


def rates_table(error_rates: pl.DataFrame, headline: Headline, model: str) -> DisplayTable:
    """Rates per cell, one column an arm; an arm that failed its gate says so in its head."""
    part = error_rates.filter((pl.col("model") == model) & (pl.col("judge") == headline.judge))
    cells = cell_rates(part, headline.outcome)
    arms = sorted(cells["arm"].unique(), key=arm_rank)
    gates = dict(cells.select("arm", "gate").iter_rows())
    keys = dict.fromkeys(cells.select("task", "framing", "belief").iter_rows())
    by_cell = {(r["task"], r["framing"], r["belief"], r["arm"]): r for r in cells.iter_rows(named=True)}
    rows = [
        Row(
            (
                task,
                level("framing", f),
                level("belief", b),
                *(_rate(by_cell.get((task, f, b, a))) for a in arms),
            )
        )
        for task, f, b in keys
    ]
    heads = [f"{a} ({gate_words(gates[a])})>" if failed(gates[a]) else f"{a}>" for a in arms]
    return table(
        f"{headline.outcome}, % of scored answers [95 % interval]; {model}; {judge_name(headline.judge)}",
        ("task", "context", "belief", *heads),
        rows,
    )


def flips_table(paired: pl.DataFrame, headline: Headline) -> DisplayTable:
    """How often the verdict on the same prompt changes, and how often it does by chance alone."""
    found = paired.filter(
        (pl.col("judge") == headline.judge)
        & (pl.col("outcome") == headline.outcome)
        & (pl.col("arm_a") == headline.arm_a)
        & ~pl.col("subset").str.contains(",")
    )
    rows = []
    for r in sorted(
        found.iter_rows(named=True), key=lambda r: (r["arm_b"] == "original", subset_rank(r["subset"]))
    ):
        excess = estimate(r["excess_pp"], r["excess_low_pp"], r["excess_high_pp"])
        counts = (count(r["n_pairs"]), str(r["only_a"]), str(r["only_b"]))
        shares = (number(r["flip_pct"]), number(r["noise_pct"]), excess, p_value(r["mcnemar_p"]))
        head = (f"{r['arm_a']} and {r['arm_b']}", subset_words(r["subset"]), r["model"])
        rows.append(Row((*head, *counts, *shares, gate_words(r["gate"])), failed(r["gate"])))
    headers = ("arms", "subset", "model", "pairs>", "only the first>", "only the second>")
    shares_heads = ("changed, %>", "noise, %>", "beyond noise, pp>", "McNemar p>", "gate")
    return table(
        f"Changed verdicts ({headline.outcome}); noise: two draws of the untouched model",
        (*headers, *shares_heads),
        rows,
    )


def quality_table(quality: pl.DataFrame, error_rates: pl.DataFrame) -> DisplayTable:
    """What may make answers unfit, per arm over all cells, weighted by answers."""
    shares = [c for c in quality.columns if c.endswith("_pct")]
    verdicts = label_arms(error_rates).select("model", "arm", "gate").unique().rows()
    gates = {f"{model}/{arm}": gate for model, arm, gate in verdicts}
    found = (
        label_arms(quality)
        .group_by("arm", "model", maintain_order=True)
        .agg(
            pl.col("n").sum().alias("answers"),
            *((pl.col(c) * pl.col("n")).sum() / pl.col("n").sum() for c in (*shares, "mean_tokens")),
        )
    )
    rows = []
    for r in sorted(found.iter_rows(named=True), key=lambda r: (r["model"], arm_rank(r["arm"]))):
        numbers = (*(number(r[c]) for c in shares), number(r["mean_tokens"]))
        is_failed = failed(gate_of(gates, r["model"], r["arm"]))
        rows.append(Row((r["arm"], r["model"], count(r["answers"]), *numbers), is_failed))
    words = [f"{c.removesuffix('_pct').replace('_', ' ')}, %>" for c in shares]
    headers = ("arm", "model", "answers>", *words, "tokens>")
    return table("Answers that may be unfit, per arm", headers, rows)


def _paired(rows: pl.DataFrame, headline: Headline) -> pl.DataFrame:
    return rows.filter(
        (pl.col("estimator") == "paired")
        & (pl.col("judge") == headline.judge)
        & (pl.col("weights") == "equal_task")
        & pl.col("scope").str.starts_with("these_adapters")
    )


def _effect_row(r: Mapping[str, Any], head: tuple[str, ...]) -> Row:
    cells = (
        estimate(r["estimate_pp"], r["conf_low_pp"], r["conf_high_pp"]),
        interval(r["bound_low_pp"], r["bound_high_pp"]),
        p_value(r["p_value"]),
        p_value(r["q_value"]),
        count(r["n"]),
        gate_words(r["gate"]),
    )
    return Row((*head, *cells), failed(r["gate"]))


def _minus(r: Mapping[str, Any]) -> str:
    return f"{r['arm_a']} \N{MINUS SIGN} {r['arm_b']}"


def _contrast_words(contrast: str) -> str:
    return " against ".join(subset_words(side) for side in contrast.split(" - "))


def _rate(r: Mapping[str, Any] | None) -> str:
    if r is None:
        return estimate(None, None, None)
    return estimate(r["rate_pct"], r["conf_low_pct"], r["conf_high_pct"], signed=False)


def result_tables(
    tables: Mapping[str, pl.DataFrame], headline: Headline
) -> Iterator[tuple[str, DisplayTable]]:
    """(section, table) for every result that a sweep has; empty tables are left out."""
    made: list[tuple[str, DisplayTable]] = []
    if "effects" in tables:
        for build in (effects_table, scopes_table, steps_table, arms_compared_table):
            made.append(("effects", build(tables["effects"], headline)))
    if "contrasts" in tables:
        made.insert(1, ("effects", twins_table(tables["contrasts"], headline)))
    if "confounds" in tables:
        made.append(("effects", confounds_table(tables["confounds"], headline)))
    if "error_rates" in tables:
        models = tables["error_rates"]["model"].unique().sort()
        made += [("rates", rates_table(tables["error_rates"], headline, m)) for m in models]
    if "paired" in tables:
        made.append(("flips", flips_table(tables["paired"], headline)))
    if "guardrails" in tables:
        made.append(("guardrails", guardrails_table(tables["guardrails"], headline)))
    if "quality" in tables and "error_rates" in tables:
        made.append(("quality", quality_table(tables["quality"], tables["error_rates"])))
    yield from ((section, t) for section, t in made if t.rows)
