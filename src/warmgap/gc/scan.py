"""The folders of a store, parted into what stays and what no sweep refers to."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmgap.errors import UserError
from warmgap.gc.plans import read_plans
from warmgap.locks import STALE_S
from warmgap.schema.fields import STAGES
from warmgap.store import Store

CORRUPT = "corrupt"
LEFT = "left by gc"
GRAVE = ".gc-"
"""How a folder's name begins in which a gc, perhaps a killed one, deletes."""
FOLDERS = (*STAGES, "partial", "aside", CORRUPT)
"""Folders of the store that are looked into; no other is touched."""


@dataclass(frozen=True)
class Entry:
    """A folder of the store that is removed as a whole or not at all."""

    kind: str
    """One of FOLDERS, or LEFT for what a killed gc left."""
    key: str
    path: Path
    n_bytes: int
    changed_at: float
    """Seconds since the epoch at which the youngest thing in it was written."""
    inputs: tuple[str, ...] = ()
    """Keys of what a finished artifact was made from."""

    @property
    def lock(self) -> str:
        """Name of the lock under which it is made; what is corrupt or left is nobody's."""
        return f"gc-{self.path.name}" if self.kind in (CORRUPT, LEFT) else self.key


@dataclass(frozen=True)
class Found:
    """A store's entries."""

    kept: tuple[Entry, ...]
    unused: tuple[Entry, ...]
    n_spared: int
    """Kept though no sweep refers to them: made now, young, or what such ones were made from."""
    n_sweeps: int


def find(root: Path, min_age_s: float) -> Found:
    """What of the store below `root` no sweep refers to; changes nothing.

    A sweep refers to the jobs of its plan.json and, by their manifests, to what those were made from.
    What is younger than `min_age_s` seconds or locked by a process stays, with what it was made from.

    Raises:
        UserError: there is no such folder, or a plan cannot be read.
    """
    if not root.is_dir():
        raise UserError(f"there is no output folder {root}. Name that of store.root with --root FOLDER.")
    entries = _entries(root / "store")
    plans = read_plans(root) if entries else {}
    wanted = with_inputs((key for keys in plans.values() for key in keys), entries)
    old = time.time() - min_age_s
    held = _held(Store(root))
    safe = {e.path for e in entries if e.kind != LEFT and (e.changed_at > old or e.lock in held)}
    needed = wanted | with_inputs((e.key for e in entries if e.path in safe and e.kind in STAGES), entries)
    kept = [e for e in entries if e.path in safe or e.key in needed]
    unused = [e for e in entries if not (e.path in safe or e.key in needed)]
    return Found(tuple(kept), tuple(unused), sum(e.key not in wanted for e in kept), len(plans))


def with_inputs(keys: Iterable[str], entries: Iterable[Entry]) -> set[str]:
    """Keys, and those of everything that the artifacts behind them were made from."""
    made_from = {e.key: e.inputs for e in entries if e.kind in STAGES}
    found: set[str] = set()
    left = list(keys)
    while left:
        key = left.pop()
        if key not in found:
            found.add(key)
            left.extend(made_from.get(key, ()))
    return found


def size(path: Path) -> tuple[int, float]:
    """Bytes of the files below a folder, and when the youngest thing in it was written."""
    n_bytes, changed_at = 0, 0.0
    for folder, _, names in os.walk(path):
        for name in ("", *names):
            try:
                facts = os.lstat(os.path.join(folder, name))
            except FileNotFoundError:  # a batch is being renamed
                continue
            n_bytes += facts.st_size if name else 0
            changed_at = max(changed_at, facts.st_mtime)
    return n_bytes, changed_at


def _entries(store: Path) -> list[Entry]:
    out = [
        _entry(kind, path)
        for kind in FOLDERS
        if (store / kind).is_dir()
        for path in sorted((store / kind).iterdir())
        if path.is_dir() and not path.is_symlink()
    ]
    return out + [_entry(LEFT, path) for path in sorted(store.glob(f"{GRAVE}*"))]


def _entry(kind: str, path: Path) -> Entry:
    key = path.name.rpartition(".")[0] if kind == "aside" else path.name
    return Entry(kind, key, path, *size(path), _inputs(path) if kind in STAGES else ())


def _inputs(path: Path) -> tuple[str, ...]:
    """What an artifact was made from; nothing for a damaged one, which is never used again."""
    try:
        manifest: Any = json.loads((path / "manifest.json").read_text())
        return tuple(manifest["inputs"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()


def _held(store: Store) -> set[str]:
    """Names of the locks whose holders show life."""
    holders = {key: store.holder(key) for key in store.leases.names()}
    return {key for key, holder in holders.items() if holder is not None and holder.age_s < STALE_S}
