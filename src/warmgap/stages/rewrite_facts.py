"""Whether rewrites keep the facts, by a language model, a classifier of entailment, or both."""

from __future__ import annotations

from collections.abc import Mapping

from warmgap.corpora.rewriting.facts import FactReader, FactVerdict
from warmgap.corpora.rewriting.joins import At
from warmgap.corpora.rewriting.replies import Reply
from warmgap.engines.protocol import Limits, Row
from warmgap.engines.recipe import is_served
from warmgap.keys import digest
from warmgap.rewrite_jobs import RewriteCheckJob
from warmgap.stages.context import Context
from warmgap.stages.paid import place_for
from warmgap.stages.rows import answered


def read_facts(job: RewriteCheckJob, asked: Mapping[At, Reply], context: Context) -> dict[At, FactVerdict]:
    """A verdict on every reply; none where the job names neither a model nor a classifier.

    Either of the two finds a change; where one could not read a reply, the other stands.

    Args:
        job: who reads.
        asked: replies that have a source and no other fault.
        context: store, progress and engines.
    """
    out = _by_reading(job, asked, context) if job.reader is not None else {}
    if not job.entailment:
        return out
    from warmgap.corpora.rewriting.entailment import open_entailment

    scorer = context.keep(f"entailment:{job.entailment}", lambda: open_entailment(job.facts))
    for at, score in zip(asked, scorer(list(asked.values())), strict=True):
        if score is None:
            out.setdefault(at, FactVerdict(None, "", "no sentence to compare"))
            continue
        kept = score >= job.facts.min_entailment
        if not kept or at not in out or out[at].kept is None:
            out[at] = FactVerdict(kept, f"entailment {score:.3f}", "")
    return out


def _by_reading(job: RewriteCheckJob, asked: Mapping[At, Reply], context: Context) -> dict[At, FactVerdict]:
    assert job.reader is not None
    reader, engine = FactReader(), job.reader.engine
    limits = Limits(0.0, 1.0, job.facts.max_new_tokens)
    keys: dict[At, str] = {}
    rows: dict[str, Row] = {}
    for at, reply in asked.items():
        messages = reader.ask(reply)
        keys[at] = digest("facts", messages)
        rows[keys[at]] = Row(key=keys[at], messages=messages, seed=0, answer_schema=reader.schema)
    served = is_served(engine)
    content = digest("facts", job.reader.recipe, limits)
    with place_for(context.store, job.key, content, served) as folder:
        said = answered(
            lambda: context.reader(job),
            list(rows.values()),
            limits,
            folder,
            context.passes(job.key, engine),
            context.progress,
        )
    return {at: reader.read(said[key]) for at, key in keys.items()}
