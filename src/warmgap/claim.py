"""A sweep's folder belongs to one plan: plan.json, written and read, and what differs from another plan."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warmgap.anew import OldJob, OldPlan, compare
from warmgap.errors import UserError
from warmgap.parts import Parts, parts
from warmgap.plan import Plan, differences
from warmgap.show_anew import anew_lines, wrapped
from warmgap.store import Store, write_text

FILE = "plan.json"


def claim_sweep_folder(plan: Plan, store: Store, replan: bool, request: str = "") -> list[str]:
    """Bind the sweep's folder to this plan, writing plan.json.

    Args:
        plan: the plan.
        store: of the output folder.
        replan: whether it may take the place of another plan.
        request: digest of what was asked for, kept beside the plan; "" for none.

    Returns:
        Where it replaced another plan, what is made anew and why, as lines of at most 80 columns.

    Raises:
        UserError: the folder belongs to another plan and `replan` is false; names what differs, and
            what would be made anew.
    """
    path = store.root / "sweeps" / plan.name / FILE
    old, now = read_plan(path), parts(plan)
    lines = [] if old is None or old.key == plan.key else _compared(old, plan, now, store)
    if lines and not replan and old is not None:
        raise UserError(
            f"the sweep '{plan.name}' exists with another plan. It differs in: "
            f"{_settings(old, plan)}. With this plan:\n"
            + "\n".join(lines)
            + "\nGive this one another name with name=NAME, or replace the plan with replan=true "
            "(what was computed stays in the store)."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, plan_json(plan, now, request))
    return [f"Replaces the plan {old.key[:8]} of '{plan.name}':", *lines] if old and lines else []


def against_claimed(plan: Plan, store: Store) -> list[str]:
    """What this plan makes anew and why, where the sweep's folder holds another one; else nothing."""
    old = read_plan(store.root / "sweeps" / plan.name / FILE)
    if old is None or old.key == plan.key:
        return []
    return [
        "",
        f"The folder of '{plan.name}' holds another plan ({old.key[:8]}). With this one:",
        *_compared(old, plan, parts(plan), store),
        "To go on: name=NAME for a folder of its own, or replan=true.",
    ]


def plan_json(plan: Plan, of: Parts, request: str = "") -> str:
    """The text of plan.json: a line for each job, which names its parts by their place in the table."""
    head = {"name": plan.name, "key": plan.key, **({"request": request} if request else {})}
    jobs = (
        {"stage": n.job.stage, "key": k, "label": n.label, "units": n.units, "parts": of.of[k]}
        for k, n in plan.nodes.items()
    )
    fields = [f'"{name}": {json.dumps(value)}' for name, value in head.items()]
    fields.append(f'"summary": {json.dumps(plan.summary, indent=1)}')
    for name, rows in (("parts", of.table), ("jobs", jobs)):
        fields.append(f'"{name}": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]")
    return "{\n" + ",\n".join(fields) + "\n}\n"


def read_plan(path: Path) -> OldPlan | None:
    """The plan in a file, or None for a new or a damaged one."""
    try:
        old = json.loads(path.read_text())
        jobs = tuple(OldJob(j["stage"], j["key"], j["label"], int(j["units"])) for j in old.get("jobs", ()))
        return OldPlan(str(old["key"]), dict(old["summary"]), jobs, _read_parts(old))
    except (FileNotFoundError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None


def _read_parts(old: Mapping[str, Any]) -> Parts | None:
    """None in a plan from before they were recorded."""
    if "parts" not in old:
        return None
    table: Sequence[Any] = [dict(entry) for entry in old["parts"]]
    of = {job["key"]: tuple(job["parts"]) for job in old["jobs"]}
    for at in of.values():
        for i in at:
            table[i]
    return Parts(tuple(table), of)


def _settings(old: OldPlan, plan: Plan) -> str:
    """What was asked for otherwise; the command repeats it, so it is told only where nothing else is."""
    found = differences(old.summary, plan.summary)
    return "; ".join([line for line in found if not line.startswith("command: ")] or found)


def _compared(old: OldPlan, plan: Plan, now: Parts, store: Store) -> list[str]:
    found = compare(old, plan, now)
    stored = {k for k in found.kept if store.folder(plan.nodes[k].job.stage, k).is_dir()}
    lines = anew_lines(found, plan.nodes, stored)
    if old.parts is None and found.anew:
        # The old plan tells no parts of its keys, only what was asked for.
        lines += wrapped(f"changed: {_settings(old, plan)}")
    return lines
