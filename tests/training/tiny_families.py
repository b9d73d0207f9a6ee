"""Random models of two layers of the families that warmgap trains, with their own attention and norms."""

from __future__ import annotations

import torch
import transformers

FAMILIES = ("Llama", "Qwen2", "Mistral", "Gemma", "Qwen3", "Gemma3")
VOCABULARY = 97


def tiny_network(family):
    """A causal language model in eval mode, fp32; the windows of Mistral and Gemma 3 are 8 tokens."""
    extra = {
        "Llama": {"attention_bias": True, "mlp_bias": True},
        "Mistral": {"sliding_window": 8},
        "Gemma3": {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]},
    }.get(family, {})
    name = "Gemma3Text" if family == "Gemma3" else family
    config = getattr(transformers, f"{name}Config")(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=256,
        initializer_range=0.2,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        **extra,
    )
    torch.manual_seed(0)
    network = getattr(transformers, f"{family}ForCausalLM")(config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:  # norms and biases start at one or zero
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return network.eval()
