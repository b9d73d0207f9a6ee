"""How long a text is in tokens: by a tokenizer, or by a stated number of characters a token."""

from __future__ import annotations

import math
from typing import Any, Protocol

from warmgap.schema.config import ChatLogConfig, ModelConfig


class Counter(Protocol):
    """Counts tokens, and cuts a text to a number of them."""

    def count(self, text: str) -> int:
        """Tokens of a text, without any that a chat template adds."""
        ...

    def cut(self, text: str, n_tokens: int) -> str:
        """The longest beginning of a text that has no more tokens than this."""
        ...


class ByRatio:
    """A fixed number of characters a token, rounded up."""

    def __init__(self, chars_per_token: float) -> None:
        self._ratio = chars_per_token

    def count(self, text: str) -> int:
        """Characters by the ratio."""
        return math.ceil(len(text) / self._ratio)

    def cut(self, text: str, n_tokens: int) -> str:
        """So many characters."""
        return text[: math.floor(n_tokens * self._ratio)]


class ByTokenizer:
    """The fast tokenizer of a model."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def count(self, text: str) -> int:
        """Tokens of the text alone."""
        return len(self._encoded(text).ids)

    def cut(self, text: str, n_tokens: int) -> str:
        """Up to the last character of the last token that fits."""
        spans = self._encoded(text).offsets
        return text if len(spans) <= n_tokens else text[: spans[n_tokens - 1][1] if n_tokens else 0]

    def _encoded(self, text: str) -> Any:
        return self._tokenizer.encode(text, add_special_tokens=False)


def tokenizer_model(rules: ChatLogConfig) -> ModelConfig | None:
    """Where the tokenizer lies, as a model's source; None where characters are counted."""
    return ModelConfig(name="corpus tokenizer", source=rules.tokenizer) if rules.tokenizer else None


def open_counter(rules: ChatLogConfig) -> Counter:
    """The counter that the settings name.

    Raises:
        UserError: the tokenizer's source cannot be found.
    """
    model = tokenizer_model(rules)
    if model is None:
        return ByRatio(rules.chars_per_token)
    from transformers import AutoTokenizer

    from warmgap.models.base import materialise, quieten

    quieten()
    return ByTokenizer(AutoTokenizer.from_pretrained(materialise(model)).backend_tokenizer)
