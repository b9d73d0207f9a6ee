"""Submissions as far as they need no SLURM: what is left to living jobs, arrays, dependencies, scripts."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from submitit.slurm.slurm import _make_sbatch_string

from warmgap.bundles import Bundle
from warmgap.runs import Run, Runs
from warmgap.schema.cluster import ClusterConfig, ResourcesConfig
from warmgap_launchers.arrays import Array, arrays, dependency, left_to, parameters
from warmgap_launchers.dependents import hopeless
from warmgap_launchers.slurm_queue import contract, expand, max_array_size, parse_squeue
from warmgap_launchers.submission import _write_records


@dataclass
class Needs:
    """A plan's node as far as its inputs go."""

    keys: tuple[str, ...]

    @property
    def job(self) -> SimpleNamespace:
        return SimpleNamespace(inputs={str(i): k for i, k in enumerate(self.keys)})


def record(key, state, job="", **more):
    return Run(key, "respond", key, state, slurm_job=job, **more)


PLAN = {"corpus": Needs(()), "warm": Needs(("corpus",)), "cold": Needs(("corpus",)), "cell": Needs(("warm",))}


def test_what_a_living_job_makes_is_left_to_it_unless_its_input_is_made_anew():
    missing = {k: n for k, n in PLAN.items() if k != "corpus"}
    queued = {"warm": record("warm", "running", "1_0"), "cell": record("cell", "queued", "2")}
    assert left_to(missing, queued, ["1_0", "2"]) == {"warm": "1_0", "cell": "2"}
    assert left_to(missing, queued, ["2"]) == {}
    failed = queued | {"warm": record("warm", "failed", "1_0")}
    assert left_to(missing, failed, ["1_0", "2"]) == {}
    there = {"cell": PLAN["cell"]}
    assert left_to(there, queued, ["2"]) == {"cell": "2"}


def test_arrays_hold_a_level_with_the_same_resources_and_no_more_elements_than_allowed():
    small, large = ResourcesConfig(gpus=1), ResourcesConfig(gpus=4)
    trainings = [Bundle(f"train-{i}", "train", "m", (f"t{i}",)) for i in range(5)]
    answers = Bundle("respond-1", "respond", "m", ("r",), tuple(b.name for b in trainings))
    given = {b.name: small for b in (*trainings, answers)} | {"train-3": large}
    made = arrays([*trainings, answers], given, at_most=2, parallel=4)
    assert [[b.name for b in a.bundles] for a in made] == [
        ["train-0", "train-1"],
        ["train-2", "train-4"],
        ["train-3"],
        ["respond-1"],
    ]
    assert [a.parallel for a in made] == [2, 2, 4, 4]
    assert made[2].resources is large


def test_a_dependency_names_whole_arrays_where_all_their_elements_are_needed():
    assert dependency([], {}) == ""
    assert dependency(["3_0", "3_1", "4", "5_2", "3_0"], {"3": 2, "4": 1, "5": 3}) == "afterany:3:4:5_2"
    assert dependency(["3_0", "3_1"], {}) == "afterany:3_0:3_1"


SQUEUE = """\
6_3|PENDING|JobArrayTaskLimit
6_[4-5,8%2]|PENDING|Dependency
6_0|COMPLETING|None
12|RUNNING|None
13|FAILED|NonZeroExitCode
15|PREEMPTED|None
14|PENDING|ReqNodeNotAvail, UnavailableNodes:n1|n2
"""


def test_living_jobs_are_read_from_squeue():
    assert parse_squeue(SQUEUE) == {
        "6_3": ("PENDING", "JobArrayTaskLimit"),
        **dict.fromkeys(("6_4", "6_5", "6_8"), ("PENDING", "Dependency")),
        "6_0": ("COMPLETING", "None"),
        "12": ("RUNNING", "None"),
        "14": ("PENDING", "ReqNodeNotAvail, UnavailableNodes:n1|n2"),
    }
    assert parse_squeue("") == {}


@pytest.mark.parametrize(("said", "size"), [(1001, 1001), (0, 1)])
def test_without_arrays_each_job_is_submitted_alone(tmp_path, monkeypatch, said, size):
    (tmp_path / "scontrol").write_text(f'#!/bin/sh\necho "MaxArraySize            = {said}"\n')
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert max_array_size() == size


def test_what_a_job_wrote_before_its_submission_was_written_down_stands(tmp_path):
    runs = Runs(tmp_path)
    runs.write(record("began", "failed", "7_0", kind="fault", text="why"))
    runs.write(record("again", "failed", "5", kind="fault", sweeps=("other",)))
    config = SimpleNamespace(store=SimpleNamespace(root=str(tmp_path)))
    node = SimpleNamespace(job=SimpleNamespace(stage="respond"), label="a", units=3)
    array = Array((Bundle("b", "respond", "m", ("began", "again")),), ResourcesConfig(), 1)
    _write_records(config, "mine", array, {"b": "7_0"}, dict.fromkeys(("began", "again"), node), tmp_path)
    assert runs.get("began") == record("began", "failed", "7_0", kind="fault", text="why")
    queued = runs.get("again")
    assert (queued.state, queued.slurm_job, queued.sweeps) == ("queued", "7_0", ("other", "mine"))


