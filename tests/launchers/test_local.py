from __future__ import annotations

import multiprocessing
import threading
import time
from dataclasses import replace

import pytest

from warmgap.errors import UserError
from warmgap.jobs import CorpusJob
from warmgap.plan import Node, Plan
from warmgap.schema.config import CorpusConfig
from warmgap.store import Store
from warmgap_launchers.local import LocalExecutor, run_nodes


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


def test_a_failure_is_told_at_once_and_the_rest_goes_on(nodes, tmp_path, capfd):
    bad = broken(next(iter(nodes.values())))
    outcome = run_nodes({bad.key: bad} | nodes, tmp_path, workers=1)
    assert outcome.done == set(nodes)
    assert set(outcome.failed) == {bad.key}
    kind, text = outcome.failed[bad.key]
    assert kind == "user"
    assert "n_conversations=10000" in text
    assert "failed: corpus of corpus that is too large: " in capfd.readouterr().err


def test_a_killed_worker_is_replaced_and_its_job_reported(nodes, tmp_path):
    stuck = next(iter(nodes))
    store = Store(tmp_path)
    assert store.try_lock(stuck)  # the worker waits for it as for another process that makes it
    out = {}
    running = threading.Thread(target=lambda: out.update(outcome=run_nodes(nodes, tmp_path, workers=1)))
    running.start()
    deadline = time.monotonic() + 30
    while not multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.01)
    worker = multiprocessing.active_children()[0]
    time.sleep(1)
    worker.kill()
    running.join(timeout=60)
    store.unlock(stuck)
    outcome = out["outcome"]
    assert outcome.failed == {stuck: ("fault", "the worker process died (exit code -9)")}
    assert outcome.done == set(nodes) - {stuck}


def test_what_the_user_can_mend_ends_as_one_message(nodes, tmp_path, request_of, plan_of, monkeypatch):
    bad = broken(next(iter(nodes.values())))
    plan = plan_of("experiment=tiny")
    monkeypatch.setattr("warmgap_launchers.local.check_corpora", lambda jobs: None)
    base = request_of("experiment=tiny", "stage=corpus", f"store.root={tmp_path}").base
    with pytest.raises(UserError, match=r"^corpus of corpus that is too large: .*n_conversations=10000"):
        LocalExecutor().execute(Plan(plan.name, {bad.key: bad} | dict(plan.nodes), plan.summary), base)
    assert (tmp_path / "sweeps" / "tiny" / "plan.json").is_file()
    assert not (tmp_path / "sweeps" / "tiny" / "tables").exists()
