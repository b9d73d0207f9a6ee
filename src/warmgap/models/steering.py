"""Steering vectors: one direction added to the residual stream after one decoder layer.

Added at every position of prompt and answer (Turner et al. 2023; Panickssery et al. 2024, CAA, adds it
after the prompt only), so that the bias of the layer's MLP can hold it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.hooks import RemovableHandle

from warmgap.errors import UserError
from warmgap.schema.config import ModelConfig

from .base import Loaded, fingerprint, load, rounded, torch_dtype, write

FILE = "steering.json"
_TENSORS = "steering.safetensors"
# Architectures whose block adds the MLP's output to the residual stream as it is.
BIAS_ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3")


@dataclass(frozen=True)
class SteeringVector:
    """A direction in the residual stream, in fp32 on the CPU.

    Attributes:
        vector_D: mean difference between two tones.
        layer: share of the depth that was asked for.
        layer_index: the decoder layer whose output it is added to, from 0.
        n_layers: decoder layers of the model it was computed on.
        n_conversations: how many differences were averaged.
        residual_norm: mean Euclidean norm of the residual stream there.
    """

    vector_D: torch.Tensor
    layer: float
    layer_index: int
    n_layers: int
    n_conversations: int
    residual_norm: float

    @property
    def norm(self) -> float:
        """Euclidean norm of the vector."""
        return float(self.vector_D.norm())


def layer_index(layer: float, n_layers: int) -> int:
    """round(layer * n_layers) - 1, at least 0; a half is rounded to the even number.

    Raises:
        UserError: `layer` outside (0, 1].
    """
    if not 0 < layer <= 1:
        raise UserError(f"method.layer is {layer}, a share of the depth. Allowed: above 0, at most 1")
    return max(round(layer * n_layers) - 1, 0)


def decoder_layers(model: Any) -> Any:
    """The list of decoder layers of a causal language model.

    Raises:
        UserError: an architecture that keeps none under `layers`.
    """
    layers = getattr(model.get_decoder(), "layers", None)
    if layers is None:
        raise UserError(
            f"steering does not know where the architecture '{model.config.model_type}' keeps its decoder "
            "layers. Allowed: models with a list `layers`, such as Llama, Mistral, Qwen and Gemma"
        )
    return layers


def write_steering(vector: SteeringVector, base_name: str, folder: Path, tones: Sequence[str] = ()) -> None:
    """steering.safetensors (`vector_D`) and steering.json in `folder`, which is made if missing.

    Args:
        vector: what to write.
        base_name: the model that it was computed on.
        folder: where.
        tones: the tone steered towards, and the tone steered away from.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({"vector_D": vector.vector_D.contiguous()}, folder / _TENSORS)
    about = {
        "base": base_name,
        "tones": list(tones),
        "layer": vector.layer,
        "layer_index": vector.layer_index,
        "n_layers": vector.n_layers,
        "width": vector.vector_D.numel(),
        "n_conversations": vector.n_conversations,
        "norm": vector.norm,
        "residual_norm": vector.residual_norm,
    }
    (folder / FILE).write_text(json.dumps(about, indent=1))


def read_steering(folder: Path) -> SteeringVector:
    """What `write_steering` wrote.

    Raises:
        UserError: a file is missing.
    """
    from safetensors.torch import load_file

    for name in (FILE, _TENSORS):
        if not (folder / name).is_file():
            raise UserError(
                f"the folder '{folder}' has no {name}. Allowed: a steering vector that warmgap has written"
            )
    about = json.loads((folder / FILE).read_text())
    names = ("layer", "layer_index", "n_layers", "n_conversations", "residual_norm")
    return SteeringVector(load_file(folder / _TENSORS)["vector_D"], **{name: about[name] for name in names})


def as_mlp_bias(loaded: Loaded, vector: SteeringVector, c: float) -> Loaded:
    """Adds c * `vector` to the bias of the layer's `mlp.down_proj`, in place.

    The sum is made in fp32 and rounded once to the precision of the layer: in bf16 the bias is what
    the model has.

    Raises:
        UserError: an architecture whose MLP does not write into the residual stream, or another model.
    """
    kind = loaded.model.config.model_type
    if kind not in BIAS_ARCHITECTURES:
        raise UserError(
            f"the architecture '{kind}' cannot hold a steering vector as a bias: its block is not known to "
            f"add the MLP's output to the residual stream as it is. Allowed: {', '.join(BIAS_ARCHITECTURES)}"
        )
    down = _layer(loaded.model, vector).mlp.down_proj
    bias_D = None if down.bias is None else down.bias.data.float()
    bias_D = shifted(bias_D, vector, c).to(down.weight.device, loaded.model.dtype)
    down.bias = torch.nn.Parameter(bias_D, requires_grad=False)
    return loaded


