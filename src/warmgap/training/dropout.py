"""Dropout whose mask depends on a seed set before each pass, never on a global generator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn


class SeededDropout(nn.Module):
    """Inverted dropout (Srivastava et al. 2014) that draws from a generator shared by all layers.

    On a CPU torch draws one float a value, which costs as much as the layer itself; here 16 random bits
    decide, so p is met within 2^-16. Elsewhere it is torch's own dropout under torch's seed.
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
        return x * self.source.mask(x, self.p)


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

    def mask(self, x: torch.Tensor, p: float) -> torch.Tensor:
        """A factor for every value of `x`, of its shape and type: 0 or 1 / (1 - p)."""
        n = x.numel()
        words = self.generator.integers(0, 2**64, size=-(-n // 4), dtype=np.uint64)
        keep = words.view(np.uint16)[:n] >= round(p * 2**16)
        if x.dtype == torch.bfloat16:
            # NumPy has no bfloat16: multiply by its bit pattern and reinterpret.
            pattern = torch.tensor(1 / (1 - p), dtype=x.dtype).view(torch.int16).numpy()
            flat = torch.from_numpy(np.multiply(keep, pattern, dtype=np.int16)).view(x.dtype)
        else:
            flat = torch.from_numpy(np.multiply(keep, np.float32(1 / (1 - p)), dtype=np.float32)).to(x.dtype)
        return flat.view(x.shape)


def install(network: Any, p: float) -> MaskSource:
    """Puts a `SeededDropout` into every LoRA layer of a PEFT model and returns their source."""
    source = MaskSource()
    for layer in network.modules():
        for name in getattr(layer, "lora_dropout", {}):
            layer.lora_dropout[name] = SeededDropout(p, source)
    return source
