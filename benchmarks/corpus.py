"""A corpus of chat logs: conversations/s and peak memory against `json.load` of the same file.

The file has 20,000 made conversations with planted faults, of about 6 KB each as in ShareGPT. Each case
runs in a process of its own, so that its peak memory is its own.

Use: python benchmarks/corpus.py
"""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path

N = 20_000
FILLER_WORDS = 800
ROUNDS = 2
CASES = ("warmgap", "json")
_MADE = Path(__file__).parents[1] / "tests" / "corpora" / "conftest.py"


def main() -> None:
    """Make the file, run the cases in turn, and store what they took."""
    from timing import summary, write

    from warmgap.corpora.layouts import has_layout
    from warmgap.corpora.records import read

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "logs.json"
        runpy.run_path(str(_MADE))["write_logs"](path, N, filler_words=FILLER_WORDS)
        whole = Path(folder) / "whole.json"  # json.load refuses what is damaged or cut off
        whole.write_text(json.dumps([r.value for r in read(path, has_layout) if not r.fault]))
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in CASES}
        for number in range(ROUNDS):
            for name in CASES if number % 2 == 0 else reversed(CASES):
                command = [sys.executable, __file__, name, str(path if name == "warmgap" else whole)]
                out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                runs[name].append(json.loads(out))
        megabytes = path.stat().st_size / 1e6
    rates = {name: [N / run["cpu_s"] for run in of] for name, of in runs.items()}
    write(
        "corpus",
        {
            "conversations": N,
            "megabytes": megabytes,
            "conversations_per_cpu_s": summary(rates, "json"),
            "wall_s": {name: [run["wall_s"] for run in of] for name, of in runs.items()},
            "peak_megabytes": {name: max(run["peak_megabytes"] for run in of) for name, of in runs.items()},
        },
    )


def case(name: str, path: Path) -> dict[str, float]:
    """One run: the whole pipeline without a classifier, or reading the file whole and nothing else."""
    if name == "warmgap":
        from warmgap.corpora.chatlogs import build

        config = runpy.run_path(str(_MADE))["chat_corpus"](path, 1617, 1500)
    start, cpu = time.perf_counter(), time.process_time()
    if name == "warmgap":
        build(config, [path])
    else:
        with path.open(encoding="utf-8") as file:
            json.load(file)
    return {
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
        "peak_megabytes": _peak_megabytes(),
    }


def _peak_megabytes() -> float:
    """Of this process alone: what getrusage tells begins with the memory of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e3


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(case(sys.argv[1], Path(sys.argv[2]))))
    else:
        main()
