"""Jobs in files: what a process elsewhere needs to do a bundle. Typed JSON, gzipped; no pickle.

Of the lines of a file the first says what the bundle is; then follow the prompts, questions and sources that
jobs share, each tuple of them once; then the jobs, each with the key that it had when it was written.
"""

from __future__ import annotations

import functools
import gzip
import json
import os
import typing
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import cattrs
from cattrs.gen import make_dict_structure_fn

from warmgap.bundles import Bundle
from warmgap.corpora.rewriting.sources import Source
from warmgap.design.questions import Question
from warmgap.errors import UserError
from warmgap.jobs import AnalyseJob, Job, JudgeJob, ReportJob, RespondJob, TrainJob
from warmgap.keys import Shared
from warmgap.plan import Node, Plan
from warmgap.records import PromptRow
from warmgap.rewrite_jobs import RewriteCheckJob, RewriteJob

FORMAT = 1
_JOBS: dict[str, type[Any]] = {kind.__name__: kind for kind in typing.get_args(Job)}
_SHARED: dict[str, Any] = {
    "prompts": tuple[PromptRow, ...],
    "questions": tuple[Question, ...],
    "sources": tuple[Source, ...],
}
"""Fields whose rows several jobs have."""
_FIELDS: dict[type[Any], str] = {
    RespondJob: "prompts",
    JudgeJob: "questions",
    RewriteJob: "sources",
    RewriteCheckJob: "sources",
}
_DAMAGED = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    zlib.error,
    gzip.BadGzipFile,
)
_AGAIN = "Run the command that wrote it again: the same sweep with hydra/launcher=slurm or stage=snakefile."


@dataclass(frozen=True)
class BundleFile:
    """A bundle with its jobs, and how they are to be run.

    Attributes:
        sweep: its name.
        plan_key: of the whole plan.
        bundle: which jobs are to be done.
        nodes: these jobs by key, in the plan's order; of the last bundle also what publishing needs.
        summary: the plan's.
        publish: whether the sweep's folder is to be filled when the jobs are done.
        root: the output folder.
        fail_fast: whether the first failure ends the bundle.
        workers: processes; 0 for as many as the machine lends.
        devices: how many GPUs there are.
        cluster: what else whoever runs the bundle was told.
    """

    sweep: str
    plan_key: str
    bundle: Bundle
    nodes: dict[str, Node]
    summary: dict[str, Any]
    publish: bool = False
    root: str = "outputs"
    fail_fast: bool = False
    workers: int = 0
    devices: int = 0
    cluster: dict[str, Any] = field(default_factory=dict)

    @property
    def todo(self) -> dict[str, Node]:
        """The jobs to do, in order."""
        return {key: self.nodes[key] for key in self.bundle.keys}

    @property
    def plan(self) -> Plan:
        """The plan as far as publishing reads it; its key is the whole plan's."""
        return Plan(self.sweep, self.nodes, self.summary, self.plan_key)


_HEAD = [f.name for f in fields(BundleFile) if f.name not in ("bundle", "nodes")]


def nodes_of(plan: Plan, bundle: Bundle, publish: bool = False) -> dict[str, Node]:
    """What a bundle's file holds: its jobs; to publish also the analysis, the report and every training."""
    keys = set(bundle.keys)
    if publish:
        named = (AnalyseJob, ReportJob, TrainJob)
        keys |= {key for key, node in plan.nodes.items() if isinstance(node.job, named)}
    return {key: node for key, node in plan.nodes.items() if key in keys}


def write_bundle(path: Path, file: BundleFile) -> None:
    """Write a bundle so that its file is whole or absent."""
    converter = _converter()
    head = {name: getattr(file, name) for name in _HEAD} | {"bundle": converter.unstructure(file.bundle)}
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with gzip.open(aside, "wt", compresslevel=1, encoding="ascii") as f:
        _write_line(f, {"format": FORMAT, "head": head})
        rows = _Rows(f)
        for key, node in file.nodes.items():
            job: Any = node.job
            where: dict[str, int] = {}
            if name := _FIELDS.get(type(job)):
                where = {name: rows.number(name, getattr(job, name))}
                job = replace(job, **{name: ()})
            of = {"key": key, "label": node.label, "units": node.units, "kind": type(job).__name__}
            _write_line(f, of | {"job": converter.unstructure(job) | where})
    aside.replace(path)


