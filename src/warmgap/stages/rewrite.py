"""rewrite: replies of a corpus -> replies in one style; and the check of all styles together."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from warmgap.corpora.rewriting.checks import faults
from warmgap.corpora.rewriting.replies import Reply
from warmgap.corpora.rewriting.sources import Source
from warmgap.engines.protocol import Answer, Row
from warmgap.engines.recipe import is_served
from warmgap.keys import digest
from warmgap.memory import Passes
from warmgap.rewrite_jobs import UNASKED, RewriteCheckJob, RewriteJob
from warmgap.stages import rewrite_check
from warmgap.stages.context import Context, recorded_config
from warmgap.stages.paid import place_for
from warmgap.stages.rows import answered, in_smaller_batches
from warmgap.store import Artifact, Store

SCHEMA: dict[str, Any] = {
    "id": pl.String(),
    "turn": pl.Int64(),
    "source": pl.String(),
    "text": pl.String(),
    "finish_reason": pl.String(),
    "n_tokens": pl.Int64(),
    "n_prompt_tokens": pl.Int64(),
    "attempt": pl.Int64(),
}


def run(job: RewriteJob | RewriteCheckJob, context: Context) -> Artifact:
    """rewrites.parquet: one row per reply (id, turn, what it was, what it became, and at which attempt).

    A reply at fault is asked for again with another seed; the last answer stands, faults and all: what is
    left out is decided by the check, and counted there.
    """
    if isinstance(job, RewriteCheckJob):
        return rewrite_check.run(job, context)
    started = time.time()
    rows = _rewritten(job, context)
    counts: dict[str, Any] = {
        "rows": len(rows),
        "tokens": sum(row["n_tokens"] for row in rows),
        "asked_again": sum(row["attempt"] > 1 for row in rows),
        "unasked": sum(row["finish_reason"] == UNASKED for row in rows),
        **in_smaller_batches(context.store.partial(job.key), job.reader.engine),
    }
    if is_served(job.reader.engine):
        counts["spending"] = context.ledger(job.key, job.reader.engine).account()
    with context.store.workspace(job.key) as folder:
        pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(folder / "rewrites.parquet")
        artifact = context.store.commit(
            folder,
            stage=job.stage,
            stage_version=job.version,
            key=job.key,
            config=recorded_config(job),
            inputs=job.inputs,
            fingerprints={"rewriter": job.reader.weights},
            counts=counts,
            started=started,
        )
    context.store.drop_partial(job.key)
    return artifact


def _rewritten(job: RewriteJob, context: Context) -> list[dict[str, Any]]:
    given = _given(job, context.store)
    found: dict[tuple[str, int], dict[str, Any]] = {}
    left = [source for source in given if source.reply or not job.reader.rubric]
    unasked = set() if is_served(job.reader.engine) else _unaskable(job, left)
    for source in given:
        reason = UNASKED if source.at in unasked else "stop"
        found[source.at] = _row(source, Answer("", "", reason, 0, 0, ()), 0)
    left = [source for source in left if source.at not in unasked]
    passes = context.passes(job.key, job.reader.engine)
    for attempt in range(1, job.attempts + 1):
        said = _asked(job, left, attempt, context, passes)
        for source in left:
            found[source.at] = _row(source, said[source.at], attempt)
        left = [s for s in left if faults(_reply(s, found[s.at]), job.checks, job.rules)]
        if not left:
            break
    return list(found.values())


def _given(job: RewriteJob, store: Store) -> list[Source]:
    """What is rewritten: the corpus' replies, or those that another style made of them, joined by id."""
    if not job.reader.rubric:  # answered anew: made from nothing
        return [replace(source, reply="") for source in job.sources]
    if not job.of_key:
        return list(job.sources)
    made = pl.read_parquet(store.get("rewrite", job.of_key).file("rewrites.parquet"))
    texts = {(row["id"], row["turn"]): row["text"] for row in made.iter_rows(named=True)}
    return [replace(source, reply=texts[source.at]) for source in job.sources]


def _unaskable(job: RewriteJob, sources: Sequence[Source]) -> set[tuple[str, int]]:
    """Where a model that runs here cannot be asked.

    A special token in a text would open or close a turn, and no model answers well beyond its window.
    """
    from transformers import AutoConfig, AutoTokenizer

    from warmgap.models import chat
    from warmgap.models.base import materialise, quieten

    quieten()
    model = job.reader.model
    folder = materialise(model)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=model.trust_remote_code)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=model.trust_remote_code)
    window = getattr(config.get_text_config(), "max_position_embeddings", None)

    def cannot(source: Source) -> bool:
        messages = job.ask(source)
        if any(token in text for token in tokenizer.all_special_tokens for _, text in messages):
            return True
        n = len(chat.encode_prompt(tokenizer, [{"role": r, "content": c} for r, c in messages]))
        return window is not None and n + job.limits.max_new_tokens > window

    return {source.at for source in sources if cannot(source)}


def _asked(
    job: RewriteJob, sources: Sequence[Source], attempt: int, context: Context, passes: Passes | None
) -> Mapping[tuple[str, int], Answer]:
    """Answers by conversation and turn; the same messages are asked once."""
    keys: dict[tuple[str, int], str] = {}
    rows: dict[str, Row] = {}
    for source in sources:
        messages = job.ask(source)
        key = keys[source.at] = digest("rewrite row", messages, job.seed, attempt)
        rows[key] = Row(key=key, messages=messages, seed=job.row_seed(messages, attempt))
    served = is_served(job.reader.engine)
    with place_for(context.store, job.key, job.answers_key, served) as folder:
        said = answered(
            lambda: context.reader(job),
            list(rows.values()),
            job.limits,
            folder,
            passes,
            context.progress,
        )
    return {at: said[key] for at, key in keys.items()}


def _row(source: Source, answer: Answer, attempt: int) -> dict[str, Any]:
    return {
        "id": source.id,
        "turn": source.turn,
        "source": source.reply,
        "text": answer.text.strip(),
        "finish_reason": answer.finish_reason,
        "n_tokens": answer.n_tokens,
        "n_prompt_tokens": answer.n_prompt_tokens,
        "attempt": attempt,
    }


def _reply(source: Source, row: Mapping[str, Any]) -> Reply:
    return source.made(row["source"], row["text"], row["finish_reason"])
