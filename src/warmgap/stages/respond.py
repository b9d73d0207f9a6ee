"""respond: prompts of one cell -> answers and margins, batch by batch.

Rows are cut into fixed batches in the cell's order; a finished batch is a file in the partial
folder, so a killed run loses at most the batch it was in. What a server answers is kept row by row.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from warmgap.engines.protocol import Answer
from warmgap.engines.recipe import is_served
from warmgap.jobs import RespondJob
from warmgap.memory import Passes
from warmgap.records import PromptRow
from warmgap.stages.context import Context, recorded_config
from warmgap.stages.rows import answered, in_passes, smaller_batches
from warmgap.store import Artifact

SCHEMA: dict[str, Any] = {
    "row_id": pl.String(),
    "statement_id": pl.String(),
    "response_key": pl.String(),
    "prompt": pl.String(),
    "response": pl.String(),
    "finish_reason": pl.String(),
    "n_tokens": pl.Int64(),
    "n_prompt_tokens": pl.Int64(),
    "n_chars": pl.Int64(),
    "right_nats": pl.Float64(),
    "right_tokens": pl.Int64(),
    "target_nats": pl.Float64(),
    "target_tokens": pl.Int64(),
    "engine": pl.String(),
    "precision": pl.String(),
    "batch_rows": pl.Int64(),
}


def run(job: RespondJob, context: Context) -> Artifact:
    """responses.parquet: one row per prompt, in the cell's order."""
    started = time.time()
    served = is_served(job.engine)
    frame = _from_server(job, context) if served else _in_batches(job, context)
    spending = {"spending": context.ledger(job.key, job.engine).account()} if served else {}
    with context.store.workspace(job.key) as folder:
        frame.write_parquet(folder / "responses.parquet")
        artifact = context.store.commit(
            folder,
            stage=job.stage,
            stage_version=job.version,
            key=job.key,
            config=recorded_config(job),
            inputs=job.inputs,
            fingerprints={"weights": job.weights},
            counts={
                "rows": frame.height,
                "tokens": int(frame["n_tokens"].sum()),
                "sampling_key": job.sampling_key,
                "arm_key": job.arm_key,
                **({} if served else smaller_batches(frame["batch_rows"], job.engine.batch_rows)),
                **spending,
            },
            started=started,
            device="a server" if served else job.engine.device,
        )
    context.store.drop_partial(job.key)
    return artifact


def _from_server(job: RespondJob, context: Context) -> pl.DataFrame:
    answers = answered(
        lambda: context.engine(job),
        job.rows(),
        job.limits,
        context.store.partial(job.key),
        None,
        context.progress,
    )
    return pl.DataFrame([_record(job, p, answers[p.id]) for p in job.prompts], schema=SCHEMA, orient="row")


def _in_batches(job: RespondJob, context: Context) -> pl.DataFrame:
    partial = context.store.partial(job.key)
    rows = job.rows()
    size = job.engine.batch_rows
    passes = Passes(size, context.store.memory_failures(job.key))
    starts = range(0, len(rows), size)
    for number, start in enumerate(starts):
        path = partial / f"batch-{number:05d}.parquet"
        if not _sound(path, len(rows[start : start + size])):
            said = in_passes(lambda: context.engine(job), rows[start : start + size], job.limits, passes)
            _write(job, {a.key: a for a in said}, job.prompts[start : start + size], path)
        context.progress(min(start + size, len(rows)), len(rows), "")
    return pl.concat([pl.read_parquet(partial / f"batch-{n:05d}.parquet") for n in range(len(starts))])


def _write(job: RespondJob, by_id: Mapping[str, Answer], prompts: Sequence[PromptRow], path: Path) -> None:
    frame = pl.DataFrame([_record(job, p, by_id[p.id]) for p in prompts], schema=SCHEMA, orient="row")
    aside = path.with_suffix(".tmp")
    frame.write_parquet(aside)
    aside.replace(path)


def _record(job: RespondJob, prompt: PromptRow, answer: Answer) -> dict[str, Any]:
    right, target = answer.scores if len(answer.scores) == 2 else (None, None)
    return {
        "row_id": prompt.id,
        "statement_id": prompt.statement_id,
        "response_key": job.row_key(prompt),
        "prompt": json.dumps([{"role": r, "content": c} for r, c in prompt.messages], ensure_ascii=False),
        "response": answer.text,
        "finish_reason": answer.finish_reason,
        "n_tokens": answer.n_tokens,
        "n_prompt_tokens": answer.n_prompt_tokens,
        "n_chars": len(answer.text),
        "right_nats": right.sum_nats if right else None,
        "right_tokens": right.n_tokens if right else None,
        "target_nats": target.sum_nats if target else None,
        "target_tokens": target.n_tokens if target else None,
        "engine": job.engine.name,
        "precision": "unknown" if is_served(job.engine) else job.engine.precision,
        "batch_rows": answer.batch_rows or 1,
    }


def _sound(path: Path, n_rows: int) -> bool:
    """True if a batch file is whole; a damaged one is removed."""
    if not path.is_file():
        return False
    try:
        if pl.read_parquet(path).height == n_rows:
            return True
    except (pl.exceptions.PolarsError, OSError):
        pass
    path.unlink()
    return False
