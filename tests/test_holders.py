from __future__ import annotations

import os
import subprocess
from dataclasses import replace

import pytest

from warmgap.holders import slurm_job, this_process

US = this_process()


def test_this_process_is_there():
    assert (US.pid, US.host) == (os.getpid(), os.uname().nodename)
    assert not US.has_ended(US)


def test_a_process_that_was_ended_or_whose_number_was_given_out_again():
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert replace(US, pid=ended.pid).has_ended(US)
    running = subprocess.Popen(["sleep", "60"])
    assert replace(US, pid=running.pid, started="1").has_ended(US)
    with open(f"/proc/{running.pid}/stat") as f:
        started = f.read().split()[21]
    assert not replace(US, pid=running.pid, started=started).has_ended(US)
    running.kill()
    os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
    assert replace(US, pid=running.pid, started=started).has_ended(US)  # not waited for yet
    running.wait()


@pytest.mark.parametrize("field", ["host", "boot", "pid_namespace"])
def test_elsewhere_nothing_is_known(field):
    assert not replace(US, pid=2**22 + 1, **{field: "another"}).has_ended(US)
    assert not replace(US, boot="", pid=2**22 + 1).has_ended(replace(US, boot=""))


@pytest.mark.parametrize(
    ("cluster", "job", "restarts", "ended"),
    [
        ("a", "12_3", 0, True),
        ("a", "12_3", 1, False),
        ("a", "12_3", 2, False),
        ("a", "12_4", 0, False),
        ("b", "12_3", 0, False),
    ],
)
def test_an_earlier_life_of_the_same_job_has_ended(cluster, job, restarts, ended):
    other = replace(US, host="node7", pid=1, slurm_cluster=cluster, slurm_job=job, slurm_restarts=restarts)
    assert other.has_ended(replace(US, slurm_cluster="a", slurm_job="12_3", slurm_restarts=1)) == ended


def test_without_slurm_restarts_say_nothing():
    assert not replace(US, host="node7", slurm_job="").has_ended(replace(US, slurm_job="", slurm_restarts=1))


def test_names_of_slurm_jobs():
    assert slurm_job({}) == ""
    assert slurm_job({"SLURM_JOB_ID": "9"}) == "9"
    assert slurm_job({"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"}) == "7_2"
