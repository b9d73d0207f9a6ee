"""Bundles of a plan: jobs that one process does after at most one engine start. A cluster runs bundles."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from warmgap.jobs import JudgeJob, MeasureJob, ReportJob, RespondJob, TrainJob
from warmgap.keys import digest
from warmgap.plan import Node
from warmgap.rewrite_jobs import RewriteCheckJob, RewriteJob

_KINDS = ("corpus", "rewrite", "check", "gold", "train", "respond", "measure", "judge", "analyse")
"""In the order in which they are begun: gold replies first, so that the gating meter is known early."""
_WORDS = {"check": "rewrite-check", "gold": "measure-gold"}
_UNBALANCED = 1.25
"""Arms are kept whole while the largest piece has at most this many times the mean's units."""
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
_MAX_NAME = 80


@dataclass(frozen=True)
class Bundle:
    """Jobs that one process does one after another.

    Attributes:
        name: unique among the bundles of a plan, and a sound file name.
        stage: whose resources it takes.
        model: the model that is loaded, "" for none.
        keys: its jobs, each after its inputs.
        needs: names of the bundles that make inputs of them.
    """

    name: str
    stage: str
    model: str
    keys: tuple[str, ...]
    needs: tuple[str, ...] = ()


def bundles(nodes: Mapping[str, Node], split: int = 1) -> tuple[Bundle, ...]:
    """Nodes as bundles, each after those that it needs.

    Jobs with the same base share a bundle: answers of all arms of a model, scores by one reference, verdicts
    by one reader. Only where two would wait for each other is one of them opened a second time.

    Args:
        nodes: in an order in which every job follows its inputs; inputs that are not among them exist.
        split: pieces of like units that the answers of one base, and the verdicts of one reader, are cut
            into; the answers of an arm stay together where that leaves the pieces balanced.
    """
    groups = sorted(_groups(nodes), key=lambda g: _KINDS.index(_kind(g[0])))
    pieces = [
        (group[0], i, piece)
        for group in groups
        for i, piece in enumerate(_pieces(group, split if _is_cut(group[0]) else 1), 1)
    ]
    names = _unique([(_name(first, i), (first.key, i)) for first, i, _ in pieces])
    maker = {node.key: name for name, (_, _, piece) in zip(names, pieces, strict=True) for node in piece}
    made: dict[str, Bundle] = {}
    for name, (first, _, piece) in zip(names, pieces, strict=True):
        makers = dict.fromkeys(maker.get(key, name) for node in piece for key in node.job.inputs.values())
        needs = tuple(n for n in makers if n != name)
        made[name] = Bundle(name, first.job.stage, _model(first), tuple(n.key for n in piece), needs)
    return _in_order(made, {name: _KINDS.index(_kind(p[0])) for name, p in zip(names, pieces, strict=True)})


def levels(bundles: Sequence[Bundle]) -> list[list[Bundle]]:
    """Bundles, in the order of `bundles()`, by level: of one stage, and with no need among them.

    A level needs only levels before it. Gold replies are a level of their own before the trainings, which do
    not wait for them.
    """
    out: list[list[Bundle]] = []
    for bundle in bundles:
        level = out[-1] if out else []
        if level and level[0].stage == bundle.stage and not {b.name for b in level} & set(bundle.needs):
            level.append(bundle)
        else:
            out.append([bundle])
    return out


def _groups(nodes: Mapping[str, Node]) -> list[list[Node]]:
    """Nodes of one kind and base together, unless two groups would need each other."""
    groups: list[list[Node]] = []
    needs: list[set[int]] = []
    opened: dict[tuple[str, str], int] = {}
    at: dict[str, int] = {}

    def reaches(start: int, goal: int) -> bool:
        seen, left = {start}, [start]
        while left:
            here = left.pop()
            if here == goal:
                return True
            left += needs[here] - seen
            seen |= needs[here]
        return False

    for key, node in nodes.items():
        place = (_kind(node), node.base)
        own = opened.get(place, -1)
        inputs = {at[k] for k in node.job.inputs.values() if k in at} - {own}
        if own < 0 or any(reaches(i, own) for i in inputs - needs[own]):
            own = opened[place] = len(groups)
            groups.append([])
            needs.append(set())
            inputs = {at[k] for k in node.job.inputs.values() if k in at}
        groups[own].append(node)
        needs[own] |= inputs
        at[key] = own
    return groups


