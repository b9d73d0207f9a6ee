"""Runs one bundle from its file: in a SLURM job, where submitit calls `run`, or by itself.

    python -m warmgap_launchers.bundle_run FILE

Exit codes: 0 done; 1 after a failure; 143 told to end by SIGTERM; 140 by SIGUSR2, after which the batch
script queues the job again.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

# Nothing heavy up here: a signal before `run` is called ends the process, and the batch script answers it.
from warmgap.errors import Interrupted, UserError

if TYPE_CHECKING:
    from warmgap.job_files import BundleFile
    from warmgap.plan import Node
    from warmgap.store import Store
    from warmgap_launchers.outcome import Outcome

REQUEUE = 128 + signal.SIGUSR2
"""Exit code of a bundle that is to be queued again."""
PREEMPTED = 128 + signal.SIGTERM
"""Exit code of one that was told to end, and is queued again unless it was cancelled."""
_END_S = 60


class _Listener:
    """SIGTERM and SIGUSR2 raise `Interrupted` once; of several signals the one that counts is kept."""

    def __init__(self) -> None:
        self.signum = 0
        self.raises = True
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        first = not self.signum
        # SIGTERM has the last word: whoever sends it sees to what comes after.
        if self.signum != signal.SIGTERM:
            self.signum = number
        if first and self.raises:
            raise Interrupted(number, f"told to end by {signal.Signals(number).name}")


def run(path: str) -> None:
    """Do a bundle's jobs; returns when all of them are done.

    Raises:
        SystemExit: with 1 after a failure, with 128 + n after signal n.
    """
    listener = _Listener()
    # Handlers stand: what is imported from here on may take its time.
    from warmgap.job_files import read_bundle

    try:
        file = read_bundle(Path(path))
    except UserError as e:
        print(f"warmgap: {e}", file=sys.stderr)
        raise SystemExit(1) from None
    except Interrupted as e:
        raise SystemExit(128 + e.signum) from None
    code = 1
    try:
        code = _run(file)
    except Interrupted as e:
        listener.signum = listener.signum or e.signum
        listener.raises = False
        code = _interrupted(file, listener.signum)
    except UserError as e:
        print(f"warmgap: {e}", file=sys.stderr)
    if code:
        sys.stdout.flush()
        sys.stderr.flush()
        raise SystemExit(code)


def _run(file: BundleFile) -> int:
    from warmgap.store import Store
    from warmgap_launchers.dependents import cancelled_file
    from warmgap_launchers.devices import places
    from warmgap_launchers.pool import run_nodes

    root, job = Path(file.root), _slurm_job()
    store = Store(root)
    if job:
        cancelled_file(root, file.sweep, job).unlink(missing_ok=True)
    todo = {k: n for k, n in file.todo.items() if store.find(n.job.stage, k) is None}
    todo = _without_superseded(todo, store, job)
    n, devices = places((node.job for node in todo.values()), file.workers)
    outcome = run_nodes(
        todo,
        root,
        n,
        sweep=file.sweep,
        fail_fast=file.fail_fast,
        devices=devices,
        slurm_job=job,
        log=_log(job),
    )
    if outcome.signum:
        raise Interrupted(outcome.signum, f"told to end by {signal.Signals(outcome.signum).name}")
    if outcome.failed or outcome.blocked:
        return _failed(file, outcome, store, job, todo)
    missing = [k for k in file.bundle.keys if store.find(file.nodes[k].job.stage, k) is None]
    if missing:
        print(f"{len(missing)} jobs of this bundle are made by other SLURM jobs.")
    elif file.publish:
        from warmgap.publish import announce, publish
        from warmgap.tracking import mirror_published

        publish(file.plan, store)
        announce(file.plan, store, did=len(todo))
        mirror_published(root, file.sweep)
    return 0


def _without_superseded(todo: dict[str, Node], store: Store, job: str) -> dict[str, Node]:
    """Leave out what a later SLURM job makes, since its inputs are made anew."""
    from warmgap.runs import Runs, made
    from warmgap_launchers import slurm_queue

    records = Runs(store.root).read(todo)
    others = {
        k: r.slurm_job
        for k, r in records.items()
        if r.slurm_job not in ("", job) and r.state in ("queued", "running")
    }
    if not others or not job:
        return todo
    try:
        alive = slurm_queue.living(others.values())
    except UserError as e:  # a controller that is busy stops no work
        print(f"warmgap: {e}", file=sys.stderr)
        return todo
    there = set().union(*made(store.root).values())
    out: dict[str, Node] = {}
    for key, node in todo.items():
        ready = all(k in there or k in out for k in node.job.inputs.values())
        if ready or others.get(key) not in alive:
            out[key] = node
    return out


def _failed(file: BundleFile, outcome: Outcome, store: Store, job: str, todo: dict[str, Node]) -> int:
    from warmgap_launchers.dependents import cancel_dependents
    from warmgap_launchers.outcome import explain, label_of

    for key in outcome.blocked:
        print(f"blocked: {label_of(todo[key])}: an input of it could not be made", file=sys.stderr)
    _name_roots(store, outcome)
    if outcome.failed:
        try:
            explain(file.sweep, outcome, todo)
        except UserError as e:
            print(f"warmgap: {e}", file=sys.stderr)
    if job:
        cancel_dependents(file, store, job)
        if not outcome.failed:
            if not outcome.done:
                _cancel_itself()
            print(f"{len(outcome.done)} jobs done, {len(outcome.blocked)} wait for what failed elsewhere.")
            return 0
    return 1


def _name_roots(store: Store, outcome: Outcome) -> None:
    """Say of what is blocked by something blocked elsewhere which job failed in the first place."""
    from dataclasses import replace

    from warmgap.runs import Runs

    runs = Runs(store.root)
    inputs = runs.read({k for by in outcome.blocked.values() for k in by})
    for key, by in outcome.blocked.items():
        record = runs.get(key)
        roots = [r for k in by for r in (inputs[k].blocked_by if k in inputs else ()) or (k,)]
        if record is not None and record.state == "blocked":
            runs.write(replace(record, blocked_by=tuple(dict.fromkeys(roots))))


def _cancel_itself() -> None:
    """Nothing of the bundle can be made: so that SLURM says CANCELLED, not FAILED."""
    from warmgap_launchers import slurm_queue

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    slurm_queue.cancel([_slurm_job()])
    time.sleep(_END_S)


def _interrupted(file: BundleFile, signum: int) -> int:
    """Write down what is to go on, or, after too many times, that it does not; returns the exit code."""
    from dataclasses import replace

    from warmgap.runs import Runs
    from warmgap.store import Store
    from warmgap_launchers.dependents import cancel_dependents, cancelled_file

    job = _slurm_job()
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    name = signal.Signals(signum).name
    at_most = int(file.cluster.get("max_requeues", 0))
    cancelled = (
        bool(job) and signum == signal.SIGTERM and cancelled_file(Path(file.root), file.sweep, job).exists()
    )
    over = bool(job) and signum == signal.SIGUSR2 and restarts >= at_most
    runs = Runs(Path(file.root))
    for record in runs.read(file.bundle.keys).values():
        ours = record.slurm_job == job and job
        if not ours or not (record.state == "running" or record.kind == "interrupted"):
            continue
        if cancelled:
            runs.remove(record.key)
        elif over:
            text = f"{name} after {restarts} restarts; cluster.max_requeues is {at_most}: not queued again"
            runs.write(replace(record, state="failed", kind="time", text=text))
        else:
            text = f"{name}; goes on when the SLURM job runs again"
            runs.write(replace(record, state="queued", kind="", text=text))
    if over:
        print(
            f"warmgap: {name}: this job has been started {restarts + 1} times, and cluster.max_requeues is "
            f"{at_most}. What is done is kept: go on with stage=retry, or give it more time (time_min).",
            file=sys.stderr,
        )
        try:
            cancel_dependents(file, Store(Path(file.root)), job)
        except UserError as e:  # they find out by themselves
            print(f"warmgap: {e}", file=sys.stderr)
        return 1
    print(f"warmgap: told to end by {name}. What is done is kept.", file=sys.stderr)
    return 128 + signum


def _slurm_job() -> str:
    from warmgap.holders import slurm_job

    return slurm_job(os.environ) if os.environ.get("SUBMITIT_EXECUTOR") == "slurm" else ""


def _log(job: str) -> str:
    folder = os.environ.get("SUBMITIT_FOLDER", "")
    return f"{folder}/{job}_0_log.out" if job and folder else ""


def main() -> None:
    """`python -m warmgap_launchers.bundle_run FILE`: do a bundle here."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m warmgap_launchers.bundle_run FILE")
    run(sys.argv[1])


if __name__ == "__main__":
    main()
