from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmgap.errors import UserError
from warmgap.gc import removal
from warmgap.gc.__main__ import main
from warmgap.gc.removal import remove
from warmgap.gc.scan import find
from warmgap.holders import this_process
from warmgap.locks import Timing
from warmgap.schema.fields import STAGES
from warmgap.store import Store

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


def age(path: Path, seconds: float = DAY_S) -> None:
    at = time.time() - seconds
    for each in (*path.rglob("*"), path):
        os.utime(each, (at, at))


def artifact(root: Path, stage: str, key: str, inputs: Mapping[str, str] | None = None) -> Path:
    store = Store(root)
    with store.workspace(key) as folder:
        (folder / "rows.txt").write_text(key)
        made = store.commit(
            folder,
            stage=stage,
            stage_version=1,
            key=key,
            config={},
            inputs=inputs or {},
            fingerprints={},
            counts={},
            started=time.time(),
        )
    age(made.path)
    return made.path


def plan(root: Path, name: str, *jobs: tuple[str, str]) -> Path:
    path = root / "sweeps" / name / "plan.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"name": name, "jobs": [{"stage": s, "key": k} for s, k in jobs]}))
    return path


def folder(root: Path, kind: str, name: str) -> Path:
    path = root / "store" / kind / name
    path.mkdir(parents=True)
    (path / "0.json").write_text("[1]")
    age(path)
    return path


def present(root: Path) -> set[str]:
    """Folders two levels below the store but for locks, as `kind/name`."""
    found = [p for p in (root / "store").glob("*/*") if p.is_dir()]
    return {f"{p.parent.name}/{p.name}" for p in found if p.parent.name != "leases"}


@pytest.fixture
def made(tmp_path) -> Path:
    """Two sweeps that share a corpus and a training, and one orphan of every stage."""
    artifact(tmp_path, "corpus", "c")
    artifact(tmp_path, "train", "t", {"corpus": "c"})
    for name in ("a", "b"):
        artifact(tmp_path, "respond", f"r{name}", {"train": "t"})
        artifact(tmp_path, "report", f"p{name}", {"respond": f"r{name}"})
        plan(tmp_path, name, ("corpus", "c"), ("train", "t"), ("respond", f"r{name}"), ("report", f"p{name}"))
    for stage in STAGES:
        artifact(tmp_path, stage, f"orphan-{stage}")
    folder(tmp_path, "partial", "orphan-partial")
    folder(tmp_path, "partial", "ra")
    folder(tmp_path, "aside", "orphan-aside.12")
    folder(tmp_path, "aside", "ra.12")
    folder(tmp_path, "corrupt", "judge-orphan-1")
    folder(tmp_path, "rewrites", "paid")
    (tmp_path / "store" / "spending.jsonl").write_text("{}\n")
    (tmp_path / "cache").mkdir()
    return tmp_path


KEPT = {
    *("corpus/c", "train/t", "respond/ra", "respond/rb", "report/pa", "report/pb"),
    *("partial/ra", "aside/ra.12", "rewrites/paid"),
}
ORPHANS = {
    *(f"{stage}/orphan-{stage}" for stage in STAGES),
    *("partial/orphan-partial", "aside/orphan-aside.12", "corrupt/judge-orphan-1"),
}


def test_what_no_sweep_refers_to_is_listed_and_nothing_is_touched(made, capsys):
    before = {p: p.stat().st_mtime_ns for p in made.rglob("*")}
    assert main(["--root", str(made)]) == 0
    assert {p: p.stat().st_mtime_ns for p in made.rglob("*")} == before
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines() if str(made) not in line) <= 80
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line}
    assert (rows["respond"][1], rows["respond"][4]) == ("2", "1")
    assert (rows["corrupt"][1], rows["corrupt"][4]) == ("0", "1")
    n_bytes = [
        sum(f.stat().st_size for name in names for f in (made / "store" / name).iterdir())
        for names in (KEPT - {"rewrites/paid"}, ORPHANS)
    ]
    assert (rows["total"][1], rows["total"][4]) == ("8", "11")
    for told, n in zip((rows["total"][2:4], rows["total"][5:7]), n_bytes, strict=True):
        assert told == [f"{n / 1000:.1f}", "kB"]
    assert "3 B of answers that a service was paid for" in " ".join(out.split())
    assert f"python -m warmgap.gc --root {made} --apply" in out


