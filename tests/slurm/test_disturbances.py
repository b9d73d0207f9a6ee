"""What a cluster does to jobs amid training and amid answers: the tables stay those of an undisturbed run."""

from __future__ import annotations

from collections import Counter

import pytest

pytestmark = pytest.mark.slurm

HOLES = (("train", "warm_sft"), ("respond", "facts", "warm_sft"))


def tell_to_save(cluster, job):
    cluster.ask("scancel", "-s", "USR2", job.id)


def strike_when(sweep, strike, moment):
    """Strike the running job at a moment, and wait until it has been started again; its id."""
    sweep.until(moment, "the moment of a strike")
    job = next(j for j in sweep.jobs().values() if j.state == "RUNNING")
    strike(sweep.cluster, job)
    sweep.until(lambda: sweep.jobs()[job.id].restarts, f"the second start of {job}")
    return job.id


def requeue(cluster, job):
    cluster.ask("scontrol", "requeue", job.id)


def preempt(cluster, job):
    cluster.ask("sbatch", "--partition=main", f"--nodelist={job.node}", "--exclusive", "--output=/dev/null",
                "--wrap=sleep 1")  # fmt: skip


@pytest.mark.parametrize("strike", [tell_to_save, requeue, preempt])
def test_struck_amid_training_and_amid_answers(strike, copied, same_tables):
    sweep = copied(*HOLES)
    (training,) = sweep.keys("train", "warm_sft")
    cells = sweep.keys("respond", "facts", "warm_sft")
    sweep.submit("cluster.resources.partition=preempt")
    struck = [
        strike_when(sweep, strike, lambda: sweep.partial(training, "state-*")),
        strike_when(sweep, strike, lambda: [p for k in cells for p in sweep.partial(k, "batch-*")]),
    ]
    jobs = sweep.done()
    assert len(set(struck)) == 2
    assert {i: j.restarts for i, j in jobs.items() if j.restarts} == dict.fromkeys(struck, 1)
    same_tables(sweep)
    batches = Counter(sweep.events("batch"))
    assert batches[f"{training}/state-1"] == 1, "the training began anew"
    assert max(n for b, n in batches.items() if "batch-" in b) == 1, "a finished batch was made again"
    assert max(Counter(sweep.events("commit")).values()) == 1


def test_a_node_that_dies_amid_training(cluster, copied, same_tables):
    sweep = copied(*HOLES)
    (training,) = sweep.keys("train", "warm_sft")
    sweep.submit()
    sweep.until(lambda: sweep.partial(training, "state-*"), "the first state of the training")
    job = next(j for j in sweep.jobs().values() if j.state == "RUNNING")
    cluster.script("kill", job.node)
    try:
        sweep.until(lambda: sweep.jobs()[job.id].restarts, "another start of the job whose node died")
        sweep.done()
    finally:
        cluster.script("start", job.node)
    assert sweep.jobs()[job.id].node != job.node
    same_tables(sweep)
    assert Counter(sweep.events("batch"))[f"{training}/state-1"] == 1, "the training began anew"
    assert max(Counter(sweep.events("commit")).values()) == 1


def test_a_job_that_outlives_its_node_does_not_spoil_its_second_start(cluster, copied, same_tables):
    """The node's slurmd dies alone: SLURM starts the job a second time beside the first."""
    sweep = copied(*HOLES)
    (training,) = sweep.keys("train", "warm_sft")
    sweep.submit()
    sweep.until(lambda: sweep.partial(training, "state-*"), "the first state of the training")
    job = next(j for j in sweep.jobs().values() if j.state == "RUNNING")
    cluster.script("kill-daemon", job.node)
    try:
        sweep.done()
    finally:
        cluster.script("start", job.node)
    same_tables(sweep)
    assert max(Counter(sweep.events("commit")).values()) == 1
