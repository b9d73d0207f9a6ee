"""Which job comes next: those that wait, those that are ready, and what a worker does best."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from warmgap.jobs import MeasureJob
from warmgap.plan import Node
from warmgap_launchers.devices import needs_device, width

# Gold replies first: the gating meter is known before an arm is trained. Then the longest jobs.
_ORDER = ("corpus", "rewrite", "gold", "train", "respond", "measure", "judge", "analyse", "report")


@dataclass(frozen=True)
class Kind:
    """What tells jobs apart where a worker is to be chosen for them."""

    order: int
    """Place of the stage: lower is done first."""
    base: str
    group: str
    width: int
    """Workers' places that it takes at once."""
    on_device: bool


@dataclass(frozen=True)
class Loaded:
    """What a worker has in memory: the base and the group of its last job."""

    base: str = ""
    group: str = ""


class Queue:
    """Jobs that wait for their inputs, and those that are ready, by kind.

    An input that is not among the jobs counts as there.
    """

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self._nodes = nodes
        self._needs: dict[str, set[str]] = {}
        self._wanted_by: dict[str, list[str]] = defaultdict(list)
        self._ready: dict[Kind, list[tuple[int, int, str]]] = {}
        self._places = {key: i for i, key in enumerate(nodes)}
        self.waiting: set[str] = set(nodes)
        for key, node in nodes.items():
            self._needs[key] = {k for k in node.job.inputs.values() if k in nodes}
            for needed in self._needs[key]:
                self._wanted_by[needed].append(key)
        for key in nodes:
            if not self._needs[key]:
                self._open(key)

    def done(self, key: str) -> None:
        """A job is done: what waited for it alone is ready."""
        for other in self._wanted_by[key]:
            self._needs[other].discard(key)
            if not self._needs[other] and other in self.waiting:
                self._open(other)

    def again(self, key: str) -> None:
        """A job that was taken is ready once more."""
        self.waiting.add(key)
        self._open(key)

    def drop(self, key: str) -> set[str]:
        """Take out a job that cannot be made, and all that waits for it; returns the latter."""
        out: set[str] = set()
        left = [key]
        while left:
            for other in self._wanted_by[left.pop()]:
                if other not in out:
                    out.add(other)
                    left.append(other)
        self.waiting -= out | {key}
        return out

    def kinds(self) -> list[Kind]:
        """Kinds of which a job is ready."""
        for kind in [k for k, heap in self._ready.items() if not self._top(heap)]:
            del self._ready[kind]
        return list(self._ready)

    def take(self, kind: Kind) -> Node:
        """The job of a kind with most units, the earliest of the plan among equals."""
        key = self._top(self._ready[kind])
        heapq.heappop(self._ready[kind])
        self.waiting.discard(key)
        return self._nodes[key]

    def units(self, kind: Kind) -> int:
        """Units of the job that `take` would give."""
        return -self._ready[kind][0][0]

    def place(self, kind: Kind) -> int:
        """Where in the plan that job stands."""
        return self._ready[kind][0][1]

    def _top(self, heap: list[tuple[int, int, str]]) -> str:
        while heap and heap[0][2] not in self.waiting:
            heapq.heappop(heap)
        return heap[0][2] if heap else ""

    def _open(self, key: str) -> None:
        node = self._nodes[key]
        heapq.heappush(self._ready.setdefault(kind_of(node), []), (-node.units, self._places[key], key))


def kind_of(node: Node) -> Kind:
    """The kind of a job."""
    gold = isinstance(node.job, MeasureJob) and node.job.source == "corpus"
    order = _ORDER.index("gold" if gold else node.job.stage)
    return Kind(order, node.base, node.group, width(node.job), needs_device(node.job))


@dataclass(frozen=True)
class Seat:
    """Where jobs can go: what is in memory there, and the kinds that fit."""

    loaded: Loaded | None
    """None for a worker yet to be started."""
    kinds: Collection[Kind]


def best(queue: Queue, seats: Sequence[Seat], busy: Collection[Loaded]) -> tuple[Kind, int] | None:
    """What is done next and where: the job's kind and the index of its seat; None where nothing fits.

    The earliest stage goes first. A worker does what it has in memory: its own arm, then its own base. Else
    a job goes where it drives no base out, and to a base, then an arm, that no other worker has; then the
    longest job goes first.

    Args:
        queue: the jobs.
        seats: idle workers, and perhaps one to be started.
        busy: what the other workers have in memory.
    """

    def ranked(at: int, kind: Kind) -> tuple[int | bool, ...]:
        own = seats[at].loaded or Loaded()
        bases, groups = elsewhere[at]
        return (
            kind.order,
            (kind.base, kind.group) != (own.base, own.group),
            kind.base != own.base,
            bool(kind.base and own.base) and kind.base != own.base,
            kind.base in bases,
            kind.group in groups,
            -queue.units(kind),
            queue.place(kind),
            seats[at].loaded is None,
        )

    elsewhere = []
    for at in range(len(seats)):
        others = [*busy, *(s.loaded for i, s in enumerate(seats) if s.loaded and i != at)]
        elsewhere.append(({o.base for o in others}, {o.group for o in others}))
    options = [(at, kind) for at, seat in enumerate(seats) for kind in seat.kinds]
    if not options:
        return None
    at, kind = min(options, key=lambda option: ranked(*option))
    return kind, at
