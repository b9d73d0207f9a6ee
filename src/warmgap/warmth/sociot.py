"""SocioT: how much likelier a text is from a close person than from a distant one.

The score of Cheng et al. (HumT and SocioT), T(s) = log(P_warm(s) / P_cold(s)), with P from a causal
language model that reads `The <speaker> said, "` before the text. Three formulations, all in nats per
token; any causal language model can be the reference, and any but GPT-2 is a stand-in:

* `released`: what the authors' code computes and the warmth paper reports (sociot_released.py).
* `deterministic`: the same mean over prefix, text and quotes, without dropout and without pads.
* `text_only`: the formula over the text's own tokens, divided by their number (sociot_text.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch

from .meters import Reference
from .sociot_released import released
from .sociot_text import text_only
from .speakers import text_ids


class _Formulation(Protocol):
    def scores(self, texts: Sequence[str]) -> list[float]: ...


@dataclass(frozen=True)
class SocioTMeter:
    """SocioT of texts under one reference; unit nats per token.

    Attributes:
        load: makes the reference at the first score.
        passes: stochastic passes of `released`, for a reference that has dropout.
        dropout: of `released`: whether dropout is on.
        padding: of `released`: whether pads count.
        max_chars: characters of a text that are read, 0 for all.
        min_tokens: tokens of the text itself, of those that are read, below which it has no score.
        batch_texts: texts that may share a pass; scores do not depend on it beyond rounding.
    """

    name: str
    reference: str
    formulation: str
    load: Callable[[], Reference] = field(repr=False, compare=False)
    passes: int = 1
    dropout: bool = True
    padding: bool = True
    max_chars: int = 300
    min_tokens: int = 0
    batch_texts: int = 1
    unit: str = "nats_per_token"

    @cached_property
    def _loaded(self) -> Reference:
        loaded = self.load()
        loaded.model.eval()
        return loaded

    @cached_property
    def _formulation(self) -> _Formulation:
        model, tokenizer = self._loaded.model, self._loaded.tokenizer
        if self.formulation == "text_only":
            return text_only(model, tokenizer)
        as_released = self.formulation == "released"
        return released(
            model,
            tokenizer,
            self.passes,
            dropout=as_released and self.dropout,
            padding=as_released and self.padding,
        )

    def score(self, texts: Sequence[str]) -> list[float | None]:
        """Warm minus cold, nats per token, of each text; None for one that is empty or too short."""
        read = [text[: self.max_chars or None] for text in texts]
        lengths = [len(text_ids(self._loaded.tokenizer, text)) for text in read]
        scored = [i for i, n in enumerate(lengths) if n >= max(self.min_tokens, 1)]
        scored.sort(key=lambda i: lengths[i])
        out: list[float | None] = [None] * len(texts)
        with torch.inference_mode():
            for first in range(0, len(scored), self.batch_texts):
                batch = scored[first : first + self.batch_texts]
                for i, value in zip(batch, self._formulation.scores([read[i] for i in batch]), strict=True):
                    out[i] = value
        return out
