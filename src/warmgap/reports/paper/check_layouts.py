"""Tables of what was checked: meters, manipulation gate, canary, guardrails, quality, judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from warmgap.reports.names import (
    arm_rank,
    dosed_words,
    failed,
    gate_words,
    judge_name,
    meter_beside_unit,
    unit,
)
from warmgap.reports.paper.blocks import Column, PaperTable, lay_out
from warmgap.reports.paper.words import (
    GATE,
    GREY,
    MODEL,
    counted,
    failed_row,
    intervals_of,
    ranged,
    share_pct,
    text,
    with_grey,
)
from warmgap.statistics.arms import gate_of, label_arms


def check_layouts(tables: Mapping[str, pl.DataFrame], confidence: float) -> Iterator[PaperTable]:
    """The tables of checks of a sweep, each where the sweep has what it is made from."""
    if "meters" in tables:
        yield _meters(tables["meters"], confidence)
    if "manipulation" in tables:
        yield _manipulation(tables["manipulation"], tables.get("meters"), confidence)
    if "canary" in tables:
        yield _canary(tables["canary"])
    if "guardrails" in tables:
        yield _guardrails(tables["guardrails"], confidence)
    if "quality" in tables and "error_rates" in tables:
        yield _quality(tables["quality"], tables["error_rates"])
    if "agreement" in tables:
        yield _agreement(tables["agreement"], confidence)


def _meters(table: pl.DataFrame, confidence: float) -> PaperTable:
    name = _meter_column()
    columns = (
        name,
        _unit_column(),
        text("reference", "reference"),
        text("role", "role"),
        counted("prompts", "n_gold"),
        share_pct("AUC", "auc_warm_cold", 2),
        ranged("interval", "auc_low", "auc_high", 2),
        *(
            share_pct(tone, f"gold_{tone}", 4, group="mean of written replies")
            for tone in ("cold", "neutral", "warm")
        ),
    )
    caption = (
        "Warmth meters on written replies of known tone. AUC: share of pairs in which the warm reply scores "
        f"above the cold one, {100 * confidence:g} % intervals clustered by prompt; means in the meter's "
        "unit."
    )
    return lay_out("meters", caption, columns, list(table.sort("rank").iter_rows(named=True)))


def _manipulation(table: pl.DataFrame, meters: pl.DataFrame | None, confidence: float) -> PaperTable:
    papers = {} if meters is None else dict(meters.select("meter", "is_papers").iter_rows())
    rows = [{**r, "is_papers": papers.get(r["meter"], False)} for r in table.iter_rows(named=True)]
    columns = (
        _arm_column(),
        MODEL,
        counted("seed", "seed"),
        _meter_column(),
        _unit_column(),
        counted("prompts", "n_prompts"),
        share_pct("mean", "mean", 4),
        share_pct("SE", "std_error", 4),
        share_pct("lift share", "lift_share", 2),
        ranged("interval", "lift_share_low", "lift_share_high", 2),
        Column("gate", lambda r: gate_words(r["verdict"]), ("verdict",), False),
    )
    caption = (
        "Warmth of every arm on every meter, in replies to validation prompts. Lift share: the arm's lift "
        "over the untouched model as a share of the lift of written warm over written neutral replies, "
        f"paired by prompt, {100 * confidence:g} % intervals."
    )
    bad = [r for r in rows if failed(r["verdict"])]
    return lay_out(
        "manipulation", f"{caption} {GREY}" if bad else caption, columns, rows, lambda r: failed(r["verdict"])
    )


def _canary(table: pl.DataFrame) -> PaperTable:
    columns = (
        _arm_column(),
        MODEL,
        counted("seed", "seed"),
        counted("prompts", "n_prompts"),
        counted("changed", "n_changed"),
        counted("changed at scale 0", "n_zero_changed"),
        text("canary", "verdict"),
        text("reason", "reason", varies=True, share=0.3),
    )
    caption = (
        "Is the change of the weights in effect? Greedy answers that differ from the untouched model's, "
        "with the change and with it scaled to zero."
    )
    return lay_out(
        "canary", caption, columns, list(table.iter_rows(named=True)), lambda r: r["verdict"] == "failed"
    )


def _guardrails(table: pl.DataFrame, confidence: float) -> PaperTable:
    rows = list(table.iter_rows(named=True))
    columns = (
        _arm_column(),
        MODEL,
        Column("judge", lambda r: judge_name(r["judge"]), ("judge",), False, varies=True),
        text("task", "task"),
        text("measure", "measure"),
        share_pct("original, %", "original_rate_pct"),
        share_pct("arm, %", "rate_pct"),
        ranged("interval, %", "conf_low_pct", "conf_high_pct"),
        counted("answers", "n"),
        share_pct("diff., pp", "difference_pp", signed=True),
        ranged("interval, pp", "difference_low_pp", "difference_high_pp"),
        share_pct("paper, %", "published_pct"),
        text("agreement", "verdict"),
        GATE,
    )
    caption = (
        "Guardrail tasks: accuracy, on advbench refusals, in per cent of scored answers, and the difference "
        f"from the untouched model of the same sweep. {intervals_of(rows, confidence)}. Judges: "
        f"{', '.join(judge_name(j) for j in dict.fromkeys(r['judge'] for r in rows))}."
    )
    return lay_out("guardrails", with_grey(caption, rows), columns, rows, failed_row)


def _quality(quality: pl.DataFrame, error_rates: pl.DataFrame) -> PaperTable:
    shares = [c for c in quality.columns if c.endswith("_pct")]
    verdicts = label_arms(error_rates).select("model", "arm", "gate").unique().rows()
    gates = {f"{model}/{arm}": gate for model, arm, gate in verdicts}
    means = ((pl.col(c) * pl.col("n")).sum() / pl.col("n").sum() for c in (*shares, "mean_tokens"))
    found = label_arms(quality).group_by("arm", "model").agg(pl.col("n").sum().alias("answers"), *means)
    rows: list[dict[str, Any]] = [
        {**r, "gate": gate_of(gates, r["model"], r["arm"])}
        for r in sorted(found.iter_rows(named=True), key=lambda r: (r["model"], arm_rank(r["arm"])))
    ]
    named = [share_pct(c.removesuffix("_pct").replace("_", " "), c, group="% of answers") for c in shares]
    columns = (
        text("arm", "arm"),
        MODEL,
        counted("answers", "answers"),
        *named,
        share_pct("tokens", "mean_tokens"),
    )
    caption = "Answers that may be unfit, per arm over all cells, and their mean length in tokens."
    return lay_out("quality", with_grey(caption, rows), columns, rows, failed_row)


def _agreement(table: pl.DataFrame, confidence: float) -> PaperTable:
    rows = list(table.iter_rows(named=True))
    columns = (
        Column(
            "judges",
            lambda r: f"{judge_name(r['judge_a'])}, {judge_name(r['judge_b'])}",
            ("judge_a", "judge_b"),
            False,
            varies=True,
        ),
        text("outcome", "outcome"),
        text("arms", "method"),
        text("task", "task"),
        counted("answers", "n_answers"),
        counted("scored by both", "n"),
        share_pct("agree, %", "agreement_pct"),
        ranged("interval, %", "agreement_low_pct", "agreement_high_pct"),
        share_pct("kappa", "kappa", 2),
        ranged("interval", "kappa_low", "kappa_high", 2),
    )
    pairs = dict.fromkeys(f"{judge_name(r['judge_a'])} and {judge_name(r['judge_b'])}" for r in rows)
    caption = (
        f"Agreement of judges ({'; '.join(pairs)}) on answers that both scored; {100 * confidence:g} % "
        "intervals clustered by question."
    )
    return lay_out("agreement", caption, columns, rows)


def _arm_column() -> Column:
    return Column("arm", dosed_words, ("method", "dose_kind", "dose", "variant"), False)


def _meter_column() -> Column:
    return Column(
        "meter", lambda r: meter_beside_unit(r["meter"], r["unit"], r["is_papers"]), ("meter",), False
    )


def _unit_column() -> Column:
    return Column("unit", lambda r: unit(r["unit"]), ("unit",), False)
