"""Artifacts that were verified once are not read again when planning, and every change of a file is seen."""

from __future__ import annotations

import json
import os
import time

import pytest

from warmgap.errors import UserError
from warmgap.store import Store
from warmgap.verified import FILE

KEY = "5" * 64


@pytest.fixture
def made(tmp_path):
    """The root of a store with one artifact of two files, one of them in a folder."""
    store = Store(tmp_path)
    with store.workspace(KEY) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "a.bin").write_bytes(b"abcdef")
        (folder / "b.bin").write_bytes(b"ghi")
        store.commit(
            folder, stage="train", stage_version=1, key=KEY, config={}, inputs={}, fingerprints={},
            counts={}, started=time.time(),
        )  # fmt: skip
    return tmp_path


def looked(root) -> bool:
    store = Store(root)
    found = store.has("train", KEY)
    store.remembered.save()
    return found


def flip(root, keep_times: bool) -> None:
    path = root / "store" / "train" / KEY / "inner" / "a.bin"
    facts = path.stat()
    with path.open("r+b") as file:
        file.write(b"X")
    if keep_times:
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_the_second_look_reads_no_file(made, monkeypatch):
    assert looked(made)
    assert list(json.loads((made / "store" / FILE).read_text())) == [f"train/{KEY}"]
    monkeypatch.setattr("warmgap.store.file_sha256", lambda path: pytest.fail(f"read {path}"))
    assert looked(made)


def test_a_flipped_byte_is_found_and_the_artifact_set_aside(made):
    assert looked(made)
    flip(made, keep_times=False)
    assert not looked(made)
    assert len(list((made / "store" / "corrupt").iterdir())) == 1
    assert json.loads((made / "store" / FILE).read_text()) == {}


def test_a_flipped_byte_with_its_time_put_back_is_found_on_use(made):
    assert looked(made)
    flip(made, keep_times=True)
    assert looked(made)
    with pytest.raises(UserError, match="missing or damaged"):
        Store(made).get("train", KEY)
    assert not looked(made)


@pytest.mark.parametrize("text", ["", "[1]", '{"train/'])
def test_a_damaged_memory_is_as_none(made, text):
    (made / "store" / FILE).write_text(text)
    assert looked(made)
    assert looked(made)


def test_no_store_is_made_by_looking(tmp_path):
    assert not looked(tmp_path / "none")
    assert not (tmp_path / "none").exists()
