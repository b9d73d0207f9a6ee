"""How long a training is: steps, or epochs that become steps once the conversations are counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from warmgap.errors import UserError
from warmgap.schema.config import TrainingConfig


def check_length(config: TrainingConfig) -> None:
    """Refuse steps, epochs and checkpoints that do not fit together.

    Raises:
        UserError: neither or both of steps and epochs, or a checkpoint outside the training.
    """
    steps, epochs = config.steps, config.epochs
    if not 0 <= epochs < math.inf:
        raise UserError(
            f"training.epochs is {epochs}. Allowed: a number from 0; with 0, training.steps counts."
        )
    if steps < 0 or (not steps and not epochs):
        raise UserError(
            f"training.steps is {steps}. Allowed: a whole number from 1, or 0 with training.epochs above 0."
        )
    if steps and epochs:
        raise UserError(
            f"training.steps is {steps} and training.epochs is {epochs}: only one may be above 0. "
            "Set training.epochs=0 to count steps, or training.steps=0 to count epochs."
        )
    checkpoint_steps(config.checkpoints, 1, epochs or 1.0)


def total_steps(config: TrainingConfig, n_conversations: int) -> int:
    """Optimiser steps of the training: as configured, or as many as `epochs` need, the last one full."""
    if not config.epochs:
        return config.steps
    return math.ceil(round(config.epochs * n_conversations / rows_per_step(config), 9))


def with_steps(config: TrainingConfig, n_conversations: int) -> TrainingConfig:
    """The recipe with its number of steps filled in."""
    return replace(config, steps=total_steps(config, n_conversations))


def rows_per_step(config: TrainingConfig) -> int:
    """Conversations of one optimiser step: the effective batch."""
    return config.batch_rows * config.accumulate


def checkpoint_steps(
    checkpoints: Sequence[float], steps: int, whole: float = 1.0
) -> tuple[tuple[int, float], ...]:
    """(step, checkpoint) for each checkpoint, the step rounded and at least 1, in order.

    Args:
        checkpoints: shares of all steps, or epochs.
        steps: steps of the whole training.
        whole: what the last step stands for: 1 for shares, else the number of epochs.

    Raises:
        UserError: a checkpoint outside (0, whole], or none.
    """
    if not checkpoints:
        raise UserError("training.checkpoints is empty. Give at least one value.")
    for checkpoint in checkpoints:
        if not 0 < checkpoint <= whole:
            unit = "a share of all steps" if whole == 1.0 else "epochs"
            raise UserError(
                f"training.checkpoints is {checkpoint}. Allowed: {unit}, above 0 and up to {whole:g}, "
                f"as in training.checkpoints=[{whole / 2:g},{whole:g}]."
            )
    return tuple((max(1, round(c / whole * steps)), c) for c in sorted(set(checkpoints)))


def epochs_at(config: TrainingConfig, checkpoint: float, n_conversations: int) -> float:
    """How often training has seen the corpus at a checkpoint, as planned: the dose of an arm."""
    if config.epochs:
        return checkpoint
    return round(checkpoint * config.steps * rows_per_step(config) / n_conversations, 3)
