"""Sweeps on a SLURM cluster that nothing disturbs but their users."""

from __future__ import annotations

import re
import shutil
import signal
from collections import Counter

import pytest

from warmgap.runs import Runs

pytestmark = pytest.mark.slurm


@pytest.mark.slow
def test_a_sweep_from_nothing_gives_the_tables_of_the_local_launcher(cluster, make_sweep, undisturbed):
    sweep = make_sweep()
    said = sweep.submit("+cluster.stages={train: {gpus: 1}}")
    submitted = sweep.jobs()
    assert submitted, said
    assert any(j.state not in sweep.OVER for j in submitted.values()), "the command waited for its jobs"
    jobs = sweep.done()
    assert jobs.keys() == submitted.keys()
    made = Counter(c.partition("/")[0] for c in sweep.events("commit"))
    assert made["train"] == 2
    assert max(Counter(sweep.events("commit")).values()) == 1
    trained = [cluster.show(j.id)["TresPerNode"] for j in jobs.values() if j.name.endswith("-train")]
    assert trained == ["gres:gpu:1"] * 2
    # One start of an engine answers for all three arms.
    assert len([j for j in jobs.values() if j.name.endswith("-respond")]) == 1
    assert sweep.tables() == undisturbed.tables()
    assert Runs(sweep.root).read() == {}
    again = sweep.submit()
    assert sweep.jobs().keys() == jobs.keys(), again
    assert str(sweep.results / "report.html") in again


def test_a_failing_arm_ends_what_waits_for_it_and_nothing_else(copied, same_tables):
    sweep = copied(("train", "warm_sft"), ("respond", "facts"), ("judge",))
    (training,) = sweep.keys("train", "warm_sft")
    # What training needs is not installed on the nodes.
    sweep.submit("cluster.split=3", hide="lightning")
    jobs = sweep.ended()
    states = {s: Counter(j.state for j in jobs.values() if j.name.endswith(s)) for s in STAGES}
    assert states["train"] == {"FAILED": 1}
    assert states["respond"] == {"COMPLETED": 2, "CANCELLED": 1}
    assert states["analyse"] == {"CANCELLED": 1}
    store = sweep.root / "store"
    for stage in ("respond", "judge"):
        for key in sweep.keys(stage, "facts"):
            assert (store / stage / key).is_dir() is (key not in sweep.keys(stage, "warm_sft"))
    run = Runs(sweep.root).get(training)
    assert run is not None and run.state == "failed"
    told = sweep.submit("stage=status")
    assert "lightning" in told
    assert run.log in told.replace("\n", "")
    advice = next(line for line in told.splitlines() if line.endswith("stage=retry"))
    assert "hydra/launcher=slurm" in advice
    with open(run.log) as log:
        assert "lightning" in log.read()
    before = Counter(sweep.events("commit"))
    sweep.submit("cluster.split=3", "stage=retry")
    sweep.done_since(jobs)
    same_tables(sweep)
    made = Counter(sweep.events("commit")) - before
    wanted = {
        f"{stage}/{key}"
        for stage, *words in (
            ("train", "warm_sft"),
            ("respond", "facts", "warm_sft"),
            ("judge", "warm_sft"),
            ("analyse",),
            ("report",),
        )
        for key in sweep.keys(stage, *words)
    }
    assert made == Counter(wanted)


STAGES = ("train", "respond", "judge", "analyse")


def test_fail_fast_ends_the_sweep_at_its_first_failure(copied):
    sweep = copied(("train", "warm_sft"), ("respond", "facts"), ("judge",))
    # The answers of the arms that could be served wait for the training all the same.
    sweep.submit("fail_fast=true", hide="lightning")
    jobs = sweep.ended()
    assert Counter(j.state for j in jobs.values() if j.name.endswith("-train")) == {"FAILED": 1}
    assert {j.state for j in jobs.values() if not j.name.endswith("-train")} == {"CANCELLED"}
    assert not any((sweep.root / "store" / "respond" / k).is_dir() for k in sweep.keys("respond", "facts"))


