"""Jobs that do what a test asks for in a worker: say where they are, fail, run out of memory, wait.

A worker that unpickles one takes this module for the stage of that name.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from warmgap.plan import Node
from warmgap.schema.config import EngineConfig


@dataclass(frozen=True)
class Reader:
    """The part of a reader's record that says where a job can go."""

    weights: str
    engine: EngineConfig


@dataclass(frozen=True)
class Probe:
    """A job that is told what to do: done, fail, kill, memory, wait; `until` names a file to wait for."""

    stage: ClassVar[str] = "judge"
    key: str
    act: str = "done"
    inputs: dict[str, str] = field(default_factory=dict)
    until: str = ""
    reader: Reader | None = None


def run(job, context):
    """The stage: what the worker sees goes into the artifact."""
    started = time.time()
    (context.store.root / f"began-{job.key}").touch()
    while job.until and not Path(job.until).exists():
        time.sleep(0.02)
    context.progress(1, 4, "a word")
    if job.act == "fail":
        raise ValueError("what went wrong")
    if job.act == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if job.act == "memory" and context.store.memory_failures(job.key) < 2:
        raise MemoryError("no more")
    if job.act == "greedy":
        raise MemoryError("never enough")
    if job.act == "wait":
        time.sleep(60)
    with context.store.workspace(job.key) as aside:
        seen = f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')} {started} {time.time()}"
        (aside / "seen").write_text(seen)
        return context.store.commit(
            aside,
            stage=job.stage,
            stage_version=1,
            key=job.key,
            config={},
            inputs=job.inputs,
            fingerprints={},
            counts={"rows": 4},
            started=started,
        )


def probes(*jobs: Probe) -> dict[str, Node]:
    """Nodes of four units each."""
    return {job.key: Node(job, f"probe {job.key}", 4) for job in jobs}


def seen(root: Path, key: str) -> tuple[int, str]:
    """Process and CUDA_VISIBLE_DEVICES of the worker that made an artifact."""
    pid, devices = (root / "store" / "judge" / key / "seen").read_text().split(" ")[:2]
    return int(pid), devices


def span(root: Path, key: str) -> tuple[float, float]:
    """When the job ran."""
    first, last = (root / "store" / "judge" / key / "seen").read_text().split()[2:]
    return float(first), float(last)


if multiprocessing.parent_process() is not None:
    sys.modules["warmgap.stages.judge"] = sys.modules[__name__]
