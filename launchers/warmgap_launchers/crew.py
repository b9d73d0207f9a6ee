"""Worker processes of one machine, as the process that gives them jobs sees them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from warmgap.plan import Node
from warmgap_launchers.choice import Loaded
from warmgap_launchers.devices import VISIBLE
from warmgap_launchers.worker import serve

GRACE_S = 100.0
"""How long a training that was told to end may take to save its state."""
_END_S = 10.0


@dataclass
class Worker:
    """A worker process, the places that it takes, and what it does."""

    process: Any
    connection: Connection
    places: tuple[str, ...]
    node: Node | None = None
    loaded: Loaded = field(default_factory=Loaded)
    told: bool = False
    """It was told to end before its job was done."""


class Crew:
    """At most `n` places for workers, the first of them with a device; workers are started when needed.

    A place is the name of its device, "" without one. Where devices are dealt out, each worker sees only
    those of its own places.
    """

    def __init__(self, root: Path, n: int, devices: Sequence[str] = ()) -> None:
        self._root = root
        self._context = multiprocessing.get_context("spawn")
        self._dealt = bool(devices)
        self.free = [*devices[:n], *[""] * (n - len(devices))]
        """Places without a worker."""
        self.n_places, self.n_devices = n, len(devices[:n])
        self.workers: list[Worker] = []

    def suit(self, places: Sequence[str], on_device: bool) -> bool:
        """True where a job that asks for a device, if there is any, can go to these places."""
        return not (on_device and self._dealt) or all(places)

    def width(self, width: int, on_device: bool) -> int:
        """Places that a job takes: no more than there are."""
        return min(width, self.n_devices if on_device and self._dealt else self.n_places)

    @property
    def idle(self) -> list[Worker]:
        """Workers without a job."""
        return [w for w in self.workers if w.node is None]

    @property
    def busy(self) -> list[Worker]:
        """Workers amid a job."""
        return [w for w in self.workers if w.node is not None]

    def open(self, on_device: bool) -> Worker:
        """A new worker on a free place, one without a device if it need not have one."""
        suited = [p for p in self.free if self.suit((p,), on_device)]
        return self._start([min(suited, key=bool)])

    def gather(self, width: int, on_device: bool) -> Worker | None:
        """A new worker on places that are free or whose workers are idle; None while they are too few."""
        free = sorted((p for p in self.free if self.suit((p,), on_device)), key=bool)
        idle = [w for w in self.idle if self.suit(w.places, on_device)]
        idle.sort(key=lambda w: (bool(w.loaded.base), len(w.places)))
        if len(free) + sum(len(w.places) for w in idle) < width:
            return None
        while len(free) < width:
            worker = idle.pop(0)
            free += worker.places
            self.end(worker)
        return self._start(free[:width])

    def _start(self, places: Sequence[str]) -> Worker:
        """A new worker on places that are free."""
        for place in places:
            self.free.remove(place)
        here, there = self._context.Pipe()
        process = self._context.Process(target=serve, args=(there, self._root), daemon=True)
        # Inherited: Ctrl-C is for this process, which then ends its workers, even those still importing.
        # The tracker is started first, since starting it would unblock the signal.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        with _visible(",".join(p for p in places if p) if self._dealt else None):
            process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        there.close()
        worker = Worker(process, here, tuple(places))
        self.workers.append(worker)
        return worker

    def give(self, worker: Worker, node: Node) -> bool:
        """Give a job to an idle worker; false where the worker is no more, which is then taken out."""
        try:
            worker.connection.send(node.job)
        except OSError:
            self.end(worker)
            return False
        base = node.base or worker.loaded.base
        worker.node, worker.loaded = node, Loaded(base, node.group)
        return True

    def end(self, worker: Worker) -> None:
        """End a worker; its places are free."""
        worker.connection.close()
        worker.process.join(timeout=_END_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        self.workers.remove(worker)
        self.free += worker.places

    def end_all(self, amid_jobs: bool) -> None:
        """End every worker; one amid a training may save its state first, the others end at once."""
        if amid_jobs:
            # Before its pipe closes, so that it is this which ends it.
            for worker in self.workers:
                worker.process.terminate()
            deadline = time.monotonic() + GRACE_S
            for worker in self.workers:
                worker.process.join(timeout=max(0.0, deadline - time.monotonic()))
        for worker in [*self.workers]:
            self.end(worker)


@contextmanager
def _visible(devices: str | None) -> Iterator[None]:
    """CUDA_VISIBLE_DEVICES for what is started inside; None leaves it as it is."""
    before = os.environ.get(VISIBLE)
    if devices is not None:
        os.environ[VISIBLE] = devices
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VISIBLE, None)
        else:
            os.environ[VISIBLE] = before
