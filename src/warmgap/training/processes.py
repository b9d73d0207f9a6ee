"""The processes of a training on several devices, seen from the one that starts and watches them."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import torch
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from warmgap.errors import Interrupted, UserError

from .interrupt import SIGNALS, Interruption

_WAIT_S = 0.2
# Time for the others to end by themselves, with their own words, once one has ended badly.
_GRACE_S = 5.0
_GOOD = (0, *(128 + number for number in SIGNALS))
_TAIL_LINES = 20
_HOST = "127.0.0.1"

Inbox = queue.Queue[dict[str, Any] | None]
"""Messages of all processes; None when one has ended."""


def run_ranks(
    request: Mapping[str, Any], n: int, partial: Path, progress: Callable[[int, int, str], None]
) -> dict[str, Any]:
    """Runs `warmgap.training.ranks` in `n` processes on this machine and returns what the first one sends.

    SIGTERM and SIGUSR2 are passed on to all of them. None of them outlives this call, or this process.

    Args:
        request: what to train, as JSON; it is kept in a folder that only this user can read.
        n: processes.
        partial: where that folder and the processes' messages to the screen lie meanwhile.
        progress: called with each step that the first process reports.

    Raises:
        UserError: a process refused the request.
        Interrupted: a signal came.
        RuntimeError: a process ended otherwise, with its last lines.
    """
    partial.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        interruption = stack.enter_context(Interruption())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=partial, prefix=".ranks-")))
        (folder / "request.json").write_text(json.dumps(request))
        # Served from here, on a port that the system has chosen, so that none can be taken in between.
        store = TCPStore(_HOST, 0, is_master=True, wait_for_workers=False)
        inbox: Inbox = queue.Queue()
        processes = []
        for rank in range(n):
            screen = stack.enter_context((folder / f"screen-{rank}").open("wb"))
            process = _start(folder / "request.json", rank, n, store.port, screen)
            listener = threading.Thread(target=_listen, args=(process, inbox), daemon=True)
            listener.start()
            stack.callback(_end, process, listener)
            processes.append(process)
        return _follow(processes, inbox, folder, progress, interruption)


def _start(request: Path, rank: int, n: int, port: int, screen: IO[bytes]) -> subprocess.Popen[bytes]:
    variables = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "GROUP_RANK": 0,
        "WORLD_SIZE": n,
        "MASTER_ADDR": _HOST,
        "MASTER_PORT": port,
        "TORCHELASTIC_USE_AGENT_STORE": True,
        "OMP_NUM_THREADS": max(1, torch.get_num_threads() // n),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "warmgap.training.ranks", str(request)],
        env=os.environ | {name: str(value) for name, value in variables.items()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=screen,
    )


def _end(process: subprocess.Popen[bytes], listener: threading.Thread) -> None:
    process.kill()
    process.wait()
    listener.join()
    with process:  # closes the pipes
        pass


def _listen(process: subprocess.Popen[bytes], inbox: Inbox) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.endswith(b"\n"):  # a process that was killed may have written half a line
            inbox.put(json.loads(line))
    inbox.put(None)


def _follow(
    processes: list[subprocess.Popen[bytes]],
    inbox: Inbox,
    folder: Path,
    progress: Callable[[int, int, str], None],
    interruption: Interruption,
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    running, passed_on, last = len(processes), False, float("inf")
    bad: list[tuple[int, int]] = []
    while running:
        try:
            message = inbox.get(timeout=_WAIT_S)
        except queue.Empty:
            pass
        else:
            if message is None:
                running -= 1
            elif "progress" in message:
                progress(*message["progress"])
            else:
                found |= message
        if interruption.signal is not None and not passed_on:
            for process in processes:
                process.send_signal(interruption.signal)
            passed_on = True
        if not bad:
            bad = [
                (code, rank)
                for rank, code in enumerate(p.poll() or 0 for p in processes)
                if code not in _GOOD
            ]
            last = time.monotonic() + _GRACE_S if bad else last
        if time.monotonic() > last:
            for process in processes:
                process.kill()
    if "interrupted" in found:
        raise Interrupted(*found["interrupted"])
    if "refused" in found:
        raise UserError(found["refused"])
    bad = bad or [(code, rank) for rank, code in enumerate(p.wait() for p in processes) if code]
    if bad:
        interruption.obey("before all processes of the training had begun")
        code, rank = min(bad)  # one that a signal ended, before those that missed it
        raise RuntimeError(_obituary(code, rank, len(processes), folder))
    done: dict[str, Any] = found["done"]
    return done


def _obituary(code: int, rank: int, n: int, folder: Path) -> str:
    how = f"ended with code {code}"
    if code < 0:
        how = f"was ended by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL:
            how += ", as when memory runs out"
    lines = (folder / f"screen-{rank}").read_text(errors="replace").splitlines()[-_TAIL_LINES:]
    said = "\n".join(lines) or "nothing"
    return (
        f"process {rank} of the {n} of this training {how}. The last saved state is kept; the same command "
        f"goes on from it. The process' last lines:\n{said}"
    )
