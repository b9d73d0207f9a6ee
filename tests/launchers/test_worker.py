from __future__ import annotations

import os
import resource
import shutil
from contextlib import contextmanager
from multiprocessing import Pipe, get_context
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure
from safetensors.numpy import save_file

from warmgap.stages import corpus
from warmgap.stages.context import Context
from warmgap.store import Store, write_text
from warmgap_launchers import worker
from warmgap_launchers.worker import disk_full, run_job, serve


@contextmanager
def room_for(n_bytes):
    """Files cannot grow beyond this; the system then says "File too large", in place of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def write_parquet(folder: Path) -> None:
    pl.DataFrame({"x": [os.urandom(40).hex() for _ in range(5000)]}).write_parquet(folder / "x.parquet")


def write_csv(folder: Path) -> None:
    pl.DataFrame({"x": [os.urandom(40).hex() for _ in range(5000)]}).write_csv(folder / "x.csv")


def write_safetensors(folder: Path) -> None:
    save_file({"x": np.zeros(100_000)}, folder / "x.safetensors")


def write_figure(folder: Path) -> None:
    figure = Figure()
    figure.add_subplot().imshow([[ord(c) for c in os.urandom(99).hex()] for _ in range(400)])
    figure.savefig(folder / "x.png", dpi=300)


def write_json(folder: Path) -> None:
    write_text(folder / "x.json", "x" * 100_000)


def copy_tree(folder: Path) -> None:
    shutil.copytree(Path(worker.__file__).parent, folder / "copy")


@pytest.mark.parametrize(
    "write", [write_parquet, write_csv, write_safetensors, write_figure, write_json, copy_tree]
)
def test_every_writer_that_runs_out_of_room_is_recognised(write, tmp_path):
    with room_for(1000), pytest.raises(Exception) as caught:  # noqa: PT011
        write(tmp_path)
    assert disk_full(caught.value, tmp_path)


def test_a_cause_without_room_counts(tmp_path):
    error = RuntimeError("cannot write the table")
    error.__cause__ = OSError(28, "No space left on device")
    assert disk_full(error, tmp_path)


def test_other_faults_are_no_full_disk(tmp_path):
    with pytest.raises(FileNotFoundError) as missing:
        (tmp_path / "absent").read_text()
    assert not disk_full(missing.value, tmp_path)
    assert not disk_full(ValueError("the table has 28 rows"), tmp_path)


@pytest.fixture
def corpus_job(plan_of):
    nodes = plan_of("experiment=tiny").nodes.values()
    return next(n.job for n in nodes if n.job.stage == "corpus")


def test_a_job_is_made_once_and_then_found(corpus_job, tmp_path):
    context = Context(Store(tmp_path), lambda *_: None)
    made = run_job(corpus_job, context)
    times = {p: p.stat().st_mtime_ns for p in made.path.iterdir()}
    assert run_job(corpus_job, Context(Store(tmp_path), lambda *_: None)).path == made.path
    assert {p: p.stat().st_mtime_ns for p in made.path.iterdir()} == times
    assert [*(tmp_path / "store" / "leases").iterdir()] == []


def test_what_another_process_finished_before_the_lock_is_used(corpus_job, tmp_path, monkeypatch):
    ours, theirs = Store(tmp_path), Store(tmp_path)
    lock = ours.try_lock

    def late_lock(key):
        run_job(corpus_job, Context(theirs, lambda *_: None))
        return lock(key)

    calls = []
    real = corpus.run
    monkeypatch.setattr(ours, "try_lock", late_lock)
    monkeypatch.setattr(corpus, "run", lambda *given: calls.append(given) or real(*given))
    assert run_job(corpus_job, Context(ours, lambda *_: None)).manifest.key == corpus_job.key
    assert len(calls) == 1


def test_the_lock_is_freed_after_a_fault(corpus_job, tmp_path, monkeypatch):
    def fail(job, context):
        raise ValueError("broken")

    monkeypatch.setattr(corpus, "run", fail)
    store = Store(tmp_path)
    with pytest.raises(ValueError, match="broken"):
        run_job(corpus_job, Context(store, lambda *_: None))
    assert Store(tmp_path).try_lock(corpus_job.key)


def test_who_waits_says_for_whom(corpus_job, tmp_path):
    theirs = Store(tmp_path)
    assert theirs.try_lock(corpus_job.key)
    said = []

    def progress(done, total, text):
        said.append((done, total, text))
        theirs.unlock(corpus_job.key)

    made = run_job(corpus_job, Context(Store(tmp_path), progress))
    assert made.manifest.key == corpus_job.key
    assert said[0] == (0, 1, f"waiting for {os.uname().nodename}:{os.getpid()}")


@pytest.mark.parametrize("theirs_is_done", [True, False])
def test_a_claim_that_another_took_over_ends_in_one_artifact(
    corpus_job, tmp_path, monkeypatch, theirs_is_done
):
    """As after the process stood still while it made the artifact."""
    real, calls = corpus.run, []

    def run(job, context):
        calls.append(job.key)
        if len(calls) > 1:
            return real(job, context)
        theirs = Store(tmp_path)
        (newest,) = (tmp_path / "store" / "leases" / job.key).iterdir()
        newest.write_text("{}")
        os.utime(newest, ns=(0, 0))
        assert theirs.try_lock(job.key)
        if theirs_is_done:
            real(job, Context(theirs, lambda *_: None))
        try:
            return real(job, context)
        finally:
            theirs.unlock(job.key, done=theirs_is_done)

    monkeypatch.setattr(corpus, "run", run)
    made = run_job(corpus_job, Context(Store(tmp_path), lambda *_: None))
    assert len(calls) == (1 if theirs_is_done else 2)
    assert [p.name for p in (tmp_path / "store" / "corpus").iterdir()] == [made.manifest.key]
    assert list((tmp_path / "store" / "aside").iterdir()) == []


@pytest.fixture
def served(tmp_path):
    """A worker process and its connection."""
    here, there = Pipe()
    process = get_context("spawn").Process(target=serve, args=(there, tmp_path), daemon=True)
    process.start()
    there.close()
    yield here, process
    process.kill()


def test_a_worker_says_what_became_of_a_job_and_ends_when_the_line_is_closed(served, corpus_job, tmp_path):
    here, process = served
    here.send(corpus_job)
    kind, key, wall_s = here.recv()
    assert (kind, key) == ("done", corpus_job.key)
    assert wall_s >= 0
    broken = tmp_path / "corpus"
    broken.mkdir()
    here.send(type(corpus_job)(type(corpus_job.corpus)(name="x", path=str(broken)), {}))
    kind, _, how, text = here.recv()
    assert (kind, how) == ("failed", "user")
    assert "missing file" in text
    here.close()
    process.join(timeout=20)
    assert process.exitcode == 0
