"""What a bundle writes down of its jobs when it is told to end, as far as that needs no SLURM."""

from __future__ import annotations

import json
import signal
from types import SimpleNamespace

import pytest

from warmgap import holders
from warmgap.runs import Run, Runs
from warmgap.status import read_status
from warmgap_launchers.bundle_run import _interrupted

AT_MOST = 2


@pytest.fixture(autouse=True)
def asked_anew():
    """What this process is called is asked once; the tests after these are no SLURM job."""
    holders._process.cache_clear()
    yield
    holders._process.cache_clear()


@pytest.mark.parametrize(
    ("restarts", "code", "state", "kind", "shown"),
    [(AT_MOST - 1, 140, "queued", "", "waiting"), (AT_MOST, 1, "failed", "time", "failed")],
)
def test_a_job_that_was_queued_again_too_often_has_failed(
    tmp_path, monkeypatch, restarts, code, state, kind, shown
):
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    monkeypatch.setenv("SLURM_JOB_ID", "3")
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    monkeypatch.setenv("SLURM_RESTART_COUNT", str(restarts))
    (tmp_path / "sweeps" / "s").mkdir(parents=True)
    job = {"stage": "train", "key": "t", "label": "a", "units": 10}
    (tmp_path / "sweeps" / "s" / "plan.json").write_text(json.dumps({"key": "f", "jobs": [job]}))
    runs = Runs(tmp_path)
    runs.write(Run("t", "train", "a", "failed", ("s",), slurm_job="3", log="3.out", kind="interrupted"))
    runs.write(Run("r", "respond", "a", "queued", ("s",), slurm_job="4"))
    (tmp_path / "sweeps" / "s" / "slurm" / "1").mkdir(parents=True)
    (tmp_path / "sweeps" / "s" / "slurm" / "1" / "inputs.json").write_text('{"r": ["t"]}')
    file = SimpleNamespace(
        root=str(tmp_path),
        sweep="s",
        bundle=SimpleNamespace(keys=("t",)),
        cluster={"max_requeues": AT_MOST},
        fail_fast=False,
    )
    for tool in ("scancel", "squeue"):
        (tmp_path / tool).write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/{tool}.said\n')
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _interrupted(file, signal.SIGUSR2) == code
    found = runs.get("t")
    assert (found.state, found.kind, found.log) == (state, kind, "3.out")
    (node,) = read_status(tmp_path, "s").nodes
    assert node.state == shown
    waits = runs.get("r")
    if state == "failed":
        assert (tmp_path / "scancel.said").read_text() == "--state=PENDING 4\n"
        assert (waits.state, waits.blocked_by) == ("blocked", ("t",))
    else:
        assert waits.state == "queued"
