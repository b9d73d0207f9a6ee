"""Locks for processes on any hosts that share a folder, over file systems without working flock.

    <folder>/<key>/000003       who took it last; its mtime says when that one last showed life

Taking a lock makes the file of the next generation by a hard link, which one process alone can do, and only
when the last holder has released it, has ended for sure, or has shown no life for long. Who shows life too
late finds a newer generation and has lost the lock. The newest generation is never removed but with the whole
folder, by its holder. All acts are relative to an open folder, so that none falls on another folder that has
come to the same path. Only the file system's own clock is compared with itself.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

from warmgap.errors import UserError
from warmgap.holders import this_process
from warmgap.leases import (
    Lease,
    Seen,
    aside_file,
    clock_s,
    facts_of,
    file_name,
    folder_is_gone,
    keeper,
    look,
    newest_in,
)

BEAT_S = 10.0
"""A holder shows life so often."""
STALE_S = 120.0
"""Without a sign of life for so long, by the file system's clock, a holder may be put aside."""
WATCH_S = 20.0
"""So long must we have seen no sign ourselves, by our own clock: the other clock may have been set."""
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True)
class Timing:
    """Seconds after which things happen to a lease."""

    beat_s: float = BEAT_S
    stale_s: float = STALE_S
    watch_s: float = WATCH_S


class LostLease(RuntimeError):
    """Another process has taken over the lock of one that showed no life for long."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, for people to read."""

    host: str
    pid: int
    slurm_job: str
    age_s: float
    """Since the last sign of life."""

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}" + (f" (SLURM job {self.slurm_job})" if self.slurm_job else "")


@dataclass
class Leases:
    """Locks below one folder, by name."""

    folder: Path
    timing: Timing = field(default_factory=Timing)
    _mine: dict[str, Lease] = field(default_factory=dict, repr=False)
    _watched: dict[str, tuple[Seen, float]] = field(default_factory=dict, repr=False)

    def take(self, key: str) -> bool:
        """Take a lock without waiting; False if another holds it, or is just taking or leaving it.

        A holder of whom nothing is known is put aside only when asked for again `watch_s` later.

        Raises:
            UserError: the folder cannot be written to, or its file system has no hard links.
            OSError: something else is wrong with it, such as a full disk.
        """
        try:
            folder = _opened(self.folder / key)
        except OSError as e:
            raise self._explained(e) from None
        lease = None
        try:
            seen = look(folder)
            if seen is None or seen.is_free() or self._is_stale(key, seen, folder):
                lease = self._next(key, folder, seen)
        except OSError as e:
            if not folder_is_gone(e):  # its last holder has just removed it
                raise self._explained(e) from None
        finally:
            if lease is None:
                os.close(folder)
        if lease is None:
            return False
        self._watched.pop(key, None)
        self._mine[key] = lease
        keeper.add(lease)
        return True

    def release(self, key: str, done: bool = False) -> None:
        """Give up a lock.

        Args:
            key: of a lock that was taken here, even if it is lost by now.
            done: nobody will want it again, so nothing of it is kept.
        """
        lease = self._mine.pop(key)
        keeper.drop(lease)
        lease.release(self.folder / key if done else None)

    def held(self, key: str) -> bool:
        """Whether this process holds it still."""
        lease = self._mine.get(key)
        return lease is not None and lease.beat(ask_anew=True)

    def lost(self, key: str) -> bool:
        """Whether another process took over what this one had not released."""
        return key in self._mine and not self.held(key)

    def holder(self, key: str) -> Holder | None:
        """Who holds a lock; None if it is free or its holder has ended for sure."""
        try:
            folder = os.open(self.folder / key, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            seen = look(folder)
            if seen is None or seen.is_free():
                return None
            try:
                now_s = clock_s(folder)
            except OSError:  # who may only read has no better clock
                now_s = time.time()
            who = seen.who
            age_s = max(0.0, now_s - seen.mtime_ns / 1e9)
            return Holder(who.host, who.pid, who.slurm_job, age_s) if who else Holder("?", 0, "", age_s)
        except FileNotFoundError:
            return None
        finally:
            os.close(folder)

    def names(self) -> tuple[str, ...]:
        """Names of locks that are held or were left."""
        if not self.folder.is_dir():
            return ()
        return tuple(sorted(name for name in os.listdir(self.folder) if not name.startswith(".")))

    def _is_stale(self, key: str, seen: Seen, folder: int) -> bool:
        before, since = self._watched.get(key, (None, 0.0))
        if before != seen:
            self._watched[key] = (seen, time.monotonic())
            return False
        watched_s = time.monotonic() - since
        return (
            watched_s >= self.timing.watch_s and clock_s(folder) - seen.mtime_ns / 1e9 >= self.timing.stale_s
        )

    def _next(self, key: str, folder: int, seen: Seen | None) -> Lease | None:
        """Make the generation after the one seen; None if another process was first."""
        generation = seen.generation + 1 if seen else 1
        name = file_name(generation)
        token = uuid.uuid4().hex
        content = json.dumps({"token": token} | asdict(this_process()))
        with aside_file(folder, token, content) as aside:
            # Now that there is a file of ours in it, a link succeeds in no other folder than this one.
            if look(folder) != seen:
                return None
            try:
                os.link(aside, name, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError as e:
                # A file server's answer can get lost; asked again, it refuses what it has done.
                if facts_of(folder, aside)[0].st_nlink != 2:
                    if e.errno == errno.EEXIST:
                        return None
                    raise
        if newest_in(folder) != generation or not os.path.samestat(
            os.stat(self.folder / key), os.fstat(folder)
        ):
            # We slept, and others came, or are removing the folder: what was linked is nobody's.
            return None
        for old in os.listdir(folder):
            if old.isdigit() and int(old) < generation:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(old, dir_fd=folder)
        return Lease(folder, generation, self.timing.beat_s)

    def _explained(self, error: OSError) -> OSError | UserError:
        if error.errno not in _REFUSED:
            return error
        return UserError(
            f"cannot make a lock in {self.folder}: {error.strerror}. It needs a file system with hard links "
            "that this user may write to. Choose another folder with store.root=FOLDER."
        )


def _opened(path: Path) -> int:
    while True:
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        path.mkdir(parents=True, exist_ok=True)
