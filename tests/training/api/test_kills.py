"""Killed before or after any request, started again: one upload, one job, the same results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import polars as pl
import pytest

STORY = ("queued", "running", "succeeded")


@pytest.fixture
def ended(loopback, loopback_module, gpt_4o, config, rows, tmp_path):
    """Runs accounts, given by name with their settings, to their ends."""

    def run(accounts):
        made = {n: loopback.account(n, story=STORY, **settings) for n, settings in accounts.items()}
        request = {
            "model": asdict(gpt_4o),
            "config": asdict(config),
            "rows": rows,
            "folder": str(tmp_path),
            "address": loopback.address("ACCOUNT", 0).replace("/0/", "/PID/"),
            "accounts": list(made),
        }
        (tmp_path / "request.json").write_text(json.dumps(request))
        driver = Path(__file__).with_name("forked_clients.py")
        environment = {"PYTHONPATH": os.pathsep.join(sys.path), "OPENAI_API_KEY": loopback_module.KEY}
        done = subprocess.run(
            [sys.executable, str(driver), str(tmp_path / "request.json")],
            env=os.environ | environment | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
        return made, json.loads(done.stdout)

    return run


def results(folder):
    out = folder / "out"
    return json.loads((out / "model.json").read_text()), pl.read_parquet(out / "curve.parquet").rows()


def test_killed_at_any_request_it_makes_nothing_twice(ended, tmp_path):
    made, codes = ended({"whole": {}})
    n = len(made["whole"].log)
    assert n >= 12
    assert codes == {"whole": [0]}
    assert made["whole"].count("POST", "files") == made["whole"].count("POST", "jobs") == 1
    accounts = {
        f"{when}-{i}": {"faults": {i: f"kill {when}"}, "lag": 2 if when == "after" else 0}
        for i in range(1, n + 1)
        for when in ("before", "after")
    }
    # Killed again and again: at each third request.
    accounts["often"] = {"faults": dict.fromkeys((3, 6, 9, 12), "kill after")}
    made, codes = ended(accounts)
    assert {name: c for name, c in codes.items() if name != "often"} == {
        name: [-9, 0] for name in accounts if name != "often"
    }
    assert codes["often"] == [-9, -9, -9, -9, 0]
    assert {(len(a.files), len(a.jobs)) for a in made.values()} == {(1, 1)}
    expected = results(tmp_path / "whole")
    assert [name for name in accounts if results(tmp_path / name) != expected] == []
