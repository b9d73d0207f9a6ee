"""kill -9 in four places of one sweep, each followed by the same command, until it is done."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from safetensors.numpy import load_file

from warmgap.keys import file_sha256
from warmgap.schema.fields import STAGES

WORKERS = 2
COMMAND = ("experiment=tiny", f"engine.workers={WORKERS}")
TRAIN_STEPS = 3
BATCH_ROWS = 4


@dataclass(frozen=True)
class Strike:
    """What stood in the store when a command had been killed, and the log of what it had done."""

    files: dict[Path, tuple[int, int]]
    """Inode and time of change of every finished file and every finished batch."""
    states: dict[str, list[dict]]
    """The curve in the newest state of each training, by its key."""
    batches: list[str]
    commits: list[str]


@dataclass(frozen=True)
class Chain:
    """A sweep that was killed again and again."""

    root: Path
    strikes: dict[str, Strike]
    orphans_left: list[int]
    written_after_death: set[Path]
    last_batches: list[str]
    last_commits: list[str]
    code: int


def finished_files(root: Path) -> dict[Path, tuple[int, int]]:
    files = [f for stage in STAGES for f in (root / "store" / stage).rglob("*")] + [
        *root.glob("store/partial/*/batch-*.parquet")
    ]
    return {f: (f.stat().st_ino, f.stat().st_mtime_ns) for f in files if f.is_file()}


def newest_curves(root: Path) -> dict[str, list[dict]]:
    states = sorted(root.glob("store/partial/*/state-*/state.json"), key=lambda p: p.stat().st_mtime_ns)
    return {p.parents[1].name: pl.read_json(p)["curve"][0].to_list() for p in states}


class HalfDone:
    """True at the moment when the first of two batches of a cell is done, for the nth such cell."""

    def __init__(self, root: Path, n: int) -> None:
        jobs = json.loads((root / "sweeps" / "tiny" / "plan.json").read_text())["jobs"]
        long = [j["key"] for j in jobs if j["stage"] == "respond" and j["units"] > BATCH_ROWS]
        self._paths = [root / "store" / "partial" / key / "batch-00000.parquet" for key in long]
        self._n, self._seen = n, set()

    def __call__(self) -> bool:
        fresh = {p for p in self._paths if p.exists() and time.time() - p.stat().st_mtime < 0.2}
        self._seen |= fresh
        return bool(fresh) and len(self._seen) >= self._n


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(scope="module")
def chain(start, chance, tmp_path_factory):
    root = tmp_path_factory.mktemp("killed") / "outputs"
    strikes = {}

    def strike(name, moment, at_most_s, kill):
        running = start(root, *COMMAND)
        running.until(moment)
        time.sleep(chance.uniform(0, at_most_s))
        kill(running)
        strikes[name] = Strike(
            finished_files(root),
            newest_curves(root),
            [e.detail for e in running.events() if e.kind == "batch"],
            [e.detail for e in running.events() if e.kind == "commit"],
        )
        return running

    def stored(stage):
        folder = root / "store" / stage
        return len(os.listdir(folder)) if folder.is_dir() else 0

    def kill_group(running):
        running.kill_group()

    def kill_parent(running):
        running.kill_parent()
        deadline = time.monotonic() + 3
        while any(map(alive, running.workers())) and time.monotonic() < deadline:
            time.sleep(0.02)

    first = strike("parent", lambda: stored("respond") > 0, 0.5, kill_parent)
    orphans = [pid for pid in first.workers() if alive(pid)]
    before = finished_files(root)
    time.sleep(0.5)
    written = {p for p, facts in finished_files(root).items() if before.get(p) != facts}

    n_steps = chance.randint(1, TRAIN_STEPS - 1)
    strike("train", lambda: [*root.glob(f"store/partial/*/state-{n_steps}")], 0.3, kill_group)
    strike("respond", HalfDone(root, chance.randint(1, 2)), 0.05, kill_group)
    n_verdicts = chance.randint(1, 6)
    strike("judge", lambda: stored("judge") >= n_verdicts, 0, kill_group)

    last = start(root, *COMMAND)
    ended = last.end()
    assert ended.code == 0, ended.err
    return Chain(root, strikes, orphans, written, ended.details("batch"), ended.details("commit"), ended.code)


def test_ctrl_c_stops_everything_with_a_message(start, tmp_path):
    running = start(tmp_path / "outputs", *COMMAND)
    running.until(lambda: len(running.workers()) == WORKERS)
    os.killpg(running.process.pid, signal.SIGINT)
    ended = running.end()
    assert ended.code == 130
    assert ended.err.splitlines()[-1] == "warmgap: stopped. Run the same command again to go on."
    assert "Traceback" not in ended.err
    assert not any(map(alive, running.workers()))


def test_workers_die_with_the_command(chain):
    assert chain.orphans_left == []
    assert chain.written_after_death == set()


@pytest.mark.parametrize(
    ("place", "stages_done", "stages_open"),
    [
        ("train", {"corpus"}, {"judge", "analyse"}),
        ("respond", {"corpus", "respond"}, {"judge", "analyse"}),
        ("judge", {"corpus", "train", "respond", "judge"}, {"analyse", "report"}),
    ],
)
def test_the_kill_came_inside_the_stage(chain, place, stages_done, stages_open):
    stages = {p.relative_to(chain.root / "store").parts[0] for p in chain.strikes[place].files}
    assert stages_done <= stages
    assert not stages & stages_open


@pytest.mark.parametrize("place", ["train", "respond", "judge"])
def test_what_was_finished_is_kept(chain, place):
    now = finished_files(chain.root)
    for path, facts in chain.strikes[place].files.items():
        if "partial" not in path.parts:
            assert now[path] == facts, path


def test_at_most_one_batch_per_worker_is_made_again(chain):
    runs = [
        *((s.batches, s.commits) for s in chain.strikes.values()),
        (chain.last_batches, chain.last_commits),
    ]
    times = Counter(b for batches, _ in runs for b in batches if "state-" not in b)
    again = {b for b, n in times.items() if n > 1}
    assert len(again) <= WORKERS * len(chain.strikes)
    for place, strike in chain.strikes.items():
        kept = {f"{p.parent.name}/{p.name}" for p in strike.files if "partial" in p.parts}
        later = [b for batches, _ in runs[list(chain.strikes).index(place) + 1 :] for b in batches]
        assert kept.isdisjoint(later), "a finished batch was made again"
    assert any("partial" in p.parts for p in chain.strikes["respond"].files)


def test_training_goes_on_from_its_last_step(chain):
    states = chain.strikes["train"].states
    assert states
    for key, curve in states.items():
        final = pl.read_parquet(chain.root / "store" / "train" / key / "curve.parquet").to_dicts()
        assert len(final) == TRAIN_STEPS
        # wall_s of a step is a measurement: equal only if the step was not made again.
        assert final[: len(curve)] == curve


def test_the_results_equal_those_of_an_undisturbed_run(chain, finished, results):
    ours, theirs = results(chain.root / "sweeps" / "tiny"), results(finished.folder)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_the_adapters_equal_those_of_an_undisturbed_run(chain, finished):
    pattern = "store/train/*/checkpoint-*/adapter_model.safetensors"
    hashes = [
        {p.relative_to(r): file_sha256(p) for p in r.glob(pattern)} for r in (chain.root, finished.root)
    ]
    assert hashes[0] == hashes[1]
    assert len(hashes[0]) == 4
    adapter = load_file(next(chain.root.glob(pattern)))
    assert any(abs(w).max() > 0 for name, w in adapter.items() if "lora_B" in name)


def test_nothing_half_made_is_left_behind(chain):
    store = chain.root / "store"
    assert [*(store / "aside").iterdir()] == []
    assert not (store / "corrupt").exists()
    finished = {
        p.name for stage in STAGES for p in (store / stage).glob("*") if (p / "manifest.json").exists()
    }
    assert {p.name for p in (store / "partial").iterdir()} <= finished
