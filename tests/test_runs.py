from __future__ import annotations

import dataclasses
import errno
import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmgap.runs import Run, Runs

words = st.text(max_size=40)
counts = st.integers(0, 10**9)
times = st.floats(0, 4e9)
runs = st.builds(
    Run,
    key=st.text("0123456789abcdef", min_size=8, max_size=64),
    stage=words,
    label=words,
    state=st.sampled_from(["queued", "running", "failed", "blocked"]),
    sweeps=st.lists(words, max_size=3).map(tuple),
    units=counts,
    host=words,
    pid=counts,
    slurm_job=words,
    log=words,
    started_at=times,
    updated_at=times,
    done=counts,
    total=counts,
    kind=words,
    text=words,
    attempts=counts,
    blocked_by=st.lists(words, max_size=3).map(tuple),
)
A = Run("a" * 64, "train", "a model", "running", ("tiny",), 12)


@given(st.lists(runs, max_size=5))
def test_what_is_written_is_read(tmp_path_factory, given_runs):
    store = Runs(tmp_path_factory.mktemp("runs"))
    for run in given_runs:
        store.write(run)
    expected = {run.key: run for run in given_runs}
    assert store.read() == expected
    assert all(store.get(key) == run for key, run in expected.items())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "\x00\x00",
        '{"key": "b"}',
        '{"key": "b", "stage": "train", "label": "b", "state": "running", "units": "many"}',
        '{"key": "c", "stage": "train", "label": "b", "state": "running"}',
    ],
)
def test_a_damaged_record_is_left_out(tmp_path, text):
    store = Runs(tmp_path)
    store.write(A)
    (store.folder / "b.json").write_text(text)
    assert store.read() == {A.key: A}
    assert store.get("b") is None


@given(st.binary(max_size=200))
def test_no_content_of_a_file_is_an_error(tmp_path_factory, content):
    store = Runs(tmp_path_factory.mktemp("runs"))
    store.write(A)
    (store.folder / "b.json").write_bytes(content)
    assert set(store.read()) == {A.key}


def test_a_cut_record_is_left_out(tmp_path):
    store = Runs(tmp_path)
    store.write(A)
    path = store.folder / f"{A.key}.json"
    whole = path.read_bytes()
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        assert store.get(A.key) is None


def test_what_a_later_version_adds_is_passed_over(tmp_path):
    store = Runs(tmp_path)
    store.write(A)
    path = store.folder / f"{A.key}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"colour": "red"}))
    assert store.get(A.key) == A


def test_a_removed_record_is_gone_and_may_be_removed_again(tmp_path):
    store = Runs(tmp_path)
    assert store.read() == {}
    store.write(A)
    for _ in range(2):
        store.remove(A.key)
    assert store.read() == {}
    assert store.age_s(A.key) is None


def test_a_record_that_is_replaced_while_it_is_read_over_nfs_is_read_again(tmp_path, monkeypatch):
    store = Runs(tmp_path)
    store.write(A)
    read, stale = Path.read_bytes, [True, True]

    def read_bytes(path):
        if stale and stale.pop():
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert store.get(A.key) == A
    assert not stale


def test_some_records_are_read_by_key(tmp_path):
    store = Runs(tmp_path)
    others = [dataclasses.replace(A, key=k * 64) for k in "bc"]
    for run in (A, *others):
        store.write(run)
    assert set(store.read(["b" * 64, "d" * 64])) == {"b" * 64}


def test_the_age_counts_from_the_last_write(tmp_path):
    store = Runs(tmp_path)
    store.write(A)
    past = time.time() - 500
    os.utime(store.folder / f"{A.key}.json", (past, past))
    age_s = store.age_s(A.key)
    assert age_s is not None
    assert 499 <= age_s < 600
    store.write(A)
    assert store.age_s(A.key) < 100
    assert [p.name for p in store.folder.iterdir()] == [f"{A.key}.json"]


def write_often(root, text):
    store = Runs(root)
    for n in range(300):
        store.write(dataclasses.replace(A, text=text * 2000, done=n, total=300))


def test_a_reader_beside_two_writers_always_finds_a_whole_record(tmp_path):
    store = Runs(tmp_path)
    store.write(A)
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_often, args=(tmp_path, letter)) for letter in "xy"]
    for writer in writers:
        writer.start()
    seen = set()
    while any(w.is_alive() for w in writers):
        run = store.get(A.key)
        assert run is not None
        assert len(set(run.text)) <= 1
        seen.add(run.text[:1])
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert seen & {"x", "y"}
    assert store.get(A.key).done == 299
    assert [p.name for p in store.folder.iterdir()] == [f"{A.key}.json"]
