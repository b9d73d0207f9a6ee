"""SIGTERM and SIGUSR2, to the command or to a worker of it, amid a training of a tiny model."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from warmgap.keys import file_sha256

# Some seconds of work, so that a signal finds it amid a training.
TRAINING = (
    *("stage=train", "method=warm_sft", "method.checkpoint=-1", "warmth.meters=[]"),
    *("warmth.checkpoints.warm_sft=[]", "corpus.n_conversations=12", "corpus.n_validation=6"),
    *("engine.workers=1", "training.precision=fp32", "training.max_tokens=4096", "training.steps=80"),
    *("training.batch_rows=1", "training.accumulate=2", "training.checkpoints=[1.0]"),
)


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory):
    path = Path(__file__).parents[1] / "models" / "tiny_model.py"
    spec = importlib.util.spec_from_file_location("tiny_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def begin(tiny_folder, tmp_path):
    """Starts the command; what is still running at the end is killed."""
    started = []

    def start(root, *more):
        command = [sys.executable, "-c", "from warmgap.app import main; main()", *TRAINING, *more]
        process = subprocess.Popen(
            [*command, f"model.source=path:{tiny_folder}", f"store.root={root}"],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def states(root):
    return [int(p.name.removeprefix("state-")) for p in root.glob("store/partial/*/state-*")]


def worker_of(process):
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [int(p) for p in children if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()]
    return workers[0]


def until(seen, process):
    deadline = time.monotonic() + 60
    while not seen():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_signal_ends_the_command_with_its_code_and_the_same_command_goes_on(begin, tmp_path):
    root = tmp_path / "outputs"
    often = "training.save_every_steps=5"
    first = begin(root, often)
    until(lambda: states(root), first)
    worker = worker_of(first)
    first.send_signal(signal.SIGTERM)
    _, said = first.communicate(timeout=60)
    assert first.returncode == 128 + signal.SIGTERM
    assert said.splitlines()[-1] == "warmgap: ended by SIGTERM. Run the same command again to go on."
    assert "Traceback" not in said
    assert not Path(f"/proc/{worker}").exists()
    (after_first,) = states(root)

    second = begin(root, often)
    until(lambda: max(states(root)) > after_first, second)
    os.kill(worker_of(second), signal.SIGUSR2)
    _, said = second.communicate(timeout=60)
    assert second.returncode == 128 + signal.SIGUSR2
    assert "interrupted: train of smollm2_135m warm_sft seed 0\nSIGUSR2 after step " in said
    assert "run the same command again to go on" in said
    assert "Traceback" not in said
    assert max(states(root)) > after_first

    for ending in (begin(root, "training.save_every_steps=0"), begin(tmp_path / "undisturbed")):
        _, said = ending.communicate(timeout=120)
        assert ending.returncode == 0, said
    pattern = "store/train/*/checkpoint-80/adapter_model.safetensors"
    hashes = [file_sha256(next(r.glob(pattern))) for r in (root, tmp_path / "undisturbed")]
    assert hashes[0] == hashes[1]
