"""A worker process: runs jobs one after another with one thread each, and reports progress."""

from __future__ import annotations

import errno
import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from warmgap.errors import Interrupted, UserError
from warmgap.jobs import Job
from warmgap.memory import out_of_memory
from warmgap.stages.context import Context
from warmgap.store import Artifact, LostLease, Store

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
_WAIT_S = 0.2
_WAIT_AT_MOST_S = 3.0
_TORN = "Invalid thrift"
_HARDLY_ANY_BYTES = 1 << 20
_NO_ROOM = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


def run_job(job: Job, context: Context) -> Artifact:
    """The job's artifact: found, made, or waited for while another process makes it."""
    artifact = None
    while artifact is None:
        artifact = _found_or_claimed(job, context) or _made(job, context)
    return artifact


def _found_or_claimed(job: Job, context: Context) -> Artifact | None:
    """The artifact that is there, or None as soon as this process has the claim to make it."""
    store = context.store
    wait_s, told = _WAIT_S, ""
    while True:
        found = store.find(job.stage, job.key)
        if found is not None or store.try_lock(job.key):
            return found
        text = f"waiting for {store.holder(job.key) or 'another process'}"
        if text != told:
            context.progress(0, 1, text)
            told = text
        time.sleep(wait_s)
        wait_s = min(1.5 * wait_s, _WAIT_AT_MOST_S)


def _made(job: Job, context: Context) -> Artifact | None:
    """Make the artifact under this process' claim; None if another process has taken that over."""
    store = context.store
    done = False
    try:
        # Another process may have finished it between the look and the claim.
        artifact: Artifact | None = store.find(job.stage, job.key)
        if artifact is None:
            stage: Any = importlib.import_module(f"warmgap.stages.{job.stage}")
            artifact = stage.run(job, context)
        done = True
        return artifact
    except (LostLease, OSError):  # also where the other has cleared away what this one was writing
        if store.held(job.key):
            raise
        return None
    finally:
        store.unlock(job.key, done=done)


def disk_full(error: BaseException, root: Path) -> bool:
    """True where a write below `root` failed for want of room.

    By the words of the operating system, since polars, safetensors and shutil give no error number; and where
    there is hardly any room left, by polars' own words for a Parquet file that could not be ended.
    """
    words = (*_NO_ROOM, _TORN) if _free_bytes(root) < _HARDLY_ANY_BYTES else _NO_ROOM
    seen: BaseException | None = error
    while seen is not None:
        if any(w in str(seen) for w in words):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _free_bytes(root: Path) -> int:
    found = os.statvfs(root)
    return found.f_bavail * found.f_frsize


def serve(connection: Connection, root: Path) -> None:
    """Take jobs until the parent hangs up; end at once, even amid a job, when it is killed.

    Messages sent: (`progress`, key, done, total, text), (`done`, key, wall_s),
    (`failed`, key, kind, text) with kind `user`, `disk`, `memory` or `fault`, and
    (`interrupted`, key, text, signum), after which it exits with 128 + signum.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    key = ""

    def send(*message: Any) -> None:
        try:
            connection.send(message)
        except BrokenPipeError:
            os._exit(1)

    def progress(done: int, total: int, text: str) -> None:
        send("progress", key, done, total, text)

    context = Context(Store(root), progress)
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        key = job.key
        started = time.monotonic()
        try:
            run_job(job, context)
        except UserError as e:
            send("failed", key, "user", str(e))
        except Interrupted as e:
            send("interrupted", key, str(e), e.signum)
            sys.exit(128 + e.signum)
        except Exception as e:
            full = disk_full(e, root)
            kind = "disk" if full else "memory" if out_of_memory(e) else "fault"
            send("failed", key, kind, str(e) if full else traceback.format_exc())
        else:
            send("done", key, time.monotonic() - started)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
