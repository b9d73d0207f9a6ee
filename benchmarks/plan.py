"""Planning and the store at scale: 1,800 cells by commas, 600,000 answers, 10,000 artifacts.

The 1,800 cells are 25 arms in 72 conditions; the untouched models answer twice, which makes 2,160. Models
and artifacts are made. Every case is a process of its own, so that its start and its own memory count.

Use: python benchmarks/plan.py
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROUNDS = 3
N_ARTIFACTS = 10_000
_HERE = Path(__file__).parent
_COMMAND = "from warmgap.app import main; main()"


def main() -> None:
    """Make settings and a store, time each case, and keep what it took."""
    import plan_store as made

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = {"shared": (5, made.METHODS, 278), "own": (1, made.METHODS, 1389)}
        for size, (_, _, n_questions) in sizes.items():
            made.write_settings(folder / size, n_questions)
        conf = folder / "shared"
        cells = made.overrides(5, made.METHODS, made_tasks=False)
        found["plan_of_1800_cells"] = _timed(conf, cells, folder / "empty", "stage=plan")
        for size, (n_models, methods, _) in sizes.items():
            sweep = made.overrides(n_models, methods, made_tasks=True)
            found[f"plan_of_600000_answers_{size}"] = _timed(
                folder / size, sweep, folder / "empty", "stage=plan"
            )
        arguments = [*made.overrides(5, made.METHODS, made_tasks=True), "name=made"]
        started = time.perf_counter()
        command = [sys.executable, __file__, "fill", str(conf), str(folder / "full")]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found["making_the_store_s"] = round(time.perf_counter() - started, 1)
        found |= json.loads(out)
        root = folder / "full"
        found["finished_sweep_first_look"] = _timed(conf, arguments, root, rounds=1)
        found["finished_sweep_again"] = _timed(conf, arguments, root)
        command = [sys.executable, __file__, "observations", str(conf), str(root)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found["observations"] = json.loads(out)
        found["gc_listing"] = _process(["-m", "warmgap.gc", "--root", str(root), "--min-age", "0"], 2)
    from timing import write  # last: torch's memory would count for every process started from here

    write("plan", found)


def _timed(conf: Path, arguments: list[str], root: Path, *more: str, rounds: int = ROUNDS) -> dict[str, Any]:
    command = ["-c", _COMMAND, "--config-dir", str(conf), *arguments, f"store.root={root}", *more]
    return _process(command, rounds)


def _process(command: list[str], rounds: int) -> dict[str, Any]:
    """Median and range of a command's wall time, and its peak memory."""
    walls, peaks, cpus = [], [], []
    for _ in range(rounds):
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=_HERE
        )
        _, status, used = os.wait4(process.pid, 0)
        walls.append(time.perf_counter() - started)
        peaks.append(used.ru_maxrss / 1e3)
        cpus.append(used.ru_utime + used.ru_stime)
        if status:
            assert process.stderr is not None
            raise SystemExit(process.stderr.read().decode())
    walls.sort()
    return {
        "median_s": round(walls[len(walls) // 2], 2),
        "low_s": round(walls[0], 2),
        "high_s": round(walls[-1], 2),
        "cpu_s": round(min(cpus), 2),
        "peak_megabytes": round(max(peaks)),
    }


def fill(conf: Path, root: Path) -> dict[str, int]:
    """Make the store; in a process of its own, whose memory no later one inherits."""
    import plan_store as made

    plan = made.planned(conf, [*made.overrides(5, made.METHODS, made_tasks=True), "name=made"])
    n_unused = max(0, N_ARTIFACTS - len(plan.nodes))
    made.fill(plan, root, n_unused)
    answers = sum(plan.nodes[k].units for k in {c.respond_key for c in plan.analyse.cells})
    return {"artifacts": len(plan.nodes) + n_unused, "answers": answers}


def observations(conf: Path, root: Path) -> dict[str, Any]:
    """The table of all observations of the made sweep; compiling and start-up are not counted."""
    import plan_store as made

    from warmgap.observations import observations as table
    from warmgap.store import Store

    plan = made.planned(conf, [*made.overrides(5, made.METHODS, made_tasks=True), "name=made"])
    started, cpu = time.perf_counter(), time.process_time()
    rows = table(plan.analyse, Store(root))
    return {
        "rows": rows.height,
        "wall_s": round(time.perf_counter() - started, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["observations"]:
        print(json.dumps(observations(Path(sys.argv[2]), Path(sys.argv[3]))))
    elif sys.argv[1:2] == ["fill"]:
        print(json.dumps(fill(Path(sys.argv[2]), Path(sys.argv[3]))))
    else:
        main()