def test_exactly_that_is_removed_once(made, capsys):
    assert main(["--root", str(made), "--apply"]) == 0
    assert present(made) == KEPT
    assert (made / "store" / "spending.jsonl").read_text() == "{}\n"
    assert (made / "cache").is_dir()
    assert list((made / "store").glob(".gc-*")) == []
    assert list((made / "store" / "leases").iterdir()) == []
    assert "Removed 11," in capsys.readouterr().out
    assert main(["--root", str(made), "--apply"]) == 0
    assert present(made) == KEPT
    assert capsys.readouterr().out.endswith("Nothing to remove.\n")
    for name in ("corpus/c", "report/pb"):
        stage, key = name.split("/")
        assert Store(made).find(stage, key) is not None


def test_a_sweep_whose_folder_is_removed_takes_with_it_only_what_was_its_own(made):
    (made / "sweeps" / "b" / "plan.json").unlink()
    main(["--root", str(made), "--apply"])
    assert present(made) == KEPT - {"respond/rb", "report/pb"}


def test_what_a_planned_artifact_was_made_from_stays_though_no_plan_names_it(tmp_path):
    artifact(tmp_path, "corpus", "c")
    artifact(tmp_path, "rewrite", "w", {"corpus": "c"})
    artifact(tmp_path, "train", "t", {"replies": "w"})
    plan(tmp_path, "a", ("train", "t"))
    assert find(tmp_path, 0).unused == ()


def test_the_young_and_what_they_were_made_from_stay(tmp_path):
    artifact(tmp_path, "corpus", "c")
    age(artifact(tmp_path, "train", "young", {"corpus": "c"}), 0.9 * HOUR_S)
    age(artifact(tmp_path, "train", "old"), 1.1 * HOUR_S)
    partial = folder(tmp_path, "partial", "begun")
    os.utime(partial / "0.json")  # only what is in it is young
    (tmp_path / "sweeps").mkdir()
    found = find(tmp_path, HOUR_S)
    assert [e.key for e in found.unused] == ["old"]
    assert found.n_spared == 3
    assert {e.key for e in find(tmp_path, 0).unused} == {"c", "young", "old", "begun"}


