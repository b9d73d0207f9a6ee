"""Sharding in a group of one process; test_ddp.py shards over two."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch.distributed.tensor import DTensor

from warmgap.models import base
from warmgap.training.checkpoints import adapter_tensors, state_tensors
from warmgap.training.data import collate
from warmgap.training.examples import encode_rows, micro_batches
from warmgap.training.module import AdapterModule
from warmgap.training.strategies import backend_of, first_device, layers, shard, trainer_options


@pytest.fixture
def group():
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.fixture
def modules(tiny, config, rows):
    """Two equal modules in bf16 with adapters that matter, and a pass."""
    loaded = base.load(tiny, "bf16")
    batch = micro_batches(encode_rows(loaded.tokenizer, rows, config), config, 0)[0]
    module = AdapterModule(loaded, config, 0)
    with torch.no_grad():
        for parameter in module.trainable().values():
            parameter.add_(0.05)
    return module, copy.deepcopy(module), collate(batch)


def test_layers_are_the_decoder_layers(modules):
    assert [type(layer).__name__ for layer in layers(modules[0])] == ["LlamaDecoderLayer"] * 2


def test_sharded_weights_keep_their_types_and_give_the_same_gradients(group, modules):
    plain, sharded, batch = modules
    shard(sharded, "cpu", 1)
    for name, parameter in sharded.named_parameters():
        assert isinstance(parameter, DTensor), name
        assert parameter.dtype == (torch.float32 if "lora" in name else torch.bfloat16), name
    losses = []
    for module in (plain, sharded):
        with torch.autocast("cpu", torch.bfloat16):
            loss = module.training_step(batch, 0)
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == losses[1]
    for name, parameter in plain.trainable().items():
        assert torch.equal(sharded.trainable()[name].grad.full_tensor(), parameter.grad), name


def test_moments_are_sharded_with_their_parameters_and_gathered_again(group, modules):
    plain, sharded, _ = modules
    moments = {
        name: {"exp_avg": torch.rand_like(p), "exp_avg_sq": torch.rand_like(p)}
        for name, p in plain.trainable().items()
    }
    states = []
    for module in (plain, sharded):
        module.moments, module.first_step = copy.deepcopy(moments), 5  # the optimiser changes them in place
        if module is sharded:
            shard(module, "cpu", 1)
        optimiser = module.configure_optimizers()
        for parameter in module.trainable().values():
            parameter.grad = parameter.detach() * 0.1
        optimiser.step()
        states.append(state_tensors(module.trainable(), optimiser) | adapter_tensors(module.network))
    assert sorted(states[0]) == sorted(states[1])
    for name, tensor in states[0].items():
        assert type(states[1][name]) is torch.Tensor
        torch.testing.assert_close(states[1][name], tensor, rtol=1e-6, atol=1e-7)


def test_each_process_takes_its_part_of_a_step(config):
    config = replace(config, accumulate=4)
    assert trainer_options(config, "cpu")["accumulate_grad_batches"] == 4
    assert "strategy" not in trainer_options(config, "cpu")
    options = trainer_options(replace(config, devices=2), "cuda")
    assert (options["accelerator"], options["devices"], options["accumulate_grad_batches"]) == ("gpu", 2, 2)
    # Lightning would deal the passes out a second time.
    assert options["use_distributed_sampler"] is False


@pytest.mark.parametrize(
    ("strategy", "devices", "device", "backend", "place"),
    [
        ("auto", 1, "cpu", "", "cpu"),
        ("auto", 1, "cuda", "", "cuda"),
        ("ddp", 2, "cpu", "gloo", "cpu"),
        ("ddp", 2, "cuda", "nccl", "cuda:1"),
        ("fsdp", 2, "cuda", "nccl", "cpu"),
    ],
)
def test_where_weights_are_loaded(config, strategy, devices, device, backend, place):
    config = replace(config, strategy=strategy, devices=devices)
    assert backend_of(config, device) == backend
    assert first_device(config, device, devices - 1) == place
