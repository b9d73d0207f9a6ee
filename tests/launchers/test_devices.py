from __future__ import annotations

import os
from dataclasses import replace

import pytest
from probe_jobs import Probe, Reader

from warmgap.schema.config import EngineConfig
from warmgap_launchers.devices import needs_device, places, visible, width


@pytest.fixture
def gpus(tmp_path, monkeypatch):
    """Puts a `nvidia-smi` that lists what is given first on the PATH."""

    def put(text):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return put


THREE = "\n".join(f"GPU {i}: NVIDIA A100-SXM4-80GB (UUID: GPU-{i}{i}aa)" for i in range(3))
SLICED = """GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-00aa)
  MIG 3g.40gb     Device  0: (UUID: MIG-11bb)
  MIG 3g.40gb     Device  1: (UUID: MIG-22cc)"""


def asking(device, n=1, name="vllm"):
    engine = EngineConfig(name=name, device=device)
    return Probe("a", reader=Reader("w", replace(engine, vllm=replace(engine.vllm, tensor_parallel_size=n))))


def test_the_driver_lists_the_devices(gpus):
    gpus(THREE)
    assert visible() == ("0", "1", "2")
    gpus(SLICED)
    assert visible() == ("MIG-11bb", "MIG-22cc")


@pytest.mark.parametrize(
    ("told", "seen"),
    [("1,3", ("1", "3")), ("", ()), ("GPU-7f, 2", ("GPU-7f", "2")), ("0,-1,2", ("0",)), ("-1", ())],
)
def test_the_variable_goes_before_the_driver(gpus, monkeypatch, told, seen):
    gpus(THREE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", told)
    assert visible() == seen


@pytest.mark.parametrize(("workers", "n"), [(0, 3), (2, 2), (8, 3)])
def test_one_worker_for_each_device_and_no_more_than_are_asked_for(gpus, workers, n):
    gpus(THREE)
    assert places([asking("cuda")], workers) == (n, ("0", "1", "2")[:n])


def test_jobs_of_the_cpu_and_of_a_server_deal_out_nothing(gpus):
    gpus(THREE)
    assert places([asking("cpu"), asking("cuda", name="openai")], 5) == (5, ())


def test_a_device_by_number_is_the_users_own_choice(gpus):
    gpus(THREE)
    assert places([asking("cuda:1", name="transformers")], 0) == (1, ())


def test_trainings_take_the_devices_there_are_and_the_others_go_on(gpus, plan_of, monkeypatch):
    gpus(THREE)
    jobs = [n.job for n in plan_of("experiment=tiny").nodes.values()]
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.13.0+cu130")
    assert places(jobs, 8) == (8, ("0", "1", "2"))
    assert {job.stage for job in jobs if needs_device(job)} == {"train"}
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.13.0+cpu")
    assert places(jobs, 8) == (8, ())


def test_how_many_devices_a_job_takes(plan_of):
    assert width(asking("cuda", 4)) == 4
    assert width(asking("cuda", 4, name="transformers")) == 1
    (training, *_) = (n.job for n in plan_of("experiment=tiny").nodes.values() if n.job.stage == "train")
    assert width(replace(training, training=replace(training.training, devices=2))) == 2
