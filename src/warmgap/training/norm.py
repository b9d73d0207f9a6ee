"""RMSNorm with a frozen weight that keeps its input and one number a token for the backward pass.

Suffixes: N tokens, D width of the model.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

# Their forward is weight * (x / rms(x)), x in fp32 and the quotient in the type of x.
_NORMS = ("LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm")


class FrozenRMSNorm(torch.autograd.Function):
    """w x / sqrt(mean(x^2) + eps) (Zhang & Sennrich 2019, eq. 4), in fp32 inside."""

    @staticmethod
    def forward(ctx: Any, x_ND: torch.Tensor, weight_D: torch.Tensor, eps: float) -> torch.Tensor:
        """The normed values in the type of `x_ND`."""
        wide_ND = x_ND.float()
        scale_N1 = wide_ND.square().mean(-1, keepdim=True).add_(eps).rsqrt_()
        ctx.save_for_backward(x_ND, weight_D, scale_N1)
        return weight_D * (wide_ND * scale_N1).to(x_ND.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """The gradient by x; with y = x r: r (w g - y mean(w g y))."""
        x_ND, weight_D, scale_N1 = ctx.saved_tensors
        y_ND = x_ND.float().mul_(scale_N1)
        g_ND = gradients[0].float().mul_(weight_D)
        mean_N1 = (g_ND * y_ND).mean(-1, keepdim=True)
        return g_ND.addcmul_(y_ND, mean_N1, value=-1).mul_(scale_N1).to(x_ND.dtype), None, None


def install(network: Any) -> None:
    """Has every known RMSNorm with a frozen weight run as one operation."""
    for layer in network.modules():
        if type(layer).__name__ in _NORMS and not layer.weight.requires_grad:
            layer.forward = partial(_forward, layer)


def _forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = FrozenRMSNorm.apply(x, layer.weight, layer.variance_epsilon)  # type: ignore[no-untyped-call]
    return out