def read_bundle(path: Path) -> BundleFile:
    """The bundle in a file.

    Raises:
        UserError: the file is missing or damaged, or was written by a version of warmgap for which one of its
            jobs is another one.
    """
    try:
        with gzip.open(path, "rt", encoding="ascii") as f:
            lines = map(json.loads, f)
            first: dict[str, Any] = next(lines, {})
            if first.get("format") != FORMAT:
                raise _unreadable(path, "it has another format")
            head = first["head"]
            nodes = dict(_nodes(lines))
    except FileNotFoundError:
        raise UserError(f"missing file: {path} does not exist. {_AGAIN}") from None
    except (*_DAMAGED, cattrs.BaseValidationError) as e:
        raise _unreadable(path, f"{type(e).__name__}: {e}") from None
    if head.keys() != {*_HEAD, "bundle"}:
        raise _unreadable(path, f"its first line has {', '.join(sorted(head))}")
    for key, node in nodes.items():
        if node.key != key:
            raise _unreadable(path, f"{node.job.stage} of {node.label} has another key than in the file")
    return BundleFile(**head | {"bundle": _converter().structure(head["bundle"], Bundle), "nodes": nodes})


def _nodes(lines: Iterator[dict[str, Any]]) -> Iterator[tuple[str, Node]]:
    converter = _converter()
    shared: list[Any] = []
    for line in lines:
        if "rows" in line:
            shared.append(Shared(converter.structure(line["rows"], _SHARED[line["field"]])))
            continue
        kind, values = _JOBS[line["kind"]], line["job"]
        name = _FIELDS.get(kind, "")
        job = converter.structure(values | ({name: []} if name else {}), kind)
        if name:
            job = replace(job, **{name: shared[values[name]]})
        yield line["key"], Node(job, line["label"], line["units"])


class _Rows:
    """Writes each tuple of rows when it is first met."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._numbers: dict[Any, int] = {}
        self._known: dict[int, int] = {}

    def number(self, name: str, rows: tuple[Any, ...]) -> int:
        """Place of the rows among those written."""
        if id(rows) not in self._known:  # first, as it needs no hash of the rows
            if (name, rows) not in self._numbers:
                self._numbers[name, rows] = len(self._numbers)
                found = _converter().unstructure(rows, _SHARED[name])
                _write_line(self._file, {"field": name, "rows": found})
            self._known[id(rows)] = self._numbers[name, rows]
        return self._known[id(rows)]


def _write_line(file: TextIO, value: dict[str, Any]) -> None:
    file.write(json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n")


@functools.cache
def _converter() -> cattrs.Converter:
    """JSON values <-> dataclasses by their fields' types, where nothing may be missing, unknown or cast."""
    converter = cattrs.Converter(detailed_validation=False)
    for kind, allowed in ((str, (str,)), (bool, (bool,)), (int, (int,)), (float, (int, float))):
        converter.register_structure_hook(kind, _as_it_is(allowed))
    converter.register_structure_hook_factory(is_dataclass, lambda cls: _whole(cls, converter))
    return converter


def _as_it_is(allowed: tuple[type, ...]) -> Callable[[Any, Any], Any]:
    """No number is made of a text, and 1 stays apart from 1.0, as keys tell them apart."""

    def structure(value: Any, _: Any) -> Any:
        if type(value) not in allowed:
            raise TypeError(f"{value!r} is no {' or '.join(t.__name__ for t in allowed)}")
        return value

    return structure


def _whole(cls: type[Any], converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    names = {f.name for f in fields(cls)}
    make = make_dict_structure_fn(cls, converter)

    def structure(value: Any, _: Any) -> Any:
        if value.keys() != names:
            raise ValueError(f"{cls.__name__} has other fields: {', '.join(sorted(value.keys() ^ names))}")
        return make(value, cls)

    return structure


def _unreadable(path: Path, why: str) -> UserError:
    return UserError(
        f"{path} cannot be used: {why}. It is damaged, or another version of warmgap wrote it. {_AGAIN}"
    )
