"""A training killed anywhere, also inside the writing of a file, ends in the same weights to the bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import polars as pl
import pytest

N_POINTS = 24
KILL, TERM, USR2 = signal.SIGKILL, signal.SIGTERM, signal.SIGUSR2


def stories(seed=0):
    """One kill in each of 24 equal parts of the run, signals mixed, and four runs with three kills each."""
    chance = random.Random(seed)
    numbers = [KILL, TERM] * (N_POINTS // 2)
    chance.shuffle(numbers)
    single = [[(int(s), (i + chance.random()) / N_POINTS * 0.98)] for i, s in enumerate(numbers)]
    thrice = [
        [(int(chance.choice((KILL, TERM, USR2))), chance.uniform(0.1, 0.4)) for _ in range(3)]
        for _ in range(4)
    ]
    return single + thrice


@pytest.fixture
def ended(tiny, config, rows, tmp_path):
    config.precision, config.save_every_steps = "fp32", 2
    config.checkpoints = [0.25, 0.5, 1.0]
    request = {
        "model": asdict(tiny),
        "config": asdict(config),
        "rows": rows,
        "folder": str(tmp_path),
        "stories": stories(),
    }
    (tmp_path / "request.json").write_text(json.dumps(request))
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("forked_trainings.py")),
            str(tmp_path / "request.json"),
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def results(out):
    adapters = {p.parent.name: p.read_bytes() for p in out.rglob("adapter_model.safetensors")}
    return adapters, pl.read_parquet(out / "curve.parquet").drop("wall_s").rows()


def test_killed_anywhere_it_ends_in_the_same_weights(ended, tmp_path):
    whole, *killed = ended
    assert whole == [0]
    assert len(killed) == N_POINTS + 4
    first = Counter(codes[0] for codes in killed[:N_POINTS])
    # A signal before or after the steps, when there is nothing to save, ends the process as usual.
    assert set(first) <= {-KILL, -TERM, 128 + TERM}
    assert first[-KILL] == N_POINTS // 2
    assert first[128 + TERM] >= N_POINTS // 4
    assert all(codes[-1] == 0 for codes in killed)
    expected = results(tmp_path / "whole" / "out")
    assert sorted(expected[0]) == ["checkpoint-2", "checkpoint-4", "checkpoint-8"]
    assert [i for i in range(len(killed)) if results(tmp_path / str(i) / "out") != expected] == []
