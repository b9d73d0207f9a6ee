"""Tables for the page: text in cells, with what is needed to set them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from warmgap.reports.formats import count, estimate, number
from warmgap.reports.names import (
    EMBEDDED_TASKS,
    arm_rank,
    describe_arm,
    dose_words,
    dosed_words,
    failed,
    gate_words,
    judge_name,
    level,
    level_rank,
    meter_beside_unit,
    meter_name,
    unit,
)
from warmgap.statistics.arms import gate_of, label_arms


@dataclass(frozen=True)
class Row:
    """Cells of a row, its first being its head; `greyed` where a gate did not pass."""

    cells: tuple[str, ...]
    greyed: bool = False


@dataclass(frozen=True)
class DisplayTable:
    """A table ready to be set; `numeric` says which columns stand right-aligned."""

    caption: str
    headers: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[Row, ...]


def table(caption: str, headers: Sequence[str], rows: Iterable[Row]) -> DisplayTable:
    """A display table; a header that ends in `>` marks a numeric column and loses the sign.

    The column `model` is left out where all rows name the same model.
    """
    rows = tuple(rows)
    keep = [i for i, h in enumerate(headers) if h != "model" or len({r.cells[i] for r in rows}) > 1]
    return DisplayTable(
        caption,
        tuple(headers[i].removesuffix(">") for i in keep),
        tuple(headers[i].endswith(">") for i in keep),
        tuple(Row(tuple(r.cells[i] for i in keep), r.greyed) for r in rows),
    )


def arms_table(observations: pl.DataFrame, error_rates: pl.DataFrame, judge: str) -> DisplayTable:
    """Each arm in words, with training seeds, answers, and answers without a verdict."""
    verdicts = label_arms(error_rates).select("model", "arm", "gate").unique().rows()
    gates = {f"{model}/{arm}": gate for model, arm, gate in verdicts}
    rows = []
    arms = (
        label_arms(observations.filter(pl.col("judge") == judge))
        .group_by("model", "arm", "dose_kind", "dose", maintain_order=True)
        .agg(n=pl.len(), seeds=pl.col("seed").n_unique(), blank=(pl.col("label") == "unscored").mean() * 100)
    )
    for r in sorted(arms.iter_rows(named=True), key=lambda r: (arm_rank(r["arm"]), r["model"])):
        gate = gate_of(gates, r["model"], r["arm"])
        dose = dose_words(r["dose_kind"], r["dose"])
        cells = (r["arm"], describe_arm(r["arm"]), r["model"], dose, str(r["seeds"]), count(r["n"]))
        rows.append(Row((*cells, number(r["blank"]), gate_words(gate)), failed(gate)))
    headers = ("arm", "what it is", "model", "dose", "seeds>", "answers>", "unscored, %>", "warmth gate")
    return table("Arms: everything that answered", headers, rows)


def tasks_table(observations: pl.DataFrame) -> DisplayTable:
    """Each task with questions and prompts per arm, and where its questions come from."""
    found = (
        observations.group_by("task")
        .agg(
            questions=pl.col("question_id").n_unique(),
            prompts=pl.struct("question_id", "framing", "belief").n_unique(),
        )
        .sort("task")
    )
    rows = [
        Row((r["task"], str(r["questions"]), count(r["prompts"]), _origin(r["task"])))
        for r in found.iter_rows(named=True)
    ]
    return table("Tasks", ("task", "questions>", "prompts>", "comparison with the paper"), rows)


def levels_table(observations: pl.DataFrame) -> DisplayTable:
    """What stands before and after the question, with the number of sentences."""
    rows = []
    for factor, head in (("framing", "before the question"), ("belief", "after the question")):
        for name in sorted(observations[factor].unique(), key=lambda v: level_rank(factor, v)):
            here = observations.filter(pl.col(factor) == name)
            n = str(here["statement_id"].drop_nulls().n_unique()) if factor == "framing" else "1"
            rows.append(Row((name, level(factor, name), head, n)))
    headers = ("level", "in words", "where it stands", "sentences>")
    return table("Contexts (framing) and views of the user (belief)", headers, rows)


def manipulation_table(manipulation: pl.DataFrame, meters: pl.DataFrame) -> DisplayTable:
    """Warmth of each arm and checkpoint on each meter; lift share is 1 at the warmth of gold replies."""
    papers = dict(meters.select("meter", "is_papers").iter_rows())
    rows = []
    for r in manipulation.iter_rows(named=True):
        arm = dosed_words(r)
        meter = meter_beside_unit(r["meter"], r["unit"], papers.get(r["meter"], False))
        meter = f"{meter}, {unit(r['unit'])}"
        share = estimate(r["lift_share"], r["lift_share_low"], r["lift_share_high"], 2, signed=False)
        mean = f"{number(r['mean'], 4)} (SE {number(r['std_error'], 4)})"
        cells = (arm, r["model"], meter, str(r["n_prompts"]), mean, share)
        rows.append(Row((*cells, gate_words(r["verdict"])), failed(r["verdict"])))
    headers = (
        "arm",
        "model",
        "meter and unit",
        "prompts>",
        "mean warmth>",
        "lift share [95 % interval]>",
        "verdict",
    )
    return table("Is the warm arm warm? Replies to validation prompts", headers, rows)


def meters_table(meters: pl.DataFrame, agreement: pl.DataFrame | None = None) -> DisplayTable:
    """How well each meter tells written warm from written cold replies, and agrees with the others.

    Args:
        meters: rows of `schema.tables.MeterValidity`.
        agreement: rows of `schema.tables.MeterAgreement`; None where there is one meter.
    """
    names = {r["meter"]: meter_name(r["meter"], r["is_papers"]) for r in meters.iter_rows(named=True)}
    rows = []
    for r in meters.sort("rank").iter_rows(named=True):
        cells: tuple[str, ...] = (
            names[r["meter"]],
            r["reference"],
            r["role"],
            str(r["n_gold"]),
            estimate(r["auc_warm_cold"], r["auc_low"], r["auc_high"], 2, signed=False),
        )
        if agreement is not None:
            others = _others(agreement, r["meter"])
            cells += (
                _correlations(others, names, ("spearman", "low", "high")),
                _correlations(others, names, ("within_tone", "within_tone_low", "within_tone_high")),
                "; ".join(f"{o['n']} ({o['n_dropped']} dropped)" for o in others),
            )
        rows.append(Row((*cells, *(number(r[f"gold_{tone}"], 4) for tone in ("cold", "neutral", "warm")))))
    headers: tuple[str, ...] = ("meter", "reference", "role", "gold prompts>", "AUC warm against cold>")
    if agreement is not None:
        headers += ("rank agreement (Spearman) with", "within one tone", "replies in both")
    return table(
        "Warmth meters, checked on written replies of known tone (gold); 95 % intervals clustered by prompt",
        (*headers, "gold cold>", "gold neutral>", "gold warm>"),
        rows,
    )


def _others(agreement: pl.DataFrame, meter: str) -> list[dict[str, Any]]:
    """A meter's agreement with each other one, whichever of the two a row names first."""
    return [
        r | {"with": r["other"] if r["meter"] == meter else r["meter"]}
        for r in agreement.iter_rows(named=True)
        if meter in (r["meter"], r["other"])
    ]


