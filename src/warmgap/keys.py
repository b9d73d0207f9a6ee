"""Content keys: SHA-256 over canonical JSON, and of files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from warmgap.schema.fields import plain

_CHUNK_BYTES = 1 << 20


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text.

    Raises:
        ValueError: NaN or infinity, which JSON cannot hold.
    """
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(*parts: Any) -> str:
    """64 hex digits that depend on every part and on their order."""
    return hashlib.sha256(canonical(list(parts)).encode()).hexdigest()


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
