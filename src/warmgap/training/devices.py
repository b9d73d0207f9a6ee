"""Devices of one training: what may be asked for. Imports no torch: the planner calls this."""

from __future__ import annotations

from warmgap.errors import UserError, did_you_mean
from warmgap.schema.config import TrainingConfig

STRATEGIES = ("auto", "ddp", "fsdp")


def check_devices(config: TrainingConfig, kind: str = "sft") -> None:
    """Refuse a strategy and a number of devices that cannot train this recipe.

    Args:
        config: the recipe.
        kind: what is optimised, as `method.kind`.

    Raises:
        UserError: an unknown strategy, passes that cannot be dealt out evenly, or what fsdp cannot shard.
    """
    strategy, devices, accumulate = config.strategy, config.devices, config.accumulate
    if strategy not in STRATEGIES:
        raise UserError(f"training.strategy is '{strategy}'.{did_you_mean(strategy, STRATEGIES)}")
    if devices < 1:
        raise UserError(f"training.devices is {devices}. Allowed: a whole number from 1.")
    if accumulate % devices:
        raise UserError(
            f"training.accumulate is {accumulate} and training.devices is {devices}: each device takes an "
            f"equal number of the passes of a step. Allowed: a multiple of {devices}; "
            f"batch_rows x accumulate, now {config.batch_rows * accumulate}, is the number of rows of a step."
        )
    if strategy == "fsdp" and config.quantisation != "none":
        raise UserError(
            f"training.strategy is fsdp and training.quantisation is '{config.quantisation}': the weights' "
            "scales stand outside the tensors that fsdp cuts up. Allowed: training.quantisation=none, or "
            "training.strategy=ddp, which keeps the whole quantised model on each device."
        )
    if strategy == "fsdp" and kind == "dpo":
        raise UserError(
            "training.strategy is fsdp and method.kind is 'dpo': processes that make a different number of "
            "reference passes would wait for each other's weights without end. Allowed: "
            "training.strategy=ddp."
        )


def strategy_of(config: TrainingConfig) -> str:
    """What runs: `single`, `ddp` or `fsdp`."""
    if config.devices == 1:
        return "single"
    return "fsdp" if config.strategy == "fsdp" else "ddp"
