"""The mirror itself: records what is finished in the store, until it is told that all is made."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from warmgap.errors import UserError
from warmgap.store import Store

from .contents import due
from .entries import Due, Entry, Source
from .index import read_index
from .mirrored import Mirrored, Recorded
from .modes import Way, lacking, way_of
from .secrets import forget_others, secrets_of

POLL_S = 2.0
LINGER_S = 900.0
"""How long a mirror may go on after the process that began it: no server is waited for for ever."""


class Tracker(Protocol):
    """Where entries are recorded."""

    @property
    def mode(self) -> str:
        """How it records now."""

    def wants(self, stage: str) -> bool:
        """Whether it records entries of a stage."""

    def record(self, due: Due, entry: Entry, before: Recorded | None) -> str:
        """Record an entry, in place of what was recorded before; returns the folder of its run."""

    def close(self) -> None:
        """Nothing more comes."""


def watch(root: Path, sweep: str) -> None:
    """Mirror what is finished again and again, and once more after standard input has ended.

    Not for calling in a process that does something else: it lowers its priority and forgets variables.
    """
    os.nice(19)
    over = threading.Event()

    def wait_for_the_end() -> None:
        while os.read(0, 1024):  # not through sys.stdin, whose lock would be held when Python ends
            pass
        over.set()
        timer = threading.Timer(LINGER_S, _end_all)
        timer.daemon = True
        timer.start()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    with _alone(root, sweep, over) as first:
        if first:
            _mirror(root, sweep, over)


def mirror(root: Path, sweep: str) -> int:
    """Mirror what is finished of a sweep now; returns how many entries were recorded.

    Raises:
        UserError: no such sweep, a missing package, or nothing may be mirrored.
    """
    over = threading.Event()
    over.set()
    with _alone(root, sweep, over) as first:
        if not first:
            raise UserError(f"another process is mirroring the sweep '{sweep}'. Wait until it has ended.")
        return _mirror(root, sweep, over)


def _mirror(root: Path, sweep: str, over: threading.Event) -> int:
    index = read_index(root, sweep)
    secrets = secrets_of(os.environ)
    way = way_of(index.logger, index.wandb, root / "sweeps" / sweep, os.environ)
    if way is None:
        raise UserError(
            f"the sweep '{sweep}' is not to be mirrored: logger is {index.logger}, wandb.mode "
            f"{index.wandb.mode}, and the variable WANDB_MODE, which goes before it, is "
            f"'{os.environ.get('WANDB_MODE', '')}'. Set it to offline or online, or give the sweep's command "
            "logger=wandb, which makes nothing anew."
        )
    if said := lacking(way.logger):
        raise UserError(said)
    forget_others(os.environ)
    way.folder.mkdir(parents=True, exist_ok=True)
    source, known = Source(root, index), Mirrored(way.folder)
    tracker = _tracker(way, source, secrets)
    left = [d for d in due(index) if tracker.wants(d.stage) and not known.has(d, way.mode)]
    n = 0
    while True:
        last = over.is_set()
        for item in [d for d in left if all(source.has(*need) for need in d.needs)]:
            left.remove(item)
            entry = item.make(source)
            folder = tracker.record(item, entry, known.entries.get(item.id))
            known.add(item, Recorded(item.digest, tracker.mode, item.stage, entry.name, folder))
            n += 1
        if last or not left:
            tracker.close()
            return n
        over.wait(POLL_S)


def _tracker(way: Way, source: Source, secrets: tuple[str, ...]) -> Tracker:
    if way.logger == "wandb":
        from .wandb_runs import WandbRuns

        return WandbRuns(way, source.index, secrets)
    from .curves import CsvCurves, TensorBoardCurves

    return CsvCurves(way.folder) if way.logger == "csv" else TensorBoardCurves(way.folder)


@contextmanager
def _alone(root: Path, sweep: str, over: threading.Event) -> Iterator[bool]:
    """True once no other process mirrors the sweep; false where one still does when all is made."""
    store, lock = Store(root), f"mirror-{sweep}"
    while not store.try_lock(lock):
        if over.is_set():
            yield False
            return
        time.sleep(POLL_S)
    try:
        yield True
    finally:
        store.unlock(lock)


def _end_all() -> None:
    """End this process and what W&B began for it, which share a session."""
    os.killpg(os.getpgid(0), signal.SIGKILL)
