"""The mirror costs a study at most 5 % of its time, also where the W&B server never answers.

The smallest study (experiment=tiny) from an empty store, in turn without a mirror and with one whose server
accepts connections and says nothing. Whatever of the mirror is left when the command has ended is killed, so
that it burdens no other case.

Use: python benchmarks/tracking.py [rounds]
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROUNDS = 3
_STUDY = "experiment=tiny"


def main() -> None:
    """Time both, and keep medians and the ratio of each round."""
    from timing import alternate, summary, write

    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    silent = socket.create_server(("127.0.0.1", 0), backlog=64)
    connections: list[socket.socket] = []
    threading.Thread(target=_accept, args=(silent, connections), daemon=True).start()
    address = f"http://127.0.0.1:{silent.getsockname()[1]}"
    cases = {
        "none": lambda: _seconds(address, "logger=none"),
        "wandb_silent_server": lambda: _seconds(address, "logger=wandb", "wandb.mode=online"),
    }
    _seconds(address, "logger=none")  # the model is converted once
    seconds = alternate(cases, rounds)
    found = summary(seconds, "none")
    write(
        "tracking",
        {
            "study": _STUDY,
            "unit": "seconds of the whole command",
            "rounds": rounds,
            "seconds": {name: [round(v, 2) for v in values] for name, values in seconds.items()},
            "connections_to_the_silent_server": len(connections),
            "load_1_min": round(os.getloadavg()[0], 1),
            **found,
        },
    )


def _accept(server: socket.socket, connections: list[socket.socket]) -> None:
    while True:
        connections.append(server.accept()[0])


def _seconds(address: str, *arguments: str) -> float:
    environ = {k: v for k, v in os.environ.items() if k != "WANDB_MODE"}
    environ |= {"WANDB_BASE_URL": address, "WANDB_API_KEY": "local-" + "0" * 40}
    code = "from warmgap.app import main; main()"
    with tempfile.TemporaryDirectory() as name:
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", code, _STUDY, f"store.root={name}", *arguments],
            env=environ,
            check=True,
            capture_output=True,
        )
        took_s = time.perf_counter() - started
        _kill_mirror(Path(name))
    return took_s


def _kill_mirror(root: Path) -> None:
    from warmgap.store import Store

    holder = Store(root).holder("mirror-tiny")
    if holder is not None:
        os.killpg(holder.pid, signal.SIGKILL)
        time.sleep(0.5)


if __name__ == "__main__":
    main()
