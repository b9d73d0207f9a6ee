"""Run records: what is known of jobs that are queued, running, failed or blocked.

    <root>/store/runs/<key>.json     one small file a job, gone once its artifact is there

They belong to the store, not to a sweep, since sweeps share jobs. Losing one loses no result.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from warmgap.schema.fields import STAGES

TOUCH_EVERY_S = 15.0
"""A running record is written anew at least this often by the process that runs its job."""
LOST_AFTER_S = 90.0
"""A running record that is older, and whose process cannot be seen, is lost."""
_CLOCK_SLACK_S = 5.0
_READ_TRIES = 5


@dataclass(frozen=True)
class Run:
    """What is known of one job that has no artifact yet."""

    key: str
    stage: str
    label: str
    state: str
    """queued, running, failed or blocked."""
    sweeps: tuple[str, ...] = ()
    """Sweeps that want it: what two sweeps want is not cancelled by one."""
    units: int = 0
    host: str = ""
    pid: int = 0
    """Of the process that gives jobs to workers, not of the worker."""
    slurm_job: str = ""
    """As `squeue` writes it: 123_4, or 123; empty on one's own machine."""
    log: str = ""
    started_at: float = 0.0
    updated_at: float = 0.0
    done: int = 0
    total: int = 0
    """Rows or steps, in the words of the stage."""
    kind: str = ""
    """Of a failure: user, disk, memory, fault, time (queued again too often), or interrupted (it goes on)."""
    text: str = ""
    """The failure's text, or a word on progress."""
    attempts: int = 0
    blocked_by: tuple[str, ...] = ()
    """Keys of inputs that failed."""
    units_per_s: float = 0.0
    """How fast it goes, without the start of its engine; 0 where that is not known yet."""


class Runs:
    """The run records of one store; safe with any number of writers, of whom the last one stands."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "store" / "runs"

    def read(self, keys: Iterable[str] | None = None) -> dict[str, Run]:
        """Records by key, all or those of `keys`; a damaged file is left out."""
        try:
            with os.scandir(self.folder) as found:
                there = {e.name[:-5] for e in found if e.name.endswith(".json") and e.name[0] != "."}
        except FileNotFoundError:
            return {}
        wanted = there if keys is None else there.intersection(keys)
        return {k: run for k in sorted(wanted) if (run := self.get(k)) is not None}

    def get(self, key: str) -> Run | None:
        """The record of one job, or None."""
        for left in range(_READ_TRIES, -1, -1):
            try:
                text = self._path(key).read_bytes()
                break
            except FileNotFoundError:
                return None
            except OSError as e:  # NFS: another host has put a newer one in its place since it was opened
                if e.errno != errno.ESTALE or not left:
                    raise
        run = _parsed(text)
        return run if run is not None and run.key == key else None

    def write(self, run: Run) -> None:
        """Put a record in place of the job's last one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = self.folder / f".{run.key}.{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}"
        aside.write_text(json.dumps(asdict(run), separators=(",", ":")))
        aside.replace(self._path(run.key))

    def remove(self, key: str) -> None:
        """Forget a job, whose artifact is there."""
        self._path(key).unlink(missing_ok=True)

    def age_s(self, key: str) -> float | None:
        """Seconds since the record was written, by the file system's clock; None without one."""
        try:
            at = self._path(key).stat().st_mtime
        except FileNotFoundError:
            return None
        return max(0.0, time.time() + self._ahead_s - at)

    @functools.cached_property
    def _ahead_s(self) -> float:
        """How far the file system's clock is ahead of this machine's; 0 where nothing may be written."""
        probe = self.folder / f".clock.{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}"
        try:
            probe.write_bytes(b"")
            here = time.time()
            at = probe.stat().st_mtime
            probe.unlink(missing_ok=True)
        except OSError:
            return 0.0
        return at - here

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def is_gone(run: Run, age_s: float | None) -> bool:
    """True where a job that is said to run does not: its process is no more, or not to be seen for long.

    Of another machine's process, and of one inside a SLURM job, only the record's age tells anything here.
    """
    if run.host != socket.gethostname() or run.slurm_job:
        return age_s is None or age_s > LOST_AFTER_S
    return not is_alive(run)


def is_alive(run: Run) -> bool:
    """Whether the record's process still runs on this machine, and is not a later one with its number."""
    try:
        os.kill(run.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        facts = Path(f"/proc/{run.pid}/stat").read_text().rsplit(")", 1)[1].split()
        boot = next(x for x in Path("/proc/stat").read_text().splitlines() if x.startswith("btime "))
    except OSError:
        return True  # a system that does not tell more
    began_at = int(boot.split()[1]) + int(facts[19]) / os.sysconf("SC_CLK_TCK")
    return facts[0] != "Z" and began_at <= run.started_at + _CLOCK_SLACK_S


def made(root: Path) -> dict[str, set[str]]:
    """Keys of the finished artifacts by stage: a folder appears by one rename, so its name is enough."""
    out: dict[str, set[str]] = {}
    for stage in STAGES:
        try:
            with os.scandir(root / "store" / stage) as found:
                out[stage] = {entry.name for entry in found}
        except FileNotFoundError:
            out[stage] = set()
    return out


_KINDS: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}
_TYPES = {f.name: _KINDS.get(str(f.type), (list,)) for f in fields(Run)}
_NEEDED = ("key", "stage", "label", "state")


def _parsed(text: bytes) -> Run | None:
    try:
        found: Any = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict) or not all(name in found for name in _NEEDED):
        return None
    known = {k: v for k, v in found.items() if k in _TYPES}
    if not all(isinstance(v, _TYPES[k]) for k, v in known.items()):
        return None
    for name in ("sweeps", "blocked_by"):
        known[name] = tuple(str(v) for v in known.get(name, ()))
    return Run(**known)
