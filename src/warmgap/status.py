"""How far a sweep is: of each job of its plan.json whether it is done, running, waiting or failed.

Reads names of folders and run records, compiles nothing and opens no artifact but a few manifests.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warmgap.errors import UserError
from warmgap.runs import LOST_AFTER_S, Run, Runs, is_gone, made
from warmgap.schema.fields import STAGES

STATES = ("done", "running", "waiting", "failed", "blocked", "lost")
LOST = "ended without a word: killed, out of memory, or its machine died"
_WAITS_AGAIN = ("PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SUSPENDED")
_NEWEST = 8

SlurmJobs = Mapping[str, tuple[str, str]]
"""State and reason of each SLURM job that lives, by its id as `squeue` writes it."""
AskSlurm = Callable[[Sequence[str]], SlurmJobs | None]
"""Tells which of some SLURM jobs live; None where that is not to be known."""


@dataclass(frozen=True)
class NodeStatus:
    """One job of a plan: what it is, its state, and its run record if it has one."""

    key: str
    stage: str
    label: str
    units: int
    state: str
    run: Run | None = None

    @property
    def units_done(self) -> float:
        """Rows, steps or texts that are done, of a running job as last reported."""
        if self.state == "done":
            return self.units
        run = self.run
        return self.units * run.done / run.total if run and run.total and self.state != "waiting" else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds that a running job still takes; None where that is not known."""
        rate = self.run.units_per_s if self.run else 0.0
        return (self.units - self.units_done) / rate if rate > 0 else None


@dataclass(frozen=True)
class StageStatus:
    """The jobs of one stage in numbers."""

    stage: str
    jobs: Mapping[str, int]
    """Number of jobs in each state that any is in."""
    units: int
    units_done: float
    units_per_s: float
    """Of all running jobs together, else what was measured last; 0 where nothing is known."""
    left_s: float | None


@dataclass(frozen=True)
class Status:
    """A sweep as it stands."""

    name: str
    plan_key: str
    nodes: tuple[NodeStatus, ...]
    stages: tuple[StageStatus, ...]
    slurm: SlurmJobs | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    """Stage and label by key, for what blocks others."""

    def of(self, *states: str) -> list[NodeStatus]:
        """Jobs in these states."""
        return [n for n in self.nodes if n.state in states]

    @property
    def is_under_way(self) -> bool:
        """True while a process or a SLURM job will go on with it."""
        return any(
            n.state == "running" or (n.state == "waiting" and self._is_queued(n.run)) for n in self.nodes
        )

    def _is_queued(self, run: Run | None) -> bool:
        if run is None or run.kind == "interrupted":
            return False
        if run.slurm_job:
            return run.slurm_job in self.slurm if self.slurm is not None else run.state == "queued"
        return run.state == "queued" and not is_gone(run, LOST_AFTER_S - 1)


def read_status(root: Path, name: str, ask: AskSlurm = lambda _: None) -> Status:
    """The status of a sweep.

    Args:
        root: the output folder.
        name: the sweep's.
        ask: tells which SLURM jobs live; called with those that run records name, if there are any.

    Raises:
        UserError: there is no such sweep, or its plan cannot be read.
    """
    plan = _plan(root / "sweeps" / name / "plan.json", name)
    jobs: list[dict[str, Any]] = plan["jobs"]
    runs = Runs(root)
    there = _all(root)
    records = runs.read(job["key"] for job in jobs if job["key"] not in there)
    named = sorted({run.slurm_job for run in records.values() if run.slurm_job})
    slurm = ask(named) if named else None
    there = _all(root)  # again: what was finished meanwhile has no record any more
    states = _states(jobs, there, records, runs, slurm)
    nodes = tuple(
        NodeStatus(
            job["key"], job["stage"], job["label"], job["units"], states[job["key"]], records.get(job["key"])
        )
        for job in jobs
    )
    labels = {job["key"]: f"{job['stage']} of {job['label']}" for job in jobs}
    return Status(name, plan["key"], nodes, _stages(root, nodes), slurm, labels)