def test_cancel_ends_the_jobs_and_the_same_command_goes_on(copied, same_tables):
    sweep = copied(("train", "neutral_sft"), ("respond", "facts", "neutral_sft"))
    (training,) = sweep.keys("train", "neutral_sft")
    sweep.submit()
    sweep.until(lambda: sweep.partial(training, "state-*"), "the first state of the training")
    sweep.submit("stage=cancel")
    jobs = sweep.ended()
    assert not any(j.state == "COMPLETED" for j in jobs.values())
    assert not (sweep.root / "store" / "train" / training).exists()
    sweep.submit()
    sweep.done_since(jobs)
    same_tables(sweep)
    states = Counter(b for b in sweep.events("batch") if b.startswith(f"{training}/state-"))
    assert states[f"{training}/state-1"] == 1, "the training began anew"


def test_the_submitting_process_killed_after_its_first_sbatch(copied, same_tables, tmp_path):
    sweep = copied(("train", "warm_sft"), ("respond", "facts", "warm_sft"), ("judge", "warm_sft"))
    tools = tmp_path / "tools"
    tools.mkdir()
    # An sbatch that kills who called it: no load of the machine lets a second one through.
    (tools / "sbatch").write_text(f'#!/bin/sh\n{shutil.which("sbatch")} "$@"\nkill -KILL $PPID\n')
    (tools / "sbatch").chmod(0o755)
    process = sweep.start(tools=tools)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert 1 <= len(sweep.jobs()) < 4
    sweep.submit()
    sweep.ended()
    same_tables(sweep)
    assert max(Counter(sweep.events("commit")).values()) == 1
    assert Runs(sweep.root).read() == {}


def test_two_submissions_at_the_same_moment_train_the_shared_adapter_once(copied):
    sweep = copied(("train", "warm_sft"), ("respond", "facts"), ("judge",))
    (training,) = sweep.keys("train", "warm_sft")
    commands = [
        sweep.start("name=one", "method=original,warm_sft"),
        sweep.start("name=two", "method=neutral_sft,warm_sft"),
    ]
    ended = [(*c.communicate(), c.returncode) for c in commands]
    assert [code for *_, code in ended] == [0, 0], ended
    jobs = sweep.ended()
    assert {j.state for j in jobs.values()} == {"COMPLETED"}, jobs
    assert len([j for j in jobs.values() if j.name.endswith("-train")]) == 1
    made = Counter(sweep.events("commit"))
    assert made[f"train/{training}"] == 1
    assert max(made.values()) == 1
    batches = Counter(sweep.events("batch"))
    assert max(batches.values()) == 1
    for name in ("one", "two"):
        assert (sweep.root / "sweeps" / name / "report.html").is_file()


def test_an_array_is_split_where_slurm_allows_few_elements(start_cluster, copied, same_tables):
    cluster = start_cluster(max_array=2)
    sweep = copied(("respond", "facts"), at=cluster)
    sweep.submit("cluster.split=3")
    answering = [j for j in sweep.jobs().values() if j.name.endswith("-respond")]
    assert len(answering) == 3
    arrays = Counter(j.id.partition("_")[0] for j in answering)
    assert sorted(arrays.values()) == [1, 2]
    sweep.done()
    same_tables(sweep)


def test_status_is_told_while_jobs_run_and_wait(copied):
    sweep = copied(("train", "warm_sft"), ("respond", "facts", "warm_sft"))
    (training,) = sweep.keys("train", "warm_sft")
    sweep.submit()
    sweep.until(lambda: sweep.partial(training, "state-*"), "the first state of the training")
    told = sweep.submit("stage=status")
    assert re.search(r"^train +1/2 ", told, re.MULTILINE), told
    assert f"SLURM {sweep.slurm_job(training)}" in told
    sweep.done()
