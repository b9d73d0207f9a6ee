"""SocioT as the authors' code computes it, and the same mean without its accidents.

Released (myracheng/humtdumt, compute_humt_sociot.py, as described in the warmth paper's sources): the
sequences `prefix + text + "` of the four speakers of one tone, padded on the right with token id 0,
are one batch; its loss is the mean over all next tokens, those of the prefixes, quotes and pads
included; dropout is on and the score is the mean of several passes. Pads are hidden from attention.
Without pads the mean is over the tokens of the four sequences together, so a longer one weighs more.

Shapes: S speakers of one tone, W width of a batch.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from .likelihood import Likelihood, Row, prepare
from .speakers import CLOSING_QUOTE, COLD_SPEAKERS, SPEAKERS, WARM_SPEAKERS, Ids, prefix, prefix_ids

_PAD_ID = 0


def has_dropout(model: Any) -> bool:
    """Whether a pass in training mode can differ from the next one."""
    modules = any(isinstance(m, torch.nn.Dropout) and m.p > 0 for m in model.modules())
    return modules or float(getattr(model.config, "attention_dropout", 0.0) or 0.0) > 0


def sequences(tokenizer: Any, text: str, speakers: Sequence[str]) -> list[Ids]:
    """Token ids of prefix + text + closing quote for each speaker, tokenised as one string."""
    return [tuple(tokenizer(prefix(s) + text + CLOSING_QUOTE)["input_ids"]) for s in speakers]


@dataclass(frozen=True)
class Released:
    """Mean log-probability under warm speakers minus that under cold ones, nats per token.

    Attributes:
        starts: by speaker, the tokens that begin every one of its sequences.
        start_nats: by start, the summed log-probability of its tokens after the first.
        passes: how often a text is scored with dropout on; 0: once, without dropout.
        padding: whether pads count in the mean.
    """

    likelihood: Likelihood
    tokenizer: Any
    starts: tuple[Ids, ...]
    start_nats: dict[Ids, float]
    passes: int
    padding: bool

    def scores(self, texts: Sequence[str]) -> list[float]:
        """Nats per token of each text."""
        if self.passes:
            return [self._with_dropout(text) for text in texts]
        rows: list[Row] = []
        known: list[float] = []
        for text in texts:
            for speakers in (WARM_SPEAKERS, COLD_SPEAKERS):
                ids_S = sequences(self.tokenizer, text, speakers)
                width = max(map(len, ids_S)) if self.padding else 0
                for speaker, ids in zip(speakers, ids_S, strict=True):
                    row, nats = self._row(speaker, ids, max(width - len(ids), 0))
                    rows.append(row)
                    known.append(nats)
        nats_R = [a + b for a, b in zip(known, self.likelihood.sums(rows), strict=True)]
        scored_R = [len(row.ids) - 1 for row in rows]
        n = len(WARM_SPEAKERS)
        mean = [sum(nats_R[i : i + n]) / sum(scored_R[i : i + n]) for i in range(0, len(rows), n)]
        return [warm - cold for warm, cold in zip(mean[::2], mean[1::2], strict=True)]

    def _row(self, speaker: str, ids: Ids, n_pads: int) -> tuple[Row, float]:
        """What is left to score of a sequence, and the log-probability of what is not."""
        start = self.starts[SPEAKERS.index(speaker)]
        padded = (*ids, *(_PAD_ID,) * n_pads)
        if len(start) < 2 or ids[: len(start)] != start:
            return Row(padded, 1, n_pads), 0.0
        return Row(padded, len(start), n_pads), self.start_nats[start]

    def _with_dropout(self, text: str) -> float:
        """Mean of the passes; the noise comes from the text alone, warm before cold in each pass."""
        batches = [sequences(self.tokenizer, text, s) for s in (WARM_SPEAKERS, COLD_SPEAKERS)]
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
        with _training(self.likelihood.model, seed):
            means = [self._batch_mean(batch) for _ in range(self.passes) for batch in batches]
        return math.fsum(w - c for w, c in zip(means[::2], means[1::2], strict=True)) / self.passes

    def _batch_mean(self, ids_S: Sequence[Ids]) -> float:
        # Shapes as in one call of the model on this batch, so that equal seeds give equal masks.
        width, device = max(map(len, ids_S)), self.likelihood.model.device
        ids_SW = [[*ids, *[_PAD_ID] * (width - len(ids))] for ids in ids_S]
        mask_SW = [[1] * len(ids) + [0] * (width - len(ids)) for ids in ids_S]
        inputs = {
            "input_ids": torch.tensor(ids_SW, device=device),
            "attention_mask": torch.tensor(mask_SW, device=device),
            "use_cache": False,
        }
        ends = [width if self.padding else len(ids) for ids in ids_S]
        targets = [t for row, end in zip(ids_SW, ends, strict=True) for t in row[1:end]]
        values_N = self.likelihood.token_log_probs(
            inputs, [(0, end - 1) for end in ends], torch.tensor(targets, device=device)
        )
        return float(values_N.mean())


@contextmanager
def _training(model: Any, seed: int) -> Iterator[None]:
    """Dropout on, with noise of its own; mode and generators are as before afterwards."""
    was_training = model.training
    with torch.random.fork_rng([model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(seed)
        model.train()
        try:
            yield
        finally:
            model.train(was_training)


def released(model: Any, tokenizer: Any, passes: int, dropout: bool, padding: bool) -> Released:
    """The formulation under one reference.

    Args:
        model: a causal language model of transformers in eval mode.
        tokenizer: its tokenizer.
        passes: stochastic passes (the paper: 100); a reference without dropout is scored once,
            since every pass would be the same.
        dropout: False scores once in eval mode.
        padding: False leaves the pads out of the mean; without dropout they are not run either.
    """
    # The last token of a prefix can merge with the text, and the one before it predicts it.
    starts = tuple(ids[:-1] for ids in prefix_ids(tokenizer))
    if dropout and has_dropout(model):
        return Released(prepare(model, []), tokenizer, starts, {}, passes, padding)
    likelihood = prepare(model, [start[:-1] for start in starts])
    rows = [Row(start, 1) for start in dict.fromkeys(starts) if len(start) > 1]
    nats = dict(zip((row.ids for row in rows), likelihood.sums(rows), strict=True))
    return Released(likelihood, tokenizer, starts, nats, 0, padding)
