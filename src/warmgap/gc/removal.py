"""Removing from a store so that a kill leaves each artifact whole or gone."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from warmgap.errors import UserError
from warmgap.gc.plans import read_plans
from warmgap.gc.scan import CORRUPT, GRAVE, LEFT, Entry, with_inputs
from warmgap.store import Store

LOCK = "gc"


def remove(root: Path, unused: Iterable[Entry]) -> tuple[Entry, ...]:
    """Remove entries that `scan.find` found unused; returns those that are gone.

    Each is renamed into store/.gc-<pid> while its lock is held. Then the plans are read again, what a
    sweep has begun to refer to is put back, and the rest is deleted.

    Raises:
        UserError: another gc is at work, or a plan cannot be read any more (all is put back).
        OSError: something cannot be moved or deleted; the next gc goes on.
    """
    store = Store(root)
    if not store.try_lock(LOCK):
        raise UserError(f"another gc is removing from {root / 'store'}. Run this one when it has ended.")
    try:
        gone: list[Entry] = []
        left: list[Entry] = []
        for entry in unused:
            (left if entry.kind == LEFT else gone).append(entry)
        for entry in left:
            shutil.rmtree(entry.path)
        grave = root / "store" / f"{GRAVE}{os.getpid()}"
        grave.mkdir()
        moved = _moved(store, gone, grave)
        back = _put_back(root, moved)
        shutil.rmtree(grave)
        return (*left, *(e for e in moved.values() if e not in back))
    finally:
        store.unlock(LOCK, done=True)


def _moved(store: Store, entries: Iterable[Entry], grave: Path) -> dict[Path, Entry]:
    """Entries that could be renamed into the grave, by where they are now."""
    moved: dict[Path, Entry] = {}
    locked = [entry for entry in entries if not _move(store, entry, grave, moved)]
    silent = [e for e in locked if (h := store.holder(e.lock)) and h.age_s >= store.timing.stale_s]
    if silent:  # locks of processes on a host that is gone
        time.sleep(store.timing.watch_s)
    for entry in silent:
        _move(store, entry, grave, moved)
    return moved


def _move(store: Store, entry: Entry, grave: Path, moved: dict[Path, Entry]) -> bool:
    """False if a process has the entry's lock."""
    if not store.try_lock(entry.lock):
        return False
    target = grave / str(len(moved))
    try:
        entry.path.rename(target)
        moved[target] = entry
    except FileNotFoundError:  # a process that looked at it has set it aside
        pass
    finally:
        store.unlock(entry.lock, done=True)
    return True


def _put_back(root: Path, moved: Mapping[Path, Entry]) -> set[Entry]:
    """Restore what plans refer to by now, or everything where one cannot be read."""
    try:
        wanted = with_inputs((k for keys in read_plans(root).values() for k in keys), moved.values())
    except UserError:
        for target, entry in moved.items():
            _restore(target, entry)
        raise
    needed = {t: e for t, e in moved.items() if e.kind != CORRUPT and e.key in wanted}
    return {entry for target, entry in needed.items() if _restore(target, entry)}


def _restore(target: Path, entry: Entry) -> bool:
    try:
        target.rename(entry.path)
    except OSError:  # made anew meanwhile
        return False
    return True
