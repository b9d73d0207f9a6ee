"""Quantised base weights as plain ones, so that any engine can serve what an adapter was trained on.

Run: python -m warmgap.models.dequantise SOURCE OUT --quantisation nf4
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from warmgap.errors import UserError
from warmgap.schema.config import ModelConfig

from .base import PRECISIONS, Loaded, fingerprint, load, rounded, torch_dtype, unmark, write

QUANTISATIONS = ("nf4", "int8")
Progress = Callable[[int, int, str], None]


def dequantise(loaded: Loaded, dtype: torch.dtype, progress: Progress = lambda *_: None) -> Loaded:
    """Turns every quantised layer of `loaded` into a plain one, in place; all parameters get `dtype`.

    A weight is the value of its code, computed in fp32 and rounded once: code times scale of its block
    (nf4; QLoRA, Dettmers et al. 2023, sec. 3), or code times scale of its row / 127 (int8; LLM.int8,
    Dettmers et al. 2022, sec. 2).

    Returns:
        `loaded`, whose model has the same classes of layers as one that was never quantised.

    Raises:
        ValueError: a layer in nf4 whose scales were rounded by a forward pass (see `plain_linear`).
    """
    model = loaded.model
    quantised = quantised_layers(model)
    for done, (name, layer) in enumerate(quantised.items(), 1):
        model.set_submodule(name, plain_linear(layer).to(dtype))
        progress(done, len(quantised), "layers")
    unmark(model)
    return rounded(loaded, dtype)


def quantised_layers(model: Any) -> dict[str, Any]:
    """The layers in nf4 or int8 by name."""
    return {n: m for n, m in model.named_modules() if _is_quantised(m)}


def plain_linear(layer: Any) -> torch.nn.Linear:
    """A linear layer with the weight of a bitsandbytes layer in nf4 or int8, fp32.

    Raises:
        ValueError: on a CPU with AVX-512 BF16 a forward pass in eval mode repacks a layer in nf4 and
            rounds its scales to bf16 for good; dequantise before the first one.
    """
    plain = torch.nn.Linear(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
    plain.weight = torch.nn.Parameter(exact_weight(layer.weight, getattr(layer, "state", None)))
    if layer.bias is not None:
        plain.bias = torch.nn.Parameter(layer.bias.data.float())
    return plain.requires_grad_(False)


def write_dequantised(
    model: ModelConfig, quantisation: str, precision: str, out: Path, progress: Progress = lambda *_: None
) -> None:
    """A folder of plain safetensors with tokenizer: `model` quantised, dequantised, rounded to `precision`.

    The weights are quantised from weights at `precision`, as in a training at that precision. The folder
    can be a model's source: path:/FOLDER.

    Raises:
        UserError: a word that is not allowed, weights that cannot be had, or an `out` that exists.
    """
    if quantisation not in QUANTISATIONS:
        raise UserError(
            f"there is nothing to dequantise: quantisation is '{quantisation}'. Allowed: nf4, int8"
        )
    if out.exists():
        raise UserError(f"'{out}' exists already. Remove it or name another folder")
    dtype = torch_dtype(precision)
    progress(0, 1, f"quantising to {quantisation}")
    loaded = dequantise(load(model, precision, quantisation), dtype, progress)
    about = {
        "source": model.source,
        "fingerprint": fingerprint(model),
        "quantisation": quantisation,
        "precision": precision,
    }
    progress(1, 1, "writing")
    write(loaded, out, about)


def _is_quantised(module: Any) -> bool:
    return type(getattr(module, "weight", None)).__name__ in ("Params4bit", "Int8Params")


def exact_weight(weight: Any, state: Any = None) -> torch.Tensor:
    """The value of a quantised weight's codes, of shape outputs, inputs, fp32.

    Args:
        weight: parameter of a layer in nf4 or int8.
        state: of the layer in int8, which holds the scales after a forward pass.

    Raises:
        ValueError: as `plain_linear`.
    """
    from bitsandbytes import functional

    weight_OI: torch.Tensor
    if type(weight).__name__ == "Int8Params":
        scale_O = weight.SCB if weight.SCB is not None else state.SCB  # moves on the first forward pass
        weight_OI = weight.data.float() * (scale_O.float()[:, None] / 127)
    elif getattr(weight.quant_state, "packing_format_for_cpu", False):
        raise ValueError("the scales of this nf4 layer were rounded by a forward pass; dequantise before it")
    else:
        exact = copy.copy(weight.quant_state)
        exact.dtype = torch.float32
        weight_OI = functional.dequantize_4bit(weight.data, exact)
    return weight_OI


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m warmgap.models.dequantise",
        description="Write a base model as it is after quantisation, in plain weights for any engine.",
    )
    parser.add_argument("source", help="hub:ORG/NAME, path:/FOLDER or package:MODULE/FILE.gguf")
    parser.add_argument("out", type=Path, help="the folder to make; then model.source=path:OUT")
    parser.add_argument("--quantisation", choices=QUANTISATIONS, default="nf4")
    parser.add_argument("--precision", choices=PRECISIONS, default="bf16")
    parser.add_argument("--revision", default="main", help="of a hub repository")
    parser.add_argument("--trust-remote-code", action="store_true")
    given = parser.parse_args(arguments)
    model = ModelConfig(
        name=given.source,
        source=given.source,
        revision=given.revision,
        trust_remote_code=given.trust_remote_code,
    )
    try:
        write_dequantised(model, given.quantisation, given.precision, given.out, _say)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"Written. Use it with model.source=path:{given.out.resolve()}")
    return 0


def _say(done: int, total: int, text: str) -> None:
    if text != "layers" or done == total or done % 25 == 0:
        print(f"{done}/{total} {text}" if text == "layers" else text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
