from __future__ import annotations

import numpy as np
import peft
import pytest
import torch

from warmgap.training.dropout import MaskSource, SeededDropout, install, pack_bits, times_, unpack_bits


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


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_each_row_and_column_is_kept_at_rate_one_minus_p(p):
    keep = MaskSource().keep((2000, 1000), p).double()
    spread = (p * (1 - p)) ** 0.5
    assert abs(keep.mean().item() - (1 - p)) < 5 * spread / keep.numel() ** 0.5
    assert (keep.mean(0) - (1 - p)).abs().max() < 5 * spread / 2000**0.5
    # A row's threshold is p rounded to 1/256 either way.
    assert (keep.mean(1) - (1 - p)).abs().max() < 5 * spread / 1000**0.5 + 1 / 256
    neighbours = torch.corrcoef(torch.stack([keep[:, :-1].flatten(), keep[:, 1:].flatten()]))[0, 1]
    assert abs(neighbours.item()) < 5 / keep.numel() ** 0.5 + 1 / 256**2


@pytest.mark.parametrize("p", [0.99, 0.997, 0.999])
def test_nearly_everything_is_dropped_where_p_is_nearly_one(p):
    keep = MaskSource().keep((2000, 1000), p)
    # A row's threshold is p rounded to 1/256 either way.
    deviation = (p * (1 - p) / keep.numel() + 0.5**2 / 256**2 / 2000) ** 0.5
    assert abs(keep.double().mean().item() - (1 - p)) < 5 * deviation


@pytest.mark.parametrize("p", [0.01, 0.1, 0.3, 0.5, 0.9, 0.99, 255 / 256, 0.999])
def test_a_value_is_kept_where_its_byte_reaches_the_threshold(p):
    """Bytes and then thresholds, drawn from numpy's generator, compared as whole numbers."""
    source = MaskSource()
    source.seed(11)
    generator = np.random.Generator(np.random.SFC64(11))
    values = list(generator.integers(0, 2**64, size=38, dtype=np.uint64).tobytes())[:300]
    low = int(p * 256)
    thresholds = [low + int(u < p * 256 - low) for u in generator.random(20)]
    expected = [int(byte >= thresholds[i // 15]) for i, byte in enumerate(values)]
    assert source.keep((4, 5, 15), p).flatten().tolist() == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bits_multiply_as_floats_do(dtype):
    keep = MaskSource().keep((7, 13), 0.4)
    x = torch.randn(7, 13).to(dtype)
    expected = x * keep.to(dtype)
    packed = pack_bits(keep)
    assert packed.numel() == 12 and packed.element_size() == 1
    assert torch.equal(unpack_bits(packed, (7, 13)), keep)
    assert torch.equal(times_(x, keep), expected)


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
