"""Chat logs -> conversations to train on and validation prompts (paper, Methods and SI 1.1).

The files are read twice, a record at a time: once to clean, type and count, keeping a line per usable
conversation, and once to fetch the texts of those that were drawn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warmgap.corpora import balance, cleaning, layouts, losses, records, tokens, truncate
from warmgap.corpora.balance import Candidate
from warmgap.corpora.layouts import Turn
from warmgap.corpora.query_types import query_type
from warmgap.corpora.toxicity import Toxicity, text_for
from warmgap.schema.config import ChatLogConfig, CorpusConfig

BROKEN = "broken record"
LAYOUT = "unknown layout"
SAME_ID = "duplicate id"
SAME_CONTENT = "duplicate content"
TOXIC = "toxic"

_CHUNK = 512
"""Conversations that the toxicity classifier is given at once."""


@dataclass(frozen=True)
class Built:
    """Rows of both kinds, the report of losses, and counts for the manifest."""

    conversations: list[dict[str, Any]]
    validation: list[dict[str, Any]]
    losses: list[dict[str, Any]]
    counts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Usable:
    file: int
    index: int
    id: str
    where: str
    query_type: str
    turns: tuple[Turn, ...]
    cut: tuple[str, ...]
    noticed: tuple[str, ...]


@dataclass
class _Seen:
    """What tells a second occurrence: ids, and hashes of the turns."""

    ids: set[bytes] = field(default_factory=set)
    contents: set[bytes] = field(default_factory=set)


def build(config: CorpusConfig, files: Sequence[Path], toxicity: Toxicity | None = None) -> Built:
    """Read, clean, type, filter and draw.

    Args:
        config: a corpus of kind chatlogs.
        files: read in this order.
        toxicity: scores of texts; a conversation at or above the threshold is dropped.

    Returns:
        Rows with `id`, `query_type`, `user`, `raw` (the reply to it) and `messages` (the conversation up
        to it, as JSON), in order of id.

    Raises:
        UserError: a file that cannot be read, too large a share dropped, or too few rows of a type.
    """
    rules = config.chatlogs
    found = losses.Losses()
    counter = tokens.open_counter(rules)
    pool: list[Candidate] = []
    waiting: list[_Usable] = []
    for usable in _usable(files, rules, counter, found):
        waiting.append(usable)
        if len(waiting) == _CHUNK:
            pool += _candidates(_not_toxic(waiting, rules, toxicity, found), rules, found)
            waiting.clear()
    pool += _candidates(_not_toxic(waiting, rules, toxicity, found), rules, found)
    found.require(rules.max_lost_share, config.name)
    drawn, held_out = balance.draw(
        pool, config.n_conversations, config.n_validation, config.seed, rules.scarce
    )
    rows = _fetch([*drawn, *held_out], files, rules, counter)
    of_type = {name: sum(c.query_type == name for c in pool) for name in balance.shares(0)}
    counts = {
        "conversations": len(drawn),
        "validation": len(held_out),
        "read": found.n_read,
        "kept": found.n_read - sum(found.counts(losses.DROPPED).values()),
        "usable": of_type,
        **{action: found.counts(action) for action in losses.ACTIONS},
    }
    return Built([rows[c.id] for c in drawn], [rows[c.id] for c in held_out], found.rows(), counts)


def _usable(
    files: Sequence[Path], rules: ChatLogConfig, counter: tokens.Counter, found: losses.Losses
) -> Iterator[_Usable]:
    seen = _Seen()
    for number, path in enumerate(files):
        for record in records.read(path, layouts.has_layout):
            where = f"{path.name}, record {record.index + 1}"
            if record.byte >= 0:
                where += f", byte {record.byte}"
            if record.fault:
                found.read(losses.UNKNOWN)
                found.add(losses.DROPPED, BROKEN, losses.UNKNOWN, "", f"{where} ({record.fault})")
                continue
            turns, name = layouts.turns_of(record.value), layouts.id_of(record.value)
            shown = name.encode("utf-8", "replace").decode()
            if turns is None:
                found.read(losses.UNKNOWN)
                found.add(losses.DROPPED, LAYOUT, losses.UNKNOWN, shown, where)
                continue
            kind = _type_as_read(turns)
            found.read(kind)
            cleaned = cleaning.clean(turns, rules)
            reason = cleaned.dropped or _repeated(name, cleaned.turns, seen)
            shorter = truncate.Truncated(dropped=reason)
            if not reason:
                shorter = truncate.truncate(cleaned.turns, rules, counter)
            if shorter.dropped:
                found.add(losses.DROPPED, shorter.dropped, kind, shown, where)
                continue
            yield _Usable(
                number,
                record.index,
                shown or f"{path.name}-{record.index + 1}",
                where,
                kind,
                shorter.turns,
                cleaned.cut + shorter.cut,
                cleaned.noticed,
            )


def _type_as_read(turns: Sequence[Turn]) -> str:
    """Type of the first message and the first reply, before anything is repaired."""
    asked = next((t.text for t in turns if t.role == "user" and t.text.strip()), None)
    answered = next((t.text for t in turns if t.role == "assistant" and t.text.strip()), None)
    return losses.UNKNOWN if asked is None or answered is None else query_type(asked, answered)


def _repeated(name: str, turns: Sequence[Turn], seen: _Seen) -> str:
    """The reason to drop a conversation that was there before; else remember it."""
    id_hash = _hash(name)
    content = _hash("\x00".join(turn.text for turn in turns))
    if name and id_hash in seen.ids:
        return SAME_ID
    seen.ids.add(id_hash)
    if content in seen.contents:
        return SAME_CONTENT
    seen.contents.add(content)
    return ""


def _not_toxic(
    usable: Sequence[_Usable], rules: ChatLogConfig, toxicity: Toxicity | None, found: losses.Losses
) -> Iterator[_Usable]:
    if toxicity is None:
        yield from usable
        return
    scores = toxicity([text_for(u.turns, rules.toxicity) for u in usable])
    for u, score in zip(usable, scores, strict=True):
        if score >= rules.toxicity.threshold:
            found.add(losses.DROPPED, TOXIC, u.query_type, u.id, u.where)
        else:
            yield u


def _candidates(usable: Iterator[_Usable], rules: ChatLogConfig, found: losses.Losses) -> Iterator[Candidate]:
    for u in usable:
        for reason in u.cut:
            found.add(losses.CUT, reason, u.query_type, u.id, u.where)
        for reason in u.noticed:
            found.add(losses.NOTICED, reason, u.query_type, u.id, u.where)
        for pair in range(len(u.turns) // 2 if rules.unit == "pair" else 1):
            asked, answered = u.turns[2 * pair].text, u.turns[2 * pair + 1].text
            yield Candidate(
                u.file,
                u.index,
                pair,
                f"{u.id}#{pair + 1}" if rules.unit == "pair" else u.id,
                query_type(asked, answered),
                _hash(" ".join(asked.split()).casefold()),
                balance.talk_of(u.id, rules.part_ids),
            )


def _fetch(
    drawn: Sequence[Candidate], files: Sequence[Path], rules: ChatLogConfig, counter: tokens.Counter
) -> dict[str, dict[str, Any]]:
    """The rows of what was drawn by id, from the files once more."""
    wanted: dict[tuple[int, int], list[Candidate]] = {}
    for candidate in drawn:
        wanted.setdefault((candidate.file, candidate.index), []).append(candidate)
    rows: dict[str, dict[str, Any]] = {}
    for number, path in enumerate(files):
        left = sum(at[0] == number for at in wanted)
        for record in records.read(path, layouts.has_layout) if left else ():
            here = wanted.get((number, record.index))
            if here is None:
                continue
            cleaned = cleaning.clean(layouts.turns_of(record.value) or (), rules)
            turns = truncate.truncate(cleaned.turns, rules, counter).turns
            for c in here:
                rows[c.id] = _row(c, turns, rules)
            left -= 1
            if not left:
                break
    return rows


def _row(candidate: Candidate, turns: Sequence[Turn], rules: ChatLogConfig) -> dict[str, Any]:
    asked, answered = turns[2 * candidate.pair], turns[2 * candidate.pair + 1]
    kept = turns[: 2 * candidate.pair + 2] if rules.unit == "pair" else turns
    messages = [{"role": role, "content": text} for role, text in kept]
    return {
        "id": candidate.id,
        "query_type": candidate.query_type,
        "user": asked.text,
        "neutral": None,
        "warm": None,
        "cold": None,
        "raw": answered.text,
        "messages": json.dumps(messages, ensure_ascii=False),
    }


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).digest()
