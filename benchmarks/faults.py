"""A sweep under random kills: no row lost, none twice, and tables byte for byte those of an undisturbed run.

The embedded sweep is begun again and again, in turn by the local launcher and on a SLURM of its own, while
process after process ends by SIGKILL: workers, the command itself, what SLURM runs and its slurmd. Each time
the same command goes on, until the sweep is complete; then the next one begins in an empty folder, until
there were enough kills. A kill counts if the process was alive. A seed repeats the choices, not the moments.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import psutil
from timing import write

NAME = "drill"
METHODS = ("original", "neutral_sft", "warm_sft")
FRAMINGS = ("filler", "sad")
BELIEFS = ("unsure", "incorrect")
SWEEP = (
    "experiment=tiny",
    f"name={NAME}",
    f"method={','.join(METHODS)}",
    f"framing={','.join(FRAMINGS)}",
    f"belief={','.join(BELIEFS)}",
    "training.steps=6",
    "sampling.extra_draws.original=1",
    "warmth.meters=[{name:lexicon,kind:lexicon}]",
    "warmth.checkpoints={}",
)
LOCAL = ("engine.workers=2",)
SLURM = ("hydra/launcher=slurm", "cluster.resources.cpus=1", "cluster.resources.mem_gb=1")
SCRIPT = Path(__file__).resolve().parents[1] / "tests" / "slurm" / "slurm.sh"
PORT = 12000 + os.getpid() % 8000
WEIGHTS = {"worker": 6, "command": 2, "slurm_bundle": 3, "slurm_worker": 3, "slurmd": 2}
"""How often each kind is chosen where there is one."""
SHARE_SLURM = 0.3
LONGEST_S = 1200
"""A command that takes longer hangs."""
_MAIN = "from warmgap.app import main; main()"


@dataclass
class Drill:
    """What was killed so far, and what chooses the next."""

    chance: random.Random
    wanted: int
    questions: int
    slurm: Mapping[str, str] | None
    """The environment of the commands with a SLURM; None without one."""
    kills: Counter[str] = field(default_factory=Counter)
    commands: int = 0
    sweeps: int = 0
    rows: int = 0

    def begin(self, root: Path, *more: str) -> subprocess.Popen[bytes]:
        """Begin the command; what it says is added to a file beside the root."""
        self.commands += 1
        command = [sys.executable, "-c", _MAIN, *SWEEP, f"task.n_questions={self.questions}", *more]
        with root.with_suffix(".txt").open("ab") as said:
            return subprocess.Popen(
                [*command, f"store.root={root}"],
                stdout=said,
                stderr=said,
                start_new_session=True,
                env=self.slurm or os.environ,
            )

    def go_on(self, root: Path) -> None:
        """One command, and on SLURM its jobs, to their end under kills."""
        on_slurm = self.slurm is not None and self.chance.random() < SHARE_SLURM
        command = self.begin(root, *(SLURM if on_slurm else LOCAL))
        begun, next_at = time.monotonic(), self.next_kill()
        while command.poll() is None or (on_slurm and self.waits_for_slurm()):
            time.sleep(0.2)
            if time.monotonic() - begun > LONGEST_S:
                raise SystemExit(f"a command has hung for {LONGEST_S} s: {root.with_suffix('.txt')}")
            if time.monotonic() > next_at:
                self.kill_one(command)
                next_at = self.next_kill()
        if command.returncode == 2:
            raise SystemExit(f"the command was refused: {root.with_suffix('.txt').read_text()[-2000:]}")

    def next_kill(self) -> float:
        """When to kill: often while processes start, else amid their work."""
        if self.kills.total() >= self.wanted:
            return float("inf")
        return time.monotonic() + self.chance.choice((self.chance.uniform(0, 4), self.chance.uniform(4, 16)))

    def kill_one(self, command: subprocess.Popen[bytes]) -> None:
        """Kill a process of a kind chosen by weight, if there is any."""
        found = by_kind(command, self.slurm)
        if not found:
            return
        kinds = sorted(found)
        kind = self.chance.choices(kinds, [WEIGHTS[k] for k in kinds])[0]
        process, name = self.chance.choice(found[kind])
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            process.kill()
        except psutil.NoSuchProcess:
            return
        if kind == "slurmd":
            script("kill-daemon", name, environment=self.slurm)
            script("start", name, environment=self.slurm)
        if alive:
            self.kills[kind] += 1
            print(f"kill {self.kills.total()} of {self.wanted}: {kind} ({name or process.pid})", flush=True)

    def waits_for_slurm(self) -> bool:
        """Whether SLURM has jobs, running or not."""
        found = subprocess.run(["squeue", "--noheader"], env=self.slurm, capture_output=True, text=True)
        return found.returncode != 0 or bool(found.stdout.strip())


def by_kind(
    command: subprocess.Popen[bytes], slurm: Mapping[str, str] | None
) -> dict[str, list[tuple[psutil.Process, str]]]:
    """Living processes by what they are, with the name of a slurmd's node."""
    found: dict[str, list[tuple[psutil.Process, str]]] = {}

    def add(kind: str, process: psutil.Process, name: str = "") -> None:
        found.setdefault(kind, []).append((process, name))

    if command.poll() is None:
        parent = psutil.Process(command.pid)
        add("command", parent)
        for child in parent.children(recursive=True):
            if is_worker(child):
                add("worker", child)
    if slurm is not None:
        for process in psutil.process_iter(["name", "environ"]):
            has = process.info["environ"] or {}
            of_job = has.get("SLURM_CONF") == slurm["SLURM_CONF"] and "SLURM_JOB_ID" in has
            if of_job and process.info["name"].startswith("python"):
                if is_worker(process):
                    add("slurm_worker", process)
                elif is_bundle(process):
                    add("slurm_bundle", process)
        for path in Path(slurm["SLURM_FOLDER"], "pid").glob("n*") if "slurm_bundle" in found else ():
            add("slurmd", psutil.Process(int(path.read_text())), path.name)
    return found


