"""Loaded by every Python process of a command under test: logs what it does, and hides packages.

WARMGAP_TEST_EVENTS names a file to which one line is appended per event: process, event, detail.
WARMGAP_TEST_HIDE lists packages that look as if they were not installed.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
from pathlib import Path

_LOG = os.environ.get("WARMGAP_TEST_EVENTS")
_HIDDEN = frozenset(os.environ.get("WARMGAP_TEST_HIDE", "").split(","))


class _Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname.partition(".")[0] in _HIDDEN:
            return None
        return super().find_spec(fullname, path, target)


def _log_events() -> None:
    log = os.open(_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(event: str, detail: str) -> None:
        os.write(log, f"{os.getpid()} {event} {detail}\n".encode())

    def hook(event: str, args: tuple[object, ...]) -> None:
        if event == "import":
            if args[0] == "torch":
                write("import", "torch")
        elif event == "os.rename":
            source, target = (Path(os.fspath(a)) for a in args[:2])
            if source.parent.name == "aside":
                write("commit", f"{target.parent.name}/{target.name}")
            elif target.name.startswith(("batch-", "state-")):
                write("batch", f"{target.parent.name}/{target.name}")

    sys.addaudithook(hook)
    write("start", "worker" if "--multiprocessing-fork" in sys.orig_argv else "process")


if _LOG:
    _log_events()
sys.meta_path[:] = [_Finder if f is importlib.machinery.PathFinder else f for f in sys.meta_path]