def shifted(bias_D: torch.Tensor | None, vector: SteeringVector, c: float) -> torch.Tensor:
    """c * `vector`, added to a bias where there is one; fp32."""
    shift_D = vector.vector_D * c
    return shift_D if bias_D is None else bias_D + shift_D.to(bias_D.device)


def as_hook(loaded: Loaded, vector: SteeringVector, c: float) -> Loaded:
    """Adds c * `vector` to the output of the layer by a forward hook, in fp32 and rounded once.

    Raises:
        UserError: an architecture whose layers are not found, or another model.
    """
    add_hook(loaded.model, vector, c)
    return loaded


def add_hook(model: Any, vector: SteeringVector, c: float) -> RemovableHandle:
    """As `as_hook`; the handle takes the hook away again."""
    layer = _layer(model, vector)
    shift_D = vector.vector_D.to(next(layer.parameters()).device) * c

    def add(_module: Any, _arguments: Any, output_BTD: torch.Tensor) -> torch.Tensor:
        return (output_BTD.float() + shift_D).to(output_BTD.dtype)

    handle: RemovableHandle = layer.register_forward_hook(add)
    return handle


def steer(loaded: Loaded, folder: Path, coefficient: float) -> Loaded:
    """`loaded` steered in place by the vector in `folder`: by a bias where that is exact, else by a hook.

    Coefficient 0 changes nothing at all.

    Raises:
        UserError: no vector in `folder`, one of another model, or an architecture that is not known.
    """
    vector = read_steering(folder)
    down = bias_holder(loaded.model, vector)
    if coefficient == 0:
        return loaded
    by = as_hook if down is None else as_mlp_bias
    return by(loaded, vector, coefficient)


def bias_holder(model: Any, vector: SteeringVector) -> torch.nn.Linear | None:
    """The linear layer whose bias can hold the vector exactly, if there is one.

    Raises:
        UserError: a vector of another model, or an architecture that is not known.
    """
    down = getattr(getattr(_layer(model, vector), "mlp", None), "down_proj", None)
    # A layer in nf4 or int8 is a subclass.
    return down if model.config.model_type in BIAS_ARCHITECTURES and type(down) is torch.nn.Linear else None


def write_steered(
    model: ModelConfig, folder: Path, coefficient: float, out: Path, precision: str = "bf16"
) -> None:
    """A folder of plain weights of `model`, steered, for any engine: path:OUT.

    The vector is the bias of one MLP; config.json says `mlp_bias`, and every other such bias is zero.

    Raises:
        UserError: an architecture without that option, a vector of another model, or an `out` that exists.
    """
    loaded = load(model, "fp32")
    network, config = loaded.model, loaded.model.config
    if config.model_type not in BIAS_ARCHITECTURES or not hasattr(config, "mlp_bias"):
        raise UserError(
            f"the architecture '{config.model_type}' of '{model.name}' has no option for MLP biases, so no "
            "folder of plain weights can hold the steering vector. Allowed: llama. Serve it with "
            "engine=transformers, which steers in memory"
        )
    config.mlp_bias = True
    for layer in decoder_layers(network):
        for linear in (layer.mlp.gate_proj, layer.mlp.up_proj, layer.mlp.down_proj):
            if linear.bias is None:
                zeros_O = torch.zeros(linear.out_features)
                linear.bias = torch.nn.Parameter(zeros_O, requires_grad=False)
    as_mlp_bias(loaded, read_steering(folder), coefficient)
    about = {
        "source": model.source,
        "fingerprint": fingerprint(model),
        "coefficient": coefficient,
        "precision": precision,
        "steering": json.loads((folder / FILE).read_text()),
    }
    write(rounded(loaded, torch_dtype(precision)), out, about)


def _layer(model: Any, vector: SteeringVector) -> Any:
    layers = decoder_layers(model)
    width, n_layers = model.get_input_embeddings().weight.shape[1], len(layers)
    if (width, n_layers) != (vector.vector_D.numel(), vector.n_layers):
        raise UserError(
            f"the steering vector has width {vector.vector_D.numel()} and is for {vector.n_layers} layers, "
            f"the model has width {width} and {n_layers} layers: it was computed on another model"
        )
    return layers[vector.layer_index]
