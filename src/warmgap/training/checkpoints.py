"""Adapters and resumable state on disk: safetensors and JSON, each folder appearing by one rename."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch.distributed.tensor import DTensor

MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class CurvePoint:
    """One optimiser step; `loss` is the mean over its answer tokens, in nats, `wall_s` since the start."""

    step: int
    loss: float
    learning_rate: float
    n_answer_tokens: int
    wall_s: float


@dataclass(frozen=True)
class TrainState:
    """What a training needs to go on after `step` steps as if it had never stopped."""

    step: int
    adapter: dict[str, torch.Tensor]
    moments: dict[str, dict[str, torch.Tensor]]
    curve: tuple[CurvePoint, ...]


def checkpoint_name(step: int) -> str:
    """The folder of a checkpoint."""
    return f"checkpoint-{step}"


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in main memory; of one that is sharded all shares, so every process must ask."""
    full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full.detach().cpu()


def adapter_tensors(network: Any) -> dict[str, torch.Tensor]:
    """The adapters' tensors under PEFT's names; where they are sharded, every process must ask for them."""
    return {k: whole(v).contiguous() for k, v in get_peft_model_state_dict(network).items()}


def state_tensors(
    named: Mapping[str, torch.nn.Parameter], optimiser: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """Adapters and moments as `write_state` takes them; where sharded, every process must ask for them."""
    tensors = {f"adapter/{n}": whole(p) for n, p in named.items()}
    for name, parameter in named.items():
        for moment in MOMENTS:
            tensors[f"{moment}/{name}"] = whole(optimiser.state[parameter][moment])
    return tensors


def write_adapter(network: Any, tensors: Mapping[str, torch.Tensor], base_name: str, folder: Path) -> None:
    """Writes adapter_model.safetensors and adapter_config.json, as PEFT reads them.

    `base_name` stands where PEFT writes a local path, so equal trainings give equal files everywhere.
    """
    config = network.peft_config["default"].to_dict()
    config = {k: sorted(v) if isinstance(v, set) else v for k, v in config.items()}
    config |= {"base_model_name_or_path": base_name, "inference_mode": True}

    def fill(aside: Path) -> None:
        save_file(dict(tensors), aside / "adapter_model.safetensors", metadata={"format": "pt"})
        (aside / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")

    _publish(folder, fill)


def write_state(
    partial: Path, step: int, tensors: Mapping[str, torch.Tensor], curve: Sequence[CurvePoint]
) -> None:
    """Writes `state-<step>` into the partial folder, then removes older states."""

    def fill(aside: Path) -> None:
        save_file(dict(tensors), aside / "state.safetensors")
        (aside / "state.json").write_text(json.dumps({"step": step, "curve": [asdict(p) for p in curve]}))

    _publish(partial / f"state-{step}", fill)
    for older in partial.glob("state-*"):
        if older.name != f"state-{step}":
            shutil.rmtree(older)


def read_state(partial: Path) -> TrainState | None:
    """The latest state in the partial folder, or None."""
    folders = sorted(partial.glob("state-*"), key=lambda p: int(p.name.removeprefix("state-")))
    if not folders:
        return None
    meta = json.loads((folders[-1] / "state.json").read_text())
    adapter: dict[str, torch.Tensor] = {}
    moments: dict[str, dict[str, torch.Tensor]] = {}
    for key, mapped in load_file(folders[-1] / "state.safetensors").items():
        # A file that is still mapped cannot be removed from NFS.
        tensor = mapped.clone()
        kind, _, name = key.partition("/")
        if kind == "adapter":
            adapter[name] = tensor
        else:
            moments.setdefault(name, {})[kind] = tensor
    return TrainState(meta["step"], adapter, moments, tuple(CurvePoint(**p) for p in meta["curve"]))


def _publish(folder: Path, fill: Callable[[Path], None]) -> None:
    """Fills a folder aside, syncs it to disk and renames it to `folder`, replacing one that is there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    fill(aside)
    for path in (*aside.iterdir(), aside):
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
        path.chmod(0o755 if path.is_dir() else 0o644)
    if folder.exists():
        shutil.rmtree(folder)
    os.rename(aside, folder)
