"""Mirrors of a sweep, made from its finished artifacts by a process of its own (docs/tracking.md).

The tables in `outputs/sweeps/<name>` are the truth. A mirror reads the store, is never waited for longer than
a bound, and changes nothing.
"""

from __future__ import annotations

from .index import write_index as write_index
from .process import begin as begin
from .process import mirror_published as mirror_published
