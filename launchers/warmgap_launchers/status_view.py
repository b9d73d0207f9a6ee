"""A sweep's status as lines of 80 columns, printed once or redrawn in a terminal until it has ended."""

from __future__ import annotations

import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable

from warmgap.runs import Run
from warmgap.status import LOST, NodeStatus, StageStatus, Status, last_lines

_WIDTH = 80
_MOST = 8
"""Jobs that are listed of each kind; the others are counted."""
_REDRAW_S = 2.0
_QUIET_LOOKS = 3
"""Between two jobs nothing may run for a moment: ended is what stood still so often."""


def show(read: Callable[[], Status], command: str) -> None:
    """Print the status once, or in a terminal again and again until the sweep has ended or Ctrl-C."""
    if sys.stdout.isatty():
        _follow(read, command)
    else:
        print("\n".join(status_lines(read(), command)))


def status_lines(status: Status, command: str) -> list[str]:
    """The status in at most 80 columns, but for paths and commands, which stand whole.

    Args:
        status: of the sweep.
        command: the command line that makes it, without its stage.
    """
    done = len(status.of("done"))
    lines = [
        _line(f"Sweep {status.name}  (plan {status.plan_key[:8]}): {done} of {len(status.nodes)} jobs done"),
        "",
        f"{'stage':8}{'jobs':>12}{'units':>15}{'rate':>8}{'left':>8}"
        f"{'run':>5}{'wait':>6}{'fail':>5}{'block':>6}{'lost':>5}",
    ]
    lines += [_stage(stage) for stage in status.stages]
    lines += _running(status.of("running"))
    lines += _failed(status.of("failed"))
    lines += _lost(status.of("lost"))
    lines += _blocked(status)
    return [*lines, "", *_advice(status, command)]


def _stage(stage: StageStatus) -> str:
    n = stage.jobs
    jobs, units = f"{n.get('done', 0)}/{sum(n.values())}", f"{int(stage.units_done)}/{stage.units}"
    rate = f"{stage.units_per_s:.3g}/s" if stage.units_per_s and stage.left_s != 0 else ""
    counts = [str(n[s]) if n.get(s) else "" for s in ("running", "waiting", "failed", "blocked", "lost")]
    return (
        f"{stage.stage:8}{jobs:>12}{units:>15}{rate:>8}{_duration(stage.left_s):>8}"
        f"{counts[0]:>5}{counts[1]:>6}{counts[2]:>5}{counts[3]:>6}{counts[4]:>5}"
    ).rstrip()


def _running(nodes: list[NodeStatus]) -> list[str]:
    lines = ["", "Running"] if nodes else []
    for node in nodes[:_MOST]:
        rate = node.run.units_per_s if node.run else 0.0
        lines.append(
            f"  {_cut(f'{node.stage} of {node.label}', 40):40} {_cut(_where(node.run), 18):>18}"
            f"{f'{rate:.3g}/s' if rate else '':>9}{_duration(node.left_s):>9}".rstrip()
        )
        if node.run and node.run.text:
            lines.append(_line(f"    {node.run.text}"))
    return lines + _more(nodes)


def _failed(nodes: list[NodeStatus]) -> list[str]:
    lines = ["", "Failed"] if nodes else []
    for node in nodes[:_MOST]:
        run = node.run
        assert run is not None
        lines.append(_line(f"  {node.stage} of {node.label}: {run.kind or 'fault'}"))
        words = [w for line in last_lines(run.text) for w in textwrap.wrap(_plain(line), _WIDTH - 4)]
        lines += [f"    {w}" for w in words[-4:]]
        lines += [f"    log: {run.log}"] if run.log else []
    return lines + _more(nodes)


def _lost(nodes: list[NodeStatus]) -> list[str]:
    lines = ["", f"Lost ({LOST})"] if nodes else []
    for node in nodes[:_MOST]:
        lines.append(
            f"  {_cut(f'{node.stage} of {node.label}', 57):57} {_cut(_where(node.run), 20):>20}".rstrip()
        )
        lines += [f"    log: {node.run.log}"] if node.run and node.run.log else []
    return lines + _more(nodes)


def _blocked(status: Status) -> list[str]:
    by = Counter(key for n in status.of("blocked") if n.run for key in n.run.blocked_by)
    lines = ["", "Blocked"] if by else []
    for key, n in by.most_common(_MOST):
        lines.append(_line(f"  {n} by {status.labels.get(key, key[:12])}"))
    return lines


def _advice(status: Status, command: str) -> list[str]:
    if len(status.of("done")) == len(status.nodes):
        return ["Everything is done."]
    lines = []
    if stopped := [n for n in status.nodes if n.state == "waiting" and n.run and n.run.kind == "interrupted"]:
        lines.append(f"{len(stopped)} told to end before they were done; what they finished is kept.")
    if status.of("failed", "lost"):
        lines.append(f"To make what failed, and what waits for it: {command} stage=retry")
    if status.is_under_way:
        lines.append(f"To end it: {command} stage=cancel")
    else:
        lines.append(f"Nothing is running. To go on with all that is missing: {command}")
    return lines


def _more(nodes: list[NodeStatus]) -> list[str]:
    return [f"  and {len(nodes) - _MOST} more"] if len(nodes) > _MOST else []


def _where(run: Run | None) -> str:
    if run is None:
        return ""
    return f"SLURM {run.slurm_job}" if run.slurm_job else f"{run.host}:{run.pid}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    if seconds <= 0:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _plain(text: str) -> str:
    """Without what would steer a terminal: errors may quote what a model wrote."""
    return "".join(c if c.isprintable() else " " for c in text)


def _cut(text: str, width: int) -> str:
    text = _plain(text)
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _line(text: str) -> str:
    return _cut(text, _WIDTH)


def _follow(read: Callable[[], Status], command: str) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    def drawn(status: Status) -> Text:
        return Text("\n".join(status_lines(status, command)))

    status = read()
    quiet = 0
    with Live(drawn(status), console=Console(highlight=False), auto_refresh=False) as live:
        try:
            while quiet < _QUIET_LOOKS and status.of("waiting", "running"):
                quiet = 0 if status.is_under_way else quiet + 1
                if quiet == _QUIET_LOOKS:
                    break
                time.sleep(_REDRAW_S)
                status = read()
                live.update(drawn(status), refresh=True)
        except KeyboardInterrupt:
            pass
