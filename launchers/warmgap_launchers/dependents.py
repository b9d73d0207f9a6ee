"""Ending SLURM jobs: those that wait for what failed, and those of a whole sweep."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from warmgap.runs import Run, Runs
from warmgap_launchers import slurm_queue

if TYPE_CHECKING:
    from warmgap.job_files import BundleFile
    from warmgap.store import Store

LEASE = "submit"
"""Who holds this lock of a store submits to SLURM, or ends what was submitted."""
INPUTS = "inputs.json"
"""Beside a submission's bundles: which missing jobs each of its jobs waits for."""
_WAIT_S = 0.5
_TELL_AFTER_S = 3.0


@contextmanager
def alone(store: Store, at_most_s: float = float("inf")) -> Iterator[bool]:
    """Inside, nobody else submits to SLURM into this store; False where that took too long."""
    started, told = time.monotonic(), False
    while not store.try_lock(LEASE):
        waited_s = time.monotonic() - started
        if waited_s > at_most_s:
            yield False
            return
        if waited_s > _TELL_AFTER_S and not told:
            print(f"Waiting for another submission: {store.holder(LEASE)}", file=sys.stderr)
            told = True
        time.sleep(_WAIT_S)
    try:
        yield True
    finally:
        store.unlock(LEASE, done=True)


def hopeless(
    inputs: Mapping[str, list[str]], records: Mapping[str, Run], job: str = ""
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Waiting SLURM jobs that have nothing left to make: id -> key -> the failed jobs that it waits for.

    Args:
        inputs: which missing jobs each job waits for.
        records: run records.
        job: a SLURM job that is not among them, whatever it holds.
    """
    roots: dict[str, tuple[str, ...]] = {}

    def failed(key: str) -> tuple[str, ...]:
        if key not in roots:
            run = records.get(key)
            if run is None or run.state == "running":
                roots[key] = ()
            elif run.state == "failed":
                roots[key] = (key,)
            elif run.state == "blocked":
                roots[key] = run.blocked_by or (key,)
            else:
                roots[key] = ()  # until its inputs are known; no job is its own input
                roots[key] = tuple(dict.fromkeys(r for i in inputs.get(key, ()) for r in failed(i)))
        return roots[key]

    of: dict[str, list[str]] = {}
    for key, run in records.items():
        if run.slurm_job and run.state in ("queued", "running"):
            of.setdefault(run.slurm_job, []).append(key)
    return {
        each: {key: failed(key) for key in keys}
        for each, keys in of.items()
        if each != job and all(records[key].state == "queued" and failed(key) for key in keys)
    }


def cancel_dependents(file: BundleFile, store: Store, job: str) -> None:
    """After a failure: end the waiting SLURM jobs of the sweep that have nothing left to make.

    With `fail_fast` all SLURM jobs of the sweep are ended. Where this cannot be done, such a job finds out by
    itself when it starts.
    """
    with alone(store, at_most_s=60) as held:
        if not held:
            return
        if file.fail_fast:
            for line in cancel_sweep(store, file.sweep, but=job):
                print(line, file=sys.stderr)
            return
        runs = Runs(store.root)
        found = hopeless(read_inputs(store.root / "sweeps" / file.sweep / "slurm"), runs.read(), job)
        if not found:
            return
        slurm_queue.cancel([*found], pending_only=True)
        alive = slurm_queue.living(found)
        gone = [each for each in found if each not in alive]
        for each in gone:
            for key, roots in found[each].items():
                record = runs.get(key)
                if record is not None and record.slurm_job == each and record.state == "queued":
                    runs.write(replace(record, state="blocked", blocked_by=roots))
        if gone:
            named = ", ".join(slurm_queue.contract(gone))
            print(f"Cancelled, since inputs of theirs could not be made: {named}", file=sys.stderr)


def cancel_sweep(store: Store, sweep: str, but: str = "") -> list[str]:
    """End the SLURM jobs of a sweep; returns what to tell. To be called inside `alone`.

    A job that makes something which another sweep wants goes on.
    """
    runs = Runs(store.root)
    records = {k: r for k, r in runs.read().items() if r.slurm_job and r.state in ("queued", "running")}
    of: dict[str, list[Run]] = {}
    for record in records.values():
        of.setdefault(record.slurm_job, []).append(record)
    ours = {j: some for j, some in of.items() if any(sweep in r.sweeps for r in some) and j != but}
    alive = slurm_queue.living(ours)
    lines: list[str] = []
    ended: list[str] = []
    for each, some in ours.items():
        others = sorted({s for r in some for s in r.sweeps} - {sweep})
        if each in alive and others:
            lines.append(f"{each} goes on: {', '.join(others)} wants what it makes ({some[0].label}, ...)")
            for record in some:
                runs.write(replace(record, sweeps=tuple(s for s in record.sweeps if s != sweep)))
        else:
            ended.append(each)
    for each in ended:
        marker = cancelled_file(store.root, sweep, each)
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    slurm_queue.cancel([each for each in ended if each in alive])
    for each in ended:
        for record in ours[each]:
            if record.state == "queued":
                runs.remove(record.key)
    n = [each for each in ended if each in alive]
    if n:
        lines.append(f"Cancelled {len(n)} SLURM jobs: {', '.join(slurm_queue.contract(n))}")
    return lines


def cancelled_file(root: Path, sweep: str, job: str) -> Path:
    """There from when a SLURM job is cancelled: it then knows that it will not be started again."""
    return root / "sweeps" / sweep / "slurm" / "cancelled" / job


def read_inputs(folder: Path) -> dict[str, list[str]]:
    """Which missing jobs each job of a sweep waited for when it was submitted, by all its submissions."""
    out: dict[str, list[str]] = {}
    for path in sorted(folder.glob(f"*/{INPUTS}"), key=lambda p: int(p.parent.name)):
        out |= json.loads(path.read_text())
    return out
