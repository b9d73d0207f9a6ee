from __future__ import annotations

import peft
import pytest
import torch
from torch import nn

from warmgap.training.dropout import MaskSource, install
from warmgap.training.lowrank import LowRankLinear
from warmgap.training.lowrank import install as install_lowrank


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("p", [0.0, 0.3])
@pytest.mark.parametrize("bias", [False, True])
def test_output_and_gradients_are_those_of_the_formula(gated, p, bias):
    """Reference: autograd through the formula in float64 with the same mask."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator).requires_grad_()

    x, gate, a, b, weight = draw(11, 24), draw(11, 24), draw(4, 24), draw(20, 4), draw(11, 20).detach()
    base = nn.Linear(24, 20, bias=bias).requires_grad_(False)
    source = MaskSource()
    source.seed(9)
    keep = source.keep((11, 24), p).double() / (1 - p) if p else 1.0
    source.seed(9)
    out = LowRankLinear.apply(x, gate if gated else None, a, b, base, 2.0, p, source)
    variables = (x, a, b, gate)[: 4 if gated else 3]
    ours = torch.autograd.grad((out * weight).sum(), variables)

    wide = [v.detach().double().requires_grad_() for v in variables]
    inside = nn.functional.silu(wide[3]) * wide[0] if gated else wide[0]
    expected = inside @ base.weight.double().t() + 2.0 * (inside * keep) @ wide[1].t() @ wide[2].t()
    if bias:
        expected = expected + base.bias.double()
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)
    theirs = torch.autograd.grad((expected * weight).sum(), wide)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.double(), other, rtol=1e-4, atol=1e-5)


def test_a_gate_alone_that_trains_gets_its_gradient():
    x, gate = torch.randn(5, 6), torch.randn(5, 6).requires_grad_()
    a, b = torch.randn(2, 6).requires_grad_(), torch.randn(4, 2).requires_grad_()
    base = nn.Linear(6, 4, bias=False).requires_grad_(False)
    LowRankLinear.apply(x, gate, a, b, base, 2.0, 0.0, MaskSource()).sum().backward()
    leaf = gate.detach().clone().requires_grad_()
    inside = nn.functional.silu(leaf) * x
    (inside @ base.weight.t() + 2.0 * inside @ a.detach().t() @ b.detach().t()).sum().backward()
    torch.testing.assert_close(gate.grad, leaf.grad, rtol=1e-4, atol=1e-5)


def test_switched_off_adapters_leave_the_base_model(loaded):
    ids = torch.arange(12)[None]
    expected = loaded.model(ids).logits
    network = peft.get_peft_model(loaded.model, peft.LoraConfig(target_modules=["q_proj", "down_proj"]))
    install_lowrank(network, install(network, 0.0))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
        moved = network(ids).logits
        with network.disable_adapter():
            assert torch.equal(network(ids).logits, expected)
    assert not torch.allclose(moved, expected)
    network.merge_adapter()
    torch.testing.assert_close(network(ids).logits, moved, rtol=1e-4, atol=1e-5)


def test_evaluation_drops_nothing(loaded):
    network = peft.get_peft_model(loaded.model, peft.LoraConfig(target_modules=["v_proj", "down_proj"]))
    install_lowrank(network, install(network, 0.5))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
        ids = torch.arange(12)[None]
        assert not torch.equal(network.train()(ids).logits, network(ids).logits)
        assert torch.equal(network.eval()(ids).logits, network(ids).logits)
