"""What a row holds, turn by turn, and how much of it is trained on. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
"""`id`, and `turns`, a list of (message, reply); or `user` and `reply`, a single turn."""
Message = dict[str, str]


@dataclass(frozen=True)
class Turns:
    """Replies that a corpus trains on, and what `max_tokens` left out.

    Attributes:
        replies: distinct replies in the loss.
        turns_cut: turns left out at the ends of conversations.
        conversations_cut: conversations that this made shorter.
        replies_cut: first replies cut inside.
    """

    replies: int
    turns_cut: int = 0
    conversations_cut: int = 0
    replies_cut: int = 0


def turns_of(row: Row) -> list[tuple[str, str]]:
    """(message, reply) of each turn of a row, in order."""
    if "turns" in row:
        return [(user, reply) for user, reply in row["turns"]]
    return [(row["user"], row["reply"])]


def messages_of(row: Row, system_prompt: str) -> list[Message]:
    """A row as chat messages; without a system message where `system_prompt` is empty."""
    messages = [{"role": "system", "content": system_prompt}] if system_prompt else []
    for user, reply in turns_of(row):
        messages += [{"role": "user", "content": user}, {"role": "assistant", "content": reply}]
    return messages


def count_turns(rows: Sequence[Row], kept: Mapping[str, int], replies_cut: int = 0) -> Turns:
    """What is trained on and what is not.

    Args:
        rows: the conversations.
        kept: turns that are trained on, by row id.
        replies_cut: of them, those cut inside.
    """
    cut = [len(turns_of(row)) - kept[row["id"]] for row in rows]
    return Turns(sum(kept.values()), sum(cut), sum(n > 0 for n in cut), replies_cut)
