"""How a sweep is mirrored: what the configuration asks for, the user's variables and the packages allow."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from warmgap.schema.tracking import MODES, WandbConfig

_WORDS = {"dryrun": "offline", "run": "online"}
"""Older words of W&B for the same."""
_NEEDS = {
    "wandb": (("wandb",), "pip install 'warmgap[wandb]'"),
    "tensorboard": (("tensorboard", "tensorboardX"), "pip install tensorboard"),
}


@dataclass(frozen=True)
class Way:
    """A way to mirror: the tracker, its mode, and where its files are."""

    logger: str
    mode: str
    folder: Path


def way_of(logger: str, wandb: WandbConfig, sweep_folder: Path, environ: Mapping[str, str]) -> Way | None:
    """How a sweep is mirrored, or None where it is not."""
    if logger == "none":
        return None
    if logger != "wandb":
        return Way(logger, logger, sweep_folder / "curves")
    mode = mode_of(wandb, environ)
    return None if mode == "disabled" else Way("wandb", mode, sweep_folder / "wandb")


def mode_of(wandb: WandbConfig, environ: Mapping[str, str]) -> str:
    """offline, online or disabled: the variable WANDB_MODE where it says one of these, else the setting."""
    said = environ.get("WANDB_MODE", "").lower()
    said = _WORDS.get(said, said)
    return said if said in MODES else wandb.mode


def lacking(logger: str) -> str:
    """What must be installed first, as one sentence; empty where nothing is lacking."""
    packages, how = _NEEDS.get(logger, ((), ""))
    if not packages or any(importlib.util.find_spec(p) for p in packages):
        return ""
    return f"logger={logger} needs the package {packages[0]}, which is not installed: {how}, or logger=none."
