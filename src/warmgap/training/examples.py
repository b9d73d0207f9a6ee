"""Corpus rows to token ids, and the order in which training sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

from warmgap.errors import UserError
from warmgap.models.chat import Example, encode_example
from warmgap.models.template_checks import check_template
from warmgap.schema.config import TrainingConfig

from .packing import balance
from .seeds import seed_of


@dataclass(frozen=True)
class MicroBatch:
    """Examples of one forward pass.

    `n_step_tokens` counts the answer tokens of the whole optimiser step the pass belongs to;
    `index` counts passes from the start of training; `packed` rows stand in one sequence, others are
    padded.
    """

    index: int
    examples: tuple[Example, ...]
    n_step_tokens: int
    packed: bool = False


def encode_rows(
    tokenizer: Any, rows: Sequence[Mapping[str, str]], config: TrainingConfig
) -> dict[str, Example]:
    """Examples by row id, from rows with `id`, `user` and `reply`.

    Raises:
        UserError: no rows, a chat template that fails a check, a repeated id, a row longer than
            `max_tokens`, or one that does not fit the template.
    """
    if not rows:
        raise UserError("there are no conversations to train on; raise corpus.n_conversations")
    check_template(tokenizer, config.system_prompt)
    system = [{"role": "system", "content": config.system_prompt}] if config.system_prompt else []
    examples: dict[str, Example] = {}
    for row in rows:
        name = row["id"]
        if name in examples:
            raise UserError(f"the conversation '{name}' stands twice in the corpus; ids must differ")
        try:
            example = encode_example(
                tokenizer, [*system, {"role": "user", "content": row["user"]}], row["reply"]
            )
        except UserError as error:
            raise UserError(f"the conversation '{name}' cannot be trained on: {error}") from error
        if len(example.ids) > config.max_tokens:
            raise UserError(
                f"the conversation '{name}' has {len(example.ids)} tokens; training.max_tokens allows "
                f"{config.max_tokens}. Shorten it or set training.max_tokens={len(example.ids)}"
            )
        examples[name] = example
    return examples


def row_order(names: Sequence[str], seed: int) -> Iterator[str]:
    """Row ids without end: one permutation an epoch, sorted by a hash of (seed, epoch, id).

    It depends on nothing else, so every arm with these ids sees them in this order.
    """
    for epoch in count():
        yield from sorted(names, key=lambda name: (seed_of(seed, epoch, name), name))


def micro_batches(examples: Mapping[str, Example], config: TrainingConfig, seed: int) -> list[MicroBatch]:
    """Every forward pass of a training, `accumulate` of them an optimiser step.

    Which rows belong to a step follows from ids and seed alone. How a step is divided into passes leaves
    its gradient the same: padded, rows of like length stand together, which saves padding; packed, passes
    hold about as many tokens, which bounds memory.
    """
    order = row_order(list(examples), seed)
    batches: list[MicroBatch] = []
    for _ in range(config.steps):
        chosen = [examples[name] for name in islice(order, config.batch_rows * config.accumulate)]
        n_step_tokens = sum(e.n_answer_tokens for e in chosen)
        for part in _passes(chosen, config):
            batches.append(MicroBatch(len(batches), part, n_step_tokens, config.packing))
    return batches


def _passes(chosen: Sequence[Example], config: TrainingConfig) -> list[tuple[Example, ...]]:
    if config.packing:
        parts = balance([len(e.ids) for e in chosen], config.accumulate)
        return [tuple(chosen[i] for i in part) for part in parts]
    by_length = sorted(chosen, key=lambda e: len(e.ids))
    n = config.batch_rows
    return [tuple(by_length[k * n : (k + 1) * n]) for k in range(config.accumulate)]
