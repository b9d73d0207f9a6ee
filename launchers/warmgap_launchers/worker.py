"""A worker process: runs jobs one after another with one thread each, and reports progress."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from warmgap.errors import UserError
from warmgap.jobs import Job
from warmgap.stages.context import Context
from warmgap.store import Artifact, Store

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
_WAIT_S = 0.5


def run_job(job: Job, context: Context) -> Artifact:
    """The job's artifact: found, made, or waited for while another process makes it."""
    store = context.store
    while True:
        found = store.find(job.stage, job.key)
        if found is not None:
            return found
        if store.try_lock(job.key):
            break
        time.sleep(_WAIT_S)
    try:
        stage: Any = importlib.import_module(f"warmgap.stages.{job.stage}")
        artifact: Artifact = stage.run(job, context)
        return artifact
    finally:
        store.unlock(job.key)


def serve(connection: Connection, root: Path) -> None:
    """Take jobs until the parent hangs up.

    Messages sent: (`progress`, key, done, total, text), (`done`, key, wall_s) and
    (`failed`, key, kind, text) with kind `user`, `disk` or `fault`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    key = ""

    def progress(done: int, total: int, text: str) -> None:
        connection.send(("progress", key, done, total, text))

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
            message: tuple[Any, ...] = ("done", key, time.monotonic() - started)
        except UserError as e:
            message = ("failed", key, "user", str(e))
        except BrokenPipeError:
            os._exit(1)
        except OSError as e:
            kind = "disk" if e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "fault"
            message = ("failed", key, kind, traceback.format_exc() if kind == "fault" else str(e))
        except Exception:
            message = ("failed", key, "fault", traceback.format_exc())
        connection.send(message)
