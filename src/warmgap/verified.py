"""Which artifacts were verified and not touched since, so that planning need not read them all.

store/verified.json holds a short hash of names, sizes, times of change and inodes of an artifact's files. A
file that was changed with its time put back escapes it; a stage that uses the artifact reads all of it
and finds that out.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

FILE = "verified.json"


@dataclass
class Verified:
    """What is remembered of the artifacts of one store."""

    path: Path
    _known: dict[str, str] | None = field(default=None, repr=False)
    _changed: bool = field(default=False, repr=False)

    def holds(self, name: str, state: str) -> bool:
        """Whether an artifact was found sound in this state."""
        return self._read().get(name) == state

    def note(self, name: str, state: str | None) -> None:
        """Remember in which state an artifact is sound; None forgets it."""
        known = self._read()
        if known.get(name) != state:
            self._changed = True
            if state is None:
                del known[name]
            else:
                known[name] = state

    def save(self) -> None:
        """Write what is new; what two processes write at once is at worst verified again."""
        if not self._changed or self._known is None:
            return
        with contextlib.suppress(OSError):  # somebody else's store can be planned with, too
            aside = self.path.with_name(f".{FILE}.{secrets.token_hex(4)}")
            aside.write_text(json.dumps(self._known, indent=0))
            aside.replace(self.path)
            self._changed = False

    def _read(self) -> dict[str, str]:
        if self._known is None:
            try:
                found = json.loads(self.path.read_text())
            except (OSError, ValueError):
                found = {}
            self._known = found if isinstance(found, dict) else {}
        return self._known


def state_of(folder: Path) -> str | None:
    """A hash of what the file system says of an artifact's files without reading them; None if it is gone."""
    said = hashlib.blake2b(digest_size=12)
    try:
        _add(said, str(folder), "")
    except FileNotFoundError:
        return None
    return said.hexdigest()


def _add(said: hashlib.blake2b, folder: str, inside: str) -> None:
    with os.scandir(folder) as found:
        for entry in sorted(found, key=lambda e: e.name):
            name = f"{inside}{entry.name}"
            if entry.is_dir():
                _add(said, entry.path, f"{name}/")
            else:
                facts = entry.stat()
                said.update(f"{name}\0{facts.st_size}\0{facts.st_mtime_ns}\0{facts.st_ino}\n".encode())
