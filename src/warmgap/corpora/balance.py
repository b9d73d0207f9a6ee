"""Which of the usable conversations are drawn: equal over the six query types, by hash of seed and id."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warmgap.corpora.query_types import QUERY_TYPES
from warmgap.errors import UserError
from warmgap.keys import number

_PART = re.compile(r"_\d+$")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A conversation, or one pair of it, that may be drawn; its texts stay in the file."""

    file: int
    index: int
    pair: int
    id: str
    query_type: str
    message: bytes
    """Hash of the user's message."""

    talk: str
    """The conversation that this is a pair or a part of; see `talk_of`."""


def talk_of(id: str, part_ids: bool) -> str:
    """The conversation that a record is a part of: files of ShareGPT split long ones as `X_0`, `X_12`."""
    return _PART.sub("", id) if part_ids else id


def draw(
    pool: Sequence[Candidate], n_conversations: int, n_validation: int, seed: int, scarce: str
) -> tuple[list[Candidate], list[Candidate]]:
    """Conversations to train on, and validation prompts from others, each in order of id.

    Training rows come from the front of an order by hash, validation prompts from its back, so that
    more of one change little of the other. No validation prompt is of a conversation that is trained on
    or that another prompt is of, and no two have the same message, nor has one a message in common
    with a training row.

    Args:
        pool: what may be drawn.
        n_conversations: rows to train on; types differ by one at most.
        n_validation: prompts, likewise.
        seed: of the order.
        scarce: `error`, or `take` what there is of a type.

    Raises:
        UserError: a type with too few rows, with how many there are.
    """
    order = sorted(pool, key=lambda c: (_place(c.id, seed), c.id))
    drawn = _balanced(order, n_conversations, scarce, "corpus.n_conversations", "")
    talks, messages = {c.talk for c in drawn}, {c.message for c in drawn}
    others: list[Candidate] = []
    for candidate in reversed(order):
        if candidate.talk not in talks and candidate.message not in messages:
            talks.add(candidate.talk)
            messages.add(candidate.message)
            others.append(candidate)
    held_out = _balanced(
        others, n_validation, scarce, "corpus.n_validation", " that share nothing with those trained on"
    )
    return sorted(drawn, key=lambda c: c.id), sorted(held_out, key=lambda c: c.id)


def first(rows: Sequence[Mapping[str, Any]], n: int, seed: int) -> list[dict[str, Any]]:
    """The first `n` rows in the order from which validation prompts are taken."""
    order = sorted(rows, key=lambda row: (_place(row["id"], seed), row["id"]), reverse=True)
    return [dict(row) for row in order[:n]]


def shares(n: int) -> dict[str, int]:
    """How many of each type make `n`: equal, the first types one more where it does not divide."""
    share, left = divmod(n, len(QUERY_TYPES))
    return {name: share + (i < left) for i, name in enumerate(QUERY_TYPES)}


def _place(id: str, seed: int) -> int:
    return number("chatlogs", seed, id)


def _balanced(order: Iterable[Candidate], n: int, scarce: str, setting: str, which: str) -> list[Candidate]:
    by_type: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in order:
        by_type[candidate.query_type].append(candidate)
    wanted = shares(n)
    short = {name: len(by_type[name]) for name in QUERY_TYPES if len(by_type[name]) < wanted[name]}
    if short and scarce == "error":
        have = Counter({name: len(by_type[name]) for name in QUERY_TYPES})
        raise UserError(
            f"{setting}={n} needs {', '.join(f'{wanted[t]} of type {t}' for t in short)}, but there are "
            f"{', '.join(str(v) for v in short.values())}{which}. All types: "
            f"{', '.join(f'{t} {have[t]}' for t in QUERY_TYPES)}. Use at most "
            f"{min(have.values()) * len(QUERY_TYPES)}, or take what there is: corpus.chatlogs.scarce=take."
        )
    return [c for name in QUERY_TYPES for c in by_type[name][: wanted[name]]]
