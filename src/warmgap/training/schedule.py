"""Learning rate by step, without state."""

from __future__ import annotations

import math

from warmgap.errors import UserError, did_you_mean
from warmgap.schema.config import TrainingConfig

SCHEDULES = ("constant", "linear", "cosine")


def learning_rate(config: TrainingConfig, step: int) -> float:
    """The rate of optimiser step `step`, counted from 0.

    It rises linearly over `warmup_steps`, is `config.learning_rate` at the step after them, and then
    stays, or falls towards 0 at `steps` on a line or half a cosine.

    Raises:
        UserError: an unknown schedule.
    """
    if config.schedule not in SCHEDULES:
        raise UserError(
            f"training.schedule is '{config.schedule}'.{did_you_mean(config.schedule, SCHEDULES)}"
        )
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "constant":
        return config.learning_rate
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * (
        1 - done if config.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    )
