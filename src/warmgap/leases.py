"""One lock that was taken: its files in an open folder, and the thread that shows life for it."""

from __future__ import annotations

import atexit
import contextlib
import errno
import json
import math
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from warmgap.holders import Process, this_process

_RELEASED_NS = 0
"""The mtime of a released generation: set without needing room on the disk."""


@dataclass(frozen=True)
class Seen:
    """The newest generation of a lock."""

    generation: int
    mtime_ns: int
    token: str = ""
    who: Process | None = None
    """None where the content cannot be read."""

    def is_free(self) -> bool:
        """Released, or its process has ended for sure."""
        if self.mtime_ns == _RELEASED_NS:
            return True
        return self.who is not None and self.who.has_ended(this_process())


class Lease:
    """A lock that this process holds."""

    def __init__(self, folder: int, generation: int, beat_s: float) -> None:
        self.beat_s, self.due = beat_s, time.monotonic() + beat_s
        self._folder, self._generation = folder, generation
        self._pid = os.getpid()
        self._held = self._open = True
        self._turn = threading.Lock()

    def beat(self, ask_anew: bool = False) -> bool:
        """Show life; False if another process has taken over.

        Args:
            ask_anew: go by the file system, and not by what this host remembers of it.
        """
        if self._pid != os.getpid():  # a fork holds nothing
            return False
        with self._turn:
            self.due = time.monotonic() + self.beat_s
            if not self._held:
                return False
            try:
                if ask_anew:
                    clock_s(self._folder)
                self._held = newest_in(self._folder) == self._generation
                if self._held:
                    os.utime(file_name(self._generation), dir_fd=self._folder)
            except OSError as e:
                if not folder_is_gone(e):
                    raise
                self._held = False
            return self._held

    def release(self, remove: Path | None = None) -> None:
        """Let others have it; with `remove`, the path of its folder, leaving nothing behind."""
        if self._pid != os.getpid():
            return
        with self._turn:
            if not self._open:
                return
            try:
                if self._held and newest_in(self._folder) == self._generation:
                    if remove is not None:
                        self._remove(remove)
                    else:
                        os.utime(file_name(self._generation), ns=(0, _RELEASED_NS), dir_fd=self._folder)
            finally:
                self._held = self._open = False
                os.close(self._folder)

    def _remove(self, path: Path) -> None:
        # First out of the way, whole. Others' files in it go before ours: who is about to link fails.
        grave = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        path.rename(grave)
        for each in sorted(os.listdir(self._folder)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(each, dir_fd=self._folder)
        with contextlib.suppress(OSError):  # one that came late has put a file there, and will find it gone
            grave.rmdir()


class _Keeper:
    """The thread that shows life for all leases of this process."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """What a fork inherits is not its own."""
        self._changed = threading.Condition()
        self._leases: set[Lease] = set()
        self._wakes_at = math.inf
        self._running = False

    def add(self, lease: Lease) -> None:
        with self._changed:
            self._leases.add(lease)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="leases", daemon=True).start()
            elif lease.due < self._wakes_at:
                self._changed.notify()

    def drop(self, lease: Lease) -> None:
        with self._changed:
            self._leases.discard(lease)

    def end(self) -> None:
        """A process that ends leaves its locks to others at once."""
        for lease in tuple(self._leases):
            with contextlib.suppress(OSError):
                lease.release()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._wakes_at = min((lease.due for lease in self._leases), default=math.inf)
                left_s = self._wakes_at - time.monotonic()
                self._changed.wait(None if math.isinf(left_s) else max(0.0, left_s))
                due = [lease for lease in self._leases if lease.due <= time.monotonic()]
            for lease in due:
                # A file server that does not answer now may do so at the next beat.
                with contextlib.suppress(OSError):
                    lease.beat()


keeper = _Keeper()
os.register_at_fork(after_in_child=keeper.forget)
atexit.register(keeper.end)


def folder_is_gone(error: OSError) -> bool:
    """Whether an act failed since the lock's last holder has removed the folder."""
    return error.errno in (errno.ENOENT, errno.ESTALE)


def file_name(generation: int) -> str:
    """Of a generation, such as 000003."""
    return f"{generation:06d}"


def newest_in(folder: int) -> int:
    """The highest generation in an open folder; 0 where there is none."""
    return max((int(name) for name in os.listdir(folder) if name.isdigit()), default=0)


def look(folder: int) -> Seen | None:
    """What the newest generation says; None where there is none."""
    generation = newest_in(folder)
    if not generation:
        return None
    facts, content = facts_of(folder, file_name(generation))
    try:
        fields = json.loads(content)
        return Seen(generation, facts.st_mtime_ns, fields.pop("token"), Process(**fields))
    except (ValueError, TypeError, KeyError, AttributeError):
        return Seen(generation, facts.st_mtime_ns)


def facts_of(folder: int, name: str) -> tuple[os.stat_result, bytes]:
    """Of a file that is opened for it: only then does an NFS client ask its server."""
    file = os.open(name, os.O_RDONLY, dir_fd=folder)
    try:
        return os.fstat(file), os.read(file, 4096)
    finally:
        os.close(file)


def clock_s(folder: int) -> float:
    """The file system's clock. Making a file also renews what an NFS client remembers of the folder."""
    with aside_file(folder, uuid.uuid4().hex, "") as name:
        return facts_of(folder, name)[0].st_mtime_ns / 1e9


@contextmanager
def aside_file(folder: int, token: str, content: str) -> Iterator[str]:
    """The name of a file of one's own in an open folder; removed at the end."""
    name = f".{token}"
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=folder)
    try:
        with open(file, "wb") as f:
            f.write(content.encode())
        yield name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
