"""Running out of memory: how it is known, and work that goes on in smaller passes. Imports no torch."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from warmgap.errors import Interrupted

Item = TypeVar("Item")
Found = TypeVar("Found")

# Errors of PyTorch and of libraries below it that have no type of their own, and a child process' last lines.
_WORDS = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "torch.OutOfMemoryError",
    "std::bad_alloc",
    os.strerror(errno.ENOMEM),
)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that led to it, says that the memory of machine or card ran out."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, (MemoryError, *_torch_errors())) or any(w in str(seen) for w in _WORDS):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


class Passes:
    """Work on many items at once, in smaller passes from the moment when memory ran out.

    Args:
        size: items in a pass at most.
        failures: how often the work has died for want of memory before; each halves the size.
    """

    def __init__(self, size: int, failures: int = 0) -> None:
        self.full = size
        self.size = max(1, size >> failures)

    def over(
        self, items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Found]]
    ) -> Iterator[tuple[int, Sequence[Found]]]:
        """What `work` finds of every item, pass after pass, with the size of the pass.

        A pass that runs out of memory is done in halves, and later ones begin with the size that worked.

        Raises:
            Exception: what `work` raised: no want of memory, or one with a single item.
        """
        done = 0
        while done < len(items):
            part = items[done : done + self.size]
            try:
                found = work(part)
            except Interrupted:
                raise
            except Exception as error:
                if len(part) == 1 or not out_of_memory(error):
                    raise
            else:
                yield self.size, found
                done += len(part)
                continue
            # Not within `except`, whose error holds the tensors of the pass.
            self.size = (len(part) + 1) // 2
            free()


def free() -> None:
    """Give back what nothing holds any more, of the machine and of its cards."""
    gc.collect()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _torch_errors() -> tuple[type[BaseException], ...]:
    torch: Any = sys.modules.get("torch")
    return () if torch is None else (torch.OutOfMemoryError,)
