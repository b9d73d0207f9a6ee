"""Progress of a plan: a bar per stage in a terminal, a line now and then without one."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from warmgap.plan import Node, count_by_stage

_LINE_EVERY_S = 15.0
_UNITS = {
    "corpus": "files",
    "train": "steps",
    "measure": "texts",
    "respond": "answers",
    "judge": "verdicts",
    "analyse": "cells",
    "report": "pages",
}


class PlanProgress:
    """Counts units done per stage. Use as a context manager."""

    def __init__(self, nodes: Mapping[str, Node], console: Console | None = None) -> None:
        self._nodes = nodes
        self._console = console or Console(stderr=True)
        self._totals = {s: units for s, (_, units) in count_by_stage(nodes).items()}
        self._done = dict.fromkeys(self._totals, 0)
        self._seen: dict[str, int] = {}
        self._first: dict[str, float] = {}
        self._started = self._last = time.monotonic()
        self._live = self._console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description:8}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._live,
        )
        self._ids: dict[str, TaskID] = {}

    def __enter__(self) -> PlanProgress:
        self._bars.start()
        for stage, total in self._totals.items():
            self._ids[stage] = self._bars.add_task(
                stage, total=total, unit=_UNITS[stage], rate="", start=False
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
        if not self._live and self._totals:
            self._print_line()

    def update(self, key: str, done: int, total: int, text: str) -> None:
        """A job reports how many of its rows are done."""
        node = self._nodes[key]
        units = round(node.units * done / max(total, 1))
        stage = node.job.stage
        if stage not in self._first:
            self._first[stage] = time.monotonic()
            self._bars.start_task(self._ids[stage])
        self._done[stage] += units - self._seen.get(key, 0)
        self._seen[key] = units
        rate = self._done[stage] / max(time.monotonic() - self._first[stage], 1e-3)
        shown = text or f"{rate:.1f}/s"
        self._bars.update(self._ids[stage], completed=self._done[stage], rate=shown)
        if not self._live and time.monotonic() - self._last > _LINE_EVERY_S:
            self._print_line()

    def finish(self, key: str) -> None:
        """A job is done."""
        self.update(key, 1, 1, "")

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        if self._live:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def _print_line(self) -> None:
        self._last = time.monotonic()
        parts = [
            f"{s} {self._done[s]}/{t}{self._left(s)}" for s, t in self._totals.items() if self._done[s] or t
        ]
        minutes = (self._last - self._started) / 60
        print(f"[{minutes:5.1f} min] {', '.join(parts)}", file=sys.stderr, flush=True)

    def _left(self, stage: str) -> str:
        done, total = self._done[stage], self._totals[stage]
        if not done or done == total:
            return ""
        seconds = (time.monotonic() - self._first[stage]) / done * (total - done)
        return (
            f" ({done / max(time.monotonic() - self._first[stage], 1e-3):.1f}/s, {seconds / 60:.1f} min left)"
        )
