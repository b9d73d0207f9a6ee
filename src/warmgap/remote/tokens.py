"""Tokens of texts whose tokenizer is elsewhere, from their UTF-8 bytes.

Against OpenAI's o200k_base vocabulary, which GPT-4o uses: the embedded corpus has 4.4 bytes a token and
MedQA questions 4.7, so that 4 bytes a token is 9 to 17 % too high; worked GSM8K answers, full of digits,
have 2.9, so that it is 28 % too low. The high estimate takes 2.8. Texts of emoji (2.4) or of scripts that
are rare in the vocabulary (down to 1.4) can exceed that too; a vocabulary of bytes never exceeds one a byte.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

BYTES_PER_TOKEN = 4.0
BYTES_PER_TOKEN_LOW = 2.8
TOKENS_PER_MESSAGE = 4  # role and marks of a turn (OpenAI's cookbook, "How to count tokens": 3 and the role)
TOKENS_PER_CONVERSATION = 3  # the primed reply (the same)


def conversation_tokens(
    messages: Sequence[Mapping[str, str]], bytes_per_token: float = BYTES_PER_TOKEN
) -> int:
    """Tokens of one conversation, estimated from the UTF-8 bytes of its texts."""
    n_texts = sum(math.ceil(round(len(m["content"].encode()) / bytes_per_token, 9)) for m in messages)
    return n_texts + TOKENS_PER_MESSAGE * len(messages) + TOKENS_PER_CONVERSATION
