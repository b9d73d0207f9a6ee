"""measure: an arm's replies to validation prompts, or the gold replies, scored by one meter.

A language model that rates is asked row by row, as a judge that reads is.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from warmgap.corpora.embedded import STYLES
from warmgap.engines.protocol import Row
from warmgap.engines.recipe import is_served
from warmgap.jobs import MeasureJob
from warmgap.memory import Passes
from warmgap.stages.context import Context, recorded_config
from warmgap.stages.rows import answered, in_smaller_batches, smaller_batches
from warmgap.store import Artifact
from warmgap.warmth import rating
from warmgap.warmth.meters import build, first_by_hash

CHUNK = 16
_Text = dict[str, Any]
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
    found = _scores(job, texts, context) if job.reader is None else _ratings(job, texts, context)
    rows = [
        {
            "text_id": t["text_id"],
            "group": t["group"],
            "response_key": t["response_key"],
            "meter": job.meter.name,
            "unit": found.unit,
            "value": v,
        }
        for t, v in zip(texts, found.values, strict=True)
    ]
    with context.store.workspace(job.key) as folder:
        pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(folder / "scores.parquet")
        artifact = context.store.commit(
            folder,
            stage=job.stage,
            stage_version=job.version,
            key=job.key,
            config=recorded_config(job),
            inputs=job.inputs,
            fingerprints={"reference": job.reference_weights},
            counts=found.counts,
            started=started,
        )
    context.store.drop_partial(job.key)
    return artifact


@dataclass(frozen=True)
class _Found:
    """A value per text, in `unit`, and what the manifest counts."""

    unit: str
    values: Sequence[float | None]
    counts: dict[str, Any]


def _scores(job: MeasureJob, texts: Sequence[_Text], context: Context) -> _Found:
    """Scores of a meter that needs no answer."""
    failures = context.store.memory_failures(job.key)
    batch_texts = max(1, job.meter.batch_texts >> failures)
    meter = build(
        replace(job.meter, batch_texts=batch_texts),
        lambda _: context.keep(job.reference_base, lambda: _load(job)),
    )
    values: list[float | None] = []
    sizes: list[int] = []
    passes = Passes(max(CHUNK, job.meter.batch_texts))
    for size, found in passes.over([t["text"] for t in texts], meter.score):
        values += found
        sizes += [min(size, batch_texts)] * len(found)
        context.progress(len(values), len(texts), "")
    smaller = smaller_batches(sizes, job.meter.batch_texts)
    return _Found(meter.unit, values, _counts(texts, values) | smaller)


def _ratings(job: MeasureJob, texts: Sequence[_Text], context: Context) -> _Found:
    """Ratings by a language model, which is not shown an empty reply."""
    assert job.reader is not None
    replies = {f"{t['group']}:{t['text_id']}": t["text"][: job.meter.max_chars or None] for t in texts}
    rows = [
        Row(key=key, messages=rating.ask(reply), seed=0, answer_schema=rating.SCHEMA)
        for key, reply in replies.items()
        if reply.strip()
    ]
    engine = job.reader.engine
    said = answered(
        lambda: context.reader(job),
        rows,
        rating.rating_limits(job.meter),
        context.store.partial(job.key),
        context.passes(job.key, engine),
        context.progress,
    )
    rated = [rating.read(said[key]) if key in said else rating.EMPTY for key in replies]
    counts: dict[str, Any] = {
        "texts": len(texts),
        "null": sum(r.points is None for r in rated),
        "unrated": dict(Counter(r.reason for r in rated if r.points is None)),
        **in_smaller_batches(context.store.partial(job.key), engine),
    }
    if is_served(engine):
        counts["spending"] = context.ledger(job.key, engine).account()
    points = [None if r.points is None else float(r.points) for r in rated]
    return _Found(rating.UNIT, points, counts)


def _texts(job: MeasureJob, context: Context) -> list[_Text]:
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


def _counts(texts: Sequence[_Text], values: Sequence[float | None]) -> dict[str, int]:
    """Texts in all, and those without a score: empty ones, and ones too short for the meter."""
    missing = [t["text"] for t, v in zip(texts, values, strict=True) if v is None]
    too_short = sum(bool(text.strip()) for text in missing)
    return {"texts": len(texts), "null": len(missing), "too_short": too_short}


def _load(job: MeasureJob) -> Any:
    from warmgap.models.base import load

    if job.reference is None:
        raise ValueError(f"meter {job.meter.name} has no reference model")
    return load(job.reference, job.meter.precision, device=job.meter.device)
