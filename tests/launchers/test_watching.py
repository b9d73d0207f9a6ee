"""The stages status, cancel and retry, as a user gives them."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from probe_jobs import Probe, probes

from warmgap.plan import Plan
from warmgap.runs import Run, Runs
from warmgap.status import read_status
from warmgap.store import Store
from warmgap_launchers.asked import claimed_by, command_of, request_digest
from warmgap_launchers.book import Book
from warmgap_launchers.pool import run_nodes
from warmgap_launchers.retries import failed_before
from warmgap_launchers.status_view import status_lines
from warmgap_launchers.watching import cancel_local


def write_plan(root, name, nodes, request=""):
    folder = root / "sweeps" / name
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [{"stage": n.job.stage, "key": k, "label": n.label, "units": n.units} for k, n in nodes.items()]
    plan = {"name": name, "key": "0123456789", "request": request, "summary": {}, "jobs": jobs}
    (folder / "plan.json").write_text(json.dumps(plan))


FAILING = (Probe("a", "fail"), Probe("b", inputs={"x": "a"}), Probe("c"), Probe("d", "fail"))


@pytest.fixture
def failed(tmp_path):
    """A sweep that has ended with two failures."""
    nodes = probes(*FAILING)
    write_plan(tmp_path, "tiny", nodes)
    run_nodes(nodes, tmp_path, workers=1, sweep="tiny")
    return tmp_path


def test_status_names_failures_with_their_last_lines_logs_and_what_helps(failed, run_main):
    ended = run_main("experiment=tiny", "stage=status", f"store.root={failed}")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == "Sweep tiny  (plan 01234567): 1 of 4 jobs done"
    assert lines[3].split() == ["judge", "1/4", "6/16", "2", "1"]  # failures had done 1 of 4
    assert "  judge of probe a: fault" in lines
    assert "    ValueError: what went wrong" in lines
    assert f"    log: {failed}/sweeps/tiny/logs/judge-a.txt" in lines
    assert "  1 by judge of probe a" in lines
    again = f"warmgap experiment=tiny store.root={failed}"
    assert lines[-2] == f"To make what failed, and what waits for it: {again} stage=retry"
    assert lines[-1] == f"Nothing is running. To go on with all that is missing: {again}"
    assert all(len(x) <= 80 or str(failed) in x for x in lines)


def test_a_sweep_that_was_never_begun_is_named(run_main, tmp_path):
    ended = run_main("experiment=tiny", "stage=status", f"store.root={tmp_path}")
    assert ended.code == 2
    assert "there is no sweep 'tiny'" in ended.err


def test_a_sweep_without_a_name_is_found_by_what_was_asked_for(run_main, tmp_path, monkeypatch):
    arguments = ("method=original,agree_prompt", "task=facts")
    write_plan(tmp_path, "adhoc-1", probes(Probe("a")), request_digest(command_of(arguments)))
    write_plan(tmp_path, "adhoc-2", probes(Probe("a")), request_digest("another"))
    monkeypatch.setattr("warmgap.compile.compile_plan", lambda _: pytest.fail("the plan was compiled"))
    ended = run_main(*reversed(arguments), "stage=status", "engine.workers=3", f"store.root={tmp_path}")
    assert ended.code == 0
    assert ended.out.startswith("Sweep adhoc-1 ")
    assert claimed_by(tmp_path, command_of(["task=facts"])) == []


def test_hostile_text_reaches_no_terminal(tmp_path):
    nodes = probes(Probe("a"))
    write_plan(tmp_path, "s", nodes)
    text = "x\x1b[2J\x07 \u202e" + "long " * 50
    Runs(tmp_path).write(Run("a", "judge", "label\x1b[31m " + "y" * 90, "failed", kind="fault", text=text))
    lines = status_lines(read_status(tmp_path, "s"), "warmgap")
    assert all(line.isprintable() and len(line) <= 80 for line in lines)


def test_retry_takes_what_failed_and_what_waited_for_it(failed):
    nodes = probes(*FAILING, Probe("never"), Probe("later", inputs={"x": "never", "y": "a"}))
    missing = Plan("tiny", nodes).missing(Store(failed))
    assert set(missing) == {"a", "b", "d", "never", "later"}
    assert set(failed_before(missing, Store(failed))) == {"a", "b", "d"}


def test_a_retry_that_was_ended_early_is_retried_with_all_that_waited(failed):
    nodes = probes(*FAILING)
    Book(failed, nodes, sweep="tiny").open()
    missing = Plan("tiny", nodes).missing(Store(failed))
    assert set(failed_before(missing, Store(failed))) == {"a", "b", "d"}


def test_retry_takes_what_was_lost_and_leaves_what_runs(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    here = {"host": socket.gethostname(), "started_at": 4e9}
    Runs(tmp_path).write(Run("a", "judge", "a", "running", pid=process.pid, **here))
    Runs(tmp_path).write(Run("b", "judge", "b", "running", pid=os.getpid(), **here))
    assert set(failed_before(probes(Probe("a"), Probe("b")), Store(tmp_path))) == {"a"}


def test_cancel_ends_the_sweeps_own_process_and_no_other():
    processes = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in range(3)]
    ours, theirs, old = (p.pid for p in processes)
    here = {"host": socket.gethostname(), "started_at": time.time()}
    records = [
        Run("a", "judge", "a", "running", ("s", "other"), pid=ours, **here),
        Run("b", "judge", "b", "running", ("s",), pid=ours, **here),
        Run("c", "judge", "c", "running", ("other", "s"), pid=theirs, **here),
        Run("d", "judge", "d", "running", ("s",), pid=old, host=here["host"], started_at=1e9),
        Run("e", "judge", "e", "running", ("s",), pid=1, host="elsewhere"),
    ]
    try:
        lines = cancel_local(records, "s")
        assert processes[0].wait(timeout=20) == -signal.SIGTERM
        assert [p.poll() for p in processes[1:]] == [None, None]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert lines[0] == f"Told process {ours} to end. It has ended; what is done is kept."
    assert lines[1:] == ["Process 1 runs on elsewhere: give stage=cancel there."]


def test_cancel_with_nothing_to_end(failed, run_main):
    ended = run_main("experiment=tiny", "stage=cancel", f"store.root={failed}")
    assert (ended.code, ended.out) == (0, "Nothing of the sweep 'tiny' is running.\n")


def test_in_a_terminal_the_table_is_redrawn_until_the_sweep_has_ended(failed):
    here = {"host": socket.gethostname(), "pid": os.getpid(), "started_at": 4e9}
    Runs(failed).write(Run("a", "judge", "probe a", "running", ("tiny",), 4, **here))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from warmgap.app import main; main()"),
            *("experiment=tiny", "stage=status", f"store.root={failed}"),
        ],
        stdout=theirs,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "80", "TERM": "xterm"},
    )
    os.close(theirs)
    said = b""

    def read_until(word):
        nonlocal said
        deadline = time.monotonic() + 60
        while word not in said and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                said += os.read(ours, 65536)
        assert word in said

    read_until(b"Running")
    Runs(failed).remove("a")
    shutil.copytree(failed / "store" / "judge" / "c", failed / "store" / "judge" / "a")
    read_until(b"2 of 4 jobs done")
    Runs(failed).remove("b")
    Runs(failed).remove("d")
    for key in "bd":
        shutil.copytree(failed / "store" / "judge" / "c", failed / "store" / "judge" / key)
    read_until(b"Everything is done.")
    assert process.wait(timeout=20) == 0
    os.close(ours)
