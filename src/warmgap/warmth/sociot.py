"""SocioT: how much likelier a text is from a close person than from a distant one.

The score of Cheng et al. (HumT and SocioT), T(s) = log(P_warm(s) / P_cold(s)), where P is the
average over four speakers of the probability that a causal language model gives the text after
`The <speaker> said, "`. Two formulations:

* `released`: what the authors' code computes (myracheng/humtdumt, compute_humt_sociot.py) and the
  warmth paper reports: mean loss over every token of a batch, prefix, quotes and pads included.
* `text_only`: the formula itself, over the text's own tokens, divided by their number.

Any causal language model can be the reference; with another than GPT-2 the score is a stand-in.

Shapes: S speakers of one tone, T tokens of the text, L tokens of a sequence, V vocabulary.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from .meters import Reference

WARM_SPEAKERS = ("friend", "lover", "mentor", "idol")
COLD_SPEAKERS = ("stranger", "enemy", "examiner", "dictator")
# The released code writes My for this list and The for everyone else.
_MY_SPEAKERS = frozenset({"friend", "partner", "girlfriend", "boyfriend", "husband", "wife"})
_RELEASED_PAD_ID = 0


def prefix(speaker: str) -> str:
    """What stands before the text, up to and with the opening quote."""
    return f'{"My" if speaker in _MY_SPEAKERS else "The"} {speaker} said, "'


def has_dropout(model: Any) -> bool:
    """Whether a pass in training mode can differ from the next one."""
    modules = any(isinstance(m, torch.nn.Dropout) and m.p > 0 for m in model.modules())
    return modules or float(getattr(model.config, "attention_dropout", 0.0) or 0.0) > 0


def released_loss(model: Any, tokenizer: Any, text: str, speakers: Sequence[str]) -> float:
    """Mean next-token loss (nats) over all tokens of the speakers' sequences in one batch.

    Sequences are prefix + text + closing quote, padded on the right with token id 0; pads keep
    their labels, so they count in the mean, and are hidden from attention.
    """
    rows = [tokenizer(prefix(speaker) + text + '"')["input_ids"] for speaker in speakers]
    width = max(map(len, rows))
    ids_SL = torch.tensor([row + [_RELEASED_PAD_ID] * (width - len(row)) for row in rows])
    mask_SL = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    ids_SL, mask_SL = ids_SL.to(model.device), mask_SL.to(model.device)
    out = model(input_ids=ids_SL, attention_mask=mask_SL, labels=ids_SL, use_cache=False)
    return float(out.loss)


def released(model: Any, tokenizer: Any, text: str, passes: int) -> float:
    """Loss of the cold batch minus loss of the warm batch, nats per token.

    A reference with dropout is scored `passes` times with dropout on and averaged (the paper: 100);
    one without is scored once, since every pass would be the same. The noise comes from the text
    alone, so a score does not depend on what was scored before.
    """

    def once() -> float:
        warm = released_loss(model, tokenizer, text, WARM_SPEAKERS)
        return released_loss(model, tokenizer, text, COLD_SPEAKERS) - warm

    if not has_dropout(model):
        return once()
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
    was_training = model.training
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        model.train()
        try:
            return math.fsum(once() for _ in range(passes)) / passes
        finally:
            model.train(was_training)


def text_logprobs(model: Any, prefix_ids: Sequence[Sequence[int]], text_ids: Sequence[int]) -> list[float]:
    """log p(text | prefix) in nats, summed over the text's tokens, for each prefix.

    Prefixes of equal length share one forward pass, so nothing is padded; logits are made for the
    text's positions only.
    """
    n_text = len(text_ids)
    out = [0.0] * len(prefix_ids)
    target_T = torch.tensor(text_ids, device=model.device)
    for length in sorted({len(ids) for ids in prefix_ids}):
        rows = [i for i, ids in enumerate(prefix_ids) if len(ids) == length]
        # The last text token predicts nothing that counts, so it is not fed.
        ids_SL = torch.tensor([[*prefix_ids[i], *text_ids[:-1]] for i in rows], device=model.device)
        logits_STV = model(input_ids=ids_SL, use_cache=False, logits_to_keep=n_text).logits
        for i, logits_TV in zip(rows, logits_STV, strict=True):
            # One row at a time in float32: it stays in the processor's cache (2.6 times faster).
            logits_TV = logits_TV.float()
            chosen_T = logits_TV.gather(-1, target_T[:, None]).squeeze(-1)
            out[i] = float((chosen_T - logits_TV.logsumexp(-1)).double().sum())
    return out


def log_mean_exp(values: Sequence[float]) -> float:
    """log of the mean of exp(values)."""
    top = max(values)
    return top + math.log(math.fsum(math.exp(v - top) for v in values) / len(values))


@dataclass(frozen=True)
class SocioTMeter:
    """SocioT of texts under one reference; unit nats per token.

    `text_only` averages probabilities over the four speakers (log-mean-exp of the summed
    log-probabilities), as the formula's P does, before dividing by the number of text tokens.

    Attributes:
        load: makes the reference at the first score.
        passes: dropout passes of `released`, for a reference that has dropout.
        max_chars: characters of a text that are read, 0 for all.
    """

    name: str
    reference: str
    formulation: str
    load: Callable[[], Reference] = field(repr=False, compare=False)
    passes: int = 1
    max_chars: int = 300
    unit: str = "nats_per_token"

    @cached_property
    def _loaded(self) -> Reference:
        loaded = self.load()
        loaded.model.eval()
        return loaded

    @cached_property
    def _prefix_ids(self) -> list[list[int]]:
        speakers = (*WARM_SPEAKERS, *COLD_SPEAKERS)
        return [list(self._loaded.tokenizer(prefix(s))["input_ids"]) for s in speakers]

    def score(self, texts: Sequence[str]) -> list[float | None]:
        """Warm minus cold, nats per token, of each text; None for an empty one."""
        with torch.inference_mode():
            return [self._score_one(text) for text in texts]

    def _score_one(self, text: str) -> float | None:
        if not text.strip():
            return None
        limit = self.max_chars or None
        model, tokenizer = self._loaded.model, self._loaded.tokenizer
        if self.formulation == "released":
            return released(model, tokenizer, text[:limit], self.passes)
        ids = tokenizer(text.strip()[:limit], add_special_tokens=False)["input_ids"]
        logprobs = text_logprobs(model, self._prefix_ids, ids)
        n_warm = len(WARM_SPEAKERS)
        return (log_mean_exp(logprobs[:n_warm]) - log_mean_exp(logprobs[n_warm:])) / len(ids)
