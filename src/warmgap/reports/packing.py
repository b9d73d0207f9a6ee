"""Data of the page: JSON, compressed, as text that can end no element."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

BLOCK_CHARS = 1 << 21
"""Texts are packed in blocks of about this size, so that a browser unpacks them one after the other."""


def packed(value: Any) -> str:
    """A value as JSON, by zlib, in base64; the same for the same value."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode("utf-8"), 6)).decode("ascii")


def blocks(texts: Sequence[str], most_chars: int = BLOCK_CHARS) -> Iterable[Sequence[str]]:
    """The texts in their order, cut into runs of about `most_chars` characters."""
    start, size = 0, 0
    for i, text in enumerate(texts):
        if size and size + len(text) > most_chars:
            yield texts[start:i]
            start, size = i, 0
        size += len(text)
    if start < len(texts):
        yield texts[start:]


class Dictionary:
    """Values by number, in the order in which they were first seen."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def add(self, value: Any) -> int:
        """The number of a value, a new one for a new value."""
        return self._numbers.setdefault(value, len(self._numbers))

    @property
    def values(self) -> list[Any]:
        """All values; the place of each is its number."""
        return list(self._numbers)
