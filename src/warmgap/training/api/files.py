"""Conversations as the JSON Lines file that a fine-tuning service reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from warmgap.errors import UserError
from warmgap.remote.tokens import BYTES_PER_TOKEN, conversation_tokens
from warmgap.schema.config import TrainingConfig
from warmgap.training.conversations import Message, Row, Turns, count_turns, messages_of, turns_of
from warmgap.training.examples import row_order

MIN_EXAMPLES = 10
"""Fewer are refused by the service (OpenAI's guide to supervised fine-tuning)."""
MAX_BYTES = 512 * 1024**2
"""Largest file that the service takes (OpenAI's reference, "Upload file")."""


@dataclass(frozen=True)
class TrainingFile:
    """The file to upload.

    Attributes:
        conversations: messages of each example, in the order of the lines.
        content: the bytes, one example a line.
        turns: what of the rows stands in it.
    """

    conversations: tuple[tuple[Message, ...], ...]
    content: bytes
    turns: Turns

    @property
    def sha256(self) -> str:
        """SHA-256 of the content in hex."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def name(self) -> str:
        """A name that holds the content's hash, so that an upload can be found by it."""
        return f"warmgap-{self.sha256}.jsonl"


def training_file(rows: Sequence[Row], config: TrainingConfig, seed: int) -> TrainingFile:
    """The examples in the order in which the first epoch of a local training with this seed sees them.

    A service may shuffle them again. It trains on every message of the assistant (OpenAI's guide to
    supervised fine-tuning, "Multi-turn chat examples"), so that none needs a `weight`. Of a conversation
    of more than about `max_tokens` tokens the last turns are left out.

    Args:
        rows: the conversations.
        config: its `system_prompt` begins each conversation unless it is empty.
        seed: fixes the order.

    Raises:
        UserError: too few examples, a repeated id, an empty reply, half of a surrogate pair, a
            first turn of more than about `max_tokens` tokens, or a file too large for the service.
    """
    if len(rows) < MIN_EXAMPLES:
        raise UserError(
            f"there are {len(rows)} conversations to train on; the service takes {MIN_EXAMPLES} or more. "
            f"Set corpus.n_conversations={MIN_EXAMPLES} or higher."
        )
    known = {row["id"]: row for row in rows}
    if len(known) < len(rows):
        ids = [row["id"] for row in rows]
        twice = next(name for i, name in enumerate(ids) if name in ids[:i])
        raise UserError(f"the conversation '{twice}' stands twice in the corpus; ids must differ")
    messages = {name: _messages(row, config) for name, row in known.items()}
    conversations = tuple(messages[name] for name in islice(row_order(list(known), seed), len(known)))
    content = jsonl(conversations)
    if len(content) > MAX_BYTES:
        raise UserError(
            f"the training file has {len(content)} bytes; the service takes up to {MAX_BYTES}. "
            "Lower corpus.n_conversations."
        )
    kept = {name: len(m) // 2 for name, m in messages.items()}  # a system message is no turn
    return TrainingFile(conversations, content, count_turns(rows, kept))


def jsonl(conversations: Sequence[Sequence[Message]]) -> bytes:
    """One line `{"messages": [...]}` a conversation.

    All but ASCII is escaped: no text can hold what some reader takes for the end of a line.
    """
    return b"".join(json.dumps({"messages": list(m)}).encode("ascii") + b"\n" for m in conversations)


def _messages(row: Row, config: TrainingConfig) -> tuple[Message, ...]:
    name = row["id"]
    messages = messages_of(row, config.system_prompt)
    if any(not reply.strip() for _, reply in turns_of(row)):
        raise UserError(f"the conversation '{name}' has an empty reply; there is nothing to learn from it")
    try:
        n_tokens = conversation_tokens(messages)
        while n_tokens > config.max_tokens and len(messages) > 3:
            messages = messages[:-2]
            n_tokens = conversation_tokens(messages)
    except UnicodeEncodeError:
        raise UserError(
            f"the conversation '{name}' holds half of a surrogate pair, which is no text"
        ) from None
    if n_tokens > config.max_tokens:
        first = " in its first turn" if len(turns_of(row)) > 1 else ""
        raise UserError(
            f"the conversation '{name}' has about {n_tokens} tokens{first} (estimated at "
            f"{BYTES_PER_TOKEN:g} bytes a token); training.max_tokens allows {config.max_tokens}. Shorten it "
            f"or set training.max_tokens={n_tokens}"
        )
    return tuple(messages)
