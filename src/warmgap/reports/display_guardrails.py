"""The table of guardrail tasks for the page, and what it says in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from warmgap.reports.display import DisplayTable, Row, table
from warmgap.reports.formats import count, estimate, interval, number, p_value
from warmgap.reports.names import arm_rank, dosed_words, failed, judge_name, listed
from warmgap.statistics.arms import is_trained, label_arms
from warmgap.statistics.headline import Headline

_NAMED = 6
"""Most differences that the sentence names."""


def guardrails_table(guardrails: pl.DataFrame, headline: Headline) -> DisplayTable:
    """Each arm's rate on each task, and its difference from the untouched model, beside the paper's."""
    rows = []
    for r in _of(guardrails, headline):
        seed = f"seed {r['seed']}" if is_trained(r["method"]) else ""
        cells = (
            f"{r['task']}, {r['measure']}",
            ", ".join(filter(None, (dosed_words(r), seed))),
            r["model"],
            estimate(r["rate_pct"], r["conf_low_pct"], r["conf_high_pct"], signed=False),
            count(r["n"]),
            f"{r['unscored']} + {r['truncated']}",
            estimate(r["difference_pp"], r["difference_low_pp"], r["difference_high_pp"]),
            interval(r["bound_low_pp"], r["bound_high_pp"]),
            p_value(r["p_value"]),
            _paper(r),
        )
        rows.append(Row(cells, failed(r["gate"])))
    headers = ("task", "arm", "model", "rate, % [95 % interval]>", "answers>", "unscored + cut>")
    further = ("minus untouched, pp [95 % interval]>", "worst case, pp>", "p>", "the paper's, %")
    return table(
        f"Accuracy, decided by rule; refusals of requests, decided by {judge_name(headline.judge)}",
        (*headers, *further),
        rows,
    )


def guardrails_sentences(guardrails: pl.DataFrame | None, headline: Headline) -> list[str]:
    """Which arms differ from the untouched model, why the paper is not comparable; none without a table."""
    if guardrails is None:
        return []
    rows = _of(guardrails, headline)
    reasons = dict.fromkeys(clause for r in rows for clause in r["reason"].split("; ") if clause)
    why = [f"Not comparable with the paper, since {'; '.join(reasons)}."] if reasons else []
    return [_found([r for r in rows if r["difference_pp"] is not None]), *why]


def _found(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "Without an untouched model that answered the same prompts, nothing says what an arm changed."
    beyond = [r for r in rows if r["difference_low_pp"] > 0 or r["difference_high_pp"] < 0]
    if not beyond:
        widest = max(max(-r["difference_low_pp"], r["difference_high_pp"]) for r in rows)
        return (
            f"No arm differs from the untouched model beyond chance on {listed(_values(rows, 'task'))}; "
            f"differences of up to {number(widest)} pp are not ruled out."
        )
    several = len(_values(rows, "model")) > 1
    named = [
        f"{r['arm']}{' of ' + r['model'] if several else ''} on {r['task']} "
        f"{number(r['difference_pp'], signed=True)} pp"
        for r in beyond
    ]
    more = [f"{len(named) - _NAMED} more"] if len(named) > _NAMED else []
    return (
        f"{len(beyond)} of {len(rows)} differences from the untouched model are beyond chance (95 % "
        f"intervals, not adjusted for their number): {listed([*named[:_NAMED], *more])}."
    )


def _of(guardrails: pl.DataFrame, headline: Headline) -> list[dict[str, Any]]:
    rows = label_arms(guardrails.filter(pl.col("judge") == headline.judge)).to_dicts()
    return sorted(rows, key=lambda r: (r["task"], r["model"], arm_rank(r["arm"]), r["dose"], r["seed"]))


def _values(rows: list[dict[str, Any]], column: str) -> list[str]:
    return sorted({r[column] for r in rows})


def _paper(r: Mapping[str, Any]) -> str:
    if r["published_pct"] is None:
        return str(r["verdict"])
    change = r["published_difference_pp"]
    shown = number(r["published_pct"]) + ("" if change is None else f" ({number(change, signed=True)} pp)")
    return f"{shown}; {r['verdict']}"
