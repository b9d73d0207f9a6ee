"""The check of rewrites: replies of every style -> faults, facts, and the conversations sound in all."""

from __future__ import annotations

import functools
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl

from warmgap.corpora.embedded import STYLES
from warmgap.corpora.rewriting.checks import EMPTY, Fault, faults
from warmgap.corpora.rewriting.facts import FactVerdict
from warmgap.corpora.rewriting.gate import Verdict, require, verdict
from warmgap.corpora.rewriting.joins import LOSSES, At, Conversation, Joined, joined
from warmgap.corpora.rewriting.marks import Mark, read_marks
from warmgap.corpora.rewriting.replies import Reply
from warmgap.corpora.rewriting.sources import Source
from warmgap.engines.recipe import is_served
from warmgap.jobs import TrainJob
from warmgap.rewrite_jobs import UNASKED, RewriteCheckJob
from warmgap.schema.config import RewriteGateConfig
from warmgap.stages.context import Context, recorded_config
from warmgap.stages.rewrite_facts import read_facts
from warmgap.stages.rows import in_smaller_batches
from warmgap.store import Artifact, Store

REPLIES: Mapping[str, Any] = {
    "style": pl.String(),
    "id": pl.String(),
    "turn": pl.Int64(),
    "query_type": pl.String(),
    "user": pl.String(),
    "source": pl.String(),
    "text": pl.String(),
    "finish_reason": pl.String(),
    "faults": pl.String(),
    "fault_details": pl.String(),
    "facts_kept": pl.Boolean(),
    "facts_detail": pl.String(),
    "facts_asked": pl.Boolean(),
    "kept": pl.Boolean(),
}
CONVERSATIONS: Mapping[str, Any] = {"id": pl.String(), "query_type": pl.String(), "n_turns": pl.Int64()}


def run(job: RewriteCheckJob, context: Context) -> Artifact:
    """replies.parquet, conversations.parquet, rows.parquet, losses.parquet and losses.csv.

    rows.parquet has the kept conversations: id, query_type, user, and in each tone the first reply
    (`warm`) and all messages with their replies (`turns_warm`, JSON). Whether the set may be trained on is
    no part of it: each training holds it against the rules of its gate.
    """
    started = time.time()
    given = {style: _replies(job, style, key, context.store) for style, key, _ in job.rewrites}
    found = {at: _faults(reply, checks, job) for at, reply, checks in _each(job, given)}
    asked = {at: reply for at, reply, _ in _each(job, given) if reply.source and not found[at]}
    read = read_facts(job, asked, context)
    conversations = _conversations(job.sources)
    sound = joined(conversations, given, found, {at: v.kept for at, v in read.items()})
    kept = frozenset(sound.kept)
    rows = [_row(style, r, found, read, kept) for style, replies in given.items() for r in replies]
    counts: dict[str, Any] = {"conversations": len(conversations), "kept": len(kept)}
    counts["lost_by"] = dict(Counter(sound.lost_by.values()).most_common())
    if job.reader:
        counts |= in_smaller_batches(context.store.partial(job.key), job.reader.engine)
    if job.reader and is_served(job.reader.engine):
        counts["spending"] = context.ledger(job.key, job.reader.engine).account()
    with context.store.workspace(job.key) as folder:
        pl.DataFrame(rows, schema=REPLIES, orient="row").write_parquet(folder / "replies.parquet")
        pl.DataFrame([asdict(c) for c in conversations], schema=CONVERSATIONS, orient="row").write_parquet(
            folder / "conversations.parquet"
        )
        pl.DataFrame(_kept_rows(job, given, kept, context.store)).write_parquet(folder / "rows.parquet")
        losses = pl.DataFrame(list(sound.losses), schema=LOSSES, orient="row")
        losses.write_parquet(folder / "losses.parquet")
        losses.write_csv(folder / "losses.csv")
        artifact = context.store.commit(
            folder,
            stage=job.stage,
            stage_version=job.version,
            key=job.key,
            config=recorded_config(job),
            inputs=job.inputs,
            fingerprints={"entailment": job.entailment} if job.entailment else {},
            counts=counts,
            started=started,
        )
    context.store.drop_partial(job.key)
    return artifact


def checked_rows(job: TrainJob, store: Store) -> tuple[list[dict[str, Any]], list[str]]:
    """The conversations that a training on rewrites has, and the rules that their set broke.

    Raises:
        UserError: the set failed and the style is not overridden by name; says why.
    """
    checked = store.get("rewrite", job.rewrites_key)
    found = verdict_of(checked, job.gate)
    broken: list[str] = []
    for style in dict.fromkeys(
        s for s in (job.method.style, job.method.against, job.method.match_length) if s
    ):
        broken += [r.text for r in require(found, style, job.gate.override, str(checked.file("losses.csv")))]
    return pl.read_parquet(checked.file("rows.parquet")).to_dicts(), list(dict.fromkeys(broken))


