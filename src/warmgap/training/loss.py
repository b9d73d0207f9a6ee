"""Cross-entropy of answer tokens from hidden states.

Suffixes: N answer tokens, C a chunk of them, D width of the model, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch

_CHUNK_TOKENS = 256


class HeadCrossEntropy(torch.autograd.Function):
    """Sum of -log softmax(h W')[target] for a frozen head W, and its gradient by h.

    The gradient (softmax - onehot) W is made in the same pass, chunk by chunk, so logits of more than
    256 tokens never stand in memory and the exponential is taken once. Softmax is in fp32.
    """

    @staticmethod
    def forward(ctx: Any, h_ND: torch.Tensor, head_VD: torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
        """The sum over N, a fp32 scalar."""
        total = torch.zeros((), dtype=torch.float32, device=h_ND.device)
        gradient_ND = torch.empty_like(h_ND)
        for start in range(0, len(targets_N), _CHUNK_TOKENS):
            part = slice(start, start + _CHUNK_TOKENS)
            target_C1 = targets_N[part, None]
            p_CV = (h_ND[part] @ head_VD.t()).float()
            p_CV -= p_CV.amax(-1, keepdim=True)
            at_target_C1 = p_CV.gather(-1, target_C1)
            norm_C1 = p_CV.exp_().sum(-1, keepdim=True)
            total += (norm_C1.log() - at_target_C1).sum()
            p_CV /= norm_C1
            p_CV.scatter_add_(-1, target_C1, torch.full_like(at_target_C1, -1.0))
            gradient_ND[part] = p_CV.to(head_VD.dtype) @ head_VD
        ctx.save_for_backward(gradient_ND)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """The gradient by `h_ND`; head and targets have none."""
        (gradient_ND,) = ctx.saved_tensors
        return gradient_ND * gradients[0].to(gradient_ND.dtype), None, None


def head_cross_entropy(h_ND: torch.Tensor, head_VD: torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
    """Nats summed over the answer tokens, fp32, differentiable by `h_ND`."""
    loss: torch.Tensor = HeadCrossEntropy.apply(h_ND, head_VD, targets_N)  # type: ignore[no-untyped-call]
    return loss
