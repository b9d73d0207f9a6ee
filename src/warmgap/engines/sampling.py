"""Sampling whose noise is a function of the row and the step, never of a global generator.

Shapes: B rows, V vocabulary.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

import torch

from .protocol import Limits


def uniform(seed: int, step: int) -> float:
    """A number in (0, 1) fixed by the row's seed and the step."""
    raw = hashlib.blake2b(struct.pack("<QQ", seed % 2**64, step), digest_size=8).digest()
    return float((int.from_bytes(raw, "little") >> 11) + 0.5) / 2.0**53


def next_tokens(logits_BV: torch.Tensor, seeds: Sequence[int], step: int, limits: Limits) -> torch.Tensor:
    """Token ids of shape B, by inversion of each row's cumulative distribution.

    With top_p below 1 the smallest set of likeliest tokens that reaches top_p is kept.
    """
    if limits.temperature == 0:
        return logits_BV.argmax(-1)
    p_BV = torch.softmax(logits_BV.float() / limits.temperature, -1)
    u_B1 = torch.tensor([[uniform(s, step)] for s in seeds], device=p_BV.device, dtype=torch.float32)
    if limits.top_p >= 1:
        return _invert(p_BV, u_B1)
    sorted_BV, order_BV = p_BV.sort(-1, descending=True)
    before_BV = sorted_BV.cumsum(-1) - sorted_BV
    kept_BV = sorted_BV.masked_fill(before_BV >= limits.top_p, 0.0)
    rank_B = _invert(kept_BV, u_B1)
    return order_BV.gather(-1, rank_B[:, None]).squeeze(-1)


def _invert(p_BV: torch.Tensor, u_B1: torch.Tensor) -> torch.Tensor:
    cumulative_BV = p_BV.cumsum(-1)
    threshold_B1 = u_B1 * cumulative_BV[:, -1:]
    index_B = torch.searchsorted(cumulative_BV, threshold_B1, right=True).squeeze(-1)
    # A threshold rounded up to the total would fall past the last token that has any probability.
    last_B = (p_BV > 0).float().cumsum(-1).argmax(-1)
    return torch.minimum(index_B, last_B)
