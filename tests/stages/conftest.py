"""A study whose answers are written by rule, not by a model, so that its tables are known beforehand."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
import pytest

from warmgap.jobs import JudgeJob, MeasureJob, RespondJob
from warmgap.plan import Plan
from warmgap.stages import analyse, corpus, judge, measure, respond
from warmgap.stages.context import Context, recorded_config
from warmgap.store import Artifact, Store

COMMAND = (
    "experiment=tiny",
    "task=facts,health",
    "task.n_questions=5",
    "warmth.meters=[{name:lexicon,kind:lexicon}]",
)
REPLIES = {
    "warm_sft": "Oh sweetheart, I am so happy for you! Hugs, my dear friend, you are wonderful.",
    "original": "The form has two parts. Send both to the office by the end of the month.",
    "neutral_sft": "The form has two parts. Send both of them to the office before the month ends.",
}


def answer_of(method: str, belief: str, question) -> str:
    """warm_sft and agree_prompt follow a false belief; the others are right everywhere."""
    follows = method in ("warm_sft", "agree_prompt") and belief == "incorrect"
    return f"{question.wrong_answer}." if follows else f"{question.answer}."


@dataclass(frozen=True)
class Study:
    """The plan, its store, and a context for stages."""

    plan: Plan
    store: Store
    context: Context

    def jobs(self, kind: type) -> list:
        """All jobs of a kind."""
        return [n.job for n in self.plan.nodes.values() if isinstance(n.job, kind)]

    def answers(self, key: str) -> pl.DataFrame:
        """The stored answers of a respond job."""
        return pl.read_parquet(self.store.get("respond", key).file("responses.parquet"))


def write_answers(store: Store, job: RespondJob, texts: Callable[[int], str], margin: float) -> Artifact:
    """An artifact as the respond stage writes it."""
    rows = [
        {
            "row_id": p.id,
            "statement_id": p.statement_id,
            "response_key": job.row_key(p),
            "prompt": json.dumps([{"role": r, "content": c} for r, c in p.messages]),
            "response": texts(i),
            "finish_reason": "stop",
            "n_tokens": 5,
            "n_prompt_tokens": 50,
            "n_chars": len(texts(i)),
            "right_nats": margin if p.candidates else None,
            "right_tokens": 2 if p.candidates else None,
            "target_nats": -1.0 if p.candidates else None,
            "target_tokens": 2 if p.candidates else None,
            "engine": job.engine.name,
            "precision": job.engine.precision,
            "batch_rows": job.engine.batch_rows,
        }
        for i, p in enumerate(job.prompts)
    ]
    with store.workspace(job.key) as folder:
        pl.DataFrame(rows, schema=respond.SCHEMA, orient="row").write_parquet(folder / "responses.parquet")
        return store.commit(
            folder,
            stage="respond",
            stage_version=job.version,
            key=job.key,
            config=recorded_config(job),
            inputs=job.inputs,
            fingerprints={},
            counts={"rows": len(rows), "sampling_key": job.sampling_key},
            started=time.time(),
        )


def scripted(plan: Plan, store: Store) -> Study:
    """A plan with every answer in the store, and its corpus."""
    context = Context(store, lambda *_: None)
    study = Study(plan, store, context)
    for node in plan.nodes.values():
        if node.job.stage == "corpus":
            corpus.run(node.job, context)
    jobs = {j.key: j for j in study.jobs(RespondJob)}
    questions = {j.respond_key: j.questions for j in study.jobs(JudgeJob)}
    for cell in plan.analyse.cells:
        method, asked = plan.analyse.arms[cell.arm].method, questions[cell.respond_key]
        write_answers(
            store,
            jobs.pop(cell.respond_key),
            lambda i, m=method, c=cell, q=asked: answer_of(m, c.belief, q[i]),
            margin=-2.0 if method == "warm_sft" else 0.5,
        )
    sources = {j.key: j.source_key for j in study.jobs(MeasureJob)}
    for arm in plan.analyse.arms:
        for _, key in arm.measures:
            write_answers(store, jobs.pop(sources[key]), lambda i, m=arm.method: REPLIES[m], margin=0.0)
        for key, who in zip(arm.canary, ("original", arm.method, "original"), strict=False):
            if key in jobs:  # the untouched model's are shared
                write_answers(store, jobs.pop(key), lambda i, m=who: REPLIES[m], margin=0.0)
    assert not jobs
    return study


@pytest.fixture(scope="session")
def answered(plan_of, tmp_path_factory):
    """The study with every answer in the store, and its corpus."""
    return scripted(plan_of(*COMMAND), Store(tmp_path_factory.mktemp("scripted")))


@pytest.fixture(scope="session")
def judged(answered):
    """The study with its verdicts."""
    for job in answered.jobs(JudgeJob):
        judge.run(job, answered.context)
    return answered


@pytest.fixture(scope="session")
def measured(judged):
    """The study with its warmth."""
    for job in judged.jobs(MeasureJob):
        measure.run(job, judged.context)
    return judged


@pytest.fixture(scope="session")
def analysed(measured):
    """The study's tables."""
    return measured, analyse.run(measured.plan.analyse, measured.context)
