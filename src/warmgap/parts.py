"""What the key of each job covers, part by part, for plan.json: two plans are compared without artifacts.

Jobs share most of their parts, so a plan holds them once, in a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from warmgap.corpora.settings import key_settings
from warmgap.jobs import (
    AnalyseJob,
    CorpusJob,
    Job,
    JudgeJob,
    MeasureJob,
    RespondJob,
    TrainJob,
)
from warmgap.part_values import (
    VERSION,
    Named,
    Value,
    flat,
    mark,
    of_analysis,
    of_arm,
    of_checking,
    of_engine,
    of_judge,
    of_meter,
    of_page,
    of_prompts,
    of_questions,
    of_reader,
    of_rewriting,
    of_sampling,
    of_training,
)
from warmgap.plan import Plan
from warmgap.rewrite_jobs import RewriteCheckJob, RewriteJob


@dataclass(frozen=True)
class Parts:
    """A table of named parts, and which of its entries each job has, by key."""

    table: tuple[Named, ...]
    of: Mapping[str, tuple[int, ...]]

    def named(self, key: str) -> Named:
        """Every part of a job."""
        out: Named = {}
        for i in self.of[key]:
            out |= self.table[i]
        return out


def parts(plan: Plan) -> Parts:
    """What the key of every job of a plan covers, besides the keys of its inputs."""
    recorder = _Recorder({c.respond_key for c in plan.analyse.cells})
    of = {key: tuple(map(recorder.entry, recorder.groups(key, n.job))) for key, n in plan.nodes.items()}
    return Parts(tuple(recorder.table), of)


def feeding(job: Job) -> dict[str, str]:
    """The inputs whose keys can change the job's own key."""
    if isinstance(job, RewriteCheckJob) and not job.held:
        return {role: key for role, key in job.inputs.items() if role != "corpus"}
    return job.inputs


@dataclass
class _Recorder:
    asked: set[str]
    """Keys of answers to questions; others answer validation prompts."""
    table: list[Named] = field(default_factory=list)
    _known: dict[tuple[tuple[str, Value], ...], int] = field(default_factory=dict)
    _at: dict[int, int] = field(default_factory=dict)
    _made: dict[tuple[object, ...], Named] = field(default_factory=dict)

    def entry(self, group: Named) -> int:
        """Place of a group in the table, where equal ones stand once."""
        at = self._at.get(id(group))
        if at is None:
            content = tuple(group.items())
            at = self._known.setdefault(content, len(self.table))
            if at == len(self.table):
                self.table.append(group)
            self._at[id(group)] = at
            self._made[id(group), "kept"] = group  # so that no other takes its id
        return at

    def once(self, make: Callable[..., Named], *of: Any) -> Named:
        """The parts of objects that many jobs share, made once; all of them live as long as the plan."""
        at = (make, *(v if isinstance(v, str | int | float) else id(v) for v in of))
        if at not in self._made:
            self._made[at] = make(*of)
        return self._made[at]

    def groups(self, key: str, job: Job) -> Iterable[Named]:
        """The job's parts, those first that it shares with most others."""
        yield self.once(_version, type(job))
        if isinstance(job, RespondJob):
            asked = key in self.asked
            yield self.once(of_engine, job.engine)
            yield self.once(of_arm, job.model, job.weights, job.change is not None, *_dose(job), job.served)
            yield self.once(of_sampling, asked, *vars(job.limits).values(), job.sampling_seed, job.draw)
            yield {"sampling.margin_prefix": job.margin_prefix}
            yield self.once(of_prompts, asked, job.prompts)
        elif isinstance(job, JudgeJob):
            yield self.once(of_judge, job.judge)
            yield self.once(of_questions, job.questions)
            if job.reader:
                yield of_reader("judge", job.reader)
        elif isinstance(job, MeasureJob):
            yield self.once(of_meter, job.meter)
            name = "model of the meter" if job.reference or job.reader else "words of the meter"
            yield {name: mark(job.reference_weights)}
            if job.reader:
                yield of_reader("meter", job.reader)
        elif isinstance(job, TrainJob):
            yield of_training(job)
        elif isinstance(job, CorpusJob):
            yield flat("corpus", key_settings(job.corpus))
            yield {f"data file {name}": mark(sha256) for name, sha256 in job.data.items()}
        elif isinstance(job, RewriteJob):
            yield from of_rewriting(job)
        elif isinstance(job, RewriteCheckJob):
            yield from of_checking(job)
        elif isinstance(job, AnalyseJob):
            yield of_analysis(job)
        else:
            yield of_page(job)


def _version(kind: Any) -> Named:
    return {VERSION: int(kind.version)}


def _dose(job: RespondJob) -> tuple[float, ...]:
    return (job.change.checkpoint, job.change.scale) if job.change else ()
