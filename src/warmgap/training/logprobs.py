"""Log-probabilities of answer tokens from hidden states, one by one.

Suffixes: N answer tokens, C a chunk of them, D width of the model, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch

_CHUNK_TOKENS = 256


class HeadLogProbs(torch.autograd.Function):
    """log softmax(h W')[target] of each token for a frozen head W, and its gradient by h.

    The gradient of one token is (onehot - softmax) W. It is made in the same pass, chunk by chunk, so
    logits of more than 256 tokens never stand in memory; the backward pass weights it token by token.
    Softmax is in fp32.
    """

    @staticmethod
    def forward(ctx: Any, h_ND: torch.Tensor, head_VD: torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
        """Log-probabilities in nats, fp32."""
        log_probs_N = torch.empty(len(targets_N), dtype=torch.float32, device=h_ND.device)
        differentiable = ctx.needs_input_grad[0]
        gradient_ND = torch.empty_like(h_ND) if differentiable else None
        for start in range(0, len(targets_N), _CHUNK_TOKENS):
            part = slice(start, start + _CHUNK_TOKENS)
            target_C1 = targets_N[part, None]
            p_CV = (h_ND[part] @ head_VD.t()).float()
            p_CV -= p_CV.amax(-1, keepdim=True)
            at_target_C1 = p_CV.gather(-1, target_C1)
            norm_C1 = p_CV.exp_().sum(-1, keepdim=True)
            log_probs_N[part] = (at_target_C1 - norm_C1.log())[:, 0]
            if gradient_ND is not None:
                p_CV /= -norm_C1
                p_CV.scatter_add_(-1, target_C1, torch.ones_like(at_target_C1))
                gradient_ND[part] = p_CV.to(head_VD.dtype) @ head_VD
        if gradient_ND is not None:
            ctx.save_for_backward(gradient_ND)
        return log_probs_N

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """The gradient by `h_ND`; head and targets have none."""
        (gradient_ND,) = ctx.saved_tensors
        return (gradient_ND * gradients[0][:, None]).to(gradient_ND.dtype), None, None


def head_log_probs(h_ND: torch.Tensor, head_VD: torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
    """Nats of each answer token, fp32, differentiable by `h_ND`; shape N."""
    log_probs_N: torch.Tensor = HeadLogProbs.apply(h_ND, head_VD, targets_N)  # type: ignore[no-untyped-call]
    return log_probs_N
