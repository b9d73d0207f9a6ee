"""What a training behind a service will cost, estimated before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from warmgap.errors import UserError
from warmgap.remote.tokens import BYTES_PER_TOKEN, BYTES_PER_TOKEN_LOW, conversation_tokens
from warmgap.schema.config import ApiTrainingConfig


@dataclass(frozen=True)
class Estimate:
    """Billed tokens, which count each epoch, and their price; `high` for texts that tokenise badly."""

    n_tokens: int
    n_tokens_high: int
    usd: float
    usd_high: float

    def __str__(self) -> str:
        return (
            f"about {self.n_tokens:,} tokens, {self.usd:.2f} USD (up to {self.n_tokens_high:,} tokens, "
            f"{self.usd_high:.2f} USD, where the texts are full of digits)"
        )


def estimate(conversations: Sequence[Sequence[Mapping[str, str]]], api: ApiTrainingConfig) -> Estimate:
    """Tokens of all conversations times epochs, and times the price of a token."""
    low, high = (
        api.n_epochs * sum(conversation_tokens(m, ratio) for m in conversations)
        for ratio in (BYTES_PER_TOKEN, BYTES_PER_TOKEN_LOW)
    )
    return Estimate(low, high, usd(low, api), usd(high, api))


def usd(n_tokens: int, api: ApiTrainingConfig) -> float:
    """The price of trained tokens, in USD."""
    return n_tokens * api.usd_per_million_tokens / 1e6


def check_cost(found: Estimate, api: ApiTrainingConfig) -> None:
    """Refuse to spend more than was allowed; nothing is allowed by default.

    Raises:
        UserError: no limit is set, or the high estimate is above it.
    """
    if api.max_cost_usd > 0 and found.usd_high <= api.max_cost_usd:
        return
    limit = f"only up to {api.max_cost_usd:.2f} USD are" if api.max_cost_usd > 0 else "nothing is"
    raise UserError(
        f"this training would cost {found}, at {api.usd_per_million_tokens:g} USD a million tokens and "
        f"{api.n_epochs} epochs; by training.api.max_cost_usd {limit} allowed. Nothing was sent. To spend "
        f"it, set training.api.max_cost_usd={math.ceil(found.usd_high * 100) / 100:g}"
    )
