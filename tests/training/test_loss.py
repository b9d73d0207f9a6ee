from __future__ import annotations

import pytest
import torch

from warmgap.training.loss import head_cross_entropy


@pytest.mark.parametrize("n", [1, 256, 700])
def test_loss_and_gradient_equal_torchs(n):
    generator = torch.Generator().manual_seed(n)
    h = torch.randn(n, 16, generator=generator, requires_grad=True)
    head = torch.randn(50, 16, generator=generator) * 3
    targets = torch.randint(0, 50, (n,), generator=generator)
    loss = head_cross_entropy(h, head, targets)
    (loss / 7).backward()
    reference = h.detach().clone().requires_grad_(True)
    expected = torch.nn.functional.cross_entropy(reference @ head.t(), targets, reduction="sum")
    (expected / 7).backward()
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(h.grad, reference.grad, rtol=1e-4, atol=1e-6)


def test_bf16_states_get_a_fp32_softmax():
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(300, 64, generator=generator).bfloat16()
    head = torch.randn(400, 64, generator=generator).bfloat16()
    targets = torch.randint(0, 400, (300,), generator=generator)
    logits = (h @ head.t()).float()
    expected = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
    torch.testing.assert_close(head_cross_entropy(h, head, targets), expected, rtol=1e-6, atol=0)
