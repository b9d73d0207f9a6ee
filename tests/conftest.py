"""Which tests this machine can run, said in one line at the end.

WARMGAP_REQUIRE=all runs everything; a missing tool is then an error instead of being left out.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter

import pytest

REQUIRE_ALL = os.environ.get("WARMGAP_REQUIRE") == "all"
TOOLS = {
    "browser": ("chromium", lambda: shutil.which("chromium") is not None),
    "slurm": ("slurmctld", lambda: shutil.which("slurmctld") is not None),
    "r": ("Rscript", lambda: shutil.which("Rscript") is not None),
}
_left_out: Counter[str] = Counter()


def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    kept, dropped = [], []
    for item in items:
        reason = _why_not(item)
        if reason is None:
            kept.append(item)
        else:
            dropped.append(item)
            _left_out[reason] += 1
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def _why_not(item: pytest.Item) -> str | None:
    if REQUIRE_ALL:
        return None
    if item.get_closest_marker("slow"):
        return "slow (WARMGAP_REQUIRE=all runs them)"
    for marker, (tool, present) in TOOLS.items():
        if item.get_closest_marker(marker) and not present():
            return f"{marker} (needs {tool})"
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    what = ", ".join(f"{n} {reason}" for reason, n in sorted(_left_out.items()))
    terminalreporter.write_line(f"left out: {what or 'nothing'}")
