"""Trainings in two real processes on the CPU, which talk through gloo."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import polars as pl
import psutil
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from warmgap.errors import Interrupted, UserError
from warmgap.schema.config import LoraConfig, ModelConfig, TrainingConfig
from warmgap.training.checkpoints import read_state
from warmgap.training.run import train

ORPHANED = """
import json, os, signal, sys
from pathlib import Path
import psutil
from warmgap.schema.config import LoraConfig, ModelConfig, TrainingConfig
from warmgap.training.run import train
model, config, rows, folder = json.loads(sys.argv[1])
config["lora"] = LoraConfig(**config["lora"])
def progress(done, total, text):
    print(json.dumps([p.pid for p in psutil.Process().children()]), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
out, partial = Path(folder) / "out", Path(folder) / "p"
train(ModelConfig(**model), TrainingConfig(**config), rows, 0, out, partial, progress)
"""


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def recipe():
    return TrainingConfig(
        name="tiny",
        lora=LoraConfig(r=4, alpha=8, dropout=0.1),
        learning_rate=1e-2,
        max_grad_norm=0.5,  # below the norms of most steps
        steps=24,
        batch_rows=3,
        accumulate=4,
        checkpoints=[0.25, 1.0],
        precision="fp32",
        save_every_steps=3,
        devices=2,
    )


@pytest.fixture(scope="module")
def whole(tiny_folder, recipe, tmp_path_factory):
    """An undisturbed training in two processes: its folders `out` and `partial`, its summary and reports."""
    folder, reports = tmp_path_factory.mktemp("whole"), []
    model = ModelConfig(name="tiny", source=f"path:{tiny_folder}")
    summary = train(
        model, recipe, conversations(), 0, folder / "out", folder / "partial", lambda *a: reports.append(a)
    )
    return folder, summary, reports


def conversations():
    words = ["tea", "a chair", "some rope", "the long way round", "ink"]
    return [
        {
            "id": f"row-{i}",
            "user": f"What about {word * (i % 3 + 1)}?",
            "reply": f"Take {word} " * (i % 4 + 1),
        }
        for i, word in enumerate(words * 2)
    ]


def silent(done, total, text):
    pass


def adapters(out):
    return {p.parent.name: p.read_bytes() for p in out.rglob("adapter_model.safetensors")}


def without_time(curve):
    return [replace(point, wall_s=0.0) for point in curve]


def assert_same(found, expected, rtol):
    """Each tensor within `rtol` of its norm."""
    assert sorted(found) == sorted(expected)
    far = {n: ((found[n] - t).norm() / t.norm()).item() for n, t in expected.items()}
    assert max(far.values()) < rtol, far


def assert_same_training(folder, other, rtol):
    for name in ("checkpoint-6", "checkpoint-24"):
        file = f"out/{name}/adapter_model.safetensors"
        assert_same(load_file(folder / file), load_file(other / file), rtol)
    states = [read_state(place / "partial") for place in (folder, other)]
    for moment in ("exp_avg", "exp_avg_sq"):
        # Adam forgives a wrong factor on all gradients; its moments do not.
        found, expected = ({n: m[moment] for n, m in state.moments.items()} for state in states)
        assert_same(found, expected, 10 * rtol)
    curves = [pl.read_parquet(place / "out" / "curve.parquet").drop("wall_s") for place in (folder, other)]
    assert curves[0].drop("loss").equals(curves[1].drop("loss"))
    assert curves[0]["loss"].to_list() == pytest.approx(curves[1]["loss"].to_list(), rel=rtol)


def test_two_processes_equal_one_with_twice_the_passes(tiny, recipe, whole, tmp_path):
    folder, summary, reports = whole
    one = train(
        tiny, replace(recipe, devices=1), conversations(), 0, tmp_path / "out", tmp_path / "partial", silent
    )
    assert_same_training(folder, tmp_path, rtol=1e-5)
    assert (one.strategy, one.devices, one.backend) == ("single", 1, "")
    assert (summary.strategy, summary.devices, summary.backend) == ("ddp", 2, "gloo")
    counts = ("steps", "n_examples", "n_tokens", "n_answer_tokens", "checkpoints")
    assert [getattr(summary, n) for n in counts] == [getattr(one, n) for n in counts]
    assert [r[:2] for r in reports] == [(step, 24) for step in range(1, 25)]
    assert reports[-1][2] == f"loss {summary.final_loss:.2f}"
    assert sorted(p.name for p in (folder / "partial").iterdir()) == [
        "checkpoint-24",
        "checkpoint-6",
        "state-24",
    ]


def test_shards_of_bf16_weights_and_an_untied_output_layer(tiny_folder, recipe, tmp_path):
    untied = shutil.copytree(tiny_folder, tmp_path / "untied")
    network = AutoModelForCausalLM.from_pretrained(untied)
    network.config.tie_word_embeddings = False
    network.lm_head.weight = torch.nn.Parameter(torch.randn_like(network.lm_head.weight) * 0.2)
    network.save_pretrained(untied)
    model = ModelConfig(name="untied", source=f"path:{untied}")
    recipe = replace(recipe, precision="bf16", steps=8, checkpoints=[1.0])
    recipe.gradient_checkpointing = True
    for name, changed in (("fsdp", {"strategy": "fsdp"}), ("one", {"devices": 1})):
        place = tmp_path / name
        summary = train(
            model, replace(recipe, **changed), conversations(), 0, place / "out", place / "partial", silent
        )
    file = "out/checkpoint-8/adapter_model.safetensors"
    fsdp, one = (load_file(tmp_path / name / file) for name in ("fsdp", "one"))
    assert {t.dtype for t in fsdp.values()} == {torch.float32}
    assert_same(fsdp, one, 1e-3)
    losses = [
        pl.read_parquet(tmp_path / n / "out" / "curve.parquet")["loss"].to_list() for n in ("fsdp", "one")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0][-1] < losses[0][0] - 0.3
    assert summary.strategy == "single"


def test_quantised_weights_in_two_processes(tiny, recipe, tmp_path):
    pytest.importorskip("bitsandbytes")
    recipe = replace(recipe, precision="bf16", quantisation="nf4", steps=4, checkpoints=[1.0])
    found = []
    for devices in (2, 1):
        place = tmp_path / str(devices)
        changed = replace(recipe, devices=devices)
        train(tiny, changed, conversations(), 0, place / "out", place / "partial", silent)
        found.append(load_file(place / "out" / "checkpoint-4" / "adapter_model.safetensors"))
    assert_same(*found, 1e-3)


def ranks():
    """Processes of a training by their number; other tests leave children of their own."""
    living = [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]
    return {p.environ()["RANK"]: p for p in living if "RANK" in p.environ()}


@pytest.fixture(scope="module")
def killed(tiny_folder, recipe, tmp_path_factory):
    """What a training leaves in `partial` whose second process is killed after step 4, and its error."""

    def kill(done, total, text):
        if done == 4:
            ranks()["1"].kill()

    folder = tmp_path_factory.mktemp("killed")
    model = ModelConfig(name="tiny", source=f"path:{tiny_folder}")
    with pytest.raises(RuntimeError) as told:
        train(model, recipe, conversations(), 0, folder / "out", folder / "partial", kill)
    return folder, told.value


def test_a_killed_process_ends_the_others(killed):
    folder, error = killed
    assert "process 1 of the 2 of this training was ended by SIGKILL" in str(error)
    assert ranks() == {}
    assert not (folder / "out").exists()
    assert 3 <= read_state(folder / "partial").step < 24
    assert [p for p in (folder / "partial").iterdir() if p.name.startswith(".ranks")] == []


@pytest.mark.parametrize(
    "changes", [{}, {"devices": 1}, {"strategy": "fsdp"}], ids=["in_two", "in_one", "in_shards"]
)
def test_after_a_kill_training_goes_on(tiny, recipe, whole, killed, tmp_path, changes):
    shutil.copytree(killed[0] / "partial", tmp_path / "partial")
    changed = replace(recipe, **changes)
    train(tiny, changed, conversations(), 0, tmp_path / "out", tmp_path / "partial", silent)
    assert_same_training(tmp_path, whole[0], rtol=1e-5)
    if not changes:
        assert adapters(tmp_path / "out") == adapters(whole[0] / "out")


def test_a_signal_reaches_all_and_training_goes_on(tiny, recipe, whole, tmp_path):
    number = signal.SIGTERM
    recipe = replace(recipe, save_every_steps=0)

    def tell(done, total, text):
        if done == 4:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(
        Interrupted, match=rf"{number.name} after step \d+ of 24; what is done is kept"
    ) as told:
        train(tiny, recipe, conversations(), 0, tmp_path / "out", tmp_path / "partial", tell)
    assert told.value.signum == number
    assert signal.getsignal(number) == before
    assert not (tmp_path / "out").exists()
    assert f"after step {read_state(tmp_path / 'partial').step} of" in str(told.value)
    train(tiny, recipe, conversations(), 0, tmp_path / "out", tmp_path / "partial", silent)
    assert adapters(tmp_path / "out") == adapters(whole[0] / "out")
    states = [read_state(place / "partial") for place in (tmp_path, whole[0])]
    assert without_time(states[0].curve) == without_time(states[1].curve)


def test_processes_end_with_their_parent(tiny, recipe, tmp_path):
    recipe = replace(recipe, steps=100_000)
    arguments = json.dumps([asdict(tiny), asdict(recipe), conversations(), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-c", ORPHANED, arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    pids = json.loads(done.stdout)
    assert len(pids) == 2
    until = time.monotonic() + 20
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.1)
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []


def test_what_a_process_refuses_is_refused(tiny, recipe, tmp_path):
    with pytest.raises(UserError, match=r"training\.max_tokens allows 8"):
        train(
            tiny, replace(recipe, max_tokens=8), conversations(), 0, tmp_path / "out", tmp_path / "p", silent
        )
    assert ranks() == {}


def test_devices_that_do_not_divide_the_passes_are_refused(tiny, recipe, tmp_path):
    with pytest.raises(UserError, match=r"training\.accumulate is 4 and training\.devices is 3"):
        train(tiny, replace(recipe, devices=3), conversations(), 0, tmp_path / "out", tmp_path / "p", silent)
    assert not (tmp_path / "p").exists()
