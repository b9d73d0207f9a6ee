"""Which devices the workers of one machine are given: one process per device."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
from collections.abc import Iterable

from warmgap.engines.recipe import is_served
from warmgap.jobs import CorpusJob, Job, MeasureJob, RespondJob, TrainJob
from warmgap.rewrite_jobs import RewriteCheckJob
from warmgap.schema.config import EngineConfig

VISIBLE = "CUDA_VISIBLE_DEVICES"
_API = "api:"
_GPU = re.compile(r"GPU (\d+): ")
_SLICE = re.compile(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)")
_ASK_S = 20


def places(jobs: Iterable[Job], workers: int) -> tuple[int, tuple[str, ...]]:
    """How many workers there are at once, and the devices of the first of them.

    With a job that asks for `cuda` it is one worker per visible device, `workers` at most (0: no limit).
    Where only trainings would use one, which take what there is, the other workers go on without. A device
    by number (`cuda:1`) is the user's own choice: none is dealt out, and one worker runs unless more are
    asked for.
    """
    asked: set[str] = set()
    trains = False
    for job in jobs:
        asked |= _asked(job)
        trains = trains or _trains(job)
    cores = workers or len(os.sched_getaffinity(0))
    if any(a.startswith("cuda:") for a in asked):
        return workers or 1, ()
    if "cuda" in asked:
        found = visible() or _by_torch()
        n = min(workers or len(found), len(found)) or 1
        return n, found[:n]
    if trains and _torch_has_cuda():
        return cores, visible()[:cores]
    return cores, ()


def visible() -> tuple[str, ...]:
    """Devices that CUDA would show to this process: by CUDA_VISIBLE_DEVICES, else by `nvidia-smi -L`."""
    told = os.environ.get(VISIBLE)
    if told is not None:
        # As CUDA reads it: what follows a device that cannot be is not seen.
        names = [name.strip() for name in told.split(",")]
        end = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))
        return tuple(names[:end])
    if shutil.which("nvidia-smi") is None:
        return ()
    try:
        said = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=_ASK_S
        ).stdout
    except subprocess.TimeoutExpired:
        return ()
    whole: list[str] = []
    slices: list[str] = []
    for line in said.splitlines():
        if found := _GPU.match(line):
            whole.append(found[1])
        elif found := _SLICE.match(line):
            slices.append(found[1])
    # CUDA shows no whole GPU beside slices of one, and one slice to a process.
    return tuple(slices or whole)


def width(job: Job) -> int:
    """Devices that a job takes at once; on the CPU, processes."""
    if isinstance(job, TrainJob):
        return 1 if job.model.source.startswith(_API) else job.training.devices
    engine = _engine(job)
    return engine.vllm.tensor_parallel_size if engine is not None and engine.name == "vllm" else 1


def wants_cuda(job: Job) -> bool:
    """True where a job asks for whichever GPU there is."""
    return "cuda" in _asked(job)


def needs_device(job: Job) -> bool:
    """True where a job goes to a worker that has a device, if any has."""
    return "cuda" in _asked(job) or _trains(job)


def _asked(job: Job) -> set[str]:
    engine = _engine(job)
    out = {engine.device} if engine is not None and not is_served(engine) else set()
    if isinstance(job, MeasureJob) and job.reader is None and job.reference is not None:
        out.add(job.meter.device)
    if isinstance(job, CorpusJob) and job.corpus.kind == "chatlogs" and job.corpus.chatlogs.toxicity.source:
        out.add(job.corpus.chatlogs.toxicity.device)
    if isinstance(job, RewriteCheckJob) and job.entailment:
        out.add(job.facts.device)
    return out - {"cpu"}


def _trains(job: Job) -> bool:
    return isinstance(job, TrainJob) and not job.model.source.startswith(_API)


def _engine(job: Job) -> EngineConfig | None:
    if isinstance(job, RespondJob):
        return job.engine
    reader = getattr(job, "reader", None)
    return reader.engine if reader is not None else None


def _by_torch() -> tuple[str, ...]:
    """Devices as torch counts them, where the driver's own command is not to be had."""
    import torch

    return tuple(str(i) for i in range(torch.cuda.device_count()))


def _torch_has_cuda() -> bool:
    """False where the installed torch says that it is a build for the CPU; without importing it."""
    try:
        return "+cpu" not in importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return False
