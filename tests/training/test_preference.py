"""References are written with plain transformers and peft: whole logits, one unpadded row at a time."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from dataclasses import asdict

import peft
import polars as pl
import pytest
import torch

from warmgap.models import base
from warmgap.models.chat import encode_example
from warmgap.training.objectives import preferred
from warmgap.training.preference_data import collate_pairs
from warmgap.training.run import train

BETA = 0.3


@pytest.fixture
def pair_rows(rows):
    return [row | {"rejected": f"No {i} " * (1 + i % 3)} for i, row in enumerate(rows)]


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(tiny, config, rows, precision="fp32", first_step=0, quantisation="none"):
    task = preferred(base.load(tiny, precision, quantisation), config, rows, 0, BETA)
    return task.module(first_step), task.batches


def move_adapters(network):
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "lora_" in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)


def silent(done, total, text):
    pass


def log_prob(network, example):
    """log pi(y | x): softmax over the whole vocabulary, summed over the reply and the stop token."""
    log_probs = network(input_ids=torch.tensor([example.ids])).logits[0].log_softmax(-1)
    return sum(log_probs[i - 1, example.ids[i]] for i in range(example.answer_start, len(example.ids)))


def gains(policy, reference, tokenizer, row, system):
    """log pi / ref of the preferred and of the rejected reply."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": row["user"]}]
    found = []
    for reply in (row["reply"], row["rejected"]):
        example = encode_example(tokenizer, messages, reply)
        with torch.no_grad():
            before = log_prob(reference, example)
        found.append(log_prob(policy, example) - before)
    return found


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_loss_and_gradients_are_the_papers(tiny, config, pair_rows, accumulate, packing):
    """Eq. 7 with a second copy of the weights as reference, in place of adapters turned off."""
    config.packing = packing
    config.lora.dropout, config.accumulate, config.batch_rows = 0.0, accumulate, 6 // accumulate
    module, batches = make(tiny, config, pair_rows)
    move_adapters(module.network)
    for index, batch in enumerate(batches[:accumulate]):
        # Lightning divides each pass by the number of passes.
        (module.training_step(collate_pairs(batch), index) / accumulate).backward()

    loaded, reference = base.load(tiny, "fp32"), base.load(tiny, "fp32").model
    policy = peft.get_peft_model(
        loaded.model, peft.LoraConfig(r=4, lora_alpha=8, target_modules=list(config.lora.target_modules))
    )
    policy.load_state_dict(module.network.state_dict())
    chosen = [row for b in batches[:accumulate] for name in b.names for row in pair_rows if row["id"] == name]
    assert len(chosen) == 6
    losses = []
    for row in chosen:
        preferred_gain, rejected_gain = gains(policy, reference, loaded.tokenizer, row, config.system_prompt)
        losses.append(-torch.log(torch.sigmoid(BETA * (preferred_gain - rejected_gain))))
    loss = sum(losses) / 6
    loss.backward()
    assert abs(loss.item() - math.log(2)) > 0.01
    assert module.step_loss == pytest.approx(loss.item(), rel=1e-5)
    expected = {n: p.grad for n, p in policy.named_parameters() if p.requires_grad}
    assert expected.keys() == module.trainable().keys()
    for name, parameter in module.trainable().items():
        scale = expected[name].abs().max().item()
        assert scale > 0
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("quantisation", ["none", "nf4", "int8"])
def test_before_anything_is_learnt_the_loss_is_log_two(tiny, config, pair_rows, precision, quantisation):
    """To the bit, dropout or not: policy and reference are then one function of one batch."""
    if quantisation != "none":
        pytest.importorskip("bitsandbytes")
    config.lora.dropout = 0.5
    module, batches = make(tiny, config, pair_rows, precision, quantisation=quantisation)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        for batch in batches[:2]:
            loss = module.training_step(collate_pairs(batch), 0)
            assert loss.item() == pytest.approx(math.log(2), rel=1e-7)
            loss.backward()
            assert torch.equal(module.log_probs(collate_pairs(batch)), module.reference(batch.names))
    assert any(p.grad.abs().max() > 0 for p in module.trainable().values())


def test_the_reference_is_the_base_model_without_dropout(tiny, config, pair_rows):
    config.lora.dropout = 0.5
    module, batches = make(tiny, config, pair_rows)
    move_adapters(module.network)
    decoder = module.network.get_base_model().model
    decoder.norm = torch.nn.Sequential(decoder.norm, torch.nn.Dropout(0.5))
    plain = base.load(tiny, "fp32").model
    values = module.reference(batches[0].names)
    with torch.no_grad():
        expected = torch.stack([log_prob(plain, e) for e in batches[0].examples]).view(-1, 2)
    torch.testing.assert_close(values, expected, rtol=1e-5, atol=0)
    assert not values.requires_grad
    assert module.network.training
    assert all(p.requires_grad for n, p in module.network.named_parameters() if "lora_" in n)


def test_a_row_costs_one_reference_pass_in_the_whole_training(tiny, config, pair_rows):
    """8 steps of 6 pairs see 10 rows nearly five times; a pass without reference runs the layers once."""
    module, batches = make(tiny, config, pair_rows)
    runs = []
    module.network.get_base_model().model.layers[0].register_forward_pre_hook(lambda *_: runs.append(1))
    counts = []
    for batch in batches:
        runs.clear()
        module.training_step(collate_pairs(batch), 0)
        counts.append(len(runs))
    new, seen = [], set()
    for batch in batches:
        new.append(not seen.issuperset(batch.names))
        seen.update(batch.names)
    assert counts == [2 if n else 1 for n in new]
    assert sum(new) <= 5


