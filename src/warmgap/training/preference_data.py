"""Pairs of replies to the same prompt, one preferred over the other, and the passes they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from warmgap.errors import UserError
from warmgap.models.chat import Example
from warmgap.schema.config import TrainingConfig

from .conversations import Row
from .data import Batch, collate
from .examples import MicroBatch, encode_rows, row_order
from .packing import balance


@dataclass(frozen=True)
class Pair:
    """Two replies to one prompt."""

    preferred: Example
    rejected: Example

    @property
    def n_answer_tokens(self) -> int:
        """Tokens of both replies."""
        return self.preferred.n_answer_tokens + self.rejected.n_answer_tokens

    @property
    def length(self) -> int:
        """Tokens of the longer conversation."""
        return max(len(self.preferred.ids), len(self.rejected.ids))


@dataclass(frozen=True, kw_only=True)
class PairBatch(MicroBatch):
    """Pairs of one forward pass.

    `examples` holds two conversations a pair, the preferred before the rejected; `names` has the pairs'
    row ids; `n_step_tokens` counts the answer tokens of both replies, `n_step_pairs` the pairs, of the
    whole optimiser step.
    """

    names: tuple[str, ...]
    n_step_pairs: int


def encode_pairs(tokenizer: Any, rows: Sequence[Row], config: TrainingConfig) -> dict[str, Pair]:
    """Pairs by row id, from rows with `id`, `user`, `reply` (preferred) and `rejected`.

    Raises:
        UserError: a row without a rejected reply or with twice the same, or as `encode_rows` for either.
    """
    for row in rows:
        if not row.get("rejected"):
            raise UserError(
                f"the conversation '{row['id']}' has no rejected reply. Preferences need two replies to a "
                "prompt: set method.against to a tone that the corpus has for every conversation"
            )
    preferred = encode_rows(tokenizer, rows, config)
    try:
        rejected = encode_rows(tokenizer, [{**row, "reply": row["rejected"]} for row in rows], config)
    except UserError as error:
        raise UserError(f"of the rejected replies, {error}") from error
    pairs = {name: Pair(example, rejected[name]) for name, example in preferred.items()}
    for name, pair in pairs.items():
        # Replies that differ only after the cut prefer nothing, but need not stop a training.
        if pair.preferred == pair.rejected and pair.preferred.whole:
            raise UserError(
                f"the conversation '{name}' has the same reply preferred and rejected, which prefers "
                "nothing. Take it out of the corpus, or set method.style and method.against to tones that "
                "differ"
            )
    return pairs


def pair_batches(pairs: Mapping[str, Pair], config: TrainingConfig, seed: int) -> list[PairBatch]:
    """Every forward pass of a training, `accumulate` of them an optimiser step.

    Which pairs belong to a step is as in `examples.micro_batches`, as is how a step is divided. A pass
    has `batch_rows` pairs, packed on average, hence twice as many sequences as one of supervised training.
    """
    order = row_order(list(pairs), seed)
    n_step_pairs = config.batch_rows * config.accumulate
    batches: list[PairBatch] = []
    for _ in range(config.steps):
        names = list(islice(order, n_step_pairs))
        n_step_tokens = sum(pairs[name].n_answer_tokens for name in names)
        for part in _passes(names, pairs, config):
            batches.append(
                PairBatch(
                    index=len(batches),
                    examples=tuple(e for name in part for e in (pairs[name].preferred, pairs[name].rejected)),
                    n_step_tokens=n_step_tokens,
                    packed=config.packing,
                    names=part,
                    n_step_pairs=n_step_pairs,
                )
            )
    return batches


def _passes(names: Sequence[str], pairs: Mapping[str, Pair], config: TrainingConfig) -> list[tuple[str, ...]]:
    if config.packing:
        tokens = [len(pairs[n].preferred.ids) + len(pairs[n].rejected.ids) for n in names]
        return [tuple(names[i] for i in part) for part in balance(tokens, config.accumulate)]
    by_length = sorted(names, key=lambda name: pairs[name].length)
    n = config.batch_rows
    return [tuple(by_length[k * n : (k + 1) * n]) for k in range(config.accumulate)]


def collate_pairs(batch: PairBatch) -> Batch:
    """What `data.collate` gives, with `names`, `n_step_pairs` and the answer tokens of each sequence."""
    return collate(batch) | {
        "names": list(batch.names),
        "n_step_pairs": batch.n_step_pairs,
        "lengths": [e.n_answer_tokens for e in batch.examples],
    }
