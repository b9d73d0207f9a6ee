"""LoRA adapters in PEFT's own format, added into base weights."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from warmgap.errors import UserError

from .base import Loaded

FILE = "adapter_config.json"
_KEY = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<factor>[AB])(\.default)?\.weight$")
# Options of PEFT that change the sum W + s B A; none of them is implemented.
_UNSUPPORTED = ("use_dora", "fan_in_fan_out", "modules_to_save", "trainable_token_indices", "lora_bias")


@dataclass(frozen=True)
class LoraFactors:
    """The update of one linear layer: `scaling` * `b_OR` @ `a_RI` (O outputs, R rank, I inputs)."""

    a_RI: torch.Tensor
    b_OR: torch.Tensor
    scaling: float

    def delta_OI(self) -> torch.Tensor:
        """The update of the weight, fp32."""
        return (self.b_OR.float() @ self.a_RI.float()) * self.scaling

    def added_to(self, weight_OI: torch.Tensor, scale: float) -> torch.Tensor:
        """`weight_OI`, which is fp32, with `scale` times the update."""
        return weight_OI.add(self.delta_OI().to(weight_OI.device), alpha=scale)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the weight that it updates: outputs, inputs."""
        return self.b_OR.shape[0], self.a_RI.shape[1]


def read_adapter(folder: Path) -> dict[str, LoraFactors]:
    """Factors by module name, from adapter_config.json and adapter_model.safetensors.

    Scaling is alpha / r (Hu et al. 2021, sec. 4.1), or alpha / sqrt(r) with `use_rslora`.

    Raises:
        UserError: a file is missing, or the adapter is not plain LoRA on linear layers.
    """
    from safetensors.torch import load_file

    config_path, weights_path = folder / FILE, folder / "adapter_model.safetensors"
    for path in (config_path, weights_path):
        if not path.is_file():
            raise UserError(
                f"the adapter folder '{folder}' has no {path.name}. Allowed: a folder in PEFT's format"
            )
    config = json.loads(config_path.read_text())
    odd = [name for name in _UNSUPPORTED if config.get(name)]
    if config.get("peft_type") != "LORA" or odd or config.get("bias", "none") != "none":
        found = ", ".join(odd) or f"peft_type {config.get('peft_type')}, bias {config.get('bias')}"
        raise UserError(f"the adapter '{folder}' is not plain LoRA: {found}. Allowed: LORA without bias")
    halves: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in load_file(weights_path).items():
        match = _KEY.match(key)
        if match is None:
            raise UserError(f"the adapter '{folder}' holds '{key}', which is no factor of a linear layer")
        halves.setdefault(match["module"], {})[match["factor"]] = tensor
    return {
        module: LoraFactors(pair["A"], pair["B"], _scaling(config, module)) for module, pair in halves.items()
    }


def merge(loaded: Loaded, folder: Path, scale: float = 1.0) -> Loaded:
    """Adds `scale` times an adapter into the weights of `loaded`, in place.

    Each sum is made in fp32 and rounded once to the precision of the weight. Layers in nf4 or int8 must be
    dequantised before.

    Returns:
        `loaded`, whose model has the same classes of layers as one without an adapter.

    Raises:
        UserError: as `fitting`.
    """
    for name, factors in fitting(loaded.model, folder).items():
        weight = loaded.model.get_submodule(name).weight
        weight.data = factors.added_to(weight.data.float(), scale).to(weight.dtype)
    return loaded


def fitting(model: Any, folder: Path) -> dict[str, LoraFactors]:
    """Factors by module name, as `read_adapter`, of an adapter that fits a model.

    Raises:
        UserError: the adapter cannot be read or does not fit the model.
    """
    modules = dict(model.named_modules())
    embedding = model.get_input_embeddings().weight
    found = read_adapter(folder)
    for name, factors in found.items():
        layer = modules.get(name)
        if type(layer) is not torch.nn.Linear:  # a layer in nf4 or int8 is a subclass
            raise UserError(
                f"the adapter '{folder}' changes '{name}', which is no plain linear layer of the model"
            )
        if layer.weight is embedding:
            raise UserError(
                f"the adapter '{folder}' changes '{name}', which shares its weight with the embedding"
            )
        if factors.shape != layer.weight.shape:
            raise UserError(
                f"the adapter '{folder}' has {factors.shape} for '{name}', "
                f"the model {tuple(layer.weight.shape)}: it was trained on another model"
            )
    return found


def _scaling(config: dict[str, Any], module: str) -> float:
    r = _by_pattern(config.get("rank_pattern"), module, config["r"])
    alpha = _by_pattern(config.get("alpha_pattern"), module, config["lora_alpha"])
    return float(alpha / math.sqrt(r) if config.get("use_rslora") else alpha / r)


def _by_pattern(patterns: dict[str, float] | None, module: str, default: float) -> float:
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default