HOLDER = """
import sys, time
from pathlib import Path
from warmgap.store import Store

assert Store(Path(sys.argv[1])).try_lock(sys.argv[2])
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder() -> Callable[[Path, str], None]:
    """Locks a key in another process until the test ends."""
    running = []

    def hold(root: Path, key: str) -> None:
        command = [sys.executable, "-c", HOLDER, str(root), key]
        process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout.readline() == "held\n"

    yield hold
    for process in running:
        process.kill()
        process.wait()


def test_what_another_process_is_making_stays(made, holder, capsys):
    for key in ("orphan-partial", "orphan-train", "orphan-aside"):
        holder(made, key)
    main(["--root", str(made), "--apply"])
    held = {"partial/orphan-partial", "train/orphan-train", "aside/orphan-aside.12"}
    assert present(made) == KEPT | held
    assert "no sweep refers to them: 3 that a process is making" in " ".join(capsys.readouterr().out.split())


def test_what_is_locked_after_the_listing_stays(made, holder):
    found = find(made, 0)
    holder(made, "orphan-judge")
    gone = remove(made, found.unused)
    assert len(gone) == len(ORPHANS) - 1
    assert present(made) == KEPT | {"judge/orphan-judge"}


def on_a_host_that_is_gone(root: Path, key: str) -> None:
    lease = root / "store" / "leases" / key / "000001"
    lease.parent.mkdir(parents=True)
    process = replace(this_process(), host="node7", boot="another", pid=1)
    lease.write_text(json.dumps({"token": "t"} | asdict(process)))
    age(lease)
    os.utime(lease, (time.time() - HOUR_S,) * 2)


def test_what_was_made_on_a_host_that_is_gone_is_removed(made, monkeypatch):
    on_a_host_that_is_gone(made, "orphan-train")
    monkeypatch.setattr(removal, "Store", functools.partial(Store, timing=Timing(watch_s=0.1)))
    found = find(made, 0)
    assert "orphan-train" in {e.key for e in found.unused}
    assert len(remove(made, found.unused)) == len(ORPHANS)
    assert present(made) == KEPT


def test_what_a_sweep_plans_after_the_listing_is_put_back(made):
    artifact(made, "train", "late", {"corpus": "orphan-corpus"})
    found = find(made, 0)
    plan(made, "c", ("train", "late"))
    remove(made, found.unused)
    assert present(made) == KEPT | {"train/late", "corpus/orphan-corpus"}
    assert Store(made).find("train", "late") is not None


def test_a_plan_that_breaks_after_the_listing_brings_everything_back(made):
    found = find(made, 0)
    (made / "sweeps" / "a" / "plan.json").write_text("{")
    with pytest.raises(UserError, match=r"plan\.json: it is not JSON"):
        remove(made, found.unused)
    assert present(made) - {p for p in present(made) if p.startswith(".gc-")} == KEPT | ORPHANS


def torn(path: Path) -> None:
    path.write_text('{"jobs": [')


def no_jobs(path: Path) -> None:
    path.write_text('{"name": "a", "jobs": {}}')


def a_list(path: Path) -> None:
    path.write_text("[]")


def no_key(path: Path) -> None:
    path.write_text('{"jobs": [{"stage": "train"}]}')


def not_utf8(path: Path) -> None:
    path.write_bytes(b'{"name": "\xff"}')


def a_link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def unpublished(path: Path) -> None:
    path.rename(path.with_name("manifest.json"))


def lost_disk(path: Path) -> None:
    path.with_name("x").symlink_to("/proc/nowhere")


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (torn, "it is not JSON"),
        (no_jobs, "it lists no jobs"),
        (a_list, "it lists no jobs"),
        (no_key, "it lists a job without a key"),
        (not_utf8, "it is not JSON"),
        (a_link_to_nothing, "it is a link to nothing"),
        (unpublished, "it is missing, though the sweep has results"),
        (lost_disk, "it is a link to nothing"),
    ],
)
def test_nothing_is_removed_when_a_plan_cannot_be_read(made, capsys, damage, why):
    damage(made / "sweeps" / "a" / "plan.json")
    assert main(["--root", str(made), "--apply"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"warmgap: cannot read {made / 'sweeps' / 'a'}/")
    assert why in said.err
    assert present(made) == KEPT | ORPHANS


def test_a_plan_in_a_linked_folder_counts(made, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("disk") / "a"
    (made / "sweeps" / "a").rename(elsewhere)
    (made / "sweeps" / "a").symlink_to(elsewhere)
    main(["--root", str(made), "--apply"])
    assert present(made) == KEPT


@pytest.mark.parametrize("hours", ["-1", "nan"])
def test_an_age_that_is_none_is_refused(tmp_path, capsys, hours):
    assert main(["--root", str(tmp_path), "--min-age", hours]) == 2
    assert f"warmgap: --min-age {hours} is not a time" in capsys.readouterr().err


def test_folders_without_results_or_without_sweeps(tmp_path, capsys):
    assert main(["--root", str(tmp_path / "none")]) == 2
    assert "there is no output folder" in capsys.readouterr().err
    assert main(["--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith("Nothing to remove.\n")
    path = artifact(tmp_path, "corpus", "c")
    assert main(["--root", str(tmp_path), "--apply"]) == 2
    assert "has a store but no folder sweeps" in capsys.readouterr().err
    assert path.is_dir()


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from warmgap.gc import removal, scan

root, when = Path(sys.argv[1]), sys.argv[2]
real = Path.rename


def rename(path, target):
    real(path, target)
    if target.name == "4":
        os.kill(os.getpid(), signal.SIGKILL)


def rmtree(path, *_, **__):
    next(path.rglob("rows.txt")).unlink()
    os.kill(os.getpid(), signal.SIGKILL)


if when == "moving":
    Path.rename = rename
else:
    shutil.rmtree = rmtree
removal.remove(root, scan.find(root, 0).unused)
"""


@pytest.mark.parametrize("when", ["moving", "deleting"])
def test_a_kill_leaves_artifacts_whole_or_gone_and_the_next_gc_clears_up(made, capsys, when):
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(made), when], env=environment(), check=False, capture_output=True
    )
    assert ended.returncode == -signal.SIGKILL
    (grave,) = (made / "store").glob(".gc-*")
    store = Store(made)
    standing = {p for p in present(made) if p.split("/")[0] in STAGES}
    assert {p for p in KEPT if p.split("/")[0] in STAGES} <= standing
    assert all(store.find(*name.split("/")) is not None for name in standing)
    assert main(["--root", str(made)]) == 0
    assert "left by gc" in capsys.readouterr().out
    assert grave.is_dir()
    assert main(["--root", str(made), "--apply"]) == 0
    assert present(made) == KEPT
    assert list((made / "store").glob(".gc-*")) == []


