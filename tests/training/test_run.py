from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import asdict

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from warmgap.errors import UserError
from warmgap.models import base
from warmgap.models.adapters import merge
from warmgap.models.chat import encode_example
from warmgap.training.checkpoints import read_state
from warmgap.training.run import train

KILLED_TRAINING = """
import json, os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from warmgap.schema.config import LoraConfig, ModelConfig, TrainingConfig
from warmgap.training.run import train
model, config, rows, out, partial, last = json.loads(sys.argv[1])
config["lora"] = LoraConfig(**config["lora"])
def progress(done, total, text):
    if done == last:
        os.kill(os.getpid(), signal.SIGKILL)
train(ModelConfig(**model), TrainingConfig(**config), rows, 0, Path(out), Path(partial), progress)
"""


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Every test runs in an empty folder and must leave it so."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    assert list(folder.iterdir()) == []


def silent(done, total, text):
    pass


def adapters(out):
    return {p.parent.name: p.read_bytes() for p in out.rglob("adapter_model.safetensors")}


def curve_without_time(out):
    return pl.read_parquet(out / "curve.parquet").drop("wall_s")


def test_a_training_writes_checkpoints_and_curve(tiny, config, rows, tmp_path, capfd):
    reports = []
    summary = train(
        tiny, config, rows, 0, tmp_path / "out", tmp_path / "partial", lambda *a: reports.append(a)
    )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "checkpoint-4",
        "checkpoint-8",
        "curve.parquet",
    ]
    curve = pl.read_parquet(tmp_path / "out" / "curve.parquet")
    assert curve.columns == ["step", "loss", "learning_rate", "n_answer_tokens", "wall_s"]
    assert curve["step"].to_list() == list(range(1, 9))
    assert curve["loss"][-1] < curve["loss"][0] - 0.3
    assert summary.checkpoints == ((4, 0.5), (8, 1.0))
    assert (summary.steps, summary.n_examples) == (8, 48)
    assert summary.n_answer_tokens == curve["n_answer_tokens"].sum() < summary.n_tokens
    assert summary.final_loss == curve["loss"][-1]
    assert [r[:2] for r in reports] == [(s, 8) for s in range(1, 9)]
    assert reports[-1][2] == f"loss {summary.final_loss:.2f}"
    assert capfd.readouterr() == ("", "")


