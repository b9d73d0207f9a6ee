"""Summed log-probabilities of sequence ends under a causal language model, doing no work twice.

Starts that many sequences share are run once and kept as keys and values; logits are made for the
scored tokens only and never for all of them at once; sequences of several texts share a pass.

Shapes: B rows, T fed tokens, N scored positions, D hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from .speakers import Ids
from .vocabulary_head import VocabularyHead, head_of

# Tokens fed in one pass. On a CPU more than this is slower per token, not faster.
_TOKENS_AT_ONCE = {"cpu": 640, "cuda": 65536}


@dataclass(frozen=True)
class Row:
    """A sequence whose tokens from position `start` (at least 1) on are scored.

    The last `n_pads` tokens are scored as well but hidden from attention.
    """

    ids: Ids
    start: int
    n_pads: int = 0


@dataclass(frozen=True)
class _States:
    """Keys and values of each layer for starts of one length, and which start is which row."""

    row_of: dict[Ids, int]
    layers: list[tuple[torch.Tensor, torch.Tensor]]

    def cache(self, starts: Sequence[Ids]) -> DynamicCache:
        untyped: Any = DynamicCache
        cache: DynamicCache = untyped()
        index_B = torch.tensor([self.row_of[s] for s in starts], device=self.layers[0][0].device)
        for i, (keys, values) in enumerate(self.layers):
            cache.update(keys[index_B], values[index_B], i)
        return cache


@dataclass(frozen=True)
class Likelihood:
    """A model ready to score; make it with `prepare`."""

    model: Any
    head: VocabularyHead | None
    states: dict[int, _States] = field(default_factory=dict)

    def sums(self, rows: Sequence[Row]) -> list[float]:
        """For each row log p(ids[start:] | ids[:start]) in nats, summed over its scored tokens."""
        out = [0.0] * len(rows)
        for length, members in self._by_cached_length(rows).items():
            for part in self._passes(rows, members, length):
                found = self._one_pass([rows[i] for i in part], length)
                for i, value in zip(part, found, strict=True):
                    out[i] = value
        return out

    def _by_cached_length(self, rows: Sequence[Row]) -> dict[int, list[int]]:
        """Row numbers by how many leading tokens need not be fed."""
        groups: dict[int, list[int]] = {}
        for i, row in enumerate(rows):
            length = row.start - 1
            known = length in self.states and row.ids[:length] in self.states[length].row_of
            groups.setdefault(length if known else 0, []).append(i)
        return groups

    def _passes(self, rows: Sequence[Row], members: list[int], length: int) -> list[list[int]]:
        limit = _TOKENS_AT_ONCE.get(self.model.device.type, _TOKENS_AT_ONCE["cuda"])
        if self.head is None:
            limit = 0  # whole logits: one row at a time
        passes: list[list[int]] = []
        for i in sorted(members, key=lambda i: len(rows[i].ids)):
            width = len(rows[i].ids) - 1 - length  # the widest so far
            if passes and (len(passes[-1]) + 1) * width <= limit:
                passes[-1].append(i)
            else:
                passes.append([i])
        return passes

    def _one_pass(self, rows: Sequence[Row], length: int) -> list[float]:
        # The last token predicts nothing that counts, so it is not fed.
        fed = [row.ids[length:-1] for row in rows]
        width = max(map(len, fed))
        device = self.model.device
        inputs: dict[str, Any] = {
            "input_ids": torch.tensor([[*ids, *[0] * (width - len(ids))] for ids in fed], device=device)
        }
        if any(row.n_pads > 1 for row in rows):
            real = [length + len(ids) - max(row.n_pads - 1, 0) for row, ids in zip(rows, fed, strict=True)]
            mask = [[1] * n + [0] * (length + width - n) for n in real]
            inputs["attention_mask"] = torch.tensor(mask, device=device)
        if length:
            cached = self.states[length].cache([row.ids[:length] for row in rows])
            inputs |= {"past_key_values": cached, "use_cache": True}
        else:
            inputs["use_cache"] = False
        spans = [(row.start - 1 - length, len(row.ids) - 1 - length) for row in rows]
        targets_N = torch.tensor([t for row in rows for t in row.ids[row.start :]], device=device)
        values_N = self.token_log_probs(inputs, spans, targets_N)
        sizes: list[int] = [stop - first for first, stop in spans]
        return [float(v.sum()) for v in torch.split(values_N, sizes)]

    def token_log_probs(
        self, inputs: dict[str, Any], spans: Sequence[tuple[int, int]], targets_N: torch.Tensor
    ) -> torch.Tensor:
        """log p of the targets, float64, each predicted from one fed position.

        Args:
            inputs: keyword arguments of the model.
            spans: for each row the fed positions, first and one past the last, that predict targets.
            targets_N: target tokens, row after row.
        """
        if self.head is None:
            logits_BTV = self.model(**inputs).logits
            parts = [logits_TV[a:b].float() for logits_TV, (a, b) in zip(logits_BTV, spans, strict=True)]
            logits_NV = torch.cat(parts)
            return (logits_NV.gather(-1, targets_N[:, None])[:, 0] - logits_NV.logsumexp(-1)).double()
        hidden_BTD = self.model.base_model(**inputs).last_hidden_state
        hidden_ND = torch.cat([h_TD[a:b] for h_TD, (a, b) in zip(hidden_BTD, spans, strict=True)])
        return self.head.log_probs(hidden_ND, targets_N)


def prepare(model: Any, starts: Sequence[Ids]) -> Likelihood:
    """The model with the states of sequence starts that will come again.

    Args:
        model: a causal language model of transformers in eval mode.
        starts: token ids; those of one length are run together. Models whose cache holds more
            than the keys and values of every token (sliding windows, recurrence) share nothing.
    """
    states: dict[int, _States] = {}
    for length in sorted({len(ids) for ids in starts} - {0}):
        same = list(dict.fromkeys(ids for ids in starts if len(ids) == length))
        fed = torch.tensor(same, device=model.device)
        past = model.base_model(input_ids=fed, use_cache=True).past_key_values
        layers = getattr(past, "layers", [])
        if layers and all(type(layer) is DynamicLayer for layer in layers):
            row_of = {ids: i for i, ids in enumerate(same)}
            states[length] = _States(row_of, [(layer.keys, layer.values) for layer in layers])
    return Likelihood(model, head_of(model), states)
