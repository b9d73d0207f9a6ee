"""Logits from hidden states, as the model's own forward pass makes them.

Shapes: D hidden size, V vocabulary; any leading dimensions.
"""

from __future__ import annotations

from typing import Any

import torch

from warmgap.errors import UserError


def head_logits(model: Any, hidden_D: torch.Tensor) -> torch.Tensor:
    """The output layer with what the model's config puts after it; logits of shape ..., V.

    `logit_scale` multiplies (Cohere), `logits_scaling` divides (Granite), and `final_logit_softcapping`
    c gives c tanh(logits / c) (Gemma 2, Gemma Team 2024, sec. 2).
    """
    config = model.config
    logits_V: torch.Tensor = model.lm_head(hidden_D)
    if scale := getattr(config, "logit_scale", None):
        logits_V = logits_V * scale
    if divisor := getattr(config, "logits_scaling", None):
        logits_V = logits_V / divisor
    if cap := getattr(config, "final_logit_softcapping", None):
        logits_V = torch.tanh(logits_V / cap) * cap
    return logits_V


@torch.inference_mode()
def check_head(model: Any) -> None:
    """Compare `head_logits` with the model's own logits on a few tokens.

    Raises:
        UserError: they differ, so margins and sampling would be another model's.
    """
    hidden: list[torch.Tensor] = []
    handle = model.base_model.register_forward_hook(lambda *call: hidden.append(call[2].last_hidden_state))
    own_BTV = model(input_ids=torch.arange(4, device=model.device)[None], use_cache=False).logits
    handle.remove()
    ours_BTV = head_logits(model, hidden[0])
    if not torch.allclose(ours_BTV.float(), own_BTV.float(), rtol=1e-3, atol=1e-4):
        raise UserError(
            f"the engine transformers does not know how a model of type '{model.config.model_type}' makes "
            "logits of its hidden states. Allowed: an output layer `lm_head`, with logit_scale, "
            "logits_scaling or final_logit_softcapping in the config"
        )
