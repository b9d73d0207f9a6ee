from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
DRILL = Path(__file__).resolve().parents[2] / "benchmarks" / "faults.py"


def test_the_fault_drill_in_small(undisturbed):
    """`undisturbed` only so that the model is converted once."""
    found = subprocess.run(
        [sys.executable, DRILL, "--kills", "10", "--questions", "3"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": undisturbed.paths, "OMP_NUM_THREADS": "1"},
        timeout=550,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "'kills': 10" in found.stdout
