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
def place_for(store: Store, job_key: str, answers_key: str, served: bool) -> Iterator[Path]:
    """The folder where a job's answers are kept row by row.

    Of a service it is shared by all that ask alike, and one process at a time writes there. Of a model that
    runs here, whose answers may depend on the rows beside them, it is the job's own.

    Args:
        store: of the output folder.
        job_key: of the job that asks.
        answers_key: depends on whatever decides an answer besides its messages.
        served: whether a service answers.
    """
    if not served:
        yield store.partial(job_key)
        return
    name = digest("answers", answers_key)
    while not store.try_lock(name):
        time.sleep(_WAIT_S)
    try:
        folder = store.root / "store" / "rewrites" / answers_key
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    finally:
        store.unlock(name)
