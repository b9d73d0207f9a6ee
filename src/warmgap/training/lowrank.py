"""A frozen linear layer and its LoRA adapter as one differentiable operation, on CPUs.

PEFT's own forward keeps the dropped input, its mask and every intermediate for the backward pass. Here
the input, shared by the layers that read it, and one bit a value are kept; the rest is made again.

Suffixes: N tokens, I and O width of input and output, R rank.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import peft.tuners.lora as peft_lora
import torch
from torch import nn

from .dropout import MaskSource, SeededDropout, pack_bits, times_, unpack_bits

# Gated MLPs of the form down(silu(gate(x)) * up(x)).
_GATED = ("LlamaMLP", "MistralMLP", "Qwen2MLP", "Qwen3MLP")


class LowRankLinear(torch.autograd.Function):
    """x W' + b + s drop(x) A' B' with W and b frozen (Hu et al. 2021, sec. 4.1).

    With `gate_NI` the input is silu(gate) * x, so that neither factor nor product need be kept twice.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x_NI: torch.Tensor,
        gate_NI: torch.Tensor | None,
        a_RI: torch.Tensor,
        b_OR: torch.Tensor,
        base: nn.Linear,
        scaling: float,
        p: float,
        source: MaskSource,
    ) -> torch.Tensor:
        """The output of shape N x O, in the type of W."""
        weight_OI = base.weight
        in_NI = x_NI if gate_NI is None else nn.functional.silu(gate_NI).mul_(x_NI)
        a_RI, b_OR = a_RI.to(weight_OI.dtype), b_OR.to(weight_OI.dtype)
        bits = None
        dropped_NI = in_NI
        if p:
            keep_NI = source.keep(in_NI.shape, p)
            bits = pack_bits(keep_NI)
            dropped_NI = times_(in_NI.clone(), keep_NI)
            scaling /= 1 - p
        h_NR = dropped_NI @ a_RI.t()
        out_NO = in_NI @ weight_OI.t() if base.bias is None else torch.addmm(base.bias, in_NI, weight_OI.t())
        out_NO.addmm_(h_NR, b_OR.t(), alpha=scaling)
        ctx.save_for_backward(x_NI, gate_NI, a_RI, b_OR, h_NR, bits)
        ctx.weight_OI, ctx.scaling = weight_OI, scaling
        return out_NO

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients by x, gate, A and B."""
        (g_NO,) = gradients
        x_NI, gate_NI, a_RI, b_OR, h_NR, bits = ctx.saved_tensors
        silu_NI = None if gate_NI is None else nn.functional.silu(gate_NI)
        in_NI = x_NI if silu_NI is None else silu_NI * x_NI
        keep_NI = None if bits is None else unpack_bits(bits, in_NI.shape)
        gh_NR = (g_NO @ b_OR).mul_(ctx.scaling)
        gb_OR = (g_NO.t() @ h_NR).float().mul_(ctx.scaling)
        if keep_NI is not None:
            in_NI = times_(in_NI.clone() if silu_NI is None else in_NI, keep_NI)
        ga_RI = (gh_NR.t() @ in_NI).float()
        gx_NI = ggate_NI = None
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            gx_NI = gh_NR @ a_RI
            if keep_NI is not None:
                times_(gx_NI, keep_NI)
            gx_NI.addmm_(g_NO, ctx.weight_OI)
        if silu_NI is not None and gx_NI is not None:
            ggate_NI = torch.ops.aten.silu_backward(gx_NI * x_NI, gate_NI)
            gx_NI.mul_(silu_NI)
        return gx_NI, ggate_NI, ga_RI, gb_OR, None, None, None, None


def install(network: Any, source: MaskSource) -> None:
    """Has every plain LoRA layer of a PEFT model, and gated MLPs around one, run as one operation.

    Layers that are quantised or hold several adapters, variants or biases, and tensors on other devices
    than the CPU, take PEFT's own way, as does a network whose adapters are switched off.
    """
    for layer in network.modules():
        if _plain(layer):
            layer.forward = partial(_forward, layer, source, type(layer).forward.__get__(layer))
    for block in network.modules():
        if type(block).__name__ in _GATED and _plain(block.down_proj) and _is_silu(block.act_fn):
            block.forward = partial(_gated_forward, block, source, type(block).forward.__get__(block))


def _plain(layer: Any) -> bool:
    return (
        type(layer) is peft_lora.Linear
        and type(layer.base_layer) is nn.Linear
        and list(layer.lora_A) == list(layer.active_adapters)
        and len(layer.lora_A) == 1
        and not layer.lora_variant
        and not any(layer.lora_bias.values())
    )


def _is_silu(function: Any) -> bool:
    probe = torch.linspace(-3, 3, 7)
    return torch.equal(function(probe), nn.functional.silu(probe))


def _usable(layer: Any, x: torch.Tensor) -> bool:
    return x.device.type == "cpu" and not layer.disable_adapters and not layer.merged


def _forward(layer: Any, source: MaskSource, original: Any, x: torch.Tensor) -> torch.Tensor:
    if not _usable(layer, x):
        result: torch.Tensor = original(x)
        return result
    return _apply(layer, source, x, None)


def _gated_forward(block: Any, source: MaskSource, original: Any, x: torch.Tensor) -> torch.Tensor:
    if not _usable(block.down_proj, x):
        result: torch.Tensor = original(x)
        return result
    return _apply(block.down_proj, source, block.up_proj(x), block.gate_proj(x))


def _apply(layer: Any, source: MaskSource, x: torch.Tensor, gate: torch.Tensor | None) -> torch.Tensor:
    name = layer.active_adapters[0]
    base, dropout = layer.base_layer, layer.lora_dropout[name]
    dtype, width = base.weight.dtype, base.in_features
    with torch.autocast("cpu", enabled=False):
        out_NO: torch.Tensor = LowRankLinear.apply(  # type: ignore[no-untyped-call]
            x.to(dtype).reshape(-1, width),
            None if gate is None else gate.to(dtype).reshape(-1, width),
            layer.lora_A[name].weight,
            layer.lora_B[name].weight,
            base,
            layer.scaling[name],
            dropout.p if dropout.training and isinstance(dropout, SeededDropout) else 0.0,
            source,
        )
    return out_NO.view(*x.shape[:-1], -1)
