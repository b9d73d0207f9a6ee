"""SocioT over a text's own tokens: the formula of Cheng et al., per token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .likelihood import Likelihood, Row, prepare
from .speakers import SPEAKERS, WARM_SPEAKERS, Ids, prefix_ids, text_ids


def log_mean_exp(values: Sequence[float]) -> float:
    """log of the mean of exp(values)."""
    top = max(values)
    return top + math.log(math.fsum(math.exp(v - top) for v in values) / len(values))


@dataclass(frozen=True)
class TextOnly:
    """T(s) = log(P_warm(s) / P_cold(s)) divided by the number of tokens of s.

    P_tone is the mean over its four speakers of the probability of the text's tokens after the
    prefix (log-mean-exp of summed log-probabilities). Text and prefix are tokenised apart.
    """

    likelihood: Likelihood
    tokenizer: Any
    prefixes: tuple[Ids, ...]

    def scores(self, texts: Sequence[str]) -> list[float]:
        """Nats per token of each text; every text has at least one token."""
        tokens = [text_ids(self.tokenizer, text) for text in texts]
        rows = [Row((*before, *ids), len(before)) for ids in tokens for before in self.prefixes]
        sums = self.likelihood.sums(rows)
        return [
            _difference(sums[i * len(SPEAKERS) : (i + 1) * len(SPEAKERS)]) / len(ids)
            for i, ids in enumerate(tokens)
        ]


def _difference(sums: Sequence[float]) -> float:
    n_warm = len(WARM_SPEAKERS)
    return log_mean_exp(sums[:n_warm]) - log_mean_exp(sums[n_warm:])


def text_only(model: Any, tokenizer: Any) -> TextOnly:
    """The formulation under one reference; the prefixes are run once, here."""
    prefixes = tuple(prefix_ids(tokenizer))
    # The last token of a prefix predicts the first of the text, so it is fed with the text.
    return TextOnly(prepare(model, [ids[:-1] for ids in prefixes]), tokenizer, prefixes)
