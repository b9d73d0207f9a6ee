from __future__ import annotations

import pytest
import torch

from warmgap.training.logprobs import head_log_probs


@pytest.mark.parametrize("n", [1, 256, 700])
def test_values_and_weighted_gradient_equal_torchs(n):
    """Against the whole matrix of logits; the weights differ by token, as those of a loss over pairs do."""
    generator = torch.Generator().manual_seed(n)
    h = torch.randn(n, 16, generator=generator, requires_grad=True)
    head = torch.randn(50, 16, generator=generator) * 3
    targets = torch.randint(0, 50, (n,), generator=generator)
    weights = torch.randn(n, generator=generator)
    values = head_log_probs(h, head, targets)
    (values * weights).sum().backward()
    reference = h.detach().clone().requires_grad_(True)
    expected = (reference @ head.t()).log_softmax(-1)[torch.arange(n), targets]
    (expected * weights).sum().backward()
    assert values.shape == (n,) and values.dtype == torch.float32
    torch.testing.assert_close(values, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(h.grad, reference.grad, rtol=1e-5, atol=1e-5)


def test_huge_logits_and_bf16_stay_finite():
    h = torch.full((2, 4), 64.0, dtype=torch.bfloat16, requires_grad=True)
    head = torch.tensor([[64.0] * 4, [-64.0] * 4], dtype=torch.bfloat16)
    values = head_log_probs(h, head, torch.tensor([0, 1]))
    assert values.tolist() == [0.0, -32768.0]
    values.sum().backward()
    assert h.grad.dtype == torch.bfloat16
    assert h.grad[0].tolist() == [0.0] * 4
    assert h.grad[1].tolist() == [-128.0] * 4  # (onehot - softmax) W: -64 - 64


def test_no_gradient_is_kept_where_none_is_wanted():
    h, head = torch.randn(5, 4), torch.randn(9, 4)
    assert not head_log_probs(h, head, torch.arange(5)).requires_grad
    with torch.no_grad():
        assert head_log_probs(h.requires_grad_(), head, torch.arange(5)).grad_fn is None
