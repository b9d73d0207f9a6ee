"""The mirror beside a run: it can neither stop nor hold up those who make artifacts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from dataclasses import replace

import pytest

from warmgap.schema.config import Config, StoreConfig
from warmgap.store import Store
from warmgap.tracking import process
from warmgap.tracking.modes import way_of
from warmgap_launchers.local import LocalExecutor

needs_wandb = pytest.mark.skipif("not __import__('importlib.util').util.find_spec('wandb')")


@pytest.fixture
def begin(stored, environment_with, monkeypatch):
    """Begins a mirror of the stored sweep as an executor does; what is left of it is killed."""
    begun = []
    for name, value in environment_with().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WANDB_MODE", raising=False)

    def run(config: Config, **environ: str):
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        begun.append(process.begin(stored.plan, config, Store(stored.root)))
        return begun[-1]

    yield run
    for mirror in begun:
        if mirror._process is not None:
            try:
                os.killpg(mirror._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def csv(config: Config) -> Config:
    return replace(config, logger="csv")


def with_mode(config: Config, mode: str) -> Config:
    return replace(config, wandb=replace(config.wandb, mode=mode))


def until(seen, limit_s: float = 120) -> None:
    started = time.monotonic()
    while not seen():
        assert time.monotonic() - started < limit_s
        time.sleep(0.05)


@needs_wandb
def test_a_server_that_never_answers_is_waited_for_no_longer_than_the_bound(stored, begin, wandb_stub):
    server = wandb_stub.Silent()
    mirror = begin(with_mode(stored.config, "online"), WANDB_BASE_URL=server.address)
    until(lambda: server.n_asked)
    mirror._began = time.monotonic() - 40  # a run of 40 s, of which 5 % are 2 s
    started = time.monotonic()
    mirror.end()
    took_s = time.monotonic() - started
    os.kill(mirror._process.pid, 0)  # it goes on without us
    server.close()
    assert 1.9 < took_s < 4
    assert process.WAIT_SHARE * 3600 > process.WAIT_S == 20  # of an hour not 3 minutes


def test_a_mirror_that_is_killed_is_said_and_nothing_else(stored, begin, capsys):
    (stored.root / "store" / "train").rename(stored.root / "away")
    mirror = begin(csv(stored.config))
    os.killpg(mirror._process.pid, signal.SIGKILL)
    mirror._process.wait()
    mirror.end()
    assert capsys.readouterr().err == (
        f"The csv mirror ended early: {stored.folder / 'curves' / 'mirror.log'} says why.\n"
    )


def test_artifacts_are_mirrored_while_others_are_made_and_the_last_after_the_end(stored, begin):
    trained = stored.root / "store" / "train"
    away = stored.root / "away"
    trained.rename(away)
    trained.mkdir()
    first, last = sorted(p.name for p in away.iterdir())
    curves = stored.folder / "curves"
    mirror = begin(csv(stored.config))
    shutil.move(away / first, trained / first)
    until(lambda: len(list(curves.glob("*.csv"))) == 1)
    assert mirror._process.poll() is None
    shutil.move(away / last, trained / last)
    mirror._began -= 2000
    mirror.end()
    assert mirror._process.poll() == 0
    assert len(list(curves.glob("*.csv"))) == 2
    assert (curves / "mirror.log").read_text() == ""


def test_a_mirror_outlives_an_executor_that_dies_and_then_ends(stored, begin):
    mirror = begin(csv(stored.config))
    mirror._process.stdin.close()  # as the kernel does
    until(lambda: mirror._process.poll() is not None)
    assert len(list((stored.folder / "curves").glob("*.csv"))) == 2


def test_the_local_executor_begins_and_ends_one(stored, begin, capsys):
    config = replace(csv(stored.config), stage="train", store=StoreConfig(str(stored.root)))
    assert LocalExecutor().execute(stored.plan, config) == 0
    assert "Stage train of the sweep 'tiny' is complete" in capsys.readouterr().out
    until(lambda: len(list((stored.folder / "curves").glob("*.csv"))) == 2)


def test_a_job_of_a_cluster_mirrors_what_it_has_published(stored, begin):
    index = stored.folder / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"logger": "csv"}))
    process.mirror_published(stored.root, "tiny")
    assert len(list((stored.folder / "curves").glob("*.csv"))) == 2
    index.unlink()
    process.mirror_published(stored.root, "tiny")


@pytest.mark.parametrize("package", ["wandb", "tensorboard"])
def test_an_absent_package_is_one_quiet_note(stored, begin, capsys, monkeypatch, package):
    for name in ("wandb", "tensorboard", "tensorboardX"):
        monkeypatch.setitem(sys.modules, name, None)
    mirror = begin(replace(stored.config, logger=package))
    mirror.end()
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert f"Not mirrored: logger={package} needs the package {package}, which is not installed" in said.err
    assert not (stored.folder / "wandb").exists() and not (stored.folder / "curves").exists()


@pytest.mark.parametrize(
    ("logger", "mode", "said", "found"),
    [
        ("wandb", "online", "disabled", None),
        ("wandb", "disabled", "", None),
        ("wandb", "disabled", "online", "online"),
        ("wandb", "offline", "", "offline"),
        ("wandb", "online", "dryrun", "offline"),
        ("wandb", "offline", "no word", "offline"),
        ("none", "online", "online", None),
        ("csv", "disabled", "disabled", "csv"),
    ],
)
def test_what_the_user_says_in_wandb_mode_goes_before_the_setting(stored, logger, mode, said, found):
    wandb = replace(stored.config.wandb, mode=mode)
    way = way_of(logger, wandb, stored.folder, {"WANDB_MODE": said})
    assert (way.mode if way else None) == found


def test_a_disabled_mirror_begins_no_process_but_leaves_the_index(stored, begin, capsys):
    (stored.folder / "index.json").unlink()
    mirror = begin(with_mode(stored.config, "online"), WANDB_MODE="disabled")
    mirror.end()
    assert mirror._process is None
    assert sorted(p.name for p in stored.folder.iterdir()) == ["index.json"]
    assert capsys.readouterr() == ("", "")


@needs_wandb
def test_one_mirror_of_a_sweep_at_a_time(stored, begin, track):
    (stored.root / "store" / "train").rename(stored.root / "away")
    mirror = begin(stored.config, WANDB_MODE="offline")
    memory = stored.folder / "wandb" / "mirrored.json"
    until(memory.is_file)
    ended = track("tiny", "--root", str(stored.root), WANDB_MODE="offline")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "another process is mirroring the sweep 'tiny'" in ended.stderr
    mirror._began -= 2000
    mirror.end()
    assert "train" not in {e["stage"] for e in json.loads(memory.read_text()).values()}
