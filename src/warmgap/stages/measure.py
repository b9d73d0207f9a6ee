"""measure: an arm's replies to validation prompts, or the gold replies, scored by one meter."""

from __future__ import annotations

import time
from typing import Any

import polars as pl

from warmgap.corpora.embedded import STYLES
from warmgap.jobs import MeasureJob
from warmgap.stages.context import Context, recorded_config
from warmgap.store import Artifact
from warmgap.warmth.meters import build, first_by_hash

CHUNK = 16
SCHEMA: dict[str, Any] = {
    "text_id": pl.String(),
    "group": pl.String(),
    "response_key": pl.String(),
    "meter": pl.String(),
    "unit": pl.String(),
    "value": pl.Float64(),
}


def run(job: MeasureJob, context: Context) -> Artifact:
    """scores.parquet: text_id, group (`reply`, or the tone of a gold reply), unit and value."""
    started = time.time()
    texts = _texts(job, context)
    meter = build(job.meter, lambda _: context.keep(_reference_name(job), lambda: _load(job)))
    values: list[float | None] = []
    chunk = max(CHUNK, job.meter.batch_texts)
    for start in range(0, len(texts), chunk):
        values += meter.score([t["text"] for t in texts[start : start + chunk]])
        context.progress(len(values), len(texts), "")
    rows = [
        {
            "text_id": t["text_id"],
            "group": t["group"],
            "response_key": t["response_key"],
            "meter": meter.name,
            "unit": meter.unit,
            "value": v,
        }
        for t, v in zip(texts, values, strict=True)
    ]
    with context.store.workspace(job.key) as folder:
        pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(folder / "scores.parquet")
        return context.store.commit(
            folder,
            stage=job.stage,
            stage_version=job.version,
            key=job.key,
            config=recorded_config(job),
            inputs=job.inputs,
            fingerprints={"reference": job.reference_weights},
            counts=_counts(texts, values),
            started=started,
        )


def _texts(job: MeasureJob, context: Context) -> list[dict[str, Any]]:
    if job.source == "corpus":  # always all of them: validity of a meter is measured here
        gold = pl.read_parquet(context.store.get("corpus", job.source_key).file("validation.parquet"))
        return [
            {"text_id": row["id"], "group": style, "response_key": None, "text": row[style]}
            for row in gold.filter(pl.col("warm").is_not_null()).iter_rows(named=True)
            for style in STYLES
        ]
    replies = pl.read_parquet(context.store.get("respond", job.source_key).file("responses.parquet"))
    out = [
        {
            "text_id": row["row_id"],
            "group": "reply",
            "response_key": row["response_key"],
            "text": row["response"],
        }
        for row in replies.iter_rows(named=True)
    ]
    kept = first_by_hash([t["text_id"] for t in out], job.meter.max_texts)
    return [out[i] for i in kept]


def _counts(texts: list[dict[str, Any]], values: list[float | None]) -> dict[str, int]:
    """Texts in all, and those without a score: empty ones, and ones too short for the meter."""
    missing = [t["text"] for t, v in zip(texts, values, strict=True) if v is None]
    too_short = sum(bool(text.strip()) for text in missing)
    return {"texts": len(texts), "null": len(missing), "too_short": too_short}


def _reference_name(job: MeasureJob) -> str:
    return f"reference:{job.reference_weights}:{job.meter.precision}:{job.meter.device}"


def _load(job: MeasureJob) -> Any:
    from warmgap.models.base import load

    if job.reference is None:
        raise ValueError(f"meter {job.meter.name} has no reference model")
    return load(job.reference, job.meter.precision, device=job.meter.device)
