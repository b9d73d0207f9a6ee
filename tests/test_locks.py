from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmgap import locks
from warmgap.errors import UserError
from warmgap.holders import this_process
from warmgap.locks import Leases, Timing
from warmgap.store import Store

SHORT = Timing(beat_s=0.05, stale_s=2.0, watch_s=0.2)
ELSEWHERE = replace(this_process(), host="node7", boot="another", pid=1)


def python(code: str, *arguments: object, **variables: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def left_by(process, folder: Path, key: str = "k", generation: int = 1, age_s: float = 0.0) -> Path:
    """A lease as `process` would have made it, without a sign of life for so long."""
    path = folder / key / f"{generation:06d}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"token": path.as_posix()} | asdict(process)))
    at = path.stat().st_mtime - age_s
    os.utime(path, (at, at))
    return path


def take_by_waiting(leases: Leases, key: str = "k", seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not leases.take(key):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def shows_life(file: Path) -> bool:
    seen = set()
    deadline = time.monotonic() + 20
    while len(seen) < 4 and time.monotonic() < deadline:
        seen.add(file.stat().st_mtime_ns)
        time.sleep(0.01)
    return len(seen) == 4


CONTENDER = """
import os, random, sys, time
from pathlib import Path
from warmgap.locks import Leases

root, n, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
leases = Leases(root / "leases")
print("ready", flush=True)
sys.stdin.readline()
left = [f"k{i}" for i in range(n)]
while left:
    key = chance.choice(left)
    if (root / "made" / key).exists():
        left.remove(key)
    elif leases.take(key):
        inside = os.open(root / f"inside-{key}", os.O_CREAT | os.O_EXCL)  # fails if another is in there
        made = False
        if not (root / "made" / key).exists() and chance.random() < 0.7:
            with open(root / "log", "a") as f:
                f.write(key + "\\n")
            (root / "made" / key).write_text("")
            made = True
        os.close(inside)
        os.unlink(root / f"inside-{key}")
        leases.release(key, done=made)
"""


def test_eight_processes_make_each_of_200_things_once(tmp_path):
    (tmp_path / "made").mkdir()
    running = [python(CONTENDER, tmp_path, 200, i) for i in range(8)]
    for each in running:
        assert each.stdout.readline() == "ready\n"
    for each in running:
        each.stdin.write("go\n")
        each.stdin.flush()
    assert [each.wait(timeout=120) for each in running] == [0] * 8
    assert Counter((tmp_path / "log").read_text().split()) == {f"k{i}": 1 for i in range(200)}


HOLDER = """
import sys
from pathlib import Path
from warmgap.locks import Leases

leases = Leases(Path(sys.argv[1]))
assert leases.take("k")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds `k` until it is told to end."""
    process = python(HOLDER, tmp_path)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_what_a_killed_process_held_is_free_at_once(holder, tmp_path):
    ours = Leases(tmp_path)
    assert not ours.take("k")
    assert str(ours.holder("k")) == f"{this_process().host}:{holder.pid}"
    holder.kill()
    # Not even waited for: a process that its parent has not asked after is no more than an entry.
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    assert ours.holder("k") is None
    assert ours.take("k")
    assert ours.held("k")


def test_what_a_process_held_that_ends_in_good_order_is_free_for_other_hosts_too(holder, tmp_path):
    holder.communicate("end\n", timeout=30)
    assert (tmp_path / "k" / "000001").stat().st_mtime_ns == 0
    assert Leases(tmp_path).take("k")


def test_a_fork_neither_holds_nor_releases_nor_shows_life(tmp_path):
    ours = Leases(tmp_path)
    assert ours.take("k")
    file = tmp_path / "k" / "000001"
    shown = file.stat().st_mtime_ns
    child = os.fork()
    if not child:
        fine = not ours.held("k") and not ours.take("k")
        ours.release("k")
        ours.timing = SHORT
        fine = fine and ours.take("other") and shows_life(tmp_path / "other" / "000001")
        os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert file.stat().st_mtime_ns == shown
    assert ours.held("k")
    assert ours.take("other")  # the child's, which is gone


STOPPED = """
import sys, time
from pathlib import Path
from warmgap.locks import LostLease, Timing
from warmgap.store import Store

store = Store(Path(sys.argv[1]), timing=Timing(0.05, 2.0, 0.2))
assert store.try_lock("k")
folder = store.root / "mine"
folder.mkdir()
(folder / "x.txt").write_text("theirs")
print("held", flush=True)
sys.stdin.readline()
try:
    store.commit(
        folder, stage="judge", stage_version=1, key="k", config={}, inputs={}, fingerprints={}, counts={},
        started=time.time(),
    )
except LostLease as e:
    print("lost:", e)
store.unlock("k", done=True)
"""


def test_a_stopped_process_is_put_aside_and_commits_nothing_when_it_goes_on(tmp_path):
    stopped = python(STOPPED, tmp_path)
    assert stopped.stdout.readline() == "held\n"
    ours = Store(tmp_path, timing=SHORT)
    for _ in range(25):
        assert not ours.try_lock("k")
        time.sleep(0.1)
    stopped.send_signal(signal.SIGSTOP)
    take_by_waiting(ours.leases)
    stopped.send_signal(signal.SIGCONT)
    out, _ = stopped.communicate("go\n", timeout=30)
    assert out.startswith("lost: another process has taken over judge/k")
    assert ours.held("k")  # what it gave up was not ours
    with ours.workspace("k") as folder:
        (folder / "x.txt").write_text("ours")
        made = ours.commit(
            folder,
            stage="judge",
            stage_version=1,
            key="k",
            config={},
            inputs={},
            fingerprints={},
            counts={},
            started=time.time(),
        )
    assert made.file("x.txt").read_text() == "ours"
    ours.unlock("k", done=True)
    assert [p.name for p in (tmp_path / "store" / "judge").iterdir()] == ["k"]
    assert list((tmp_path / "store" / "leases").iterdir()) == []


def test_a_process_shows_life_while_it_does_other_things(tmp_path):
    assert Leases(tmp_path, SHORT).take("k")
    assert shows_life(tmp_path / "k" / "000001")


def test_one_who_wakes_while_it_is_judged_keeps_its_lock(tmp_path, monkeypatch):
    ours = Leases(tmp_path, Timing(stale_s=100, watch_s=0))
    file = left_by(ELSEWHERE, tmp_path, age_s=200)
    assert not ours.take("k")
    real = locks.clock_s

    def clock_s(folder: int) -> float:
        now_s = real(folder)
        os.utime(file)
        return now_s

    monkeypatch.setattr(locks, "clock_s", clock_s)
    assert not ours.take("k")
    assert {p.name for p in (tmp_path / "k").iterdir()} == {"000001"}


def test_of_a_process_elsewhere_one_waits_for_age_and_watches(tmp_path, monkeypatch):
    def wrong(*_: object) -> float:
        raise AssertionError("the clock of this host says nothing of another's")

    monkeypatch.setattr(locks.time, "time", wrong)
    timing = Timing(stale_s=100, watch_s=0.2)
    ours = Leases(tmp_path, timing)
    young = left_by(ELSEWHERE, tmp_path, age_s=90)
    for _ in range(2):
        assert not ours.take("k")
        time.sleep(0.25)
    assert 90 <= ours.holder("k").age_s < 100
    at = young.stat().st_mtime - 20
    os.utime(young, (at, at))
    assert not ours.take("k")  # old, and seen for the first time
    assert not Leases(tmp_path, timing).take("k")
    assert not ours.take("k")
    time.sleep(0.25)
    os.utime(young, (at + 1, at + 1))
    assert not ours.take("k")  # it did something meanwhile
    time.sleep(0.25)
    assert ours.take("k")
    assert {p.name for p in (tmp_path / "k").iterdir()} == {"000002"}


@pytest.mark.parametrize("content", ["", "{ torn", "[1]", '{"token": "t"}'])
def test_what_cannot_be_read_is_put_aside_by_age_alone(tmp_path, content):
    ours = Leases(tmp_path, Timing(stale_s=100, watch_s=0.0))
    path = left_by(ELSEWHERE, tmp_path)
    path.write_text(content)
    for _ in range(2):
        assert not ours.take("k")
    assert str(ours.holder("k")) == "?:0"
    os.utime(path, (1, 1))
    assert not ours.take("k")
    assert ours.take("k")


@pytest.mark.parametrize(("restart", "mine"), [("1", True), ("0", False)])
def test_what_an_earlier_life_of_the_same_slurm_job_held_is_free_at_once(tmp_path, restart, mine):
    left_by(replace(ELSEWHERE, slurm_cluster="c", slurm_job="12_3", slurm_restarts=0), tmp_path)
    code = "import sys, pathlib; from warmgap.locks import Leases; l = Leases(pathlib.Path(sys.argv[1]))"
    job = {"SLURM_JOB_ID": "15", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}
    asked = python(
        f"{code}; print(l.holder('k'), l.take('k'))",
        tmp_path,
        **job,
        SLURM_CLUSTER_NAME="c",
        SLURM_RESTART_COUNT=restart,
    )
    said = asked.communicate(timeout=30)[0].strip()
    assert said == ("None True" if mine else "node7:1 (SLURM job 12_3) False")


def test_of_many_who_put_one_aside_one_wins(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    for i in range(25):
        key = f"k{i}"
        left_by(replace(this_process(), pid=gone.pid), tmp_path, key, generation=7)
        contenders = [Leases(tmp_path) for _ in range(6)]
        barrier = threading.Barrier(len(contenders))
        won = []

        def run(leases, key=key, barrier=barrier, won=won):
            barrier.wait()
            if leases.take(key):
                won.append(leases)

        threads = [threading.Thread(target=run, args=(c,)) for c in contenders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [c for c in contenders if c.held(key)] == won
        assert len(won) == 1
        assert {p.name for p in (tmp_path / key).iterdir()} == {"000008"}


def before_link(monkeypatch, act) -> None:
    """Let `act` happen once, between the last look of who takes a lock and its link."""
    real, left = os.link, [act]

    def link(*given, **named):
        if left:
            left.pop()()
        real(*given, **named)

    monkeypatch.setattr(locks.os, "link", link)


def test_who_sleeps_before_the_link_harms_nobody(tmp_path, monkeypatch):
    late, others = Leases(tmp_path), Leases(tmp_path)

    def two_came() -> None:
        for _ in range(2):
            assert others.take("k")
            others.release("k")
        assert others.take("k")  # and the lower generations are gone

    before_link(monkeypatch, two_came)
    assert not late.take("k")
    assert others.held("k")
    others.release("k")
    assert late.take("k")
    assert {p.name for p in (tmp_path / "k").iterdir()} == {"000004"}


def test_who_sleeps_while_the_folder_is_replaced_harms_nobody(tmp_path, monkeypatch):
    late, others = Leases(tmp_path), Leases(tmp_path)

    def done_and_anew() -> None:
        assert others.take("k")
        others.release("k", done=True)
        assert others.take("k")

    before_link(monkeypatch, done_and_anew)
    assert not late.take("k")
    assert others.held("k")
    assert {p.name for p in (tmp_path / "k").iterdir()} == {"000001"}


@pytest.mark.parametrize("anew", [False, True])
def test_who_links_while_the_folder_is_being_removed_has_nothing(tmp_path, monkeypatch, anew):
    late, others, next_one = (Leases(tmp_path) for _ in range(3))

    def one_left_and_one_is_done() -> None:
        for _ in range(2):
            assert others.take("k")
            others.release("k")
        assert others.take("k")
        (folder,) = tmp_path.iterdir()
        folder.rename(tmp_path / ".removed")  # the first act of who is done; the lower ones are gone
        (tmp_path / ".removed" / "000003").unlink()
        if anew:
            assert next_one.take("k")

    before_link(monkeypatch, one_left_and_one_is_done)
    assert not late.take("k")
    assert next_one.held("k") == anew
    assert next_one.take("k") != anew


def test_a_link_that_was_made_though_the_server_denies_it_counts(tmp_path, monkeypatch):
    real = os.link

    def link(*given, **named):
        real(*given, **named)
        real(*given, **named)  # asked again: the answer was lost

    monkeypatch.setattr(locks.os, "link", link)
    ours = Leases(tmp_path)
    assert ours.take("k")
    assert ours.held("k")
    assert {p.name for p in (tmp_path / "k").iterdir()} == {"000001"}


def test_a_lock_whose_folder_is_deleted_is_lost(tmp_path):
    ours = Leases(tmp_path)
    assert ours.take("k")
    (tmp_path / "k" / "000001").unlink()
    (tmp_path / "k").rmdir()
    assert ours.lost("k")
    assert Leases(tmp_path).take("k")
    ours.release("k", done=True)
    assert Leases(tmp_path).holder("k") is not None


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["take", "fail", "done", "vanish"])), max_size=25)
)
@settings(max_examples=60, deadline=None)
def test_one_holds_at_most_and_generations_only_rise_while_the_folder_stands(steps):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        everyone = [Leases(folder, Timing(stale_s=0, watch_s=0)) for _ in range(3)]
        owner, before = None, (0, 0)
        for who, step in steps:
            leases = everyone[who]
            if step == "take":
                took = leases.take("k")
                assert took == (owner is None) or owner == "gone"
                owner = who if took else owner
            elif owner == who and step in ("fail", "done"):
                leases.release("k", done=step == "done")
                owner = None
            elif owner == who:  # the process vanishes on another host
                leases._mine.pop("k").release()
                file = max((folder / "k").iterdir())
                left_by(ELSEWHERE, folder, generation=int(file.name), age_s=1)
                owner = "gone"
            assert [leases.held("k") for leases in everyone] == [i == owner for i in range(3)]
            if (folder / "k").is_dir():
                (file,) = (folder / "k").iterdir()
                at = ((folder / "k").stat().st_ino, int(file.name))
                assert at[0] != before[0] or at[1] >= before[1]
                before = at
            else:
                assert owner is None
                before = (0, 0)


@contextmanager
def room_for(n_bytes):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path):
    ours = Leases(tmp_path)
    with room_for(10), pytest.raises(OSError, match="File too large"):
        ours.take("k")
    assert list((tmp_path / "k").iterdir()) == []
    assert ours.take("k")
    with room_for(0):
        ours.release("k")
    assert Leases(tmp_path).take("k")


def test_a_folder_that_takes_no_locks_is_named_with_what_helps():
    with pytest.raises(UserError, match=r"cannot make a lock in /sys/warmgap: .* store\.root=FOLDER"):
        Leases(Path("/sys/warmgap")).take("k")


def test_names_of_locks(tmp_path):
    ours = Leases(tmp_path / "leases")
    assert ours.names() == ()
    assert ours.holder("k") is None
    for key in ("b", "a"):
        assert ours.take(key)
    ours.release("b", done=True)
    assert ours.names() == ("a",)
