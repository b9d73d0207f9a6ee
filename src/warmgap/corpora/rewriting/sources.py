"""What is rewritten: every assistant message of a conversation, with what came before it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warmgap.corpora.rewriting.replies import Reply
from warmgap.engines.protocol import Messages

TURNS = ("first", "all")
"""How much of a conversation is trained on, and so rewritten: `training.turns`."""


@dataclass(frozen=True)
class Source:
    """An assistant message: where it stands, the message that it answers, and its text.

    `before` are the messages ahead of `user`, as they were logged; `reply` is "" where the corpus holds none.
    """

    id: str
    turn: int
    query_type: str
    user: str
    reply: str
    before: Messages = ()

    @property
    def at(self) -> tuple[str, int]:
        """Conversation and turn, by which everything is joined."""
        return self.id, self.turn

    def made(self, source: str, text: str, finish_reason: str) -> Reply:
        """What the message was made into."""
        return Reply(self.id, self.turn, self.query_type, self.user, source, text, finish_reason)


def sources(conversations: Sequence[Mapping[str, Any]], turns: str) -> tuple[Source, ...]:
    """Every assistant message of the conversations, in their order.

    Args:
        conversations: rows with `id`, `query_type`, `user`, `raw` and, of chat logs, `messages` (JSON).
        turns: `first` takes the first reply of each, `all` takes every one.
    """
    out: list[Source] = []
    for row in conversations:
        before: list[tuple[str, str]] = []
        for turn, (user, reply) in enumerate(pairs(row)[: 1 if turns == "first" else None]):
            out.append(Source(row["id"], turn, row["query_type"], user, reply, tuple(before)))
            before += [("user", user), ("assistant", reply)]
    return tuple(out)


def pairs(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The messages of a conversation and the replies to them."""
    if not row.get("messages"):
        return [(row["user"], row.get("raw") or "")]
    texts = [message["content"] for message in json.loads(row["messages"])]
    return list(zip(texts[::2], texts[1::2], strict=True))