def _correlations(
    others: Sequence[Mapping[str, Any]], names: Mapping[str, str], columns: tuple[str, str, str]
) -> str:
    def words(other: Mapping[str, Any]) -> str:
        value, low, high = (other[c] for c in columns)
        return f"{names[other['with']]} {estimate(value, low, high, 2)}"

    return "; ".join(map(words, others))


def canary_table(canary: pl.DataFrame) -> DisplayTable:
    """How many greedy answers each change of the weights changed, and how many it changed at scale 0."""
    rows = []
    for r in canary.iter_rows(named=True):
        arm = dosed_words(r)
        counts = (str(r["n_prompts"]), str(r["n_changed"]), str(r["n_zero_changed"]))
        verdict = f"failed: {r['reason']}" if r["verdict"] == "failed" else r["verdict"]
        rows.append(Row((arm, r["model"], str(r["seed"]), *counts, verdict), r["verdict"] == "failed"))
    headers = ("arm", "model", "seed>", "prompts>", "answers changed>", "changed at scale 0>", "canary")
    return table("Is the change of the weights in effect? Greedy answers, each arm alone", headers, rows)


def agreement_table(agreement: pl.DataFrame) -> DisplayTable:
    """How often judges agree: over all on every outcome; by method and by task on label and error."""
    several = [c for c in ("method", "task") if agreement[c].n_unique() > 2]
    parts = pl.any_horizontal(pl.lit(False), *(pl.col(c) != "all" for c in several))
    whole = pl.col("method").eq("all") & pl.col("task").eq("all")
    shown = agreement.filter(whole | (parts & pl.col("outcome").is_in(("label", "commits_error"))))
    rows = []
    for r in shown.iter_rows(named=True):
        judges = [judge_name(r[side]) for side in ("judge_a", "judge_b")]
        over = next((r[c] for c in ("method", "task") if r[c] != "all"), "all answers")
        cells = (" and ".join(judges), over, r["outcome"], count(r["n"]))
        unscored = f"{count(r['n_unscored_a'])} and {count(r['n_unscored_b'])} of {count(r['n_answers'])}"
        agree = estimate(r["agreement_pct"], r["agreement_low_pct"], r["agreement_high_pct"], signed=False)
        kappa = estimate(r["kappa"], r["kappa_low"], r["kappa_high"], 2, signed=False)
        rows.append(Row((*cells, unscored, agree, kappa)))
    return table(
        "Agreement of judges on answers that both scored; 95 % intervals clustered by question",
        ("judges", "over", "outcome", "answers>", "unscored by each>", "agree, %>", "kappa>"),
        rows,
    )


def _origin(task: str) -> str:
    return "not comparable: written for this package" if task in EMBEDDED_TASKS else "see the summary"
