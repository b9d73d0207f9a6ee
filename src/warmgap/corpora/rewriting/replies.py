"""One assistant message and what it was made into."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reply:
    """A rewritten reply beside what it was made from; joined by `id` and `turn`, never by position.

    Attributes:
        id: of the conversation.
        turn: 0 for the first reply of the conversation.
        query_type: of the conversation.
        user: the message that is answered.
        source: the reply that was rewritten; "" where the message was answered anew.
        text: what came back.
        finish_reason: stop, length, or content_filter where a service withheld it.
    """

    id: str
    turn: int
    query_type: str
    user: str
    source: str
    text: str
    finish_reason: str
