"""Weights of a base model as they were before they were rounded to the precision in memory.

A change is added to these, so that a base that becomes one arm after another is each time rounded once.
Nothing is kept on the device of the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch

from warmgap.schema.config import ModelConfig

from .base import load, materialise
from .dequantise import exact_weight


class Exact(Protocol):
    """Gives exact values by the name of a parameter."""

    def __call__(self, name: str, held: torch.Tensor) -> torch.Tensor:
        """The exact value in fp32, on the device of `held`; never changed in place.

        Args:
            name: of the parameter.
            held: what the model has there; when a name is asked for first, the base's own.
        """
        ...


class AsLoaded:
    """Of weights that were not rounded: each is copied to main memory when it is first asked for."""

    def __init__(self) -> None:
        self._kept: dict[str, torch.Tensor] = {}

    def __call__(self, name: str, held: torch.Tensor) -> torch.Tensor:
        """The value as it was loaded."""
        if name not in self._kept:
            self._kept[name] = held.detach().to("cpu", copy=True)
        return self._kept[name].to(held.device, torch.float32)


class FromFiles:
    """Of plain weights: read from their safetensors, which stay mapped into memory.

    Where transformers renames or joins tensors when it loads, the whole base is read once more, in fp32 and
    into main memory.
    """

    def __init__(self, model: ModelConfig) -> None:
        self._model = model
        self._checked: set[str] = set()

    def __call__(self, name: str, held: torch.Tensor) -> torch.Tensor:
        """The value in the files."""
        if name in self._files:
            exact = self._files[name].get_tensor(name).to(held.device, torch.float32)
            if name in self._checked or torch.equal(exact.to(held.dtype), held):
                self._checked.add(name)
                return exact  # type: ignore[no-any-return]
            del self._files[name]
        return self._again.get_parameter(name).detach().to(held.device)  # type: ignore[no-any-return]

    @cached_property
    def _files(self) -> dict[str, Any]:
        return _tensor_files(materialise(self._model))

    @cached_property
    def _again(self) -> Any:
        return load(self._model, "fp32").model


class FromCodes:
    """Of quantised layers: the value of their codes, which stay in main memory; of the rest as loaded.

    Args:
        layers: of bitsandbytes, by name; what of them is needed leaves the device.
    """

    def __init__(self, layers: Mapping[str, Any]) -> None:
        self._codes = {f"{name}.weight": layer.weight.to("cpu") for name, layer in layers.items()}
        self._others = AsLoaded()

    def __call__(self, name: str, held: torch.Tensor) -> torch.Tensor:
        """The value of the codes, computed on the device as when the base was dequantised."""
        if name not in self._codes:
            return self._others(name, held)
        codes = self._codes[name].to(held.device)
        exact = exact_weight(codes)
        codes.to("cpu")  # of nf4 the scales move with it
        return exact


def _tensor_files(folder: Path) -> dict[str, Any]:
    """The open file of each tensor, of those files that transformers reads."""
    from safetensors import safe_open

    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    names = {single.name} if single.is_file() else set()
    if not names and index.is_file():
        names = set(json.loads(index.read_text())["weight_map"].values())
    opened: list[Any] = [safe_open(folder / name, "pt") for name in sorted(names)]
    return {name: file for file in opened for name in file.keys()}  # noqa: SIM118 no mapping
