"""The plan: a sweep compiled into jobs, what the store has of them, and what is left to do."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from warmgap.engines.recipe import base_name
from warmgap.errors import UserError, did_you_mean
from warmgap.jobs import AnalyseJob, Job, MeasureJob, ReportJob, RespondJob, TrainJob
from warmgap.keys import digest
from warmgap.rewrite_jobs import RewriteJob
from warmgap.schema.fields import STAGES, WITHOUT_JOBS
from warmgap.store import Store


@dataclass(frozen=True)
class Node:
    """One job of a plan and how it is called in progress and errors."""

    job: Job
    label: str
    units: int
    """Rows, steps or texts: what its progress counts."""

    @functools.cached_property
    def key(self) -> str:
        """The job's key."""
        return self.job.key

    @property
    def group(self) -> str:
        """Jobs of one group need the same weights in memory."""
        if isinstance(self.job, RewriteJob):
            return f"rewrite:{self.job.reader.weights}"
        return self.job.arm_key if isinstance(self.job, RespondJob) else self.job.stage

    @functools.cached_property
    def base(self) -> str:
        """What must be loaded to do it, so that jobs of one base need one start; "" for nothing.

        Of answers the base weights with the engine's settings, whatever the arm adds; of a job that asks a
        language model that model likewise; of a meter its reference; of a training the training.
        """
        job = self.job
        if isinstance(job, RespondJob):
            return base_name(job.weights, job.engine)
        if isinstance(job, TrainJob):
            return self.key
        reader = getattr(job, "reader", None)
        if reader is not None:
            return base_name(reader.weights, reader.engine)
        return job.reference_base if isinstance(job, MeasureJob) else ""


@dataclass(frozen=True)
class Plan:
    """Jobs by key in an order in which every job follows its inputs."""

    name: str
    nodes: Mapping[str, Node]
    summary: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for, in words a person reads: axes and their values."""
    compiled_key: str = ""
    """The key before the report was told of a frozen plan (`frozen.with_frozen`)."""

    @property
    def key(self) -> str:
        """Depends on every job, but not on whether the plan was frozen."""
        return self.compiled_key or digest("plan", sorted(self.nodes))

    @property
    def analyse(self) -> AnalyseJob:
        """The sweep's analysis."""
        return next(n.job for n in self.nodes.values() if isinstance(n.job, AnalyseJob))

    @property
    def report(self) -> ReportJob:
        """The sweep's report."""
        return next(n.job for n in self.nodes.values() if isinstance(n.job, ReportJob))

    def upto(self, stage: str) -> dict[str, Node]:
        """Nodes that the stage needs, its own included; `all` keeps everything."""
        if stage == "all":
            return dict(self.nodes)
        if stage not in STAGES:
            raise UserError(
                f"stage={stage} is not a stage.{did_you_mean(stage, ('all', *WITHOUT_JOBS, *STAGES))}"
            )
        wanted: dict[str, Node] = {}

        def add(key: str) -> None:
            if key not in wanted:
                for needed in self.nodes[key].job.inputs.values():
                    add(needed)
                wanted[key] = self.nodes[key]

        for key, node in self.nodes.items():
            if node.job.stage == stage:
                add(key)
        return wanted

    def missing(self, store: Store, stage: str = "all") -> dict[str, Node]:
        """Nodes to make: everything that the store lacks, or what one stage lacks and what that needs."""
        wanted = self.upto(stage)
        goals = [k for k, n in wanted.items() if stage == "all" or n.job.stage == stage]
        left: dict[str, Node] = {}

        def need(key: str) -> None:
            if key in left or store.has(wanted[key].job.stage, key):
                return
            left[key] = wanted[key]
            for needed in wanted[key].job.inputs.values():
                need(needed)

        for key in goals:
            need(key)
        store.remembered.save()
        return {k: n for k, n in wanted.items() if k in left}


def renamed(plan: Plan, name: str) -> Plan:
    """The same plan under another name, which its page alone says."""
    nodes = (
        replace(n, job=replace(n.job, sweep=name)) if isinstance(n.job, ReportJob) else n
        for n in plan.nodes.values()
    )
    return replace(plan, name=name, nodes={n.key: n for n in nodes})


def ordered(nodes: Iterable[Node]) -> dict[str, Node]:
    """Nodes by key, each once, in an order in which every job follows its inputs."""
    rank = {s: i for i, s in enumerate(STAGES)} | {"measure": STAGES.index("respond") + 0.5}
    return {n.key: n for n in sorted(nodes, key=lambda n: rank[n.job.stage])}


def count_by_stage(nodes: Mapping[str, Node]) -> dict[str, tuple[int, int]]:
    """Jobs and units per stage, in the order of stages."""
    jobs: Counter[str] = Counter()
    units: Counter[str] = Counter()
    for node in nodes.values():
        jobs[node.job.stage] += 1
        units[node.job.stage] += node.units
    return {s: (jobs[s], units[s]) for s in STAGES if jobs[s]}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Settings in which two plan summaries differ, as `key: old -> new`."""
    before, after = _flat(old), _flat(new)
    out = [
        f"{k}: {before.get(k, 'absent')} -> {after.get(k, 'absent')}"
        for k in sorted(before.keys() | after.keys())
        if before.get(k) != after.get(k)
    ]
    return out or ["data files, texts or the version of a stage"]


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(value, Mapping):
        out: dict[str, str] = {}
        for k, v in value.items():
            out |= _flat(v, f"{prefix}.{k}" if prefix else str(k))
        return out
    if isinstance(value, Sequence) and not isinstance(value, str):
        return {prefix: ", ".join(str(v) for v in value)}
    return {prefix: str(value)}