def last_lines(text: str, n: int = 3) -> list[str]:
    """The last lines of a failure's text that are not empty."""
    return [line.rstrip() for line in text.splitlines() if line.strip()][-n:]


def _plan(path: Path, name: str) -> dict[str, Any]:
    try:
        plan: dict[str, Any] = json.loads(path.read_text())
        plan["key"], plan["jobs"]
    except FileNotFoundError:
        raise UserError(
            f"there is no sweep '{name}' in {path.parents[1]}. Begin it with the same command without "
            "stage=, or name another folder with store.root=FOLDER."
        ) from None
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{path} cannot be read. Run the sweep's own command once more, or with stage=plan."
        ) from None
    return plan


def _all(root: Path) -> set[str]:
    return {key for keys in made(root).values() for key in keys}


def _states(
    jobs: Sequence[Mapping[str, Any]],
    there: set[str],
    records: Mapping[str, Run],
    runs: Runs,
    slurm: SlurmJobs | None,
) -> dict[str, str]:
    out = {
        j["key"]: "done" if j["key"] in there else _state(records.get(j["key"]), runs, slurm) for j in jobs
    }
    going_on = ("done", "running", "waiting")
    for key, run in records.items():
        if out[key] == "blocked" and all(
            k in there or (out.get(k) in going_on and k in records) for k in run.blocked_by
        ):
            out[key] = "waiting"
    return out


def _state(run: Run | None, runs: Runs, slurm: SlurmJobs | None) -> str:
    if run is None or run.kind == "interrupted":
        return "waiting"
    if run.state in ("failed", "blocked"):
        return run.state
    if run.slurm_job and slurm is not None:
        if run.slurm_job in slurm:
            waits = run.state == "queued" or slurm[run.slurm_job][0] in _WAITS_AGAIN
            return "waiting" if waits else "running"
        age_s = runs.age_s(run.key)
        if age_s is None or age_s > LOST_AFTER_S:
            return "lost"
    elif run.state == "running":
        age_s = runs.age_s(run.key)
        if (age_s is None or age_s > LOST_AFTER_S) and is_gone(run, age_s):
            return "lost"
    return "running" if run.state == "running" else "waiting"


def _stages(root: Path, nodes: Sequence[NodeStatus]) -> tuple[StageStatus, ...]:
    by_stage: dict[str, list[NodeStatus]] = {stage: [] for stage in STAGES}
    for node in nodes:
        by_stage[node.stage].append(node)
    at_once = max(1, sum(n.state == "running" for n in nodes))
    return tuple(_stage(root, stage, found, at_once) for stage, found in by_stage.items() if found)


def _stage(root: Path, stage: str, nodes: Sequence[NodeStatus], at_once: int) -> StageStatus:
    units, units_done = sum(n.units for n in nodes), sum(n.units_done for n in nodes)
    running = [n for n in nodes if n.state == "running"]
    rate = sum(n.run.units_per_s for n in running if n.run)
    left = sum(n.units - n.units_done for n in nodes if n.state in ("running", "waiting"))
    if left and not rate:
        done = [n.key for n in nodes if n.state == "done"][-_NEWEST:]
        rate = _measured(root / "store" / stage, done) * (len(running) or min(at_once, len(nodes)))
    left_s = left / rate if rate and left else (0.0 if not left else None)
    return StageStatus(stage, Counter(n.state for n in nodes), units, units_done, rate, left_s)


def _measured(folder: Path, keys: Sequence[str]) -> float:
    """Units per second of one process, over the artifacts of these keys."""
    units = seconds = 0.0
    for key in keys:
        try:
            manifest = json.loads((folder / key / "manifest.json").read_text())
            counts = manifest["counts"]
            n = counts.get("steps") or counts.get("rows") or counts.get("texts") or 0
            units, seconds = units + float(n), seconds + float(manifest["wall_s"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return units / seconds if seconds > 0 else 0.0