def test_two_do_not_remove_at_once(made, holder, capsys):
    holder(made, "gc")
    assert main(["--root", str(made), "--apply"]) == 2
    assert "another gc is removing" in capsys.readouterr().err
    assert present(made) == KEPT | ORPHANS


def test_links_and_folders_that_are_not_of_the_store_stay(made):
    other = made / "store" / "mine" / "notes"
    other.mkdir(parents=True)
    link = made / "store" / "train" / "link"
    link.symlink_to(made / "store" / "train" / "t")
    main(["--root", str(made), "--apply"])
    assert other.is_dir()
    assert link.is_symlink()


def test_what_cannot_be_deleted_is_named(made, capsys):
    file = made / "store" / ".gc-file"
    file.write_text("")
    assert main(["--root", str(made), "--apply"]) == 2
    assert f"warmgap: cannot read, move or delete {file}: Not a directory" in capsys.readouterr().err
    assert present(made) == KEPT | ORPHANS


NAMES = [f"k{i}" for i in range(8)]


@given(
    present_keys=st.sets(st.sampled_from(NAMES)),
    edges=st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES))),
    plans=st.lists(st.sets(st.sampled_from(NAMES), min_size=1), max_size=3),
    begun=st.sets(st.sampled_from(NAMES)),
)
@settings(max_examples=40, deadline=None)
def test_what_is_referred_to_survives_and_a_second_time_changes_nothing(present_keys, edges, plans, begun):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "sweeps").mkdir()
        stage = {k: STAGES[i % len(STAGES)] for i, k in enumerate(NAMES)}
        for key in sorted(present_keys):
            artifact(root, stage[key], key, {b: b for a, b in edges if a == key})
        for key in begun:
            folder(root, "partial", key)
        for i, keys in enumerate(plans):
            plan(root, f"s{i}", *((stage[k], k) for k in keys))
        # Floyd and Warshall: b is reached from a over artifacts that are there.
        reach = {(a, b): a == b or ((a, b) in edges and a in present_keys) for a in NAMES for b in NAMES}
        for via in NAMES:
            for a in NAMES:
                for b in NAMES:
                    reach[a, b] |= reach[a, via] and reach[via, b]
        wanted = {b for keys in plans for a in keys for b in NAMES if reach[a, b]}
        expected = {f"{stage[k]}/{k}" for k in wanted & present_keys}
        expected |= {f"partial/{k}" for k in wanted & begun}
        for _ in range(2):
            remove(root, find(root, 0).unused)
            assert present(root) == expected


def test_ten_thousand_artifacts_are_listed(tmp_path, capsys):
    stage = tmp_path / "store" / "judge"
    for i in range(10_000):
        (stage / f"k{i}").mkdir(parents=True)
        inputs = {"before": f"k{i - 1}"} if i % 2 else {}
        (stage / f"k{i}" / "manifest.json").write_text(json.dumps({"inputs": inputs}))
    plan(tmp_path, "a", *(("judge", f"k{i}") for i in range(1, 5_000, 2)))
    assert main(["--root", str(tmp_path), "--min-age", "0"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("judge")).split()
    assert (row[1], row[4]) == ("5,000", "5,000")


@pytest.mark.slow
def test_a_sweep_that_shares_with_a_removed_one_has_nothing_left_to_do(tmp_path, run_main):
    root = tmp_path / "outputs"
    for name, seed in (("a", 0), ("b", 1)):
        ended = run_main("experiment=tiny", f"name={name}", f"seed={seed}", f"store.root={root}")
        assert ended.code == 0, ended.err
    jobs = {
        name: {
            f"{job['stage']}/{job['key']}"
            for job in json.loads((root / "sweeps" / name / "plan.json").read_text())["jobs"]
        }
        for name in ("a", "b")
    }
    assert jobs["a"] & jobs["b"]
    assert jobs["b"] - jobs["a"]
    shutil.rmtree(root / "sweeps" / "b")
    assert main(["--root", str(root), "--min-age", "0", "--apply"]) == 0
    assert present(root) == jobs["a"]
    ended = run_main("experiment=tiny", "name=a", "seed=0", f"store.root={root}")
    assert ended.code == 0
    assert "Nothing was left to do." in ended.out


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
