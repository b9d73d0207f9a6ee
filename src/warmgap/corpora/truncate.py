"""Conversations cut to a number of turns and of tokens, always between a reply and the next message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from warmgap.corpora.layouts import Turn
from warmgap.corpora.tokens import Counter
from warmgap.schema.config import ChatLogConfig

MANY_TURNS = "too many turns"
MANY_TOKENS = "too many tokens"
LONG_REPLY = "first reply too long"
TOO_LONG = "too long"

_SHORTEST_REPLY = 16
"""Tokens below which a cut reply is none."""


@dataclass(frozen=True, slots=True)
class Truncated:
    """What is left, why something was cut, or the reason for which nothing is left."""

    turns: tuple[Turn, ...] = ()
    dropped: str = ""
    cut: tuple[str, ...] = ()


def truncate(turns: Sequence[Turn], rules: ChatLogConfig, counter: Counter) -> Truncated:
    """The first `max_turns` messages and replies, and of them the pairs within `max_tokens`.

    A first pair that is too long by itself is cut inside its reply, or dropped (`too_long`).
    """
    cut: list[str] = []
    if rules.max_turns and len(turns) > rules.max_turns:
        turns = turns[: rules.max_turns - rules.max_turns % 2]
        cut.append(MANY_TURNS)
    if not rules.max_tokens:
        return Truncated(tuple(turns), cut=tuple(cut))
    spent = 0
    for i in range(0, len(turns), 2):
        asked, answered = turns[i].text, turns[i + 1].text
        of_message = counter.count(asked)
        spent += of_message + counter.count(answered)
        if spent <= rules.max_tokens:
            continue
        if i:
            return Truncated(tuple(turns[:i]), cut=(*cut, MANY_TOKENS))
        left = rules.max_tokens - of_message
        if rules.too_long == "drop" or left < _SHORTEST_REPLY:
            return Truncated(dropped=TOO_LONG)
        shorter = counter.cut(answered, left).rstrip()
        return Truncated((turns[0], Turn("assistant", shorter)), cut=(*cut, LONG_REPLY))
    return Truncated(tuple(turns), cut=tuple(cut))
