"""The design that a plan amounts to, for the power of one pair of its arms; nothing is run or loaded."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace

import polars as pl

from warmgap.errors import UserError, did_you_mean
from warmgap.jobs import RespondJob
from warmgap.plan import Plan
from warmgap.records import ArmRecord, CellRecord
from warmgap.schema.config import AnalysisConfig
from warmgap.schema.fields import plain
from warmgap.statistics.arms import arms_of, comparisons, is_trained
from warmgap.statistics.outcomes import GUARDRAIL_TASKS
from warmgap.statistics.power_components import Components
from warmgap.statistics.power_design import Design
from warmgap.statistics.settings import AnalysisSettings

TWINS = (("framing", "sad", ("filler",)), ("belief", "incorrect", ("mention", "unsure")))
"""Interactions whose power is shown: factor, level, and its twin, the first that the sweep has."""


@dataclass(frozen=True)
class Planned:
    """A pair of arms, what they are asked, and the assumptions."""

    arm_a: str
    arm_b: str
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    framings: tuple[str, ...]
    beliefs: tuple[str, ...]
    draws: int
    """Draws in the plan; effects use the first."""
    design: Design
    components: Components

    def twins(self) -> list[tuple[str, Design]]:
        """Interactions that the plan has both sides of: their name and design."""
        found = []
        for factor, level, others in TWINS:
            levels = self.framings if factor == "framing" else self.beliefs
            twin = next((t for t in others if t in levels), None)
            if level not in levels or twin is None:
                continue
            if factor == "framing":
                kept = tuple(self.design.statements[levels.index(x)] for x in (level, twin))
                design = replace(self.design, contrast="framing", statements=kept)
            else:
                design = replace(self.design, contrast="belief", beliefs=2)
            found.append((f"{level} - {twin}", design))
        return found


def planned(plan: Plan, analysis: AnalysisConfig) -> Planned:
    """The design of the pair `analysis.power.pair`, or of the first pair that the analysis would compare.

    Raises:
        UserError: the plan has no such pair, or nothing that both arms answer.
    """
    records = plan.analyse.arms
    labels = _labels(records)
    arm_a, arm_b = _pair(labels, records, analysis)
    cells = [
        c
        for c in plan.analyse.cells
        if c.draw == 0
        and c.judge == plan.analyse.cells[0].judge
        and c.task not in GUARDRAIL_TASKS
        and labels[c.arm] in (arm_a, arm_b)
    ]
    both = {side: {records[c.arm].model for c in cells if labels[c.arm] == side} for side in (arm_a, arm_b)}
    models = tuple(m for m in dict.fromkeys(r.model for r in records) if m in both[arm_a] & both[arm_b])
    tasks = tuple(dict.fromkeys(c.task for c in cells))
    if not models or not tasks:
        raise UserError(
            f"power cannot be computed: no model answers the same questions as {arm_a} and as {arm_b}. "
            "Sweep both methods over the same models and tasks."
        )
    trained_a, trained_b = (_trained(arm, labels, records) for arm in (arm_a, arm_b))
    seeds = [
        len({records[i].seed for i, at in labels.items() if at == arm and records[i].model == m})
        for m in models
        for arm, trained in ((arm_a, trained_a), (arm_b, trained_b))
        if trained
    ]
    framings = tuple(dict.fromkeys(c.framing for c in cells))
    beliefs = tuple(dict.fromkeys(c.belief for c in cells))
    settings = analysis.power
    other = settings.base_error_pct.get("other", 25.0)
    design = Design(
        questions=tuple(int(plan.summary["questions"][t]) for t in tasks),
        base=tuple(settings.base_error_pct.get(t, other) / 100 for t in tasks),
        models=len(models),
        seeds=min(seeds, default=0),
        both_trained=trained_a and trained_b,
        statements=_statements(plan, cells, framings),
        beliefs=len(beliefs),
    )
    draws = 1 + max(c.draw for c in plan.analyse.cells)
    components = Components(**plain(settings.spread))
    return Planned(arm_a, arm_b, models, tasks, framings, beliefs, draws, design, components)


def _labels(records: tuple[ArmRecord, ...]) -> dict[int, str]:
    """Label of each arm that answers questions, by its place in the plan."""
    answering = {i: r for i, r in enumerate(records) if not r.measured_only}
    columns = ("method", "dose_kind", "dose", "variant")
    table = pl.DataFrame([{c: getattr(r, c) for c in columns} for r in answering.values()])
    by_columns = {(a.method, a.dose_kind, a.dose, a.variant): a.label for a in arms_of(table)}
    return {i: by_columns[r.method, r.dose_kind, r.dose, r.variant] for i, r in answering.items()}


def _pair(
    labels: dict[int, str], records: tuple[ArmRecord, ...], analysis: AnalysisConfig
) -> tuple[str, str]:
    known = tuple(dict.fromkeys(labels.values()))
    if analysis.power.pair:
        arm_a, arm_b = analysis.power.pair
        for arm in (arm_a, arm_b):
            if arm not in known:
                raise UserError(
                    f"analysis.power.pair names {arm}, which is no arm of this sweep."
                    f"{did_you_mean(arm, known)}"
                )
        return arm_a, arm_b
    columns = ("method", "dose_kind", "dose", "variant")
    table = pl.DataFrame([{c: getattr(records[i], c) for c in columns} for i in labels])
    settings = AnalysisSettings(
        primary_pair=(analysis.primary_pair[0], analysis.primary_pair[1]),
        published_pair=(analysis.published_pair[0], analysis.published_pair[1]),
    )
    pairs = comparisons(arms_of(table), settings)
    if not pairs:
        raise UserError(
            "power cannot be computed: the sweep has no two arms that are compared; found "
            f"{', '.join(known)}. "
            "Sweep a second method, as method=original,neutral_sft,warm_sft, or name a pair with "
            "analysis.power.pair=[A,B]."
        )
    return pairs[0]


def _trained(arm: str, labels: dict[int, str], records: tuple[ArmRecord, ...]) -> bool:
    return any(is_trained(records[i].method) for i, label in labels.items() if label == arm)


def _statements(plan: Plan, cells: list[CellRecord], framings: tuple[str, ...]) -> tuple[float, ...]:
    """Per framing, the number of equally used statements that would share as much: (sum n)^2 / sum n^2."""
    jobs = {k: n.job for k, n in plan.nodes.items() if isinstance(n.job, RespondJob)}
    used: dict[str, Counter[str]] = {f: Counter() for f in framings}
    for cell in cells:
        for prompt in jobs[cell.respond_key].prompts:
            if prompt.statement_id is not None:
                used[cell.framing][prompt.statement_id] += 1
    return tuple(
        sum(n.values()) ** 2 / sum(x * x for x in n.values()) if n else math.inf for n in used.values()
    )