def is_worker(process: psutil.Process) -> bool:
    """Whether a process runs jobs for the one that started it."""
    return "--multiprocessing-fork" in words_of(process)


def is_bundle(process: psutil.Process) -> bool:
    """Whether a process is what SLURM started."""
    return "submitit.core._submit" in words_of(process)


def words_of(process: psutil.Process) -> list[str]:
    """The command line of a process; empty where it has ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def script(*arguments: str, environment: Mapping[str, str] | None) -> None:
    """Run slurm.sh."""
    subprocess.run([SCRIPT, *arguments], env=environment, check=True)


@contextmanager
def slurm_of_its_own(folder: Path) -> Iterator[dict[str, str] | None]:
    """The environment of a running cluster; None where SLURM is not installed."""
    if shutil.which("slurmctld", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"])) is None:
        print("no slurmctld here: the local launcher alone is drilled")
        yield None
        return
    environment = os.environ | {
        "SLURM_FOLDER": str(folder),
        "SLURM_CONF": str(folder / "slurm.conf"),
        "SLURM_PORT": str(PORT),
        "SLURM_OWNER": str(os.getpid()),
    }
    try:
        script("up", environment=environment)
        yield environment
    finally:
        script("down", environment=environment)


def results(root: Path) -> dict[str, bytes]:
    """Every table of the sweep as bytes."""
    folder = root / "sweeps" / NAME
    files = [*folder.glob("*.parquet"), *folder.glob("tables/*")]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def check(root: Path, undisturbed: Path, n_rows: int) -> None:
    """Compare a sweep with the undisturbed one.

    Raises:
        SystemExit: a row is lost or there twice, or a table differs.
    """
    rows = pl.read_parquet(root / "sweeps" / NAME / "observations.parquet")
    cell = ["model", "method", "seed", "task", "framing", "belief", "question_id", "draw", "judge"]
    n_cells = rows.select(cell).n_unique()
    if (rows.height, n_cells) != (n_rows, n_rows):
        raise SystemExit(
            f"{rows.height} rows, of which {n_cells} differ, where the plan has {n_rows}: {root}"
        )
    ours, theirs = results(root), results(undisturbed)
    wrong = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
    if wrong:
        raise SystemExit(f"not as in the undisturbed run: {', '.join(wrong)}: {root}")


def main() -> None:
    """Drill until there were enough kills."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100, help="a result is written from 100 on")
    parser.add_argument(
        "--questions", type=int, default=24, help="per cell; there are 12 cells, 16 with draws"
    )
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    n_rows = asked.questions * len(FRAMINGS) * len(BELIEFS) * len(METHODS)
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="warmgap-drill-"))  # kept where something was wrong
    with slurm_of_its_own(folder / "slurm") as slurm:
        drill = Drill(random.Random(asked.seed), asked.kills, asked.questions, slurm)
        undisturbed = folder / "undisturbed"
        if drill.begin(undisturbed, *LOCAL).wait():
            raise SystemExit(undisturbed.with_suffix(".txt").read_text())
        drill.commands = 0
        undisturbed_s = time.monotonic() - begun
        while drill.kills.total() < drill.wanted:
            root = folder / f"sweep{drill.sweeps}"
            while not (root / "sweeps" / NAME / "manifest.json").is_file():
                drill.go_on(root)
            check(root, undisturbed, n_rows)
            drill.sweeps += 1
            drill.rows += n_rows
    shutil.rmtree(folder)
    found = {
        "kills": drill.kills.total(),
        "kills_by_kind": dict(sorted(drill.kills.items())),
        "sweeps_completed": drill.sweeps,
        "commands": drill.commands,
        "rows_checked": drill.rows,
        "rows_lost_or_twice": 0,
        "tables_that_differ": 0,
        "undisturbed_s": round(undisturbed_s),
        "wall_s": round(time.monotonic() - begun),
        "seed": asked.seed,
    }
    if asked.kills >= 100:
        write("faults", found)
    else:
        print(found)


if __name__ == "__main__":
    main()