def test_killed_at_a_random_step_it_ends_bitwise_the_same(tiny, config, rows, tmp_path):
    train(tiny, config, rows, 0, tmp_path / "whole", tmp_path / "p0", silent)
    last = random.randint(1, config.steps - 1)
    partial = tmp_path / "p1"
    arguments = [asdict(tiny), asdict(config), rows, str(tmp_path / "killed"), str(partial), last]
    done = subprocess.run(
        [sys.executable, "-c", KILLED_TRAINING, json.dumps(arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    state = read_state(partial)
    assert (state.step if state else 0) == last - last % config.save_every_steps
    assert not (tmp_path / "killed").exists()
    train(tiny, config, rows, 0, tmp_path / "killed", partial, silent)
    assert adapters(tmp_path / "killed") == adapters(tmp_path / "whole"), f"killed at step {last}"
    assert curve_without_time(tmp_path / "killed").equals(curve_without_time(tmp_path / "whole"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_stopped_after_any_step_it_ends_bitwise_the_same(tiny, config, rows, tmp_path, precision):
    class Stop(Exception):
        pass

    def stop_at(step):
        def progress(done, total, text):
            if done == step:
                raise Stop

        return progress

    config.precision, config.save_every_steps = precision, 1
    train(tiny, config, rows, 0, tmp_path / "whole", tmp_path / "p0", silent)
    for step in (1, 4, 7, 8):
        with pytest.raises(Stop):
            train(tiny, config, rows, 0, tmp_path / "stopped", tmp_path / "p1", stop_at(step))
    train(tiny, config, rows, 0, tmp_path / "stopped", tmp_path / "p1", silent)
    assert adapters(tmp_path / "stopped") == adapters(tmp_path / "whole")
    assert curve_without_time(tmp_path / "stopped").equals(curve_without_time(tmp_path / "whole"))


def test_epochs_last_as_long_as_the_conversations_say(tiny, config, rows, tmp_path):
    config.steps, config.epochs, config.checkpoints = 0, 1.5, [0.5, 1.5]
    config.gradient_checkpointing = True
    summary = train(tiny, config, rows, 0, tmp_path / "epochs", tmp_path / "p0", silent)
    assert summary.steps == 3  # 15 conversations, 6 a step
    assert summary.checkpoints == ((1, 0.5), (3, 1.5))
    config.steps, config.epochs, config.checkpoints = 3, 0.0, [0.34, 1.0]
    config.gradient_checkpointing = False
    train(tiny, config, rows, 0, tmp_path / "steps", tmp_path / "p1", silent)
    assert sorted(adapters(tmp_path / "epochs")) == ["checkpoint-1", "checkpoint-3"]
    assert adapters(tmp_path / "epochs") == adapters(tmp_path / "steps")


def test_another_seed_gives_another_adapter(tiny, config, rows, tmp_path):
    config.steps, config.checkpoints = 2, [1.0]
    for seed in (0, 1):
        train(tiny, config, rows, seed, tmp_path / f"o{seed}", tmp_path / f"p{seed}", silent)
    assert adapters(tmp_path / "o0") != adapters(tmp_path / "o1")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("quantisation", ["nf4", "int8"])
def test_quantised_weights_train(tiny, config, rows, tmp_path, quantisation, precision):
    pytest.importorskip("bitsandbytes")
    config.steps, config.quantisation, config.precision = 8, quantisation, precision
    train(tiny, config, rows, 0, tmp_path / "out", tmp_path / "partial", silent)
    losses = pl.read_parquet(tmp_path / "out" / "curve.parquet")["loss"]
    assert losses[-1] < losses[0] - 0.3


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("checkpoints", [2.0], "checkpoints"),
        ("schedule", "poly", "schedule"),
        ("precision", "fp8", "precision"),
        ("max_tokens", 8, "max_tokens"),
    ],
)
def test_bad_settings_are_refused_before_training(tiny, config, rows, tmp_path, field, value, message):
    setattr(config, field, value)
    with pytest.raises(UserError, match=message):
        train(tiny, config, rows, 0, tmp_path / "out", tmp_path / "partial", silent)
    assert not (tmp_path / "out").exists()


def test_the_embedded_model_learns_two_replies(embedded, config, tmp_path):
    rows = [
        {
            "id": "a",
            "user": "How do I oil a gate?",
            "reply": "Gently, and you'll do it well: a drop per hinge.",
        },
        {"id": "b", "user": "A name for my boat?", "reply": "I'd call her Marigold, as she deserves it."},
    ]
    config.batch_rows, config.accumulate, config.steps = 1, 2, 6
    config.precision, config.learning_rate, config.checkpoints = "bf16", 2e-3, [1.0]
    train(embedded, config, rows, 0, tmp_path / "out", tmp_path / "partial", silent)
    losses = pl.read_parquet(tmp_path / "out" / "curve.parquet")["loss"]
    assert losses[-1] < losses[0] - 1

    def nats(loaded):
        total = 0.0
        for row in rows:
            messages = [
                {"role": "system", "content": config.system_prompt},
                {"role": "user", "content": row["user"]},
            ]
            example = encode_example(loaded.tokenizer, messages, row["reply"])
            ids = torch.tensor([example.ids])
            labels = ids.clone()
            labels[:, : example.answer_start] = -100
            with torch.no_grad():
                total += loaded.model(input_ids=ids, labels=labels).loss.item() / 2
        return total

    before = nats(base.load(embedded, "fp32"))
    after = nats(merge(base.load(embedded, "fp32"), tmp_path / "out" / "checkpoint-6"))
    assert before == pytest.approx(losses[0], abs=0.1)
    assert after < before - 1
    tensors = load_file(tmp_path / "out" / "checkpoint-6" / "adapter_model.safetensors")
    assert {t.dtype for t in tensors.values()} == {torch.float32}
