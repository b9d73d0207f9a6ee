"""Alternating measurements, medians and spread; the machine's matmul rate; results as JSON."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch


def alternate(cases: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run each case once per round, in turn; a case returns its rate (units per second)."""
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds):
        order = list(cases) if number % 2 == 0 else list(reversed(cases))
        for name in order:
            rates[name].append(cases[name]())
    return rates


def summary(rates: Mapping[str, list[float]], baseline: str) -> dict[str, Any]:
    """Median, range and ratio to the baseline of each case; ratios are of rounds, then their median."""
    out: dict[str, Any] = {}
    for name, values in rates.items():
        ratios = [v / b for v, b in zip(values, rates[baseline], strict=True)]
        out[name] = {
            "median": statistics.median(values),
            "low": min(values),
            "high": max(values),
            f"ratio_to_{baseline}": statistics.median(ratios),
            "ratio_low": min(ratios),
            "ratio_high": max(ratios),
        }
    return out


def matmul_gflop_per_s(dtype: torch.dtype, size: int = 1536, seconds: float = 1.0) -> float:
    """The rate of a square matrix product on the threads in use: the machine's limit for this work."""
    a, b = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
    a @ b
    n, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        a @ b
        n += 1
    return 2 * size**3 * n / (time.perf_counter() - start) / 1e9


def write(name: str, result: Mapping[str, Any]) -> Path:
    """Store a result under the processor's name and print it."""
    device = _processor()
    path = Path(__file__).parent / "results" / device / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"device": device, "threads": torch.get_num_threads(), "torch": torch.__version__, **result}
    path.write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts, indent=1))
    return path


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return "-".join(line.split(":", 1)[1].split()).replace("/", "-")
    return platform.machine()
