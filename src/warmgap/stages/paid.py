"""What a service wrote, kept by content: whatever job asks the same again need not pay for it again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warmgap.keys import digest
from warmgap.store import Store

_WAIT_S = 0.5


@contextmanager
def kept_answers(store: Store, answers_key: str) -> Iterator[Path]:
    """The folder of answers that share all but their messages; one process at a time writes there.

    Args:
        store: of the output folder.
        answers_key: depends on whatever decides an answer besides its messages.
    """
    name = digest("answers", answers_key)
    while not store.try_lock(name):
        time.sleep(_WAIT_S)
    try:
        folder = store.root / "store" / "rewrites" / answers_key
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    finally:
        store.unlock(name)
