"""Rewritten replies joined to their conversations by id and turn: what is kept, and every loss."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from warmgap.corpora.losses import UNKNOWN
from warmgap.corpora.query_types import QUERY_TYPES
from warmgap.corpora.rewriting.checks import REASONS, Fault
from warmgap.corpora.rewriting.replies import Reply

FACTS, MISSING, DOUBLED, STRAY, ANY = "facts", "missing", "doubled", "stray", "any"
"""Judged to say something else; never came back; came back twice; of no conversation; any of all."""
LOST_BY = (MISSING, DOUBLED, *REASONS, FACTS)
"""Reasons by which a conversation is lost, in the order in which the first is taken."""
ALL = "all"
LOSSES: Mapping[str, Any] = {
    "style": pl.String(),
    "reason": pl.String(),
    "query_type": pl.String(),
    "n": pl.Int64(),
    "n_replies": pl.Int64(),
    "share_pct": pl.Float64(),
    "examples": pl.String(),
}
_EXAMPLES = 5

At = tuple[str, str, int]
"""Style, id of the conversation, turn."""


@dataclass(frozen=True)
class Conversation:
    """What was to be rewritten: `n_turns` replies, of turns 0 and up."""

    id: str
    query_type: str
    n_turns: int


@dataclass(frozen=True)
class TypeCount:
    """Conversations of one query type: all, sound in this style, and sound in every style."""

    query_type: str
    n: int
    sound: int
    kept: int


@dataclass(frozen=True)
class StyleSummary:
    """What came back in one style.

    Attributes:
        style: its name.
        anew: messages were answered anew, so there are no pairs to read.
        n_wanted: replies that there should be.
        n_replies: replies that came back, strays and doubled ones too.
        n_conversations: conversations that should be rewritten.
        n_sound: of them, those with every reply once and without fault.
        lost_by: conversations that are not sound, by their first reason in the order of `LOST_BY`.
        found: replies by reason; a reply counts under each of its faults, under `any` once.
        facts_read: replies whose facts were judged.
        facts_changed: of them, those that say something else.
        facts_unread: replies that were to be judged and could not be.
        types: conversations by query type.
    """

    style: str
    anew: bool
    n_wanted: int
    n_replies: int
    n_conversations: int
    n_sound: int
    lost_by: Mapping[str, int]
    found: Mapping[str, int]
    facts_read: int
    facts_changed: int
    facts_unread: int
    types: tuple[TypeCount, ...]


@dataclass(frozen=True)
class Joined:
    """Outcome of the join.

    Attributes:
        kept: ids of the conversations that are sound in every style, in the order given.
        lost_by: first reason of each lost conversation over all styles, by id.
        losses: rows of `LOSSES`: replies by style, reason and query type.
        styles: what came back in each style.
        types: conversations by query type, kept in every style.
        at: replies that are there, each once or more.
    """

    kept: tuple[str, ...]
    lost_by: Mapping[str, str]
    losses: tuple[dict[str, Any], ...]
    styles: tuple[StyleSummary, ...]
    types: tuple[TypeCount, ...]
    at: frozenset[At]


def joined(
    conversations: Sequence[Conversation],
    replies: Mapping[str, Sequence[Reply]],
    faults: Mapping[At, Sequence[Fault]],
    facts: Mapping[At, bool | None],
) -> Joined:
    """Keep a conversation only if every turn in every style is there once and without fault.

    Nothing is joined by position. A missing reply, a second one to the same turn, and one whose id or turn
    no conversation has are counted by name.

    Args:
        conversations: what was to be rewritten.
        replies: by style, in any order.
        faults: by style, id and turn; replies without a fault may be left out.
        facts: whether a reply keeps the facts; None where that could not be read, which is no fault.

    Raises:
        ValueError: a conversation twice, or a finding on a reply that is not there.
    """
    by_id = {c.id: c for c in conversations}
    if len(by_id) != len(conversations):
        raise ValueError("the same conversation was given twice")
    times = Counter((style, r.id, r.turn) for style, given in replies.items() for r in given)
    lost = [at for at in (*faults, *facts) if at not in times]
    if lost:
        raise ValueError(f"{len(lost)} findings are on replies that are not there, first {lost[0]}")
    reasons: dict[str, dict[tuple[str, int], list[str]]] = {style: {} for style in replies}
    for style in replies:
        for c in conversations:
            for turn in range(c.n_turns):
                found = _reasons((style, c.id, turn), times, faults, facts)
                if found:
                    reasons[style][c.id, turn] = found
    unsound = {style: {id for id, _ in found} for style, found in reasons.items()}
    kept = tuple(c.id for c in conversations if not any(c.id in ids for ids in unsound.values()))
    held = frozenset(kept)
    losses: list[dict[str, Any]] = []
    summaries: list[StyleSummary] = []
    for style, given in replies.items():
        stray = [r for r in given if r.id not in by_id or not 0 <= r.turn < by_id[r.id].n_turns]
        rows = _losses(style, conversations, reasons[style], stray, len(given))
        losses += rows
        read = [v for at, v in facts.items() if at[0] == style]
        summaries.append(
            StyleSummary(
                style=style,
                anew=bool(given) and not any(r.source for r in given),
                n_wanted=sum(c.n_turns for c in conversations),
                n_replies=len(given),
                n_conversations=len(conversations),
                n_sound=len(conversations) - len(unsound[style]),
                lost_by=dict(Counter(_first(reasons[style]).values()).most_common()),
                found={r["reason"]: r["n"] for r in rows if r["query_type"] == ALL},
                facts_read=sum(v is not None for v in read),
                facts_changed=sum(v is False for v in read),
                facts_unread=sum(v is None for v in read),
                types=_types(conversations, unsound[style], held),
            )
        )
    every = {(id, turn, style): found for style, of in reasons.items() for (id, turn), found in of.items()}
    return Joined(
        kept=kept,
        lost_by=_first(every),
        losses=tuple(losses),
        styles=tuple(summaries),
        types=_types(conversations, set(by_id) - held, held),
        at=frozenset(times),
    )


def _reasons(
    at: At, times: Counter[At], faults: Mapping[At, Sequence[Fault]], facts: Mapping[At, bool | None]
) -> list[str]:
    if times[at] != 1:
        return [DOUBLED if times[at] else MISSING]
    changed = [FACTS] if facts.get(at) is False else []
    return [*dict.fromkeys(fault.reason for fault in faults.get(at, ())), *changed]


def _first(reasons: Mapping[tuple[Any, ...], list[str]]) -> dict[str, str]:
    """The first reason of every conversation, whose id opens the keys."""
    by_id: dict[str, set[str]] = defaultdict(set)
    for (id, *_), found in reasons.items():
        by_id[id].update(found)
    return {id: min(found, key=LOST_BY.index) for id, found in by_id.items()}


def _types(
    conversations: Sequence[Conversation], unsound: set[str], kept: frozenset[str]
) -> tuple[TypeCount, ...]:
    out = []
    for name in dict.fromkeys((*QUERY_TYPES, *sorted({c.query_type for c in conversations}))):
        ids = {c.id for c in conversations if c.query_type == name}
        if ids:
            out.append(TypeCount(name, len(ids), len(ids - unsound), len(ids & kept)))
    return tuple(out)


def _losses(
    style: str,
    conversations: Sequence[Conversation],
    reasons: Mapping[tuple[str, int], list[str]],
    stray: Sequence[Reply],
    n_given: int,
) -> list[dict[str, Any]]:
    """Rows of one style; a share is of the replies wanted of that type, of strays of the replies given."""
    type_of = {c.id: c.query_type for c in conversations}
    wanted: Counter[str] = Counter()
    for c in conversations:
        wanted.update({c.query_type: c.n_turns, ALL: c.n_turns})
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[str, dict[str, None]] = defaultdict(dict)
    for (id, _), found in reasons.items():
        for reason in (*found, ANY):
            counts[reason, type_of[id]] += 1
            counts[reason, ALL] += 1
            examples[reason][id] = None
    for reply in stray:
        counts[STRAY, UNKNOWN] += 1
        counts[STRAY, ALL] += 1
        examples[STRAY][reply.id] = None
    rows = []
    for reason in (ANY, *LOST_BY, STRAY):
        for name in dict.fromkeys((ALL, *QUERY_TYPES, *sorted(wanted), UNKNOWN)):
            n = counts[reason, name]
            if n:
                of = n_given if reason == STRAY else wanted[name]
                shown = list(examples[reason])[:_EXAMPLES] if name == ALL else []
                values = (style, reason, name, n, of, 100 * n / of, json.dumps(shown))
                rows.append(dict(zip(LOSSES, values, strict=True)))
    return rows
