"""The stages status and cancel: they find a sweep by its name and its run records, and compile nothing."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.types import RunMode
from omegaconf import DictConfig

from warmgap.runs import Run, Runs, is_alive
from warmgap.status import SlurmJobs, read_status
from warmgap_launchers.asked import claimed_by, command_of

STAGES = ("status", "cancel")
_NAMING = ("experiment", "name", "store.root")
_END_S = 10.0


def watch(loader: ConfigLoader, config: DictConfig, arguments: Sequence[str]) -> int | None:
    """Run the stage status or cancel; the exit code, or None where another stage is asked for.

    Raises:
        UserError: there is no such sweep.
    """
    asked = [a.split("=", 1)[1] for a in arguments if a.startswith("stage=")]
    if not asked or asked[-1] not in STAGES:
        return None
    root, name = _sweep(loader, config, arguments)
    if asked[-1] == "cancel":
        _cancel(root, name)
    else:
        from warmgap_launchers.status_view import show

        # Hydra keeps its own overrides apart; without this one a retry would run on this machine.
        executor = [a for a in config.hydra.overrides.hydra if a.startswith("hydra/launcher=")]
        command = shlex.join(["warmgap", *executor, *(a for a in arguments if not a.startswith("stage="))])
        show(lambda: read_status(root, name, _living), command)
    return 0


def cancel_local(records: Iterable[Run], sweep: str) -> list[str]:
    """Tell the sweep's own processes on this machine to end with SIGTERM; returns what to tell."""
    # Who runs a job stands first among the sweeps that want it.
    ours = [r for r in records if r.sweeps[:1] == (sweep,) and not r.slurm_job and r.state == "running"]
    lines = []
    for (host, pid), run in {(r.host, r.pid): r for r in ours}.items():
        if host != socket.gethostname():
            lines.append(f"Process {pid} runs on {host}: give stage=cancel there.")
        elif is_alive(run):
            os.kill(pid, signal.SIGTERM)
            end = time.monotonic() + _END_S
            while is_alive(run) and time.monotonic() < end:
                time.sleep(0.1)
            now = "It still saves its state" if is_alive(run) else "It has ended"
            lines.append(f"Told process {pid} to end. {now}; what is done is kept.")
    return lines


def _cancel(root: Path, name: str) -> None:
    records = Runs(root).read().values()
    lines = cancel_local(records, name)
    if any(name in r.sweeps and r.slurm_job and r.state in ("queued", "running") for r in records):
        from warmgap.store import Store
        from warmgap_launchers.dependents import alone, cancel_sweep

        store = Store(root)
        with alone(store):
            lines += cancel_sweep(store, name)
    print("\n".join(lines) or f"Nothing of the sweep '{name}' is running.")


def _living(ids: Sequence[str]) -> SlurmJobs | None:
    """The SLURM jobs that live; None where SLURM is not to be asked from here."""
    from warmgap.errors import UserError
    from warmgap_launchers.slurm_queue import living

    try:
        return living(ids)
    except UserError:
        return None


def _sweep(loader: ConfigLoader, config: DictConfig, arguments: Sequence[str]) -> tuple[Path, str]:
    """Output folder and name of the sweep that a command line makes."""
    naming = [a for a in arguments if a.lstrip("+").split("=")[0] in _NAMING]
    base = loader.load_configuration(
        config_name=config.hydra.job.config_name, overrides=naming, run_mode=RunMode.RUN
    )
    root, name = Path(base.store.root), str(base.name)
    if not name:
        known = claimed_by(root, command_of(arguments))
        newest = sorted(known, key=lambda n: (root / "sweeps" / n / "plan.json").stat().st_mtime)
        name = newest[-1] if newest else ""
    if not name:
        from warmgap_launchers.request import Request

        name = Request(loader, config, arguments).plan().name
    return root, name