def _pieces(group: list[Node], n: int) -> list[list[Node]]:
    """A group in up to `n` pieces of like units: whole arms if that is balanced, else cut between jobs."""
    arms: dict[str, list[Node]] = defaultdict(list)
    for node in group:
        arms[node.group].append(node)
    n = min(n, len(group))
    whole: list[list[Node]] = [[] for _ in range(n)]
    units = [0] * n
    for arm in sorted(arms.values(), key=_units, reverse=True):
        least = units.index(min(units))
        whole[least] += arm
        units[least] += _units(arm)
    total = sum(units)
    if max(units) * n <= _UNBALANCED * total:
        at = {node.key: i for i, node in enumerate(group)}
        return sorted(whole, key=lambda piece: at[piece[0].key])
    # One arm after another: at most n - 1 of them are cut.
    in_order = list(itertools.chain.from_iterable(arms.values()))
    ends = itertools.accumulate(_units([node]) for node in in_order)
    middles = [end - _units([node]) / 2 for node, end in zip(in_order, ends, strict=True)]
    found = itertools.groupby(zip(middles, in_order, strict=True), lambda at: int(at[0] * n / total))
    return [[node for _, node in piece] for _, piece in found]


def _units(nodes: Sequence[Node]) -> int:
    return sum(max(node.units, 1) for node in nodes)


def _in_order(made: Mapping[str, Bundle], rank: Mapping[str, int]) -> tuple[Bundle, ...]:
    """By kind; among those of a kind, each after what it needs."""
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            alike = [n for n in made[name].needs if rank[n] == rank[name]]
            depths[name] = 1 + max(map(depth, alike), default=0)
        return depths[name]

    return tuple(sorted(made.values(), key=lambda b: (rank[b.name], depth(b.name))))


def _kind(node: Node) -> str:
    if isinstance(node.job, RewriteCheckJob):
        return "check"
    if isinstance(node.job, MeasureJob) and node.job.source == "corpus":
        return "gold"
    return "analyse" if isinstance(node.job, ReportJob) else node.job.stage


def _is_cut(node: Node) -> bool:
    """Whether its like may be spread over several bundles."""
    return isinstance(node.job, RespondJob) or (isinstance(node.job, JudgeJob) and bool(node.base))


def _model(node: Node) -> str:
    job = node.job
    if isinstance(job, TrainJob | RespondJob):
        return job.model.name
    if isinstance(job, MeasureJob) and job.reference is not None:
        return job.reference.name
    if isinstance(job, RewriteJob | RewriteCheckJob | MeasureJob | JudgeJob) and job.reader is not None:
        return job.reader.model.name
    return ""


def _name(node: Node, i: int) -> str:
    kind, job = _kind(node), node.job
    parts = [_WORDS.get(kind, kind), _model(node)]
    if isinstance(job, TrainJob):
        parts += [job.method.name, str(job.seed)]
    if _is_cut(node):
        parts.append(str(i))
    return _UNSAFE.sub("_", "-".join(filter(None, parts)))[:_MAX_NAME]


def _unique(named: Iterable[tuple[str, tuple[str, int]]]) -> list[str]:
    """Names as they are where they differ; else with digits of what tells them apart."""
    named = list(named)
    # Without regard to case, as some file systems have it.
    times = Counter(name.casefold() for name, _ in named)
    return [name if times[name.casefold()] == 1 else f"{name}-{digest(*at)[:8]}" for name, at in named]
