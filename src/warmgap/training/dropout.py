"""Dropout whose mask depends on a seed set before each pass, never on a global generator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

_INTEGERS = {2: torch.int16, 4: torch.int32}


class SeededDropout(nn.Module):
    """Inverted dropout (Srivastava et al. 2014) that draws from a generator shared by all layers.

    On a CPU torch draws one float a value, which costs as much as the layer itself; see `MaskSource.keep`.
    Elsewhere it is torch's own dropout under torch's seed.
    """

    def __init__(self, p: float, source: MaskSource) -> None:
        super().__init__()
        self.p, self.source = p, source

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` with values set to zero with probability p and the others divided by 1 - p."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return nn.functional.dropout(x, self.p)
        return x * (self.source.keep(x.shape, self.p).to(x.dtype) / (1 - self.p))


class MaskSource:
    """The generator behind the masks of one network."""

    def __init__(self) -> None:
        self.generator = np.random.Generator(np.random.SFC64(0))

    def seed(self, seed: int) -> None:
        """Restarts the masks, and torch's global generator for what else may draw."""
        self.generator = np.random.Generator(np.random.SFC64(seed))
        torch.manual_seed(seed)

    def replay(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Contexts of a layer's first pass and of its second, which draws the same masks.

        For torch's checkpoint, which restores torch's own generator but knows nothing of this one.
        """
        start: list[Any] = []
        bits = self.generator.bit_generator

        @contextmanager
        def first() -> Iterator[None]:
            start.append(bits.state)
            yield

        @contextmanager
        def second() -> Iterator[None]:
            now = bits.state
            bits.state = start[0]
            try:
                yield
            finally:
                bits.state = now

        return first(), second()

    def keep(self, shape: tuple[int, ...], p: float) -> torch.Tensor:
        """1 where a value is kept and 0, with probability p, where it is dropped; int8.

        A random byte decides for each value. Its threshold is p * 256 rounded up or down at random, once
        for each vector along the last axis, so that p is met exactly.
        """
        width = shape[-1]
        n = int(np.prod(shape))
        words = self.generator.integers(0, 2**64, size=-(-n // 8), dtype=np.uint64)
        low, share = divmod(p * 256, 1)
        thresholds = low + (self.generator.random((n // width, 1)) < share)
        # Above 255/256 a threshold may be 256, which no byte can hold.
        thresholds = thresholds.astype(np.uint16 if low == 255 else np.uint8)
        kept = words.view(np.uint8)[:n].reshape(-1, width) >= thresholds
        return torch.from_numpy(kept.view(np.int8)).view(shape)


def pack_bits(keep: torch.Tensor) -> torch.Tensor:
    """Zeros and ones, eight to a byte."""
    return torch.from_numpy(np.packbits(keep.numpy()))


def unpack_bits(bits: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """The int8 zeros and ones that `pack_bits` was given."""
    n = int(np.prod(shape))
    return torch.from_numpy(np.unpackbits(bits.numpy(), count=n).view(np.int8)).view(shape)


def times_(x: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    """`x` with zeros where `keep` is 0, in place; on its bit pattern, which is faster than on floats."""
    x.view(_INTEGERS[x.element_size()]).mul_(keep)
    return x


def install(network: Any, p: float) -> MaskSource:
    """Puts a `SeededDropout` into every LoRA layer of a PEFT model and returns their source."""
    source = MaskSource()
    for layer in network.modules():
        for name in getattr(layer, "lora_dropout", {}):
            layer.lora_dropout[name] = SeededDropout(p, source)
    return source
