"""The run records that one process keeps of the jobs that it gives to workers."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from warmgap.plan import Node
from warmgap.runs import TOUCH_EVERY_S, Run, Runs, is_gone

_WRITE_EVERY_S = 5.0


class Book:
    """Writes what becomes of jobs; what another living process writes of a job stands.

    A record that cannot be written, as on a full disk, is passed over: no result depends on one.
    """

    def __init__(
        self,
        root: Path,
        nodes: Mapping[str, Node],
        sweep: str = "",
        slurm_job: str = "",
        log: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._runs = Runs(root)
        self._logs = root / "sweeps" / sweep / "logs" if sweep and not log else None
        self._nodes, self._sweep, self._slurm_job, self._log = nodes, sweep, slurm_job, log
        self._clock = clock
        self._host, self._pid = socket.gethostname(), os.getpid()
        self._running: dict[str, Run] = {}
        self._first: dict[str, tuple[float, int]] = {}
        self._written: dict[str, float] = {}

    def open(self) -> None:
        """Old failures of jobs that are to be made now no longer count."""
        for key, run in self._runs.read(self._nodes).items():
            if run.state in ("failed", "blocked"):
                self._write(self._fresh(key, "queued", run))

    def begin(self, key: str) -> None:
        """A job was given to a worker."""
        now = self._clock()
        before = self._runs.get(key)
        attempts = before.attempts + 1 if before else 1
        run = replace(self._fresh(key, "running", before), started_at=now, updated_at=now, attempts=attempts)
        self._running[key] = run
        self._save(key)

    def progress(self, key: str, done: int, total: int, text: str) -> None:
        """A job reports; it is written down with the next `tick` or later."""
        now = self._clock()
        node = self._nodes[key]
        units = round(node.units * done / max(total, 1))
        # From the first rows on: what came before them was the start of an engine, or waiting.
        at, first = self._first.setdefault(key, (now, units)) if done else (now, 0)
        rate = (units - first) / (now - at) if now > at else 0.0
        run = self._running[key]
        self._running[key] = replace(
            run, done=done, total=total, text=text, updated_at=now, units_per_s=round(rate, 4)
        )

    def tick(self) -> None:
        """To be called every few seconds: writes news of running jobs, and shows that the others run."""
        now = self._clock()
        for key, run in self._running.items():
            at = self._written.get(key, 0.0)
            if now - at >= (_WRITE_EVERY_S if run.updated_at > at else TOUCH_EVERY_S - _WRITE_EVERY_S):
                self._save(key)

    def finish(self, key: str) -> None:
        """A job is done: the artifact says the rest."""
        self._forget(key)
        with contextlib.suppress(OSError):
            self._runs.remove(key)

    def fail(self, key: str, kind: str, text: str) -> None:
        """A job was not made."""
        run = self._forget(key) or self._fresh(key, "failed", self._runs.get(key))
        if self._is_ours(key):
            log = self._keep(run, kind, text) or run.log
            self._write(replace(run, state="failed", kind=kind, text=text, log=log, updated_at=self._clock()))

    def again(self, key: str, text: str) -> None:
        """A job is to be begun once more."""
        run = self._forget(key)
        if run is not None and self._is_ours(key):
            self._write(replace(run, state="queued", text=text, updated_at=self._clock()))

    def block(self, key: str, by: Sequence[str]) -> None:
        """A job cannot be made, since these inputs were not."""
        if self._is_ours(key):
            fresh = self._fresh(key, "blocked", self._runs.get(key))
            self._write(replace(fresh, blocked_by=tuple(by), updated_at=self._clock()))

    def _fresh(self, key: str, state: str, before: Run | None) -> Run:
        node = self._nodes[key]
        # Its own first: so it can be told which sweep's process makes what several want.
        sweeps = dict.fromkeys((*filter(None, (self._sweep,)), *(before.sweeps if before else ())))
        return Run(
            key,
            node.job.stage,
            node.label,
            state,
            sweeps=tuple(sweeps),
            units=node.units,
            host=self._host,
            pid=self._pid,
            slurm_job=self._slurm_job,
            log=self._log,
            attempts=before.attempts if before else 0,
        )

    def _save(self, key: str) -> None:
        run = self._running[key]
        self._written[key] = self._clock()
        before = self._runs.get(key)
        if not self._is_ours(key, before):
            # Another process makes it, for which the worker waits: that one's record stands.
            return
        joined = dict.fromkeys((*run.sweeps, *(before.sweeps if before else ())))
        self._write(replace(run, sweeps=tuple(joined)))

    def _is_ours(self, key: str, found: Run | None = None) -> bool:
        run = found or self._runs.get(key)
        if run is None or run.state != "running":
            return True
        # A SLURM job that was requeued goes on with what its earlier life has written.
        if (run.host, run.pid) == (self._host, self._pid) or (
            run.slurm_job and run.slurm_job == self._slurm_job
        ):
            return True
        return is_gone(run, self._runs.age_s(key))

    def _forget(self, key: str) -> Run | None:
        self._first.pop(key, None)
        self._written.pop(key, None)
        return self._running.pop(key, None)

    def _write(self, run: Run) -> None:
        with contextlib.suppress(OSError):
            self._runs.write(run)

    def _keep(self, run: Run, kind: str, text: str) -> str:
        """Put a failure's whole text into a file of its own; returns its path."""
        if self._logs is None:
            return ""
        path = self._logs / f"{run.stage}-{run.key[:12]}.txt"
        at = dt.datetime.fromtimestamp(self._clock(), dt.UTC).isoformat(timespec="seconds")
        with contextlib.suppress(OSError):
            self._logs.mkdir(parents=True, exist_ok=True)
            with path.open("a") as f:
                f.write(
                    f"{at} {run.host}: {kind}: {run.stage} of {run.label}\nkey {run.key}\n{text.rstrip()}\n\n"
                )
            return str(path)
        return ""
