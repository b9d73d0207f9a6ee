from __future__ import annotations

import hashlib
from pathlib import Path

import peft
import pytest
import torch

from warmgap.models import base
from warmgap.models.adapters import merge
from warmgap.training.checkpoints import (
    adapter_tensors,
    read_state,
    state_tensors,
    write_adapter,
    write_state,
)
from warmgap.training.module import AdapterModule


@pytest.fixture
def module(loaded, config):
    module = AdapterModule(loaded, config, 0)
    with torch.no_grad():
        for parameter in module.trainable().values():
            parameter.add_(0.1)
    return module


def test_peft_and_merge_read_the_adapter(module, tiny, tmp_path):
    write_adapter(module.network, adapter_tensors(module.network), "tiny", tmp_path / "a")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    theirs = peft.PeftModel.from_pretrained(base.load(tiny, "fp32").model, tmp_path / "a")
    ids = torch.arange(3, 30)[None]
    module.network.eval()
    with torch.no_grad():
        expected = module.network(input_ids=ids).logits
        torch.testing.assert_close(theirs(input_ids=ids).logits, expected)
        merged = merge(base.load(tiny, "fp32"), tmp_path / "a").model
        torch.testing.assert_close(merged(input_ids=ids).logits, expected, atol=2e-5, rtol=1e-5)


def test_the_files_depend_on_content_only(module, tmp_path):
    digests = []
    for place in ("one", "two"):
        write_adapter(module.network, adapter_tensors(module.network), "tiny", tmp_path / place / "a")
        files = sorted((tmp_path / place / "a").iterdir())
        digests.append([hashlib.sha256(p.read_bytes()).hexdigest() for p in files])
    assert digests[0] == digests[1]
    assert str(tmp_path) not in (tmp_path / "one" / "a" / "adapter_config.json").read_text()


def test_a_state_comes_back_as_it_was_and_replaces_the_older(module, tmp_path):
    assert read_state(tmp_path) is None
    named = module.trainable()
    optimiser = module.configure_optimizers()
    for parameter in named.values():
        parameter.grad = torch.randn_like(parameter)
    optimiser.step()
    write_state(tmp_path, 9, state_tensors(named, optimiser), [])
    write_state(tmp_path, 10, state_tensors(named, optimiser), [])
    (tmp_path / ".state-11-torn").mkdir()
    assert sorted(p.name for p in tmp_path.iterdir() if p.name[0] != ".") == ["state-10"]
    state = read_state(tmp_path)
    assert state.step == 10
    for name, parameter in named.items():
        assert torch.equal(state.adapter[name], parameter)
        assert torch.equal(state.moments[name]["exp_avg_sq"], optimiser.state[parameter]["exp_avg_sq"])
    if Path("/proc/self/maps").exists():  # nothing of the file stays in use: NFS could not remove it
        assert str(tmp_path) not in Path("/proc/self/maps").read_text()
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix not in (".safetensors", ".json")]
