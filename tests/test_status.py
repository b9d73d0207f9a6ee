from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from warmgap.errors import UserError
from warmgap.runs import Run, Runs
from warmgap.status import last_lines, read_status

HOST = socket.gethostname()
JOBS = [
    *(("corpus", "c", 1), ("train", "t1", 10), ("train", "t2", 10)),
    *(("respond", "r1", 40), ("respond", "r2", 40), ("respond", "r3", 40), ("report", "p", 1)),
]


@pytest.fixture
def root(tmp_path):
    """A sweep of seven jobs, of which one is done."""
    folder = tmp_path / "sweeps" / "s"
    folder.mkdir(parents=True)
    jobs = [{"stage": s, "key": k, "label": f"label {k}", "units": u} for s, k, u in JOBS]
    (folder / "plan.json").write_text(json.dumps({"name": "s", "key": "f" * 64, "summary": {}, "jobs": jobs}))
    finish(tmp_path, "corpus", "c")
    return tmp_path


def finish(root, stage, key, **facts):
    folder = root / "store" / stage / key
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(facts))


def record(root, key, state, age_s=0.0, **facts):
    stage = next(s for s, k, _ in JOBS if k == key)
    runs = Runs(root)
    runs.write(Run(key, stage, f"label {key}", state, ("s",), **facts))
    at = time.time() - age_s
    os.utime(runs.folder / f"{key}.json", (at, at))


def states(root, ask=lambda _: None):
    return {n.key: n.state for n in read_status(root, "s", ask).nodes}


def test_without_records_everything_waits_that_is_not_there(root):
    assert states(root) == {k: "done" if k == "c" else "waiting" for _, k, _ in JOBS}
    status = read_status(root, "s")
    assert not status.is_under_way
    assert [(s.stage, dict(s.jobs)) for s in status.stages] == [
        ("corpus", {"done": 1}),
        ("train", {"waiting": 2}),
        ("respond", {"waiting": 3}),
        ("report", {"waiting": 1}),
    ]


def test_failed_blocked_and_told_to_end(root):
    record(root, "t1", "failed", kind="fault", text="a\nb\n", log="x.txt")
    record(root, "r1", "blocked", blocked_by=("t1",))
    record(root, "t2", "failed", kind="interrupted")
    assert states(root) == dict.fromkeys(("t2", "r2", "r3", "p"), "waiting") | {
        "c": "done",
        "t1": "failed",
        "r1": "blocked",
    }


def test_what_is_blocked_waits_once_its_input_is_made_again_or_there(root):
    record(root, "r1", "blocked", blocked_by=("t1",))
    assert states(root)["r1"] == "blocked"
    record(root, "t1", "queued", host=HOST, pid=os.getpid(), started_at=4e9)
    assert states(root)["r1"] == "waiting"
    Runs(root).remove("t1")
    finish(root, "train", "t1")
    assert states(root)["r1"] == "waiting"


def test_an_artifact_goes_before_any_record(root):
    record(root, "c", "failed", kind="fault")
    assert states(root)["c"] == "done"


@pytest.fixture
def ended_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_running_record_counts_while_its_process_lives_or_it_is_young(root, ended_pid):
    record(root, "t1", "running", age_s=500, host=HOST, pid=os.getpid(), started_at=4e9)
    record(root, "t2", "running", age_s=500, host=HOST, pid=ended_pid, started_at=4e9)
    record(
        root, "r1", "running", age_s=500, host=HOST, pid=os.getpid(), started_at=1e9
    )  # a number used again
    record(root, "r2", "running", age_s=5, host="elsewhere", pid=1)
    record(root, "r3", "running", age_s=500, host="elsewhere", pid=1)
    found = states(root)
    assert [found[k] for k in ("t1", "t2", "r1", "r2", "r3")] == [
        "running",
        "lost",
        "lost",
        "running",
        "lost",
    ]


def test_slurm_says_what_lives(root):
    record(root, "t1", "running", age_s=500, slurm_job="7")
    record(root, "t2", "running", age_s=500, slurm_job="8_1")
    record(root, "r1", "running", age_s=5, slurm_job="9")
    record(root, "r2", "queued", age_s=500, slurm_job="10_4")
    record(root, "r3", "queued", age_s=500, slurm_job="10_5")
    asked = []

    def ask(ids):
        asked.append(list(ids))
        return {"7": ("RUNNING", "None"), "8_1": ("PENDING", "BeginTime"), "10_4": ("PENDING", "Priority")}

    found = states(root, ask)
    assert asked == [["10_4", "10_5", "7", "8_1", "9"]]
    assert [found[k] for k in ("t1", "t2", "r1", "r2", "r3")] == [
        *("running", "waiting", "running", "waiting", "lost")
    ]
    assert read_status(root, "s", ask).is_under_way


def test_rates_and_time_left(root):
    now = {"host": HOST, "pid": os.getpid(), "started_at": 4e9}
    record(root, "r1", "running", done=2, total=4, units_per_s=2.0, **now)
    record(root, "r2", "running", done=1, total=4, units_per_s=3.0, **now)
    finish(root, "train", "t1", counts={"steps": 10}, wall_s=20.0)
    status = read_status(root, "s")
    stages = {s.stage: s for s in status.stages}
    respond = stages["respond"]
    assert respond.units_done == 20 + 10
    assert respond.units_per_s == 5.0
    assert respond.left_s == pytest.approx((120 - 30) / 5)
    assert next(n for n in status.nodes if n.key == "r1").left_s == pytest.approx(20 / 2)
    # No training runs: the measured half step a second of one process, for the two at most that run here.
    assert stages["train"].left_s == pytest.approx(10 / (0.5 * 2))
    assert stages["report"].left_s is None


def test_a_sweep_that_is_not_there_is_named(root):
    with pytest.raises(UserError, match="there is no sweep 'x'"):
        read_status(root, "x")
    (root / "sweeps" / "s" / "plan.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        read_status(root, "s")


def test_the_last_lines_of_a_text():
    assert last_lines("a\n\nb\nc  \nd\n\n") == ["b", "c", "d"]


def test_nothing_heavy_is_imported():
    heavy = ("torch", "polars", "hydra", "numpy", "rich")
    code = f"import sys, warmgap.status; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
