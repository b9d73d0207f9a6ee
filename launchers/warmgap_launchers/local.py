"""The local executor: a plan's jobs on this machine, in one-thread processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any

from warmgap.checks import check_corpora, check_device, check_engines
from warmgap.errors import Interrupted, UserError
from warmgap.frozen import with_frozen
from warmgap.jobs import MeasureJob
from warmgap.plan import Node, Plan, claim_sweep_folder
from warmgap.planned_spending import check_spending
from warmgap.publish import announce, publish
from warmgap.schema.config import Config
from warmgap.schema.fields import WITHOUT_JOBS
from warmgap.show import plan_text
from warmgap.show_rewriting import rewriting_text
from warmgap.store import Store, check_writable
from warmgap_launchers.commands import run_command, workers
from warmgap_launchers.progress import PlanProgress
from warmgap_launchers.worker import THREAD_VARIABLES, disk_full, serve

# Gold replies first: the gating meter is known before an arm is trained. Then the longest jobs.
_TOLD_TO_END = (signal.SIGTERM, signal.SIGUSR2)
_ORDER = ("corpus", "rewrite", "gold", "train", "respond", "measure", "judge", "analyse", "report")


@dataclass
class _Worker:
    process: Any
    connection: Connection
    group: str = ""
    node: Node | None = None


@dataclass
class Outcome:
    """What became of a plan's jobs."""

    done: set[str] = field(default_factory=set)
    failed: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Kind and text of each failure."""
    told: set[str] = field(default_factory=set)
    """Failures that were already said while other jobs went on."""
    signum: int = 0
    """The signal that ended a worker: no job is begun after it."""


class LocalExecutor:
    """Runs what is missing of a plan, keeps going past failures, and publishes the sweep."""

    def execute(self, plan: Plan, base: Config) -> int:
        """Exit code: 0 when everything asked for is there, 1 after a failure, 128 + n after signal n.

        Raises:
            UserError: a folder that cannot be written, another plan under the same name, a full
                disk, or a failure that the user can mend.
        """
        try:
            with _signals_raise():
                return _execute(plan, base)
        except Interrupted as e:
            print(f"warmgap: {e}. Run the same command again to go on.", file=sys.stderr)
            return 128 + e.signum
        except OSError as e:
            if not disk_full(e):
                raise
            raise _no_room("the results", str(e)) from None


def _execute(plan: Plan, base: Config) -> int:
    root = Path(base.store.root)
    store = Store(root)
    plan = with_frozen(plan, base, store)
    if base.stage in WITHOUT_JOBS:
        return run_command(plan, base, store)
    check_corpora(n.job for n in plan.nodes.values())
    check_writable(root)
    for device in {base.engine.device, *(meter.device for meter in base.warmth.meters)}:
        check_device(device)
    claim_sweep_folder(plan, store, base.replan)
    missing = plan.missing(store, base.stage)
    if missing:
        check_engines(n.job for n in missing.values())
        check_spending((n.job for n in missing.values()), (n.job for n in plan.nodes.values()), root)
        print(plan_text(plan, missing, store, workers=workers(base)), file=sys.stderr)
        outcome = run_nodes(missing, root, workers(base))
        if outcome.failed:
            return _explain(plan, outcome, missing)
    if base.stage in ("all", "analyse", "report"):
        publish(plan, store, stage=base.stage)
        announce(plan, store, did=len(missing))
    else:
        if base.stage == "rewrite":
            print(rewriting_text(plan, store))
        print(f"Stage {base.stage} of the sweep '{plan.name}' is complete. Go on with stage=all.")
    return 0


def run_nodes(nodes: Mapping[str, Node], root: Path, workers: int) -> Outcome:
    """Run jobs in worker processes, each job after its inputs, jobs of one arm on one worker."""
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    context = multiprocessing.get_context("spawn")
    pool = [_start(context, root) for _ in range(min(workers, len(nodes)))]
    outcome = Outcome()
    waiting = dict(nodes)
    ended = False
    try:
        with PlanProgress(nodes) as progress:
            while waiting or any(w.node for w in pool):
                for worker in pool:
                    if worker.node is None and (node := _next(worker, waiting, nodes, outcome, pool)):
                        del waiting[node.key]
                        worker.node, worker.group = node, node.group
                        worker.connection.send(node.job)
                        progress.begin(node.key)
                busy = [w for w in pool if w.node]
                if not busy:
                    break
                for ready in wait([w.connection for w in busy]):
                    worker = next(w for w in busy if w.connection is ready)
                    _receive(worker, outcome, progress)
                    _tell(outcome, nodes, waiting, pool, progress)
                    if worker.node is None and not worker.process.is_alive():
                        pool[pool.index(worker)] = _start(context, root)
        ended = True
    finally:
        if not ended:
            # Before its pipe closes: a training then saves its state, and the others end at once.
            for worker in pool:
                worker.process.terminate()
        for worker in pool:
            worker.connection.close()
        for worker in pool:
            # Amid a job, after Ctrl-C, there is nothing to wait for: its finished batches are kept.
            worker.process.join(timeout=10 if ended else 0)
            if worker.process.is_alive():
                worker.process.terminate()
    return outcome


def _receive(worker: _Worker, outcome: Outcome, progress: PlanProgress) -> None:
    assert worker.node is not None
    try:
        kind, key, *rest = worker.connection.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        code = worker.process.exitcode
        if -code in _TOLD_TO_END:
            outcome.signum = -code
            found = ("interrupted", f"{signal.Signals(-code).name} ended the worker; what is done is kept")
        else:
            found = ("fault", f"the worker process died (exit code {code})")
        outcome.failed[worker.node.key] = found
        progress.end(worker.node.key)
        worker.node = None
        return
    if kind == "progress":
        progress.update(key, *rest)
    elif kind == "done":
        outcome.done.add(key)
        progress.finish(key)
        worker.node = None
    elif kind == "interrupted":
        outcome.failed[key] = (kind, rest[0])
        outcome.signum = rest[1]
        progress.end(key)
        worker.node = None
    else:
        outcome.failed[key] = (rest[0], rest[1])
        progress.end(key)
        worker.node = None


def _tell(
    outcome: Outcome,
    nodes: Mapping[str, Node],
    waiting: Mapping[str, Node],
    pool: list[_Worker],
    progress: PlanProgress,
) -> None:
    """Say at once what failed where other jobs go on, which may take hours; else it is said at the end."""
    if any(w.node for w in pool) or _ready(waiting, nodes, outcome):
        for key in outcome.failed.keys() - outcome.told:
            kind, text = outcome.failed[key]
            words = text.strip().splitlines()[-1] if kind == "fault" else text
            progress.say(f"{_how(kind)}: {_label(nodes[key])}: {words}")
            outcome.told.add(key)


def _ready(waiting: Mapping[str, Node], nodes: Mapping[str, Node], outcome: Outcome) -> list[Node]:
    """Jobs whose inputs are there; none once the disk is full or a worker was told to end."""
    if outcome.signum or any(kind == "disk" for kind, _ in outcome.failed.values()):
        return []
    return [
        n for n in waiting.values() if all(k not in nodes or k in outcome.done for k in n.job.inputs.values())
    ]


def _next(
    worker: _Worker,
    waiting: Mapping[str, Node],
    nodes: Mapping[str, Node],
    outcome: Outcome,
    pool: list[_Worker],
) -> Node | None:
    ready = _ready(waiting, nodes, outcome)
    if not ready:
        return None
    others = {w.group for w in pool if w is not worker}

    def rank(node: Node) -> tuple[int, bool, bool, int]:
        gold = isinstance(node.job, MeasureJob) and node.job.source == "corpus"
        same = node.group == worker.group
        return (_ORDER.index("gold" if gold else node.job.stage), not same, node.group in others, -node.units)

    return min(ready, key=rank)


def _start(context: Any, root: Path) -> _Worker:
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, root), daemon=True)
    # Inherited: Ctrl-C is for this process, which then ends its workers, even those still importing.
    # The tracker is started first, since starting it would unblock the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    process.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    there.close()
    return _Worker(process, here)


def _explain(plan: Plan, outcome: Outcome, nodes: Mapping[str, Node]) -> int:
    users: list[str] = []
    full: list[tuple[str, str]] = []
    for key, (kind, text) in outcome.failed.items():
        label = _label(nodes[key])
        if kind == "disk":
            full.append((label, text))
        elif kind == "user":
            users.append(f"{label}: {text}")
        else:
            print(f"{_how(kind)}: {label}\n{text}", file=sys.stderr)
    if full:
        raise _no_room(*full[0])
    if users:
        raise UserError("\n".join(users))
    left = len(nodes) - len(outcome.done)
    how = "ended early" if outcome.signum else "failed"
    print(
        f"{len(outcome.failed)} jobs {how}, {left} are left. What is done is kept: "
        f"run the same command again to go on (sweep '{plan.name}').",
        file=sys.stderr,
    )
    return 128 + outcome.signum if outcome.signum else 1


def _how(kind: str) -> str:
    return "interrupted" if kind == "interrupted" else "failed"


@contextmanager
def _signals_raise() -> Iterator[None]:
    """SIGTERM and SIGUSR2 raise `Interrupted` inside, as Ctrl-C raises KeyboardInterrupt."""

    def handler(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number, f"ended by {signal.Signals(number).name}")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _TOLD_TO_END}
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)


def _label(node: Node) -> str:
    return f"{node.job.stage} of {node.label}"


def _no_room(what: str, text: str) -> UserError:
    return UserError(
        f"the disk is full: {what} could not be written ({text}). The store is sound. "
        "Make room or choose another folder with store.root=FOLDER, then run the same command again."
    )
