"""How Lightning trains in each process: alone, with gradients averaged, or with weights shared out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.strategies.ddp import DDPStrategy
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from warmgap.schema.config import TrainingConfig

from .devices import strategy_of
from .module import AdapterModule


def trainer_options(config: TrainingConfig, device: str) -> dict[str, Any]:
    """Arguments of `lightning.Trainer` in one process of `config.devices`; its environment says which."""
    options: dict[str, Any] = {
        "accelerator": "gpu" if device == "cuda" else "cpu",
        "devices": config.devices,
        "accumulate_grad_batches": config.accumulate // config.devices,
    }
    if strategy_of(config) == "single":
        # A cluster's variables in the environment must not turn one training into many.
        return options | {"plugins": [LightningEnvironment()]}
    # Each process has read the same weights, so none are sent.
    strategy = (
        ShardedStrategy()
        if strategy_of(config) == "fsdp"
        else DDPStrategy(init_sync=False, broadcast_buffers=False)
    )
    return options | {
        "plugins": [TorchElasticEnvironment()],
        "strategy": strategy,
        "use_distributed_sampler": False,
    }


def backend_of(config: TrainingConfig, device: str) -> str:
    """What processes talk through; empty where there is one."""
    if strategy_of(config) == "single":
        return ""
    return "nccl" if device == "cuda" else "gloo"


def first_device(config: TrainingConfig, device: str, rank: int) -> str:
    """Where a process loads the weights: for fsdp in main memory, from where it takes its share."""
    if strategy_of(config) == "fsdp":
        return "cpu"
    return f"{device}:{rank}" if strategy_of(config) == "ddp" and device == "cuda" else device


class ShardedStrategy(DDPStrategy):
    """Fully sharded data parallelism (Rajbhandari et al. 2020, stage 3), by torch's `fully_shard`.

    Lightning's FSDPStrategy flattens parameters, which must then share one type and one `requires_grad`,
    unlike frozen bf16 weights with fp32 adapters; and it refuses CPUs. `fully_shard` cuts each parameter.
    """

    def model_to_device(self) -> None:
        """Nothing: the whole model need not fit on a device; sharding moves it part by part."""

    def configure_ddp(self) -> None:
        """Shards the module in place, then the moments it was restored with, before its optimiser is made."""
        module: Any = self.lightning_module
        shard(module, self.root_device.type, self.world_size)

    def teardown(self) -> None:
        """Leaves the shards where they are, as Lightning's own strategy for `fully_shard` does."""
        for part in (self.cluster_environment, self.precision_plugin, self.accelerator):
            assert part is not None
            part.teardown()


def shard(module: AdapterModule, device_type: str, n: int) -> None:
    """Cuts the module's parameters and moments into `n` shares, one to each process of the group.

    Each decoder layer is gathered when it runs. What stands outside the layers, embeddings and output
    layer, is gathered for the whole of `training_step`, since the loss reads the output layer's weight.
    """
    mesh = init_device_mesh(device_type, (n,))
    for layer in layers(module):
        fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh)
    register_fsdp_forward_method(module, "training_step")
    for name, parameter in module.trainable().items():
        if name in module.moments:
            assert isinstance(parameter, DTensor)
            module.moments[name] = {
                key: distribute_tensor(whole, mesh, parameter.placements, src_data_rank=None)
                for key, whole in module.moments[name].items()
            }


def layers(module: AdapterModule) -> list[torch.nn.Module]:
    """The decoder layers, by the class names that transformers keeps whole on a device."""
    names = set(module.network.get_base_model()._no_split_modules)
    return [part for part in module.network.modules() if type(part).__name__ in names]


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning's advice off inside; its errors and its log level afterwards as before."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
