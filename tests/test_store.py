from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from warmgap import store as store_module
from warmgap.errors import UserError
from warmgap.store import LostLease, Store, check_writable, git_commit, write_text

KEY = "k" * 64


def commit(store: Store, key: str = KEY, text: str = "hello", aside: Path | None = None):
    facts = {
        "stage": "judge",
        "stage_version": 3,
        "key": key,
        "config": {"name": "rules", "checkpoints": (0.5, 1.0)},
        "inputs": {"respond": "r" * 64},
        "fingerprints": {"data": "d"},
        "counts": {"rows": 2, "by_step": {10: 1, 9: 2}, "loss": float("nan")},
        "started": time.time(),
    }

    def fill(folder: Path):
        (folder / "deep").mkdir()
        (folder / "deep" / "note.txt").write_text(text)
        pl.DataFrame({"a": [1, 2, 3]}).write_parquet(folder / "rows.parquet")
        return store.commit(folder, **facts)

    if aside is not None:
        return fill(aside)
    with store.workspace(key) as folder:
        return fill(folder)


def set_aside(store: Store) -> list[Path]:
    return sorted((store.root / "store" / "corrupt").glob("*"))


def test_a_committed_artifact_is_found_with_everything_its_manifest_promises(tmp_path):
    made = commit(Store(tmp_path))
    found = Store(tmp_path).find("judge", KEY)
    assert found is not None
    assert found.path == made.path == tmp_path / "store" / "judge" / KEY
    assert found.file("deep/note.txt").read_text() == "hello"
    facts = json.loads(found.file("manifest.json").read_text())
    assert set(facts) == {
        *("schema_version", "stage", "stage_version", "key", "config", "inputs", "fingerprints", "files"),
        *("package_versions", "git_commit", "device", "started_at", "wall_s", "counts", "checksum"),
    }
    note = facts["files"]["deep/note.txt"]
    assert note == {"sha256": hashlib.sha256(b"hello").hexdigest(), "bytes": 5, "rows": None}
    assert facts["files"]["rows.parquet"]["rows"] == 3
    assert facts["files"].keys() == {"deep/note.txt", "rows.parquet"}
    assert facts["package_versions"]["python"].startswith("3.")


def truncate(path: Path) -> None:
    file = path / "rows.parquet"
    file.write_bytes(file.read_bytes()[:-1])


def flip(path: Path) -> None:
    file = path / "deep" / "note.txt"
    raw = bytearray(file.read_bytes())
    raw[0] ^= 1
    file.write_bytes(raw)


def delete(path: Path) -> None:
    (path / "deep" / "note.txt").unlink()


def replace_by_folder(path: Path) -> None:
    delete(path)
    (path / "deep" / "note.txt").mkdir()


def no_manifest(path: Path) -> None:
    (path / "manifest.json").unlink()


def torn_manifest(path: Path) -> None:
    file = path / "manifest.json"
    file.write_bytes(file.read_bytes()[:100])


def not_utf8(path: Path) -> None:
    file = path / "manifest.json"
    raw = bytearray(file.read_bytes())
    raw[5] ^= 0x80
    file.write_bytes(raw)


def other_counts(path: Path) -> None:
    file = path / "manifest.json"
    file.write_text(file.read_text().replace('"rows": 2,', '"rows": 7,'))


def no_entry(path: Path) -> None:
    facts = json.loads((path / "manifest.json").read_text())
    del facts["files"]
    (path / "manifest.json").write_text(json.dumps(facts))


def a_list(path: Path) -> None:
    (path / "manifest.json").write_text("[1]")


DAMAGE = [
    (truncate, "rows.parquet has"),
    (flip, "note.txt does not match its SHA-256"),
    (delete, "note.txt is missing"),
    (replace_by_folder, "note.txt is missing"),
    (no_manifest, "manifest.json cannot be read"),
    (torn_manifest, "manifest.json cannot be read"),
    (not_utf8, "manifest.json cannot be read"),
    (other_counts, "manifest.json does not match its checksum"),
    (no_entry, "manifest.json cannot be read"),
    (a_list, "manifest.json cannot be read"),
]


@pytest.mark.parametrize(("damage", "fault"), DAMAGE, ids=[d.__name__ for d, _ in DAMAGE])
def test_a_damaged_artifact_is_set_aside_and_can_be_made_again(tmp_path, damage, fault):
    path = commit(Store(tmp_path)).path
    damage(path)
    store = Store(tmp_path)
    assert store.find("judge", KEY) is None
    assert not path.exists()
    (corrupt,) = set_aside(store)
    assert fault in (corrupt / "fault.txt").read_text()
    with pytest.raises(UserError, match="missing or damaged"):
        store.get("judge", KEY)
    commit(store)
    assert Store(tmp_path).get("judge", KEY).file("deep/note.txt").read_text() == "hello"


def test_an_artifact_under_another_key_is_not_used(tmp_path):
    path = commit(Store(tmp_path)).path
    other = "o" * 64
    path.rename(path.with_name(other))
    store = Store(tmp_path)
    assert store.find("judge", other) is None
    assert f"manifest.json is of judge/{KEY}" in (set_aside(store)[0] / "fault.txt").read_text()


def test_a_half_made_artifact_is_never_visible(tmp_path):
    store = Store(tmp_path)
    with store.workspace(KEY) as folder:
        (folder / "rows.parquet").write_bytes(b"half")
        assert not store.folder("judge", KEY).exists()
        assert store.find("judge", KEY) is None
    assert not folder.exists()
    assert store.find("judge", KEY) is None


