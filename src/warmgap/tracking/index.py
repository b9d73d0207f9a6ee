"""index.json: which artifacts are a sweep's, by the names of its trainings, arms and cells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmgap.errors import UserError, did_you_mean
from warmgap.schema.tracking import WandbConfig
from warmgap.store import Store, write_text

if TYPE_CHECKING:
    from warmgap.plan import Plan
    from warmgap.schema.config import Config

FILE = "index.json"


@dataclass(frozen=True)
class Training:
    """A training: its label, its key, and what the first arm that it makes is called."""

    label: str
    key: str
    model: str
    method: str
    seed: int
    variant: str


@dataclass(frozen=True)
class IndexedArm:
    """An arm as `records.ArmRecord` names it; `train_key` is empty for one that has no training.

    `measures` are meters and keys of the arm's scores; `cells` are task, framing, belief, draw and key of its
    answers, each once.
    """

    arm_key: str
    model: str
    method: str
    dose_kind: str
    dose: float
    seed: int
    variant: str
    train_key: str
    measures: tuple[tuple[str, str], ...]
    cells: tuple[tuple[str, str, str, int, str], ...]


@dataclass(frozen=True)
class Index:
    """A sweep's artifacts by name, and where it is mirrored to."""

    sweep: str
    plan_key: str
    command: str
    axes: Mapping[str, Any]
    logger: str
    wandb: WandbConfig
    trainings: tuple[Training, ...]
    arms: tuple[IndexedArm, ...]
    analyse: str
    report: str


def write_index(plan: Plan, config: Config, store: Store) -> Index:
    """Write index.json into the sweep's folder; returns what it holds."""
    found = index_of(plan, config)
    folder = store.root / "sweeps" / plan.name
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(found), separators=(",", ":")) + "\n"
    if not (folder / FILE).is_file() or (folder / FILE).read_text() != text:
        write_text(folder / FILE, text)
    return found


def index_of(plan: Plan, config: Config) -> Index:
    """The artifacts of a plan by name."""
    from warmgap.jobs import MeasureJob, RespondJob

    jobs = {key: node.job for key, node in plan.nodes.items()}
    cells: dict[int, dict[str, tuple[str, str, str, int, str]]] = {}
    for c in plan.analyse.cells:
        found = (c.task, c.framing, c.belief, c.draw, c.respond_key)
        cells.setdefault(c.arm, {})[c.respond_key] = found

    def train_key(respond_key: str) -> str:
        job = jobs[respond_key]
        return job.change.train_key if isinstance(job, RespondJob) and job.change is not None else ""

    arms = []
    for i, a in enumerate(plan.analyse.arms):
        answered = tuple(cells.get(i, {}).values())
        measuring = [jobs[key] for _, key in a.measures]
        sources = [c[-1] for c in answered[:1]]
        sources += [job.source_key for job in measuring if isinstance(job, MeasureJob)]
        arms.append(
            IndexedArm(
                *(a.arm_key, a.model, a.method, a.dose_kind, a.dose, a.seed, a.variant),
                train_key=train_key(sources[0]) if sources else "",
                measures=a.measures,
                cells=answered,
            )
        )
    by_training: dict[str, IndexedArm] = {}
    for arm in arms:
        if arm.train_key:
            by_training.setdefault(arm.train_key, arm)
    labels = {key: label for label, key in plan.analyse.curves}
    return Index(
        sweep=plan.name,
        plan_key=plan.key,
        command=str(plan.summary.get("command", "")),
        axes=dict(plan.summary.get("axes", {})),
        logger=config.logger,
        wandb=config.wandb,
        trainings=tuple(
            Training(labels.get(key, plan.nodes[key].label), key, a.model, a.method, a.seed, a.variant)
            for key, a in by_training.items()
        ),
        arms=tuple(arms),
        analyse=plan.analyse.key,
        report=plan.report.key,
    )


def read_index(root: Path, sweep: str) -> Index:
    """The index of a sweep that has been begun.

    Raises:
        UserError: there is no such sweep, or it was run by a version that wrote no index.
    """
    sweeps = root / "sweeps"
    path = sweeps / sweep / FILE
    if not path.is_file():
        have = [p.name for p in sweeps.iterdir() if (p / FILE).is_file()] if sweeps.is_dir() else []
        raise UserError(
            f"the sweep '{sweep}' has no {FILE} in {sweeps}.{did_you_mean(sweep, have)} The sweep's own "
            "command writes it, and makes nothing anew that is there."
        )
    facts = json.loads(path.read_text(encoding="utf-8"))
    arms = (
        a | {"measures": tuple(map(tuple, a["measures"])), "cells": tuple(map(tuple, a["cells"]))}
        for a in facts["arms"]
    )
    return Index(
        **facts
        | {
            "wandb": WandbConfig(**facts["wandb"]),
            "trainings": tuple(Training(**t) for t in facts["trainings"]),
            "arms": tuple(IndexedArm(**a) for a in arms),
        }
    )
