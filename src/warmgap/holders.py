"""Processes that hold a lock: told apart on all hosts, and known to have ended where that can be known."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_ENDED = ("Z", "X")
"""States in /proc of a process that runs no more."""


@dataclass(frozen=True)
class Process:
    """A process, as another one on any host can recognise it."""

    host: str
    boot: str
    """Differs between two lives of a machine; empty where the system does not tell."""
    pid_namespace: str
    pid: int
    started: str
    """Ticks from boot to its start: a process id is given out again."""
    slurm_cluster: str
    slurm_job: str
    """123, or 123_4 of an array; empty outside SLURM."""
    slurm_restarts: int

    def has_ended(self, seen_by: Process) -> bool:
        """True where it is sure; False for a process elsewhere, of which nothing is known."""
        if self.slurm_job and self._job == seen_by._job and self.slurm_restarts < seen_by.slurm_restarts:
            return True  # SLURM ends a job wholly before it starts it again
        return bool(self.boot) and self._machine == seen_by._machine and _is_gone(self.pid, self.started)

    @property
    def _job(self) -> tuple[str, str]:
        return self.slurm_cluster, self.slurm_job

    @property
    def _machine(self) -> tuple[str, str, str]:
        return self.host, self.boot, self.pid_namespace


def this_process() -> Process:
    """The process that asks."""
    return _process(os.getpid())


def slurm_job(variables: Mapping[str, str]) -> str:
    """123, or 123_4 of an array, by the variables that SLURM sets; empty outside of it."""
    if "SLURM_ARRAY_JOB_ID" in variables:
        return f"{variables['SLURM_ARRAY_JOB_ID']}_{variables['SLURM_ARRAY_TASK_ID']}"
    return variables.get("SLURM_JOB_ID", "")


@functools.cache
def _process(pid: int) -> Process:
    return Process(
        host=socket.gethostname(),
        boot=_text("/proc/sys/kernel/random/boot_id"),
        pid_namespace=_namespace(),
        pid=pid,
        started=_state_and_start(pid)[1],
        slurm_cluster=os.environ.get("SLURM_CLUSTER_NAME", ""),
        slurm_job=slurm_job(os.environ),
        slurm_restarts=int(os.environ.get("SLURM_RESTART_COUNT", "0")),
    )


def _is_gone(pid: int, started: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's; its entry in /proc may be hidden
        pass
    state, start = _state_and_start(pid)
    return state in _ENDED or (start != "" and start != started)


def _state_and_start(pid: int) -> tuple[str, str]:
    # The second field is the command in brackets, which may hold anything.
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (fields[0], fields[19]) if len(fields) > 19 else ("", "")


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""