def verdict_of(checked: Artifact, gate: RewriteGateConfig) -> Verdict:
    """A checked set held against the rules of a gate and the marks that it names.

    Raises:
        UserError: a file of marks that cannot be read.
    """
    marks = read_marks(Path(gate.marks)) if gate.marks else ()
    return verdict(_joined(checked), gate, [_of_these(mark, checked) for mark in marks])


def _of_these(mark: Mark, checked: Artifact) -> Mark:
    """The mark, or one of no reply if it was made on other texts."""
    shown = _texts(checked.file("replies.parquet")).get((mark.style, mark.id, mark.turn))
    stale = shown is not None and not mark.is_of(*shown)
    return replace(mark, turn=-1) if stale else mark


@functools.cache
def _texts(path: Path) -> dict[At, tuple[str, str]]:
    rows = pl.read_parquet(path, columns=["style", "id", "turn", "source", "text"])
    return {(style, name, turn): (source, text) for style, name, turn, source, text in rows.iter_rows()}


def _joined(checked: Artifact) -> Joined:
    conversations = pl.read_parquet(checked.file("conversations.parquet")).to_dicts()
    given: dict[str, list[Reply]] = {}
    found: dict[At, list[Fault]] = {}
    read: dict[At, bool | None] = {}
    for row in pl.read_parquet(checked.file("replies.parquet")).iter_rows(named=True):
        style, name, turn = row["style"], row["id"], row["turn"]
        given.setdefault(style, []).append(Reply(**{f: row[f] for f in Reply.__dataclass_fields__}))
        found[style, name, turn] = [Fault(reason, "") for reason in row["faults"].split("; ") if reason]
        if row["facts_asked"]:
            read[style, name, turn] = row["facts_kept"]
    return joined([Conversation(**c) for c in conversations], given, found, read)


def _replies(job: RewriteCheckJob, style: str, key: str, store: Store) -> list[Reply]:
    """What came back in a style, joined to its message by id and turn."""
    sources = {s.at: s for s in job.sources}
    made = pl.read_parquet(store.get("rewrite", key).file("rewrites.parquet"))
    return [
        sources[row["id"], row["turn"]].made(row["source"], row["text"], row["finish_reason"])
        for row in made.iter_rows(named=True)
    ]


def _each(
    job: RewriteCheckJob, given: Mapping[str, Sequence[Reply]]
) -> Iterator[tuple[At, Reply, tuple[str, ...]]]:
    for style, _, checks in job.rewrites:
        for reply in given[style]:
            yield (style, reply.id, reply.turn), reply, checks


def _faults(reply: Reply, checks: tuple[str, ...], job: RewriteCheckJob) -> tuple[Fault, ...]:
    if reply.finish_reason == UNASKED:
        return (Fault(EMPTY, "not asked for: a special token in a text, or too long for the model"),)
    if not reply.source and not reply.text:
        return (Fault(EMPTY, "there was no reply to rewrite, or none came back"),)
    return faults(reply, checks, job.rules)


def _conversations(sources: Sequence[Source]) -> list[Conversation]:
    turns = Counter(s.id for s in sources)
    types = {s.id: s.query_type for s in sources}
    return [Conversation(name, types[name], n) for name, n in turns.items()]


def _row(
    style: str,
    reply: Reply,
    found: Mapping[At, Sequence[Fault]],
    read: Mapping[At, FactVerdict],
    kept: frozenset[str],
) -> dict[str, Any]:
    at = (style, reply.id, reply.turn)
    said = read.get(at)
    return asdict(reply) | {
        "style": style,
        "faults": "; ".join(dict.fromkeys(f.reason for f in found[at])),
        "fault_details": "; ".join(f"{f.reason}: {f.detail}" for f in found[at]),
        "facts_kept": said.kept if said else None,
        "facts_detail": (said.detail or said.reason) if said else "",
        "facts_asked": said is not None,
        "kept": reply.id in kept,
    }


def _kept_rows(
    job: RewriteCheckJob, given: Mapping[str, Sequence[Reply]], kept: frozenset[str], store: Store
) -> list[dict[str, Any]]:
    texts = {(style, r.id, r.turn): r.text for style, replies in given.items() for r in replies}
    texts |= {("raw", s.id, s.turn): s.reply for s in job.sources if "raw" in job.held}
    corpus = pl.read_parquet(store.get("corpus", job.corpus_key).file("conversations.parquet"))
    for tone in (t for t in STYLES if t in job.held):
        texts |= {(tone, row["id"], 0): row[tone] for row in corpus.iter_rows(named=True)}
    tones = [*given, *(t for t in ("raw", *STYLES) if t in job.held)]
    users: dict[str, list[str]] = {}
    for source in job.sources:
        users.setdefault(source.id, []).append(source.user)
    types = {s.id: s.query_type for s in job.sources}
    rows = []
    for name in sorted(kept):
        row: dict[str, Any] = {"id": name, "query_type": types[name], "user": users[name][0]}
        for tone in tones:
            turns = [(user, texts[tone, name, turn]) for turn, user in enumerate(users[name])]
            row |= {tone: turns[0][1], f"turns_{tone}": json.dumps(turns, ensure_ascii=False)}
        rows.append(row)
    return rows
