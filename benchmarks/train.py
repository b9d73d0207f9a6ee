"""LoRA training against TRL's SFTTrainer: tokens/s, peak memory, loss; bf16 base, one thread.

Usage: python train.py [speed | long | loss]. `speed`, the default and what `make bench` runs, trains the
embedded corpus; `long` the same in rows of about 400 tokens; `loss` compares twelve steps over three
seeds, which takes a quarter of an hour. Each training has a fresh process (train_side.py), in turn with
the others. TRL runs as it comes, with gradient checkpointing, and without, which is faster there; warmgap
likewise. Rates count real tokens, not padding, in wall and in processor seconds, which other work on the
machine disturbs less.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from timing import alternate, matmul_gflop_per_s, summary, write

SIDES = {
    "trl": {"side": "trl", "checkpointing": False},
    "trl_checkpointing": {"side": "trl", "checkpointing": True},
    "warmgap": {"side": "warmgap", "checkpointing": False},
    "warmgap_checkpointing": {"side": "warmgap", "checkpointing": True},
}


def main() -> None:
    """Measure what the first argument says and store the result."""
    torch.set_num_threads(1)
    what = sys.argv[1] if len(sys.argv) > 1 else "speed"
    if what == "speed":
        write("train", speed(rounds=2, steps=3, join=1))
    elif what == "long":
        write("train_long", speed(rounds=1, steps=2, join=9))
    elif what == "loss":
        write("train_loss", losses(seeds=3, steps=12))
    else:
        sys.exit(f"'{what}' is not one of: speed, long, loss")


def speed(rounds: int, steps: int, join: int) -> dict[str, Any]:
    """Rates, peaks and the share of the machine's limit."""
    common = {"join": join, "steps": steps, "seed": 0}
    facts = run({"side": "loaded", "checkpointing": False, **common})
    tokens = facts["tokens"]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in SIDES}

    def case(name: str) -> float:
        runs[name].append(run({**SIDES[name], **common}))
        return float(tokens / runs[name][-1]["wall_s"])

    rates = alternate({name: lambda name=name: case(name) for name in SIDES}, rounds)
    cpu_rates = {name: [tokens / r["cpu_s"] for r in found] for name, found in runs.items()}
    limit = matmul_gflop_per_s(torch.bfloat16)
    resident = facts["resident_gb"]
    return {
        "unit": "tokens per second",
        "tokens": tokens,
        "longest_row_tokens": facts["longest"],
        "cases": summary(rates, "trl"),
        "cases_per_processor_second": summary(cpu_rates, "trl"),
        "loaded_model_gb": resident,
        "loading_peak_gb": facts["peak_gb"],
        # Of the whole process, loading included; and from the end of the first step on.
        "peak_gb": _peaks(runs, "peak_gb", 0.0),
        "peak_in_steps_gb": _peaks(runs, "peak_in_steps_gb", 0.0),
        "peak_in_steps_above_loaded_gb": _peaks(runs, "peak_in_steps_gb", resident),
        "matmul_limit_gflop_per_s": limit,
        "needed_gflop_per_token": facts["flop_needed"] / tokens / 1e9,
        "share_of_limit": {
            name: statistics.median(found) * facts["flop_needed"] / tokens / 1e9 / limit
            for name, found in rates.items()
        },
        "losses": {name: found[0]["losses"] for name, found in runs.items()},
    }


def _peaks(runs: Mapping[str, list[dict[str, Any]]], key: str, less: float) -> dict[str, float]:
    """Median of each case less a constant, and as a share of TRL's with the same checkpointing."""
    peaks = {name: statistics.median(r[key] for r in found) - less for name, found in runs.items()}
    shares = {
        f"{name}_share_of_trl": peaks[name] / peaks[name.replace("warmgap", "trl")]
        for name in peaks
        if name.startswith("warmgap")
    }
    return peaks | shares


def losses(seeds: int, steps: int, last: int = 4) -> dict[str, Any]:
    """Mean loss of the last steps on both sides, paired by seed: same rows in the same order.

    First adapters and dropout masks are drawn by each side in its own way.
    """
    found: dict[str, list[list[float]]] = {"trl": [], "warmgap": []}
    for seed in range(seeds):
        for name, curves in found.items():
            common = {"join": 1, "steps": steps, "seed": seed}
            curves.append(run({**SIDES[name], **common})["losses"])
    ends = {name: [statistics.mean(c[-last:]) for c in curves] for name, curves in found.items()}
    differences = [a - b for a, b in zip(ends["warmgap"], ends["trl"], strict=True)]
    return {
        "unit": "nats per reply token",
        "steps": steps,
        "curves": found,
        "mean_of_last_steps": ends,
        "difference": statistics.mean(differences),
        "difference_standard_error": statistics.stdev(differences) / math.sqrt(seeds),
        "spread_over_seeds": {name: statistics.stdev(values) for name, values in ends.items()},
    }


def run(request: Mapping[str, Any]) -> dict[str, Any]:
    """One training in a fresh process."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("train_side.py")), json.dumps(request)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{request} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