def test_a_process_killed_while_it_writes_leaves_nothing_that_is_used(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from warmgap.store import Store; "
        "s = Store(Path(sys.argv[1])); assert s.try_lock(sys.argv[2])\n"
        "with s.workspace(sys.argv[2]) as f:\n"
        "    (f / 'rows.parquet').write_bytes(b'half')\n"
        "    (s.partial(sys.argv[2]) / 'batch').write_bytes(b'1')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path), KEY], env=environment(), check=False)
    assert ended.returncode == -signal.SIGKILL
    aside = tmp_path / "store" / "aside"
    assert len(list(aside.iterdir())) == 1
    store = Store(tmp_path)
    assert store.find("judge", KEY) is None
    assert (store.partial(KEY) / "batch").read_bytes() == b"1"
    assert store.try_lock(KEY)
    commit(store)
    assert list(aside.iterdir()) == []
    store.unlock(KEY)
    store.drop_partial(KEY)
    assert not (tmp_path / "store" / "partial" / KEY).exists()


def test_a_claim_is_held_by_one_and_given_up(tmp_path):
    one, two = Store(tmp_path), Store(tmp_path)
    assert one.try_lock(KEY)
    assert not two.try_lock(KEY)
    assert not one.try_lock(KEY)
    assert two.try_lock("another")
    assert (one.held(KEY), two.held(KEY)) == (True, False)
    assert two.holder(KEY).pid == os.getpid()
    one.unlock(KEY)
    assert (one.held(KEY), two.holder(KEY)) == (False, None)
    assert two.try_lock(KEY)
    two.unlock(KEY, done=True)
    assert [p.name for p in (tmp_path / "store" / "leases").iterdir()] == ["another"]


@pytest.mark.parametrize("left", ["", "{ torn", '{"host": "elsewhere", "pid": 1}'])
def test_a_lock_file_of_an_older_version_does_not_matter(tmp_path, left):
    path = tmp_path / "store" / "locks" / KEY
    path.parent.mkdir(parents=True)
    path.write_text(left)
    assert Store(tmp_path).try_lock(KEY)


def test_who_lost_the_claim_commits_nothing_and_leaves_the_other_alone(tmp_path):
    mine = Store(tmp_path)
    assert mine.try_lock(KEY)
    (tmp_path / "store" / "leases" / KEY / "000002").write_text("")  # as another that has taken over
    assert not mine.held(KEY)
    with pytest.raises(LostLease, match=f"another process has taken over judge/{KEY[:12]}"):
        commit(mine)
    assert Store(tmp_path).find("judge", KEY) is None
    mine.unlock(KEY, done=True)
    assert {p.name for p in (tmp_path / "store" / "leases" / KEY).iterdir()} == {"000001", "000002"}


RACER = """
import sys, time
from pathlib import Path
from warmgap.store import Store

root, key, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
aside = root / "store" / "aside" / name
aside.mkdir(parents=True)
(aside / "note.txt").write_text(name)
print("ready", flush=True)
sys.stdin.readline()
made = Store(root).commit(
    aside, stage="judge", stage_version=1, key=key, config={}, inputs={}, fingerprints={}, counts={},
    started=time.time(),
)
print(made.file("note.txt").read_text(), made.manifest.files["note.txt"]["sha256"])
"""


def test_of_concurrent_commits_of_one_key_one_stands_and_all_see_it(tmp_path):
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path), KEY, f"racer{i}"],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(4)
    ]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    seen = {racer.communicate(timeout=60)[0] for racer in racers}
    assert {racer.returncode for racer in racers} == {0}
    winner = Store(tmp_path).get("judge", KEY).file("note.txt").read_text()
    assert seen == {f"{winner} {hashlib.sha256(winner.encode()).hexdigest()}\n"}
    assert list((tmp_path / "store" / "aside").iterdir()) == []
    assert set_aside(Store(tmp_path)) == []


def test_a_commit_over_a_damaged_artifact_replaces_it(tmp_path):
    path = commit(Store(tmp_path)).path
    truncate(path)
    artifact = commit(Store(tmp_path), text="again")
    assert artifact.file("deep/note.txt").read_text() == "again"
    assert len(set_aside(Store(tmp_path))) == 1


def test_deaths_for_want_of_memory_are_counted_until_the_artifact_is_there(tmp_path):
    store = Store(tmp_path)
    assert store.memory_failures("a" * 64) == 0
    store.note_memory("a" * 64)
    Store(tmp_path).note_memory("a" * 64)
    path = tmp_path / "store" / "partial" / ("a" * 64) / "memory.json"
    assert json.loads(path.read_text()) == {"failures": 2} and list(path.parent.iterdir()) == [path]
    assert (store.memory_failures("a" * 64), store.memory_failures("b" * 64)) == (2, 0)
    path.write_text('{"fail')
    assert store.memory_failures("a" * 64) == 0
    store.note_memory("a" * 64)
    store.drop_partial("a" * 64)
    assert store.memory_failures("a" * 64) == 0


def test_a_small_file_is_whole_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "plan.json"
    write_text(path, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new")
    assert path.read_text() == "old"


def test_a_folder_that_cannot_be_written_is_named_with_what_helps(tmp_path):
    check_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file: .* Choose another one with store\.root=FOLDER"):
        check_writable(tmp_path / "file")
    with pytest.raises(UserError, match="cannot write to the output folder /proc/"):
        check_writable(Path("/proc/warmgap"))


def test_the_commit_is_that_of_the_checkout_or_none(tmp_path, monkeypatch):
    git_commit.cache_clear()
    monkeypatch.setattr(store_module, "__file__", str(tmp_path / "src" / "warmgap" / "store.py"))
    assert git_commit() is None
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.setenv("PATH", str(tmp_path))
    git_commit.cache_clear()
    assert git_commit() is None
    fake = tmp_path / "git"
    fake.write_text("#!/bin/sh\necho 0123\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    git_commit.cache_clear()
    assert git_commit() == "0123"
    git_commit.cache_clear()


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
