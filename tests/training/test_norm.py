from __future__ import annotations

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from warmgap.training.norm import install


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_and_gradient_are_those_of_transformers(dtype):
    generator = torch.Generator().manual_seed(0)
    plain = LlamaRMSNorm(48, eps=1e-3).to(dtype).requires_grad_(False)
    with torch.no_grad():
        plain.weight.add_(torch.randn(48, generator=generator) * 0.3)
    x = (torch.randn(5, 7, 48, generator=generator) * 3).to(dtype)
    weight = torch.randn(5, 7, 48, generator=generator)
    gradients, values = [], []
    for patched in (False, True):
        if patched:
            install(torch.nn.ModuleList([plain]))
        leaf = x.clone().requires_grad_()
        values.append(plain(leaf))
        (values[-1].float() * weight).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(values[1], values[0], rtol=0, atol=0 if dtype == torch.bfloat16 else 1e-6)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(gradients[1], gradients[0], rtol=tolerance, atol=tolerance)


def test_a_trainable_norm_is_left_alone():
    plain = LlamaRMSNorm(8)
    install(torch.nn.ModuleList([plain]))
    assert "forward" not in vars(plain)
