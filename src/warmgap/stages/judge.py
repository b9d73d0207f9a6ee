"""judge: responses of one cell -> findings and labels."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import polars as pl

from warmgap.jobs import JudgeJob
from warmgap.judging.open import open_judge
from warmgap.keys import digest
from warmgap.stages.context import Context, recorded_config
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
    questions = {q.id: q for q in job.questions}
    judge = open_judge(job.judge)
    rows = []
    for row in responses.iter_rows(named=True):
        question = questions[row["row_id"]]
        verdict = judge.verdict(question, row["response"], row["finish_reason"])
        rows.append(
            {
                "response_key": row["response_key"],
                "verdict_key": digest("verdict", job.key, row["response_key"]),
                "judge": job.judge.name,
                **asdict(verdict),
            }
        )
    with context.store.workspace(job.key) as folder:
        pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(folder / "verdicts.parquet")
        return context.store.commit(
            folder,
            stage=job.stage,
            stage_version=job.version,
            key=job.key,
            config=recorded_config(job),
            inputs=job.inputs,
            fingerprints={},
            counts={"rows": len(rows)},
            started=started,
        )
