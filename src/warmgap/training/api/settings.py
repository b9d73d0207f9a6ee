"""Settings that a service can train with. Imports nothing heavy, so that a plan can be checked."""

from __future__ import annotations

from warmgap.errors import UserError
from warmgap.schema.config import TrainingConfig

N_KEPT = 3
"""Checkpoints of a job that the service keeps, one an epoch (OpenAI's guide to supervised fine-tuning)."""


def check_api(config: TrainingConfig) -> None:
    """Refuse settings that the service cannot train with, before anything is sent.

    Raises:
        UserError: epochs or checkpoints that do not fit together.
    """
    api = config.api
    if config.epochs != api.n_epochs:
        raise UserError(
            f"training.epochs is {config.epochs:g} and training.api.n_epochs is {api.n_epochs}; behind an "
            "API both must be the same. Set training.api.n_epochs=N and leave training.epochs to it, as "
            "training=openai does."
        )
    kept = range(max(1, api.n_epochs - N_KEPT + 1), api.n_epochs + 1)
    for epoch in config.checkpoints:
        if epoch not in kept:
            raise UserError(
                f"training.checkpoints holds {epoch:g}; of a job with {api.n_epochs} epochs the service "
                f"keeps the ends of epochs {', '.join(map(str, kept))}. For another one, train it with "
                "its own job: training.api.n_epochs=N 'training.checkpoints=[N]'."
            )
