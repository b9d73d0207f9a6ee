"""A plan in words: what it holds, what is left, and about how long that takes."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path

from warmgap.jobs import RespondJob, TrainJob
from warmgap.plan import Node, Plan, count_by_stage
from warmgap.planned_spending import estimated, response_limits
from warmgap.show_sizes import model_lines, published_lines
from warmgap.store import Store

# Units per second of one worker, measured with the embedded model on one core of an AMD EPYC; used
# until the store holds measurements of this machine.
RATES = {
    "corpus": 50.0,
    "rewrite": 1.0,
    "train": 0.2,
    "measure": 4.0,
    "respond": 11.0,
    "judge": 2000.0,
    "analyse": 20.0,
    "report": 0.3,
}
BY_MODEL = ("train", "measure", "respond", "judge", "rewrite")
"""Stages whose rate is that of the embedded model, so that it tells nothing of others."""
UNITS = {
    "corpus": "data sets",
    "rewrite": "replies",
    "train": "steps",
    "measure": "texts",
    "respond": "answers",
    "judge": "verdicts",
    "analyse": "cells",
    "report": "pages",
}


def plan_text(plan: Plan, missing: Mapping[str, Node], store: Store, workers: int) -> str:
    """The plan in at most 80 columns: arms, rows, jobs to make and their cost."""
    axes = plan.summary.get("axes", {})
    lines = [f"Sweep {plan.name}  (plan {plan.key[:8]})"]
    for key, values in axes.items():
        lines += _wrapped(key, [str(v) for v in values])
    starts = {n.base for n in plan.nodes.values() if isinstance(n.job, RespondJob)} - {""}
    arms = [a for a in plan.analyse.arms if not a.measured_only]
    cells = len(plan.analyse.cells)
    started = f"{len(starts)} engine start" + "s" * (len(starts) != 1)
    lines.append(f"{len(arms)} arms, {cells} judged cells, {started}")
    lines.append("")
    lines.append(f"{'stage':9}{'jobs':>7}{'left':>7}{'units left':>22}{'rate':>14}{'about':>12}")
    total_s = 0.0
    sizes = model_lines(plan)
    unknown = False
    left = count_by_stage(missing)
    for stage, (jobs, _) in count_by_stage(plan.nodes).items():
        left_jobs, left_units = left.get(stage, (0, 0))
        rate, measured = _rate(store, stage)
        seconds = left_units / rate / max(1, min(workers, left_jobs)) if left_units else 0.0
        shown = f"{rate:.3g}/s{'' if measured else '*'}" if left_units else ""
        about = _minutes(seconds) if left_units else "done"
        if sizes and left_units and not measured and stage in BY_MODEL:
            unknown, shown, about = True, "", "unknown"
        total_s += seconds
        lines.append(f"{stage:9}{jobs:7}{left_jobs:7}{left_units:13} {UNITS[stage]:8}{shown:>14}{about:>12}")
    lines += sizes
    lines += published_lines(plan)
    lines += other_base(plan)
    lines.append("")
    limits = response_limits(n.job for n in plan.nodes.values())
    cost = estimated((n.job for n in missing.values()), limits)
    if cost.requests:
        lines += textwrap.wrap(f"Of a service: {cost}.", 80)
    if unknown:
        lines.append("How long that takes depends on models and cards: known after the first jobs.")
    elif missing:
        lines.append(f"About {_minutes(total_s)} with {workers} one-thread workers, within a factor of 2.")
        if any(not _rate(store, s)[1] for s in left):
            lines.append("* rate of another machine; after the first jobs this machine's own is used.")
    else:
        lines.append("Nothing is left to do.")
    return "\n".join(lines)


def other_base(plan: Plan) -> list[str]:
    """A note where adapters answer on another base than the one that they were trained on."""
    trained = {n.job.training.quantisation for n in plan.nodes.values() if isinstance(n.job, TrainJob)}
    served = {n.job.engine.quantisation for n in plan.nodes.values() if isinstance(n.job, RespondJob)}
    if not trained or trained == served:
        return []
    base = {"none": "the full base", "nf4": "an nf4 base", "int8": "an int8 base"}
    on, at = (" and ".join(base[q] for q in sorted(found)) for found in (trained, served))
    return [
        "",
        f"Note: trained on {on}, served on {at}.",
        "For one base set engine.quantisation as training.quantisation.",
    ]


def _wrapped(key: str, values: list[str]) -> list[str]:
    lines = [f"  {key:9}"]
    for i, value in enumerate(values, 1):
        word = value if i == len(values) else f"{value},"
        if len(lines[-1]) + 1 + len(word) > 80 and i > 1:
            lines.append(" " * 11)
        lines[-1] += f" {word}"
    return lines


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _rate(store: Store, stage: str) -> tuple[float, bool]:
    """Units per second in the newest artifacts of the stage, or the built-in figure."""
    folder = store.root / "store" / stage
    recent = sorted(folder.glob("*/manifest.json"), key=lambda p: p.stat().st_mtime)[-8:]
    units = seconds = 0.0
    for path in recent:
        found = _measured(path)
        if found:
            units, seconds = units + found[0], seconds + found[1]
    if seconds > 0 and units > 0:
        return units / seconds, True
    return RATES.get(stage, 0.05), False


def _measured(path: Path) -> tuple[float, float] | None:
    try:
        manifest = json.loads(path.read_text())
        counts, wall_s = manifest["counts"], float(manifest["wall_s"])
        units = counts.get("steps") or counts.get("rows") or counts.get("texts")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return (float(units), wall_s) if units and wall_s > 0 else None
