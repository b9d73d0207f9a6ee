"""What of a changed plan would be made anew, and why: which setting, or which stage before it, changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from warmgap.part_values import CONVERSATIONS, FOLLOWS, HIDES, Named, Value
from warmgap.parts import Parts, feeding
from warmgap.plan import Plan
from warmgap.schema.fields import STAGES

NEW_JOBS = "new jobs"
"""In place of a stage: an input that the old plan had nothing like."""
_FEW = 20
"""Jobs of one label up to which the likest old one is looked for; of more, they are paired in order."""


@dataclass(frozen=True)
class OldJob:
    """A job as plan.json lists it."""

    stage: str
    key: str
    label: str
    units: int


@dataclass(frozen=True)
class OldPlan:
    """A plan as plan.json holds it; `parts` is None where it was written without them."""

    key: str
    summary: Mapping[str, object]
    jobs: tuple[OldJob, ...]
    parts: Parts | None


@dataclass(frozen=True)
class Reason:
    """Why a job has another key: settings of its own (`name: old -> new`), and stages it follows."""

    settings: tuple[str, ...] = ()
    since: tuple[str, ...] = ()


@dataclass(frozen=True)
class Anew:
    """The jobs of a plan, parted by what an older one had of them."""

    kept: tuple[str, ...]
    """Keys that both have."""
    anew: Mapping[str, Reason]
    """Keys whose stage and label the old plan had under another key."""
    new: tuple[str, ...]
    """Keys of which the old plan had nothing."""
    dropped: tuple[OldJob, ...]
    """Jobs that only the old plan had."""


def compare(old: OldPlan, plan: Plan, parts: Parts) -> Anew:
    """Part the jobs of `plan` by what `old` had of them.

    Args:
        old: the plan that was there.
        plan: the plan that is wanted.
        parts: of that plan.
    """
    before = {job.key: job for job in old.jobs}
    kept = tuple(key for key in plan.nodes if key in before)
    pairs = _paired(old, plan, parts)
    matched = {job.key for job in pairs.values()}
    anew: dict[str, Reason] = {}
    # In the plan's order inputs come first, so what they follow is known.
    for key, node in plan.nodes.items():
        if key not in pairs:
            continue
        changed = {} if old.parts is None else _changed(old.parts.named(pairs[key].key), parts.named(key))
        inputs = {role: at for role, at in feeding(node.job).items() if at not in before}
        if node.job.stage == "train" and old.parts is not None and CONVERSATIONS not in changed:
            inputs = {}  # another corpus or other rewrites, but the same rows of them
        since: set[str] = set()
        for at in inputs.values():
            since |= _roots(plan.nodes[at].job.stage, anew.get(at))
        anew[key] = _reason(changed, since)
    new = tuple(key for key in plan.nodes if key not in before and key not in pairs)
    dropped = tuple(j for j in old.jobs if j.key not in plan.nodes and j.key not in matched)
    return Anew(kept, anew, new, dropped)


def _roots(stage: str, reason: Reason | None) -> set[str]:
    """Stages to name where an input of this stage has another key."""
    if reason is None:
        return {NEW_JOBS}
    own = reason.settings or not reason.since
    return {*reason.since, stage} if own else set(reason.since)


def _reason(changed: Mapping[str, str], since: set[str]) -> Reason:
    own = [said for name, said in changed.items() if name not in FOLLOWS]
    stages = tuple(stage for stage in (*STAGES, NEW_JOBS) if stage in since)
    if own:
        stages = tuple(stage for stage in stages if stage != NEW_JOBS)
    elif not stages:
        own = list(changed.values())
    return Reason(tuple(own), stages)


def _paired(old: OldPlan, plan: Plan, parts: Parts) -> dict[str, OldJob]:
    """The old job of each job that has another key; of several with one label the likest."""
    left: dict[tuple[str, str], list[OldJob]] = defaultdict(list)
    wanted: dict[tuple[str, str], list[str]] = defaultdict(list)
    before = {job.key for job in old.jobs}
    for job in old.jobs:
        if job.key not in plan.nodes:
            left[job.stage, job.label].append(job)
    for key, node in plan.nodes.items():
        if key not in before:
            wanted[node.job.stage, node.label].append(key)
    pairs: dict[str, OldJob] = {}
    for at, keys in wanted.items():
        others = left.get(at, [])
        if old.parts is None or len(keys) == len(others) == 1 or max(len(keys), len(others)) > _FEW:
            pairs |= dict(zip(keys, others, strict=False))
        else:
            pairs |= _likest(keys, others, parts, old.parts)
    return pairs


def _likest(keys: Sequence[str], others: Sequence[OldJob], parts: Parts, before: Parts) -> dict[str, OldJob]:
    named = [parts.named(key) for key in keys]
    distances = sorted(
        (len(_changed(before.named(job.key), now)), i, j)
        for j, job in enumerate(others)
        for i, now in enumerate(named)
    )
    pairs: dict[str, OldJob] = {}
    taken: set[int] = set()
    for _, i, j in distances:
        if keys[i] not in pairs and j not in taken:
            pairs[keys[i]] = others[j]
            taken.add(j)
    return pairs


def _changed(old: Named, new: Named) -> dict[str, str]:
    """What differs, by name, as `name: old -> new`; parts that come or go only where nothing else differs."""
    names = [n for n in (*new, *(n for n in old if n not in new)) if _content(old, n) != _content(new, n)]
    hidden = {other for name in names for other in HIDES.get(name, ())}
    both = {n for n in names if n in old and n in new and n not in FOLLOWS}
    told = [n for n in names if n not in hidden and (n in both or n in FOLLOWS or not both)]
    return {name: _said(name, old, new) for name in told}


def _content(values: Named, name: str) -> tuple[bool, Value]:
    value = values.get(name)
    return name in values, value.rpartition("#")[2] if isinstance(value, str) else value


def _said(name: str, old: Named, new: Named) -> str:
    before, after = (_shown(values[name]) if name in values else "absent" for values in (old, new))
    return name if before == after or "" in (before, after) else f"{name}: {before} -> {after}"


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # A text without digest is all shown; an empty one is a setting that is not set.
        return value.rpartition("#")[0] if "#" in value else value or "none"
    return format(value, ".12g") if isinstance(value, float) else str(value)
