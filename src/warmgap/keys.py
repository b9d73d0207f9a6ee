"""Content keys: SHA-256 over canonical JSON, and of files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from warmgap.schema.fields import plain

_CHUNK_BYTES = 1 << 20
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
T = TypeVar("T")


class Text(bytes):
    """Canonical JSON of a value: what `digest` would make of it."""


class Shared(tuple[T, ...]):
    """A tuple that many jobs hold: what of it enters their keys is written out once."""

    def __init__(self, *_: Any) -> None:
        self._texts: dict[Callable[[Any], Any], Text] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Shared, (tuple(self),)

    def text(self, of: Callable[[Any], Any]) -> Text:
        """Canonical JSON of a function of it."""
        if of not in self._texts:
            self._texts[of] = Text(canonical(of(self)).encode())
        return self._texts[of]


def text(values: tuple[T, ...], of: Callable[[tuple[T, ...]], Any] = tuple) -> Text:
    """Canonical JSON of a function of a tuple, made once for a shared one."""
    return values.text(of) if isinstance(values, Shared) else Text(canonical(of(values)).encode())


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text.

    Raises:
        ValueError: NaN or infinity, which JSON cannot hold.
    """
    return _ENCODER.encode(plain(value))


def digest(*parts: Any) -> str:
    """64 hex digits that depend on every part and on their order.

    The SHA-256 of `canonical(list(parts))`; a part may also be the `text` of its value.
    """
    texts = (p if isinstance(p, Text) else canonical(p).encode() for p in parts)
    return hashlib.sha256(b"[" + b",".join(texts) + b"]").hexdigest()


def number(*parts: Any) -> int:
    """A 64-bit integer from the same hash; used for choices that must not depend on order or process."""
    return int.from_bytes(hashlib.sha256(canonical(list(parts)).encode()).digest()[:8], "big")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    h = hashlib.sha256()
    with path.open("rb") as f:
        while chunk := f.read(_CHUNK_BYTES):
            h.update(chunk)
    return h.hexdigest()