def test_ids_are_contracted():
    assert contract(["7", "3_1", "3_0", "3_2", "3_9", "4_5"]) == ["7", "3_[0-2,9]", "4_5"]


@given(st.sets(st.integers(0, 300), min_size=1))
def test_what_is_contracted_expands_to_the_same(elements):
    ids = {f"9_{i}" for i in elements}
    assert {i for part in contract(ids) for i in expand(part)} == ids


def test_jobs_that_have_nothing_left_to_make_are_found_through_all_that_wait():
    inputs = {
        "cell": ["warm"],
        "cold_cell": ["cold"],
        "verdict": ["cell"],
        "tables": ["verdict", "cold_cell"],
    }
    records = {
        r.key: r
        for r in (
            record("warm", "failed", "1_0"),
            record("cold", "running", "1_1"),
            record("cell", "queued", "2_0"),
            record("cold_cell", "queued", "2_1"),
            record("verdict", "queued", "3"),
            record("other_verdict", "queued", "4"),
            record("tables", "queued", "5"),
        )
    }
    found = hopeless(inputs, records)
    assert found == {
        "2_0": {"cell": ("warm",)},
        "3": {"verdict": ("warm",)},
        "5": {"tables": ("warm",)},
    }
    mixed = records | {"cold_cell": record("cold_cell", "queued", "2_0")}
    assert "2_0" not in hopeless(inputs, mixed)
    assert "5" not in hopeless(inputs, records, job="5")
    known = records | {"cell": record("cell", "blocked", "2_0", blocked_by=("warm",))}
    assert hopeless(inputs, known)["3"] == {"verdict": ("warm",)}


def script(tmp_path, cluster):
    bundle = Bundle("train-1", "train", "m", ("t",))
    (array,) = arrays([bundle], {"train-1": cluster.resources}, 10, cluster.max_parallel)
    given = parameters(array, cluster, "mine", "afterany:7")
    return _make_sbatch_string(command="true", folder=tmp_path, map_count=1, **given)


def test_the_script_says_what_the_profile_says(tmp_path):
    resources = ResourcesConfig("gpu", "us", gpus=2, cpus=6, mem_gb=1.5, time_min=90, sbatch={"nice": "5"})
    lines = script(tmp_path, ClusterConfig(name="x", notice_s=60, resources=resources)).splitlines()
    options = dict(line[10:].partition("=")[::2] for line in lines if line.startswith("#SBATCH --"))
    wanted = {
        "partition": "gpu",
        "account": "us",
        "gpus-per-node": "2",
        "cpus-per-task": "6",
        "mem": "1536M",
        "time": "90",
        "signal": "USR2@60",
        "nice": "5",
        "job-name": "warmgap-mine-train",
        "dependency": "afterany:7",
        "open-mode": "append",
        "requeue": "",
        "array": "0-0%1",
    }
    assert {k: options.get(k) for k in wanted} == wanted
    assert "wckey" not in options
    assert "qos" not in options
    (srun,) = [line for line in lines if line.startswith("srun ")]
    assert "--cpus-per-task=6" in srun and "--open-mode=append" in srun


@pytest.mark.parametrize("value", [True, "True", "true"])
def test_an_option_of_sbatch_may_stand_without_a_value(tmp_path, value):
    resources = ResourcesConfig(sbatch={"exclusive": value})
    lines = script(tmp_path, ClusterConfig(name="x", resources=resources)).splitlines()
    assert "#SBATCH --exclusive" in lines


@pytest.mark.parametrize(
    ("code", "restarts", "state", "asked"),
    [
        (0, 0, "RUNNING", []),
        (1, 0, "RUNNING", []),
        (140, 0, "RUNNING", ["requeue 3_1"]),
        (140, 2, "RUNNING", []),
        (143, 5, "RUNNING", ["-o show job 3_1", "requeue 3_1"]),
        (143, 0, "CANCELLED", ["-o show job 3_1"]),
    ],
)
def test_the_script_queues_itself_again_when_told_to_end(tmp_path, code, restarts, state, asked):
    tools = tmp_path / "bin"
    tools.mkdir()
    said = tmp_path / "said"
    for name, lines in {
        "srun": f"exit {code}",
        "scontrol": f'echo "$@" >> {said}; echo "JobId=3 JobState={state} Reason=None"',
    }.items():
        (tools / name).write_text(f"#!/bin/bash\n{lines}\n")
        (tools / name).chmod(0o755)
    path = tmp_path / "job.sh"
    cluster = ClusterConfig(name="x", max_requeues=2, setup=["set -e"], resources=ResourcesConfig())
    path.write_text(script(tmp_path, cluster))
    variables = {"SLURM_JOB_ID": "3", "SLURM_ARRAY_JOB_ID": "3", "SLURM_ARRAY_TASK_ID": "1"}
    variables |= {"SLURM_RESTART_COUNT": str(restarts), "PATH": f"{tools}:/usr/bin:/bin"}
    assert subprocess.run(["bash", path], env=variables, capture_output=True).returncode == code
    assert (said.read_text().splitlines() if said.exists() else []) == asked
