"""Typed configuration of where a sweep is mirrored to. Nothing of it enters a key."""

from __future__ import annotations

from dataclasses import dataclass

from .fields import setting

LOGGERS = ("wandb", "tensorboard", "csv", "none")
MODES = ("offline", "online", "disabled")


@dataclass
class WandbConfig:
    """Conf group `wandb`: read with logger=wandb alone."""

    name: str = setting("???")
    mode: str = setting("offline")  # offline, online, disabled; the variable WANDB_MODE goes before it
    project: str = setting("warmgap")  # empty: what W&B is told elsewhere
    entity: str = setting("")  # empty: the account's default
    tags: list[str] = setting([])
    upload_adapters: bool = setting(False)  # else only their keys and digests are recorded
