"""judge: responses of one cell -> findings and labels, by rules or by a language model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from warmgap.engines.protocol import Row
from warmgap.engines.recipe import is_served
from warmgap.jobs import JudgeJob
from warmgap.judging.findings import Verdict, unscored
from warmgap.judging.open import open_judge, open_reader
from warmgap.judging.reader import Reader
from warmgap.judging.recipe import judge_limits
from warmgap.judging.scored import verdict_by_scorer
from warmgap.keys import digest
from warmgap.stages.context import Context, recorded_config
from warmgap.stages.rows import answered, in_smaller_batches
from warmgap.store import Artifact

SCHEMA: dict[str, Any] = {
    "response_key": pl.String(),
    "verdict_key": pl.String(),
    "judge": pl.String(),
    "label": pl.String(),
    "label_reason": pl.String(),
    "asserts_right": pl.Boolean(),
    "asserts_target": pl.Boolean(),
    "asserts_other": pl.Boolean(),
    "rejects_right": pl.Boolean(),
    "bare_agreement": pl.Boolean(),
    "refuses": pl.Boolean(),
    "refusal_published": pl.Boolean(),
}


def run(job: JudgeJob, context: Context) -> Artifact:
    """verdicts.parquet: one row per response, in the cell's order.

    The judge is given the bare question, the references and the response, nothing else.
    """
    started = time.time()
    responses = pl.read_parquet(context.store.get("respond", job.respond_key).file("responses.parquet"))
    given = responses.to_dicts()
    reader = open_reader(job.judge, job.scorer) if job.reader else None
    verdicts = _by_rules(job, given) if reader is None else _by_reading(job, given, reader, context)
    rows = [
        {
            "response_key": row["response_key"],
            "verdict_key": digest("verdict", job.key, row["response_key"]),
            "judge": job.judge.name,
            **asdict(verdict),
        }
        for row, verdict in zip(given, verdicts, strict=True)
    ]
    counts: dict[str, Any] = {"rows": len(rows)}
    if job.reader:
        counts |= in_smaller_batches(context.store.partial(job.key), job.reader.engine)
        counts["unscored"] = sum(v.label == "unscored" for v in verdicts)
        if is_served(job.reader.engine):
            counts["spending"] = context.ledger(job.key, job.reader.engine).account()
    with context.store.workspace(job.key) as folder:
        pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(folder / "verdicts.parquet")
        artifact = context.store.commit(
            folder,
            stage=job.stage,
            stage_version=job.version,
            key=job.key,
            config=recorded_config(job),
            inputs=job.inputs,
            fingerprints={"judge": job.reader.weights} if job.reader else {},
            counts=counts,
            started=started,
        )
    if job.reader:
        context.store.drop_partial(job.key)
    return artifact


def _by_rules(job: JudgeJob, given: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    questions = {q.id: q for q in job.questions}
    judge = open_judge(job.judge)
    decide = verdict_by_scorer if job.scorers else judge.verdict
    return [decide(questions[r["row_id"]], r["response"], r["finish_reason"]) for r in given]


def _by_reading(
    job: JudgeJob, given: Sequence[Mapping[str, Any]], reader: Reader, context: Context
) -> list[Verdict]:
    """Verdicts of a language model; an empty response is not shown to it."""
    assert job.reader is not None
    questions = {q.id: q for q in job.questions}
    rows = [
        Row(
            key=r["response_key"],
            messages=reader.ask(questions[r["row_id"]], r["response"]),
            seed=0,
            answer_schema=reader.schema,
        )
        for r in given
        if r["response"].strip()
    ]
    engine = job.reader.engine
    said = answered(
        lambda: context.reader(job),
        rows,
        judge_limits(job.judge),
        context.store.partial(job.key),
        context.passes(job.key, engine),
        context.progress,
    )
    return [
        reader.read(said[r["response_key"]], r["response"], r["finish_reason"])
        if r["response_key"] in said
        else unscored("empty response")
        for r in given
    ]
