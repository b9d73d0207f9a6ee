"""The mirror's process, as those who make artifacts see it: begun, told that all is made, left alone."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .index import FILE, read_index, write_index
from .modes import Way, lacking, way_of

if TYPE_CHECKING:
    from warmgap.plan import Plan
    from warmgap.schema.config import Config
    from warmgap.store import Store

WAIT_SHARE = 0.05
"""Of a run's time, how long its end is held up for the mirror at most."""
WAIT_S = 20.0
"""And never longer."""
LOG = "mirror.log"


class Mirror:
    """A mirror that is at work, or none. It ends by itself when this process does, however that ends."""

    def __init__(self, process: subprocess.Popen[bytes] | None = None, way: Way | None = None) -> None:
        self._process, self._way = process, way
        self._began = time.monotonic()

    def end(self) -> None:
        """All is made: let the mirror finish, wait for it within the bound, then leave it."""
        if self._process is None or self._way is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        bound_s = min(WAIT_S, WAIT_SHARE * (time.monotonic() - self._began))
        try:
            code = self._process.wait(timeout=bound_s)
        except subprocess.TimeoutExpired:
            # It is not waited for again; Python would warn of a process that runs on.
            self._process.returncode = 0
            return
        if code:
            log = self._way.folder / LOG
            print(f"The {self._way.logger} mirror ended early: {log} says why.", file=sys.stderr)


def begin(plan: Plan, config: Config, store: Store) -> Mirror:
    """Write the sweep's index and begin a mirror of it, if it has one."""
    write_index(plan, config, store)
    return _begin(store.root, plan.name)


def mirror_published(root: Path, sweep: str) -> None:
    """Mirror a sweep that is published, for at most the bound of a long run; the rest is left.

    For jobs of a cluster, where processes end with the job: `python -m warmgap.tracking` does what is left.
    """
    mirror = _begin(root, sweep)
    mirror._began -= WAIT_S / WAIT_SHARE
    mirror.end()


def _begin(root: Path, sweep: str) -> Mirror:
    if not (root / "sweeps" / sweep / FILE).is_file():
        return Mirror()  # submitted by a version that wrote none
    index = read_index(root, sweep)
    way = way_of(index.logger, index.wandb, root / "sweeps" / sweep, os.environ)
    if way is None:
        return Mirror()
    if said := lacking(way.logger):
        print(f"Not mirrored: {said}", file=sys.stderr)
        return Mirror()
    try:
        return Mirror(_process(root.resolve(), sweep, way), way)
    except OSError as e:
        print(f"Not mirrored: {e}", file=sys.stderr)
        return Mirror()


def _process(root: Path, sweep: str, way: Way) -> subprocess.Popen[bytes]:
    way.folder.mkdir(parents=True, exist_ok=True)
    paths = os.pathsep.join(os.path.abspath(p) for p in sys.path if p)
    with (way.folder / LOG).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "warmgap.tracking", "watch", sweep, "--root", str(root)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=os.environ | {"PYTHONPATH": paths},
            cwd=way.folder,
            start_new_session=True,  # Ctrl-C is for those who work
        )
