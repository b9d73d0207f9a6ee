"""Typed configuration of a SLURM cluster: what each stage is given there. Nothing of it enters a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .fields import setting


@dataclass
class ResourcesConfig:
    """What one SLURM job is given."""

    partition: str = setting("")  # empty: the cluster's default
    account: str = setting("")  # empty: the user's default
    qos: str = setting("")
    constraint: str = setting("")
    gpus: int = setting(0)
    cpus: int = setting(4)
    mem_gb: float = setting(16.0)  # 0: what the partition gives
    time_min: int = setting(240)
    sbatch: dict[str, str] = setting({})  # further options of sbatch: name without dashes -> value (or true)
    setup: list[str] = setting([])  # lines of bash before the job, after those of the cluster


@dataclass
class ClusterConfig:
    """Conf group `cluster`: read by hydra/launcher=slurm alone."""

    name: str = setting("???")
    max_parallel: int = setting(16)  # jobs of one array that run at the same time
    split: int = setting(1)  # jobs that the answers of one model are spread over; each starts an engine
    notice_s: int = setting(120)  # how long before its time limit a job is told to save and queue again
    max_requeues: int = setting(20)  # how often a job queues itself again
    setup: list[str] = setting([])  # lines of bash before every job
    resources: ResourcesConfig = setting(ResourcesConfig())
    stages: dict[str, dict[str, Any]] = setting({})  # stage: what differs from resources
    sizes: dict[str, dict[str, Any]] = setting({})  # name: models, and what differs by stage for them
