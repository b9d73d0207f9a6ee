"""Tables of what is ours: effects, contrasts, gates, canary, quality, judges, the paper beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from warmgap.reports.figures.effects import main_effects
from warmgap.reports.figures.forest import main_contrasts
from warmgap.reports.names import (
    arm_rank,
    dosed_words,
    failed,
    gate_words,
    judge_name,
    level,
    meter_beside_unit,
    subset_words,
    unit,
)
from warmgap.reports.paper.blocks import Column, PaperTable, lay_out
from warmgap.reports.paper.words import (
    GREY,
    counted,
    interval_words,
    minus_column,
    outcome_words,
    p_column,
    ranged,
    scope_words,
    share_pct,
    subset_column,
    text,
)
from warmgap.statistics.arms import gate_of, label_arms
from warmgap.statistics.headline import Headline
from warmgap.statistics.multiplicity import CONFIRMATORY

_GATE = Column("gate", lambda r: gate_words(r["gate"]), ("gate",), False)
_MODEL = text("model", "model", varies=True)
_FAMILIES = {"confirmatory_holm": "Holm", "all_cells_bh": "BH", "none": ""}
_EFFECT = (
    share_pct("pp", "estimate_pp", signed=True),
    ranged("interval, pp", "conf_low_pp", "conf_high_pp"),
    ranged("worst case, pp", "bound_low_pp", "bound_high_pp"),
    p_column("p", "p_value"),
    p_column("adjusted p", "q_value"),
    Column("by", lambda r: _FAMILIES.get(r["family"], r["family"]), ("family",), False),
    counted("pairs", "n"),
    _GATE,
)


def study_layouts(tables: Mapping[str, pl.DataFrame], h: Headline, confidence: float) -> Iterator[PaperTable]:
    """Our tables of a sweep, each where the sweep has what it is made from."""
    pairs = ((h.arm_a, h.arm_b), (h.arm_a, "original"))
    if "effects" in tables:
        rows = tables["effects"].filter(
            pl.col("family") == CONFIRMATORY, pl.col("judge") == h.judge, pl.col("estimator") == "paired"
        )
        if rows.height:
            what = f"Confirmatory effects: difference in {outcome_words(h)}, percentage points."
            yield _effects("confirmatory", what, list(rows.iter_rows(named=True)), confidence, scopes=True)
        rows = main_effects(tables["effects"], h.judge, pairs, h.outcome)
        if rows.height:
            what = f"Effects by subset: difference in {outcome_words(h)}, percentage points."
            yield _effects("effects", what, list(rows.iter_rows(named=True)), confidence)
    if (
        "contrasts" in tables
        and (rows := main_contrasts(tables["contrasts"], h.judge, pairs, h.outcome)).height
    ):
        yield _contrasts(rows, h, confidence)
    if "equivalence" in tables:
        yield _equivalence(tables["equivalence"], h)
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
    if "comparison" in tables:
        yield _comparison(tables["comparison"], h, confidence)


def _effects(
    name: str, what: str, rows: Sequence[Mapping[str, Any]], confidence: float, scopes: bool = False
) -> PaperTable:
    scope = Column("scope", lambda r: r["scope"].split(":")[0].replace("_", " "), ("scope",), False)
    columns = (minus_column(), subset_column(), _MODEL, *((scope,) if scopes else ()), *_EFFECT)
    caption = (
        f"{what} {_intervals(rows, confidence)}, over {scope_words(r['scope'] for r in rows)}. "
        "Worst case: answers without a verdict counted either way."
    )
    return lay_out(name, _grey(caption, rows), columns, rows, _failed)


def _contrasts(twins: pl.DataFrame, h: Headline, confidence: float) -> PaperTable:
    rows = list(twins.iter_rows(named=True))
    against = Column(
        "there minus at its twin",
        lambda r: " against ".join(subset_words(side) for side in r["contrast"].split(" - ")),
        ("contrast",),
        False,
    )
    columns = (minus_column("effect"), against, subset_column("in"), _MODEL, *_EFFECT)
    caption = (
        f"Does the effect depend on context or view? Differences of effects in {outcome_words(h)}, "
        f"percentage points. {_intervals(rows, confidence)}, over {scope_words(r['scope'] for r in rows)}."
    )
    return lay_out("contrasts", _grey(caption, rows), columns, rows, _failed)


def _equivalence(table: pl.DataFrame, h: Headline) -> PaperTable:
    rows = list(table.iter_rows(named=True))
    columns = (
        minus_column(),
        subset_column(),
        _MODEL,
        share_pct("pp", "estimate_pp", signed=True),
        ranged("interval, pp", "conf_low_pp", "conf_high_pp"),
        p_column("p", "p_value"),
        p_column("by Holm", "p_holm"),
        Column("equivalent", lambda r: "yes" if r["equivalent"] else "not shown", ("equivalent",), False),
        counted("pairs", "n"),
        _GATE,
    )
    margins = ", ".join(f"{m:g}" for m in table["margin_pp"].unique().sort())
    caption = (
        f"Are confirmatory effects smaller than {margins} percentage points either way? Two one-sided tests; "
        f"{outcome_words(h)}; the interval lies inside the margin where p is below the level."
    )
    return lay_out("equivalence", _grey(caption, rows), columns, rows, _failed)


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
        _MODEL,
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
        _MODEL,
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
        _MODEL,
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
        _GATE,
    )
    caption = (
        "Guardrail tasks: accuracy, on advbench refusals, in per cent of scored answers, and the difference "
        f"from the untouched model of the same sweep. {_intervals(rows, confidence)}. Judges: "
        f"{', '.join(judge_name(j) for j in dict.fromkeys(r['judge'] for r in rows))}."
    )
    return lay_out("guardrails", _grey(caption, rows), columns, rows, _failed)


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
        _MODEL,
        counted("answers", "answers"),
        *named,
        share_pct("tokens", "mean_tokens"),
    )
    caption = "Answers that may be unfit, per arm over all cells, and their mean length in tokens."
    return lay_out("quality", _grey(caption, rows), columns, rows, _failed)


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


def _comparison(table: pl.DataFrame, h: Headline, confidence: float) -> PaperTable:
    found = table.filter(pl.col("judge") == h.judge)
    clauses = [r.split("; ") if r else [] for r in found["reason"]]
    shared = [c for c in (clauses[0] if clauses else []) if all(c in other for other in clauses)]
    rows = [
        {**r, "reason": "; ".join(c for c in own if c not in shared)}
        for r, own in zip(found.iter_rows(named=True), clauses, strict=True)
    ]
    any_published = found["published_pp"].is_not_null().any()
    columns = (
        text("model", "model", varies=True),
        text("task", "task"),
        Column("context", lambda r: level("framing", r["framing"]), ("framing",), False),
        Column("view", lambda r: level("belief", r["belief"]), ("belief",), False),
        share_pct("pp", "ours_pp", signed=True, group="ours"),
        ranged("interval", "ours_low_pp", "ours_high_pp", group="ours"),
        counted("pairs", "n"),
        share_pct("pp", "published_pp", signed=True, group="paper's") if any_published else None,
        ranged("interval", "published_low_pp", "published_high_pp", group="paper's")
        if any_published
        else None,
        text("verdict", "verdict", varies=True),
        text("why", "reason", varies=True, share=0.3) if any_published else None,
    )
    arms = ", ".join(dict.fromkeys(f"{r['arm_a']} against {r['arm_b']}" for r in rows))
    said = [
        f"Our effects beside the paper's ({arms}; {', '.join(found['outcome'].unique().sort())}, judged by "
        f"{judge_name(h.judge)}), percentage points, {100 * confidence:g} % intervals."
    ]
    verdicts = found["verdict"].unique().to_list()
    if len(verdicts) == 1:
        said.append(f"All rows: {verdicts[0]}.")
    if shared:
        said.append(f"Of all rows: {'; '.join(shared)}.")
    shown = [c for c in columns if c is not None]
    return lay_out("comparison", _grey(" ".join(said), rows), shown, rows, _failed)


def _arm_column() -> Column:
    return Column("arm", dosed_words, ("method", "dose_kind", "dose", "variant"), False)


def _meter_column() -> Column:
    return Column(
        "meter", lambda r: meter_beside_unit(r["meter"], r["unit"], r["is_papers"]), ("meter",), False
    )


def _unit_column() -> Column:
    return Column("unit", lambda r: unit(r["unit"]), ("unit",), False)


def _intervals(rows: Sequence[Mapping[str, Any]], confidence: float) -> str:
    return interval_words((r["interval_method"] for r in rows), confidence)


def _failed(row: Mapping[str, Any]) -> bool:
    return failed(row["gate"])


def _grey(caption: str, rows: Sequence[Mapping[str, Any]]) -> str:
    return f"{caption} {GREY}" if any(map(_failed, rows)) else caption
