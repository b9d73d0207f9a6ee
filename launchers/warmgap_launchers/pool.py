"""The loop that gives a plan's jobs to workers and takes down what becomes of them."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path

from warmgap.plan import Node
from warmgap.runs import made
from warmgap.store import Store
from warmgap_launchers.book import Book
from warmgap_launchers.choice import Queue
from warmgap_launchers.crew import Crew, Worker
from warmgap_launchers.kills import OomKills
from warmgap_launchers.outcome import Outcome, how, label_of, last_line
from warmgap_launchers.progress import PlanProgress
from warmgap_launchers.seating import next_seat
from warmgap_launchers.worker import THREAD_VARIABLES

TOLD_TO_END = (signal.SIGTERM, signal.SIGUSR2)
MEMORY_TRIES = 3
"""How often a job that died of memory is tried again, each time with smaller batches."""
_TICK_S = 2.5


def run_nodes(
    nodes: Mapping[str, Node],
    root: Path,
    workers: int,
    *,
    sweep: str = "",
    fail_fast: bool = False,
    devices: Sequence[str] = (),
    slurm_job: str = "",
    log: str = "",
) -> Outcome:
    """Run jobs in worker processes, each job after its inputs, jobs of one base on one worker.

    A job one of whose inputs is neither among them nor in the store is blocked, as is what waits for a
    failure; everything else goes on, unless `fail_fast`. Run records tell others how it goes.

    Args:
        nodes: the jobs, in an order in which every job follows its inputs.
        root: the output folder.
        workers: processes at most.
        sweep: whose jobs they are; failures' texts go into a file of its folder.
        fail_fast: after the first failure, begin nothing and tell what runs to end.
        devices: names of GPUs for the first of the workers, each of which sees its own alone.
        slurm_job: id of the SLURM job that this is in.
        log: where everything that this process prints goes, if it goes into a file.
    """
    if not nodes:
        return Outcome()
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    book = Book(root, nodes, sweep, slurm_job, log)
    crew = Crew(root, workers, devices)
    with PlanProgress(nodes) as progress:
        return _Pool(nodes, root, crew, book, progress, fail_fast, whole_texts=bool(log)).run()


class _Pool:
    def __init__(
        self,
        nodes: Mapping[str, Node],
        root: Path,
        crew: Crew,
        book: Book,
        progress: PlanProgress,
        fail_fast: bool,
        whole_texts: bool,
    ) -> None:
        self.nodes, self.crew, self.book, self.progress = nodes, crew, book, progress
        self.fail_fast, self.whole_texts = fail_fast, whole_texts
        self.store = Store(root)
        self.queue = Queue(nodes)
        self.outcome = Outcome()
        self.kills = OomKills()
        self.tries: Counter[str] = Counter()

    def run(self) -> Outcome:
        self.book.open()
        self._block_unmade()
        ended = False
        try:
            while True:
                while self._begin():
                    pass
                if not self.crew.busy:
                    break
                for ready in wait([w.connection for w in self.crew.busy], timeout=_TICK_S):
                    self._receive(next(w for w in self.crew.busy if w.connection is ready))
                    self._tell()
                self.book.tick()
            ended = True
        finally:
            running = [w.node.key for w in self.crew.busy if w.node]
            self.crew.end_all(amid_jobs=not ended)
            for key in running:
                self.book.fail(key, "interrupted", "told to end; what is done is kept")
        return self.outcome

    def _block_unmade(self) -> None:
        """Block what needs an artifact that is nowhere and that no job here makes."""
        outer = {key: set(n.job.inputs.values()) - self.nodes.keys() for key, n in self.nodes.items()}
        if not any(outer.values()):
            return
        there = set().union(*made(self.store.root).values())
        for key, needed in outer.items():
            if lacking := sorted(needed - there):
                self._block({key} | self.queue.drop(key), lacking)

    def _begin(self) -> bool:
        """Give one job to one worker; false where none can be given now."""
        if self._is_over():
            return False
        found = next_seat(self.queue, self.crew)
        if found is None:
            return False
        worker, kind = found
        node = self.queue.take(kind)
        if self.crew.give(worker, node):
            self.progress.begin(node.key)
            self.book.begin(node.key)
        else:
            self.queue.again(node.key)
        return True

    def _is_over(self) -> bool:
        """True once nothing more is begun: the disk is full, a worker was told to end, or fail_fast."""
        failed = self.outcome.failed
        return bool(
            self.outcome.signum
            or any(kind == "disk" for kind, _ in failed.values())
            or (self.fail_fast and failed)
        )

    def _receive(self, worker: Worker) -> None:
        assert worker.node is not None
        key = worker.node.key
        try:
            message, _, *rest = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            self._died(worker, key)
            return
        if message == "progress":
            self.progress.update(key, *rest)
            self.book.progress(key, *rest)
            return
        worker.node = None
        if message == "done":
            self.outcome.done.add(key)
            self.queue.done(key)
            self.progress.finish(key)
            self.book.finish(key)
        elif message == "interrupted":
            self._interrupted(worker, key, rest[0], rest[1])
        else:
            if rest[0] == "memory":
                # What it holds cannot be told: a new process begins with nothing.
                self.crew.end(worker)
            self._failed(key, rest[0], rest[1])

    def _died(self, worker: Worker, key: str) -> None:
        worker.process.join()
        code = worker.process.exitcode
        worker.node = None
        self.crew.end(worker)
        if -code in TOLD_TO_END:
            text = f"{signal.Signals(-code).name} ended the worker; what is done is kept"
            self._interrupted(worker, key, text, -code)
        elif -code == signal.SIGKILL and self.kills.any_more():
            self._failed(key, "memory", "the kernel killed the worker process: memory ran out")
        else:
            self._failed(key, "fault", f"the worker process died (exit code {code})")

    def _interrupted(self, worker: Worker, key: str, text: str, signum: int) -> None:
        self.progress.end(key)
        self.book.fail(key, "interrupted", text)
        if worker.told:
            self.outcome.stopped.add(key)
        else:
            self.outcome.failed[key] = ("interrupted", text)
            self.outcome.signum = signum

    def _failed(self, key: str, kind: str, text: str) -> None:
        self.progress.end(key)
        if kind == "memory" and self.tries[key] < MEMORY_TRIES and not self._is_over():
            self.tries[key] += 1
            self.store.note_memory(key)
            self.queue.again(key)
            self.book.again(key, f"memory ran out; try {self.tries[key] + 1}")
            self.progress.say(
                f"memory ran out: {label_of(self.nodes[key])}: is tried again with less "
                f"({self.tries[key]} of {MEMORY_TRIES})"
            )
            return
        first = not self.outcome.failed
        self.outcome.failed[key] = (kind, text)
        self.book.fail(key, kind, text)
        self._block(self.queue.drop(key), [key])
        if self.fail_fast and first:
            for worker in self.crew.busy:
                worker.told = True
                worker.process.terminate()

    def _block(self, keys: set[str], by: Sequence[str]) -> None:
        for key in keys:
            known = self.outcome.blocked.get(key, ())
            self.outcome.blocked[key] = (*known, *(k for k in by if k not in known))
            self.book.block(key, self.outcome.blocked[key])

    def _tell(self) -> None:
        """Say what failed at once where other jobs go on, perhaps for hours; else it is said at the end."""
        new = self.outcome.failed.keys() - self.outcome.told
        if not new or not (self.crew.busy or (self.queue.kinds() and not self._is_over())):
            return
        for key in new:
            kind, text = self.outcome.failed[key]
            words = text.rstrip() if self.whole_texts else last_line(kind, text)
            self.progress.say(f"{how(kind)}: {label_of(self.nodes[key])}: {words}")
            self.outcome.told.add(key)
