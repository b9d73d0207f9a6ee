from __future__ import annotations

import multiprocessing
import os
import socket
import threading
import time
from dataclasses import replace

import pytest
from probe_jobs import Probe, Reader, probes, seen, span

from warmgap.jobs import CorpusJob
from warmgap.plan import Node
from warmgap.runs import Run, Runs
from warmgap.schema.config import CorpusConfig, EngineConfig
from warmgap.store import Store
from warmgap_launchers.kills import OomKills
from warmgap_launchers.pool import run_nodes


@pytest.fixture
def nodes():
    """Three small jobs that need nothing: corpora drawn with three seeds."""
    config = CorpusConfig(name="embedded", n_conversations=12, n_validation=6)
    jobs = [CorpusJob(replace(config, seed=seed), {}) for seed in range(3)]
    return {job.key: Node(job, f"corpus of seed {job.corpus.seed}", 1) for job in jobs}


def broken(node):
    """A job of which the user must mend something."""
    job = CorpusJob(replace(node.job.corpus, n_conversations=10_000), {})
    return Node(job, "corpus that is too large", 1)


def test_every_job_is_done_and_stored(nodes, tmp_path):
    outcome = run_nodes(nodes, tmp_path, workers=2)
    assert outcome.done == set(nodes)
    assert outcome.failed == {}
    assert all(Store(tmp_path).find("corpus", key) for key in nodes)
    assert multiprocessing.active_children() == []
    assert Runs(tmp_path).read() == {}


def test_a_failure_is_told_at_once_and_the_rest_goes_on(nodes, tmp_path, capfd):
    bad = broken(next(iter(nodes.values())))
    outcome = run_nodes({bad.key: bad} | nodes, tmp_path, workers=1)
    assert outcome.done == set(nodes)
    assert set(outcome.failed) == {bad.key}
    kind, text = outcome.failed[bad.key]
    assert kind == "user"
    assert "n_conversations=10000" in text
    assert "failed: corpus of corpus that is too large: " in capfd.readouterr().err


def wait_for(seen):
    deadline = time.monotonic() + 60
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_worker_is_replaced_and_its_job_reported(nodes, tmp_path):
    stuck = next(iter(nodes))
    store = Store(tmp_path)
    assert store.try_lock(stuck)  # the worker waits for it as for another process that makes it
    out = {}
    running = threading.Thread(target=lambda: out.update(outcome=run_nodes(nodes, tmp_path, workers=1)))
    running.start()
    wait_for(multiprocessing.active_children)
    worker = multiprocessing.active_children()[0]
    time.sleep(1)
    worker.kill()
    running.join(timeout=60)
    store.unlock(stuck)
    outcome = out["outcome"]
    assert outcome.failed == {stuck: ("fault", "the worker process died (exit code -9)")}
    assert outcome.done == set(nodes) - {stuck}
    (record,) = Runs(tmp_path).read().values()
    assert (record.key, record.state, record.kind, record.attempts) == (stuck, "failed", "fault", 1)


def test_a_failure_blocks_what_waits_for_it_and_leaves_its_text(tmp_path):
    nodes = probes(
        Probe("a", "fail"), Probe("b", inputs={"x": "a"}), Probe("c", inputs={"x": "b", "y": "d"}), Probe("d")
    )
    outcome = run_nodes(nodes, tmp_path, workers=1, sweep="s")
    assert outcome.done == {"d"}
    assert outcome.failed.keys() == {"a"}
    assert outcome.blocked == {"b": ("a",), "c": ("a",)}
    records = Runs(tmp_path).read()
    assert {k: r.state for k, r in records.items()} == {"a": "failed", "b": "blocked", "c": "blocked"}
    assert records["c"].blocked_by == ("a",)
    assert records["a"].sweeps == ("s",)
    assert records["a"].text.endswith("ValueError: what went wrong\n")
    log = tmp_path / "sweeps" / "s" / "logs" / "judge-a.txt"
    assert records["a"].log == str(log)
    assert "Traceback" in log.read_text()


def test_two_failed_inputs_are_both_named(tmp_path):
    nodes = probes(Probe("a", "fail"), Probe("b", "fail"), Probe("c", inputs={"x": "a", "y": "b"}))
    assert set(run_nodes(nodes, tmp_path, workers=1).blocked["c"]) == {"a", "b"}


def test_an_input_that_nobody_makes_blocks_at_once(tmp_path):
    run_nodes(probes(Probe("there")), tmp_path, workers=1)
    nodes = probes(
        Probe("a", inputs={"x": "nowhere"}), Probe("b", inputs={"x": "a"}), Probe("c", inputs={"x": "there"})
    )
    outcome = run_nodes(nodes, tmp_path, workers=1)
    assert outcome.blocked == {"a": ("nowhere",), "b": ("nowhere",)}
    assert (outcome.done, outcome.failed) == ({"c"}, {})
    assert not (tmp_path / "began-a").exists()


def test_a_run_again_forgets_old_failures_and_counts_them(tmp_path):
    run_nodes(probes(Probe("a", "fail"), Probe("b", inputs={"x": "a"})), tmp_path, workers=1)
    outcome = run_nodes(probes(Probe("a", "fail"), Probe("b", inputs={"x": "a"})), tmp_path, workers=1)
    assert Runs(tmp_path).get("a").attempts == 2
    outcome = run_nodes(probes(Probe("a"), Probe("b", inputs={"x": "a"})), tmp_path, workers=1)
    assert outcome.done == {"a", "b"}
    assert Runs(tmp_path).read() == {}