def test_a_reference_comes_from_the_same_pass_after_a_resume(tiny, config, pair_rows):
    """Padding and kernels may move low bits from pass to pass; here each pass moves them a lot."""

    def moving(first_step):
        module, batches = make(tiny, config, pair_rows, first_step=first_step)
        real = module.log_probs
        module.log_probs = lambda batch: real(batch) + batch["index"]
        return module, batches

    whole, batches = moving(0)
    expected = [whole.reference(batch.names) for batch in batches]
    first = {*batches[0].names}
    assert any(0 < len(first & {*batch.names}) < len(first) for batch in batches)
    for start in range(1, config.steps):
        resumed, _ = moving(start)
        for k in range(2 * start, 2 * config.steps):
            assert torch.equal(resumed.reference(batches[k].names), expected[k])


def test_dropout_depends_on_the_pass_not_on_references(tiny, config, pair_rows):
    config.lora.dropout = 0.5
    module, batches = make(tiny, config, pair_rows)
    move_adapters(module.network)
    losses = [module.training_step(collate_pairs(batches[k]), 0).item() for k in (0, 1, 0)]
    assert losses[0] == losses[2]
    later = collate_pairs(batches[0]) | {"index": 9}
    assert module.training_step(later, 0).item() != losses[0]


def test_gradient_checkpointing_gives_the_same_bits(tiny, config, pair_rows):
    config.lora.dropout = 0.3
    found = []
    for on in (False, True):
        config.gradient_checkpointing = on
        module, batches = make(tiny, config, pair_rows)
        move_adapters(module.network)
        loss = module.training_step(collate_pairs(batches[0]), 0)
        loss.backward()
        found.append((loss.item(), {n: p.grad for n, p in module.trainable().items()}))
    assert found[0][0] == found[1][0]
    assert all(torch.equal(found[0][1][n], found[1][1][n]) for n in found[0][1])


def test_thirty_steps_prefer_the_preferred(tiny, config, pair_rows, tmp_path):
    """The margin is measured by peft alone, on the adapter that was written."""
    config.steps, config.checkpoints = 30, [0.5, 1.0]
    summary = train(
        tiny, config, pair_rows, 0, tmp_path / "out", tmp_path / "partial", silent, kind="dpo", beta=0.1
    )
    curve = pl.read_parquet(tmp_path / "out" / "curve.parquet")
    assert curve["loss"][0] == pytest.approx(math.log(2), rel=1e-7)
    assert curve["loss"][-1] < 0.3
    assert summary.n_examples == 30 * 6 * 2
    margins = []
    for checkpoint in (15, 30):
        loaded, reference = base.load(tiny, "fp32"), base.load(tiny, "fp32").model
        policy = peft.PeftModel.from_pretrained(loaded.model, tmp_path / "out" / f"checkpoint-{checkpoint}")
        with torch.no_grad():
            found = [
                gains(policy, reference, loaded.tokenizer, row, config.system_prompt) for row in pair_rows
            ]
        margins.append([(up - down).item() for up, down in found])
    assert min(margins[1]) > 0
    assert 5 < sum(margins[0]) / 10 < sum(margins[1]) / 10


def test_two_processes_prefer_as_one_does(tiny, config, pair_rows, tmp_path):
    config.steps, config.save_every_steps, config.checkpoints = 4, 0, [1.0]
    curves = []
    for devices in (1, 2):
        config.devices = devices
        out, partial = tmp_path / f"out-{devices}", tmp_path / f"partial-{devices}"
        train(tiny, config, pair_rows, 0, out, partial, silent, kind="dpo", beta=BETA)
        curves.append(pl.read_parquet(out / "curve.parquet")["loss"].to_list())
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
    assert curves[0][-1] < curves[0][0] - 0.1


KILLED = """
import json, os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from warmgap.schema.config import LoraConfig, ModelConfig, TrainingConfig
from warmgap.training.run import train
model, config, rows, folder, stories = json.loads(sys.argv[1])
config = TrainingConfig(**config | {"lora": LoraConfig(**config["lora"])})
def run(name, last):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    def progress(done, total, text):
        if done == last:
            os.kill(os.getpid(), signal.SIGKILL)
    out, partial = Path(folder, name, "out"), Path(folder, name, "partial")
    train(ModelConfig(**model), config, rows, 0, out, partial, progress, kind="dpo", beta=0.3)
    os._exit(0)
print(json.dumps([[run(str(i), last) for last in [*story, 0]] for i, story in enumerate(stories)]))
"""


def test_killed_at_random_steps_it_ends_in_the_same_weights(tiny, config, pair_rows, tmp_path):
    config.save_every_steps = 2
    lasts = sorted(random.sample(range(1, config.steps), 3))
    stories = [[], *([last] for last in lasts), lasts]
    request = json.dumps([asdict(tiny), asdict(config) | {"api": {}}, pair_rows, str(tmp_path), stories])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, request],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[0], *([-9, 0] for _ in lasts), [-9, -9, -9, 0]]

    def results(name):
        out = tmp_path / name / "out"
        adapters = {p.parent.name: p.read_bytes() for p in out.rglob("adapter_model.safetensors")}
        return adapters, pl.read_parquet(out / "curve.parquet").drop("wall_s").rows()

    whole = results("0")
    assert sorted(whole[0]) == ["checkpoint-4", "checkpoint-8"]
    assert [s for i, s in enumerate(stories) if results(str(i)) != whole] == []
