from __future__ import annotations

import peft
import pytest
import torch

from warmgap.training.dropout import MaskSource, SeededDropout, install


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_are_dropped_at_rate_p_and_the_rest_scaled(dtype):
    source = MaskSource()
    x = torch.ones(1000, 301, dtype=dtype)
    out = SeededDropout(0.1, source)(x)
    kept = out != 0
    # Five standard errors of a binomial share over 301,000 values.
    assert abs(1 - kept.float().mean().item() - 0.1) < 5 * (0.09 / x.numel()) ** 0.5
    assert out.dtype == dtype
    assert torch.equal(out[kept].unique(), torch.tensor([1 / 0.9], dtype=dtype))


def test_the_seed_alone_decides():
    source = MaskSource()
    layer = SeededDropout(0.5, source)
    x = torch.ones(64, 64)
    source.seed(7)
    first, second = layer(x), layer(x)
    torch.rand(5)
    source.seed(7)
    assert torch.equal(layer(x), first)
    assert torch.equal(layer(x), second)
    assert not torch.equal(first, second)


def test_the_gradient_passes_the_same_mask():
    source = MaskSource()
    x = torch.randn(8, 9, requires_grad=True)
    out = SeededDropout(0.3, source)(x)
    out.sum().backward()
    torch.testing.assert_close(x.grad, out.detach() / x.detach())


def test_nothing_is_dropped_in_eval_mode_or_at_zero():
    x = torch.ones(4, 4)
    assert SeededDropout(0.5, MaskSource()).eval()(x) is x
    assert SeededDropout(0.0, MaskSource())(x) is x


def test_every_adapter_gets_it(loaded):
    network = peft.get_peft_model(
        loaded.model, peft.LoraConfig(lora_dropout=0.1, target_modules=["q_proj", "up_proj"])
    )
    source = install(network, 0.1)
    found = [m for m in network.modules() if isinstance(m, SeededDropout)]
    assert len(found) == 4
    assert all(m.source is source for m in found)
    assert not any(isinstance(m, torch.nn.Dropout) and m.p > 0 for m in network.modules())