def test_fail_fast_ends_what_runs_and_begins_nothing(tmp_path):
    nodes = probes(
        Probe("wait", "wait"), Probe("fail", "fail", until=str(tmp_path / "began-wait")), Probe("later")
    )
    outcome = run_nodes(nodes, tmp_path, workers=2, fail_fast=True)
    assert outcome.failed.keys() == {"fail"}
    assert outcome.stopped == {"wait"}
    assert outcome.done == set()
    assert outcome.signum == 0
    assert not (tmp_path / "began-later").exists()
    assert {k: r.kind for k, r in Runs(tmp_path).read().items()} == {"fail": "fault", "wait": "interrupted"}


def test_what_ran_out_of_memory_is_tried_again_in_a_new_process(tmp_path, capfd):
    outcome = run_nodes(probes(Probe("a", "memory"), Probe("b", inputs={"x": "a"})), tmp_path, workers=1)
    assert outcome.done == {"a", "b"}
    assert "memory ran out: judge of probe a: is tried again with less (2 of 3)" in capfd.readouterr().err
    assert Runs(tmp_path).read() == {}


def test_memory_that_never_suffices_is_a_failure_after_three_more_tries(tmp_path):
    outcome = run_nodes(probes(Probe("a", "greedy")), tmp_path, workers=1)
    kind, text = outcome.failed["a"]
    assert kind == "memory"
    assert "never enough" in text
    assert Store(tmp_path).memory_failures("a") == 3
    assert Runs(tmp_path).get("a").attempts == 4


def test_a_kill_without_evidence_is_a_fault_and_shrinks_nothing(tmp_path):
    outcome = run_nodes(probes(Probe("a", "kill")), tmp_path, workers=1)
    assert outcome.failed == {"a": ("fault", "the worker process died (exit code -9)")}
    assert Store(tmp_path).memory_failures("a") == 0


def test_a_kill_that_the_control_group_counted_is_for_want_of_memory(tmp_path, monkeypatch):
    group = tmp_path / "group"
    group.mkdir()
    (tmp_path / "cgroup").write_text("0::/group\n")
    (group / "memory.events").write_text("oom 7\noom_kill 3\n")
    monkeypatch.setattr(
        "warmgap_launchers.pool.OomKills", lambda: OomKills(tmp_path / "cgroup", mounted=tmp_path)
    )
    running = threading.Thread(target=run_nodes, args=(probes(Probe("a", "wait")), tmp_path, 1))
    running.start()
    wait_for((tmp_path / "began-a").exists)
    (group / "memory.events").write_text("oom 8\noom_kill 4\n")
    multiprocessing.active_children()[0].kill()
    wait_for(lambda: Store(tmp_path).memory_failures("a") == 1)
    wait_for(lambda: len(multiprocessing.active_children()) == 1)
    multiprocessing.active_children()[0].kill()
    running.join(timeout=60)
    assert Runs(tmp_path).get("a").kind == "fault"  # the second kill was not counted


def test_a_running_record_tells_how_far_it_is(tmp_path):
    job = Probe("a", "done", until=str(tmp_path / "go"))
    running = threading.Thread(target=run_nodes, args=(probes(job), tmp_path, 1))
    running.start()
    wait_for((tmp_path / "began-a").exists)
    record = Runs(tmp_path).get("a")
    assert (record.state, record.pid, record.units, record.attempts) == ("running", os.getpid(), 4, 1)
    (tmp_path / "go").touch()
    running.join(timeout=60)
    assert Runs(tmp_path).read() == {}


def test_the_record_of_another_living_process_stands(tmp_path):
    other = Run("a", "judge", "x", "running", ("other",), host=socket.gethostname(), pid=1, started_at=4e9)
    Runs(tmp_path).write(other)
    run_nodes(probes(Probe("a", "fail")), tmp_path, workers=1, sweep="s")
    assert Runs(tmp_path).get("a") == other


def test_devices_are_dealt_one_to_a_worker_and_lent_to_a_wide_job(tmp_path):
    def on(n):
        engine = EngineConfig(name="vllm", device="cuda")
        return Reader("w", replace(engine, vllm=replace(engine.vllm, tensor_parallel_size=n)))

    narrow = [Probe(k, reader=on(1)) for k in ("a", "b", "c")]
    wide = Probe("w", reader=on(2))
    last = Probe("z", inputs={"x": "w"}, reader=on(1))
    outcome = run_nodes(probes(*narrow, wide, last), tmp_path, workers=2, devices=("3", "GPU-5"))
    assert outcome.failed == {}
    assert {seen(tmp_path, k)[1] for k in "abcz"} <= {"3", "GPU-5"}
    assert sorted(seen(tmp_path, "w")[1].split(",")) == ["3", "GPU-5"]
    begun, ended = span(tmp_path, "w")
    for key in "abcz":
        first, last_s = span(tmp_path, key)
        assert last_s <= begun or first >= ended, "a lent device was used"


def test_workers_without_a_device_see_none(tmp_path):
    asks = Reader("w", EngineConfig(name="transformers", device="cuda"))
    go = tmp_path / "began-b"
    nodes = probes(Probe("a", reader=asks, until=str(go)), Probe("b", until=str(tmp_path / "began-a")))
    assert run_nodes(nodes, tmp_path, workers=2, devices=("1",)).failed == {}
    assert seen(tmp_path, "a")[1] == "1"
    assert seen(tmp_path, "b")[1] == ""
