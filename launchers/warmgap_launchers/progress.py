"""Progress of a plan: a bar per stage in a terminal, a line now and then without one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from warmgap.plan import Node, count_by_stage
from warmgap.show import UNITS

_LINE_EVERY_S = 15.0


class _Stage:
    """Units done of one stage, and for how long any of its jobs has been running."""

    def __init__(self, total: int, clock: Callable[[], float]) -> None:
        self.total, self.done = total, 0
        self._clock = clock
        self._running = 0
        self._since = self._active_s = 0.0

    def begin(self) -> None:
        if self._running == 0:
            self._since = self._clock()
        self._running += 1

    def end(self) -> None:
        self._running -= 1
        if self._running == 0:
            self._active_s += self._clock() - self._since

    def units_per_s(self) -> float | None:
        """None until something is done; waiting for other stages does not count."""
        active_s = self._active_s + (self._clock() - self._since if self._running else 0.0)
        return self.done / active_s if self.done and active_s > 0 else None

    def words(self) -> tuple[str, str]:
        """Rate and time left, empty where nothing is known yet or nothing is left."""
        rate = self.units_per_s()
        if rate is None:
            return "", ""
        left_s = (self.total - self.done) / rate
        left = f"{left_s:.0f} s left" if left_s < 90 else f"{left_s / 60:.0f} min left"
        return f"{rate:.3g}/s", left if left_s > 0 else ""


class PlanProgress:
    """Counts units done per stage. Use as a context manager."""

    def __init__(
        self,
        nodes: Mapping[str, Node],
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nodes = nodes
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._stages = {s: _Stage(units, clock) for s, (_, units) in count_by_stage(nodes).items()}
        self._seen: dict[str, int] = {}
        self._started = self._last = clock()
        self._live = self._console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description:8}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}", justify="right"),
            TextColumn("{task.fields[rate]}", justify="right"),
            TextColumn("{task.fields[left]}", justify="right"),
            console=self._console,
            disable=not self._live,
        )
        self._ids: dict[str, TaskID] = {}

    def __enter__(self) -> PlanProgress:
        self._bars.start()
        for name, stage in self._stages.items():
            self._ids[name] = self._bars.add_task(name, total=stage.total, unit=UNITS[name], rate="", left="")
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
        if not self._live and self._stages:
            self._print_line()

    def begin(self, key: str) -> None:
        """A job was given to a worker."""
        self._stages[self._nodes[key].job.stage].begin()

    def update(self, key: str, done: int, total: int, text: str) -> None:
        """A job reports how many of its rows are done, and perhaps a word on how it goes."""
        node = self._nodes[key]
        stage = self._stages[node.job.stage]
        units = round(node.units * done / max(total, 1))
        stage.done += units - self._seen.get(key, 0)
        self._seen[key] = units
        rate, left = stage.words()
        self._bars.update(
            self._ids[node.job.stage], completed=stage.done, rate=f"{text} {rate}".strip(), left=left
        )
        if not self._live and self._clock() - self._last > _LINE_EVERY_S:
            self._print_line()

    def finish(self, key: str) -> None:
        """A job is done."""
        self.end(key)
        self.update(key, 1, 1, "")

    def end(self, key: str) -> None:
        """A job is no longer running, done or not."""
        self._stages[self._nodes[key].job.stage].end()

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        if self._live:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def _print_line(self) -> None:
        self._last = self._clock()
        minutes = (self._last - self._started) / 60
        parts = []
        for name, stage in self._stages.items():
            known = ", ".join(w for w in stage.words() if w)
            parts.append(f"{name} {stage.done}/{stage.total}{f' ({known})' if known else ''}")
        print(f"[{minutes:5.1f} min] {'; '.join(parts)}", file=sys.stderr, flush=True)
