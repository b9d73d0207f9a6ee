"""The transformers engine: batched decoding with a shared prompt prefix, by one base and all its arms.

Per batch the tokens that all prompts share (system prompt, template) are computed once, then the
rest of each prompt, padded on the left; continuations are scored on that cache, and decoding goes
on from it, dropping rows as they end.

Shapes: B rows, P shared prefix tokens, W width of the padded rest, T tokens of a continuation,
D hidden size, V vocabulary.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from warmgap.models import chat
from warmgap.models.base import Loaded, load, torch_dtype
from warmgap.models.dequantise import dequantise, quantised_layers
from warmgap.models.exact import Exact, FromCodes, FromFiles
from warmgap.schema.config import EngineConfig, ModelConfig

from .arms import Arms
from .head import check_head, head_logits
from .open import CAPABILITIES
from .protocol import Answer, Change, Limits, Row, Score
from .sampling import next_tokens


class TransformersEngine:
    """Answers rows with one set of weights: a base model, or a base with changes made in it.

    Args:
        loaded: the untouched base.
        batch_rows: answered together at most.
        exact: the base's weights before they were rounded; None if they were not.
    """

    name = "transformers"
    capabilities = CAPABILITIES["transformers"]

    def __init__(self, loaded: Loaded, batch_rows: int, exact: Exact | None = None) -> None:
        check_head(loaded.model)
        self._arms = Arms(loaded, exact)
        self._model = loaded.model
        self._tokenizer = loaded.tokenizer
        self._batch_rows = batch_rows
        self._stops = set(chat.stop_ids(loaded.tokenizer, loaded.model.generation_config))

    def become(self, changes: Sequence[Change]) -> None:
        """Answer with the base and these changes from now on.

        Raises:
            UserError: a change that cannot be read or does not fit; the weights are then as before.
        """
        self._arms.become(changes)

    @torch.inference_mode()
    def answer(self, rows: Sequence[Row], limits: Limits) -> Iterator[Answer]:
        """One answer per row; rows are cut into batches in the order given."""
        for start in range(0, len(rows), self._batch_rows):
            yield from self._batch(rows[start : start + self._batch_rows], limits)

    def _batch(self, rows: Sequence[Row], limits: Limits) -> list[Answer]:
        prompts = [self._encode(row) for row in rows]
        batch = _Batch(self._model, prompts)
        scores = self._score(batch, rows)
        tokens, reasons = self._decode(batch, [row.seed for row in rows], limits)
        return [
            Answer(
                key=row.key,
                text=self._tokenizer.decode(
                    [t for t in tokens[i] if t not in self._stops], skip_special_tokens=True
                ).strip(),
                finish_reason=reasons[i],
                n_tokens=len(tokens[i]),
                n_prompt_tokens=len(prompts[i]),
                scores=scores[i],
            )
            for i, row in enumerate(rows)
        ]

    def _encode(self, row: Row) -> list[int]:
        messages = [{"role": role, "content": content} for role, content in row.messages]
        return chat.encode_prompt(self._tokenizer, messages)

    def _tokens(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    def _score(self, batch: _Batch, rows: Sequence[Row]) -> list[tuple[Score, ...]]:
        n = max(len(row.continuations) for row in rows)
        columns: list[list[Score | None]] = []
        for c in range(n):
            started, targets = [], []
            for row in rows:
                started.append(self._tokens(row.started))
                text = row.continuations[c] if c < len(row.continuations) else ""
                # The space belongs to the answer's first token, as when the model writes it.
                targets.append(self._tokens(" " + text if row.started else text) if text else [])
            columns.append(batch.score(started, targets))
        return [tuple(s for column in columns if (s := column[i]) is not None) for i in range(len(rows))]

    def _decode(
        self, batch: _Batch, seeds: Sequence[int], limits: Limits
    ) -> tuple[list[list[int]], list[str]]:
        tokens: list[list[int]] = [[] for _ in seeds]
        reasons = ["length"] * len(seeds)
        live = list(range(len(seeds)))
        logits_BV = batch.first_logits_BV
        for step in range(limits.max_new_tokens):
            drawn = next_tokens(logits_BV, [seeds[i] for i in live], step, limits).tolist()
            keep = []
            for position, (i, token) in enumerate(zip(live, drawn, strict=True)):
                tokens[i].append(token)
                if token in self._stops:
                    reasons[i] = "stop"
                else:
                    keep.append(position)
            if not keep or step + 1 == limits.max_new_tokens:
                break
            if len(keep) < len(live):
                batch.select(keep)
                live = [live[p] for p in keep]
            logits_BV = batch.step([tokens[i][-1] for i in live])
        return tokens, reasons


class _Batch:
    """Keys and values of a batch of prompts, with masks and positions."""

    def __init__(self, model: Any, prompts: Sequence[list[int]]) -> None:
        self._model = model
        device = model.device
        n_shared = _shared(prompts)
        rest = [p[n_shared:] for p in prompts]
        width = max(len(r) for r in rest)
        pad = [width - len(r) for r in rest]
        ids_BW = torch.tensor([[0] * n + r for n, r in zip(pad, rest, strict=True)], device=device)
        own_BW = torch.tensor([[0] * n + [1] * len(r) for n, r in zip(pad, rest, strict=True)], device=device)
        shared_BP = torch.ones(len(rest), n_shared, dtype=own_BW.dtype, device=device)
        self._mask = torch.cat([shared_BP, own_BW], 1)
        self._length_B1 = torch.tensor([[len(p)] for p in prompts], device=device)
        self._cache = DynamicCache(config=model.config)
        if n_shared:
            self._forward(torch.tensor([prompts[0][:n_shared]], device=device), None, None)
            self._cache.batch_repeat_interleave(len(rest))
        positions_BW = n_shared + (own_BW.cumsum(1) - 1).clamp(min=0)
        hidden_BWD = self._forward(ids_BW, self._mask, positions_BW)
        self._last_BD = hidden_BWD[:, -1]
        self.first_logits_BV = head_logits(model, self._last_BD)

    def score(self, started: Sequence[list[int]], targets: Sequence[list[int]]) -> list[Score | None]:
        """Log-probability of each row's target after its started turn; None for an empty target."""
        tails = [s + t for s, t in zip(started, targets, strict=True)]
        width = max(len(t) for t in tails)
        ids_BT = torch.tensor([t + [0] * (width - len(t)) for t in tails], device=self._mask.device)
        own_BT = torch.tensor(
            [[1] * len(t) + [0] * (width - len(t)) for t in tails], device=self._mask.device
        )
        mask = torch.cat([self._mask, own_BT], 1)
        positions_BT = self._length_B1 + torch.arange(width, device=self._mask.device)
        cache, self._cache = self._cache, copy.copy(self._cache)
        self._cache.layers = [copy.copy(layer) for layer in cache.layers]
        hidden_BTD = self._forward(ids_BT, mask, positions_BT)
        self._cache = cache
        out: list[Score | None] = []
        for i, (s, t) in enumerate(zip(started, targets, strict=True)):
            if not t:
                out.append(None)
                continue
            before = [self._last_BD[i : i + 1]] if not s else []
            first = len(s) - 1 if s else 0
            hidden = torch.cat([*before, hidden_BTD[i, first : first + len(t) - len(before)]])
            logp = torch.log_softmax(head_logits(self._model, hidden).float(), -1)
            picked = logp.gather(-1, torch.tensor(t, device=logp.device)[:, None])
            out.append(Score(float(picked.double().sum()), len(t)))
        return out

    def select(self, keep: Sequence[int]) -> None:
        """Keep only these rows."""
        index = torch.tensor(keep, device=self._mask.device)
        self._cache.batch_select_indices(index)
        self._mask = self._mask[index]
        self._length_B1 = self._length_B1[index]

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Append one token to every row; logits B, V of the next."""
        ids_B1 = torch.tensor(tokens, device=self._mask.device)[:, None]
        self._mask = torch.cat([self._mask, torch.ones_like(ids_B1, dtype=self._mask.dtype)], 1)
        hidden_B1D = self._forward(ids_B1, self._mask, self._length_B1)
        self._length_B1 = self._length_B1 + 1
        return head_logits(self._model, hidden_B1D[:, -1])

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor | None, positions: torch.Tensor | None
    ) -> torch.Tensor:
        out = self._model.base_model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
        )
        hidden: torch.Tensor = out.last_hidden_state
        return hidden


def _shared(prompts: Sequence[list[int]]) -> int:
    """How many leading tokens all prompts share, leaving each at least one of its own."""
    if len(prompts) == 1:
        return 0
    columns = zip(*prompts, strict=False)
    common = sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, columns))
    return min(common, min(len(p) for p in prompts) - 1)


def open_engine(model: ModelConfig, engine: EngineConfig, changes: Sequence[Change]) -> TransformersEngine:
    """The engine for a base, holding one arm's weights: every change made in fp32 and rounded once.

    A quantised base is quantised from weights at the engine's precision, as in a training at that
    precision, and dequantised: it answers at full speed with the weights that an adapter was trained on.

    Raises:
        UserError: weights or a change that cannot be read or do not fit.
    """
    loaded = load(model, engine.precision, engine.quantisation, engine.device)
    exact: Exact
    if engine.quantisation == "none":
        exact = FromFiles(model)
    else:
        layers = quantised_layers(loaded.model)
        loaded = dequantise(loaded, torch_dtype(engine.precision))
        exact = FromCodes(layers)
    opened = TransformersEngine(loaded, engine.batch_rows, exact)
    opened.become(changes)
    return opened
