"""What became of a plan's rewrites, in words: what was lost, and which styles may be trained on."""

from __future__ import annotations

import textwrap

import polars as pl

from warmgap.corpora.rewriting.gate import Verdict
from warmgap.jobs import TrainJob
from warmgap.plan import Plan
from warmgap.stages.rewrite_check import verdict_of
from warmgap.store import Store


def rewriting_text(plan: Plan, store: Store) -> str:
    """Lines of at most 80 columns for each checked set of rewrites, "" where a plan has none.

    Raises:
        UserError: a file of marks that cannot be read.
    """
    gates = {n.job.rewrites_key: n.job.gate for n in plan.nodes.values() if isinstance(n.job, TrainJob)}
    lines: list[str] = []
    for key, gate in gates.items():
        checked = store.find("rewrite", key) if key else None
        if checked is not None:
            losses = pl.read_parquet(checked.file("losses.parquet"))
            lines += _verdict(verdict_of(checked, gate), losses, gate.override)
            lines += ["", "Replies, faults and losses by reason:", f"  {checked.file('losses.csv').parent}"]
    return "\n".join(lines)


def _verdict(found: Verdict, losses: pl.DataFrame, override: list[str]) -> list[str]:
    lines = [
        f"Rewrites: {found.n_kept:,} of {found.n_conversations:,} conversations are sound in every style"
    ]
    for style in found.styles:
        allowed = " (trained on all the same)" if style.style in override else ""
        lines.append(f"  {style.style:12}{'passed' if style.passed else f'failed{allowed}'}")
        for reason in style.reasons:
            lines += textwrap.wrap(reason.text, 78, initial_indent="    - ", subsequent_indent="      ")
        of = losses.filter(style=style.style, query_type="all").filter(pl.col("reason") != "any")
        named = ", ".join(f"{n} {reason}" for reason, n in of.select("reason", "n").iter_rows())
        lines += textwrap.wrap(
            f"faults: {named or 'none'}", 78, initial_indent="    ", subsequent_indent="      "
        )
    for reason in found.reasons:
        lines += textwrap.wrap(f"together: {reason.text}", 78, initial_indent="  ", subsequent_indent="    ")
    return lines
